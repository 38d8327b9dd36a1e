//! The manifest's one declaration: which fields there are, what each must be, and what each means.
//!
//! The checks, the JSON Schema ([`super::schema`]) and the tables of `docs/manifest.md` come from it. Tests hold it against
//! the types of [`crate::api`], which a checked manifest is read into.

use super::{
    cross_field, formats, http_formats, sameness_formats, sameness_rules,
    shape::{Alternative, Field, Record, Requirement, Shape},
};

/// A whole document.
pub(crate) static PROJECT: Record = Record::new(
    "an object",
    &[
        required("apiVersion", crate::api::API_VERSION, Shape::Exactly(crate::api::API_VERSION)),
        required("kind", crate::api::KIND, Shape::Exactly(crate::api::KIND)),
        required("metadata", "{ name: shop }", Shape::Record(&METADATA))
            .takes("the name of the object, and labels"),
        required(
            "spec",
            "{ project: { directory: ../shop }, services: [{ name: api }] }",
            Shape::Record(&SPEC),
        )
        .takes("what is declared"),
    ],
);

static METADATA: Record = Record::new(
    "`metadata`",
    &[
        required("name", "shop", Shape::Text(&formats::OBJECT_NAME))
            .takes("lower-case letters, digits and dashes, at most 63; unique among all manifests"),
        optional("labels", "none", Shape::Pairs(&formats::LABEL)).takes(FOR_PEOPLE),
        optional("annotations", "none", Shape::Pairs(&formats::LABEL)).takes(FOR_PEOPLE),
    ],
);

const FOR_PEOPLE: &str = "texts by name, for people and scripts; undrift does not read them";

static SPEC: Record = Record::new(
    "`spec`",
    &[
        required("project", "{ directory: ../shop }", Shape::Record(&PROJECT_REF))
            .takes("[which project](#specproject)"),
        required("services", "[{ name: api }]", Shape::List { of: &SERVICE, at_least_one: true })
            .takes("a list of [services](#specservices), at least one; undrift touches no other"),
        optional("source", OF_ITS_FIELDS, Shape::Record(&SOURCE)).takes("what a changed build context means"),
        optional("reconcile", OF_ITS_FIELDS, Shape::Record(&RECONCILE))
            .takes("[how undrift repairs](#specreconcile)"),
    ],
)
.also(cross_field::spec);

const OF_ITS_FIELDS: &str = "the defaults of its fields";

static PROJECT_REF: Record = Record::new(
    "`project`",
    &[
        required("directory", "../shop", Shape::Text(&formats::HOST_PATH))
            .takes("the project directory, relative to the manifest; it must exist"),
        optional(
            "files",
            "Compose finds them itself, with `compose.override.yaml` and `COMPOSE_FILE`",
            Shape::Texts(&formats::INNER_PATH),
        )
        .takes("Compose files, relative to the directory"),
        optional("name", "Compose's own rule", Shape::Text(&formats::PROJECT_NAME))
            .takes("the name of the Compose project"),
        optional("profiles", "none", Shape::Texts(&formats::PROFILE)).takes("profiles to enable"),
        optional("envFiles", "Compose's `.env`", Shape::Texts(&formats::INNER_PATH))
            .takes("files for `${…}` in the Compose files, relative to the directory"),
        optional("takeOver", "`false`", Shape::Bool).takes(
            "`true`: undrift may replace containers of a project of the same name in \
             [another directory](how-it-works.md#whose-project-it-is)",
        ),
    ],
);

static SERVICE: Record = Record::new(
    "a service",
    &[
        required("name", "api", Shape::Text(&formats::SERVICE_NAME))
            .takes("a service of the Compose project, each once"),
        optional("modules", "none", Shape::List { of: &MODULE, at_least_one: false })
            .takes("a list of [paths](#modules) that must exist in each of its containers"),
        optional("routes", "none", Shape::List { of: &ROUTE, at_least_one: false })
            .takes("a list of [requests](#routes) with the status that each must answer"),
        optional("revision", "undrift compares no revision", Shape::Record(&REVISION))
            .takes("[the source revision](#revision) that image, container or route must carry"),
        optional("mounts", "`report`", Shape::Word(&["ignore", "report", "enforce"])).takes(
            "what undrift does when [a mounted file](#mounted-files) has changed since the container's start",
        ),
        optional("reload", "a restart", Shape::Record(&RELOAD))
            .takes("with `mounts: enforce`: what makes the service read mounted files anew"),
    ],
)
.also(cross_field::service);

static MODULE: Record = Record::new(
    "a module",
    &[
        optional("each", "the entry is one module", Shape::Text(&sameness_formats::EACH)).takes(
            "in place of `name` and `source`: a folder of the project and a pattern with one `*`. The entry stands for \
             [one module for each entry](#one-for-each-entry) that is there now",
        ),
        optional("except", "none", Shape::Texts(&sameness_formats::ENTRY_NAME)).takes("with `each`: names that are no entries"),
        optional("name", "the last part of `path`", Shape::Text(&formats::LABEL_TEXT))
            .takes("its name in reports; unique in the service"),
        optional("source", "undrift does not check the source layer", Shape::Text(&formats::INNER_PATH))
            .takes("what it is built from, relative to the project directory and inside it"),
        required("path", "/app/dist/modules/workflow", Shape::Text(&formats::CONTAINER_PATH))
            .takes("the absolute path in the container"),
        optional("type", "`any`", Shape::Word(&["file", "directory", "any"]))
            .takes("what must be at the path"),
        optional("content", "`present`", Shape::Word(&["present", "same"])).takes(
            "whether something must be there only, or [the same files with the same bytes](#content) as in `source`",
        ),
        optional("ignore", "none", Shape::Texts(&sameness_formats::IGNORED))
            .takes("with `content: same`: patterns of what is not compared"),
    ],
)
.also(sameness_rules::module);

static ROUTE: Record = Record::new(
    "a route",
    &[
        optional("each", "the entry is one route", Shape::Text(&sameness_formats::EACH)).takes(
            "a folder of the project and a pattern with one `*`. The entry stands for \
             [one route for each entry](#one-for-each-entry) that is there now",
        ),
        optional("except", "none", Shape::Texts(&sameness_formats::ENTRY_NAME)).takes("with `each`: names that are no entries"),
        optional("type", "`directory`", Shape::Word(&["file", "directory", "any"])).takes("with `each`: what its entries are"),
        optional("name", "the path, or the URL", Shape::Text(&formats::LABEL_TEXT))
            .takes("its name in reports; unique in the service"),
        optional("path", "`url` is required", Shape::Text(&http_formats::ROUTE_PATH))
            .takes("the path, with its query; undrift asks every replica"),
        optional("port", "`url` is required", Shape::Whole(1..=65_535)).takes("the port in the container, with `path`"),
        optional("url", "`path` and `port` are required", Shape::Text(&http_formats::URL))
            .takes("a whole URL, in place of `path` and `port`"),
        optional("scheme", "`http`", Shape::Word(&["http", "https"]))
            .takes("for `path` and `port`; a `url` has its own"),
        optional("http", "`1`", Shape::Whole(1..=2)).takes(
            "`1`, or `2`: HTTP/2 at once; with https both sides agree on it in the handshake. gRPC is not supported",
        ),
        optional("tls", "one that this host trusts", Shape::Record(&TLS))
            .takes("with https: [which certificate undrift accepts](#certificates)"),
        optional("method", "`GET`", Shape::Text(&http_formats::METHOD)).takes("the HTTP method"),
        optional("headers", "none", Shape::Pairs(&http_formats::HEADER))
            .takes("texts by name; one that carries a secret is an error"),
        required("expect", "401", Shape::Statuses).takes("the status without credentials, or a list"),
        optional("absent", "`[404]`", Shape::Statuses).takes("the statuses that mean that the route is not there"),
        optional("control", "`auto`", Shape::Text(&http_formats::CONTROL)).takes(
            "`auto` ([two paths next to the route](what-servers-answer.md#the-two-controls)), `off`, or a path that \
             must not exist",
        ),
        optional("auth", "undrift does not check the auth layer", Shape::Record(&AUTH))
            .takes("[credentials](#credentials), and the status that they must get"),
        optional("timeout", "`5s`", Shape::Duration { at_least: 1 }).takes("a duration, for one request"),
    ],
)
.either(&[
    Alternative::of(&["url"]),
    Alternative { required: &["path", "port"], optional: &["scheme"] },
])
.also(cross_field::route);

static REVISION: Record = Record::new(
    "`revision`",
    &[
        required("from", "{ label: org.opencontainers.image.revision }", Shape::Record(&REVISION_PLACE))
            .takes("where the service carries it"),
        optional("equals", "`git`", Shape::WordOr("git", &EXPECTED_REVISION))
            .takes("`git`: the commit that the project directory has checked out; or a file or a text"),
        optional("paths", "the checked-out commit", Shape::Texts(&formats::INNER_PATH)).takes(
            "with git, relative to the project directory: the last commit that touches one of these is expected",
        ),
        optional("variable", "none", Shape::Text(&http_formats::ENV_NAME)).takes(
            "the variable that undrift sets to the expected revision for every Compose command of this object",
        ),
    ],
)
.also(sameness_rules::revision);

static REVISION_PLACE: Record = Record::new(
    "`from`",
    &[
        optional("label", "another place is required", Shape::Text(&sameness_formats::LABEL_NAME))
            .takes("a label of the image and of the container"),
        optional("env", "another place is required", Shape::Text(&http_formats::ENV_NAME))
            .takes("a variable of the image's environment and of the container's"),
        optional("file", "another place is required", Shape::Text(&formats::CONTAINER_PATH))
            .takes("the absolute path of a file in the image and in the container, of which undrift reads the first 64 KiB"),
        optional("route", "another place is required", Shape::Record(&REVISION_ROUTE))
            .takes("what a route of each replica answers"),
    ],
)
.either(&[
    Alternative::of(&["label"]),
    Alternative::of(&["env"]),
    Alternative::of(&["file"]),
    Alternative::of(&["route"]),
])
.also(sameness_rules::revision_place);

static REVISION_ROUTE: Record = Record::new(
    "`route`",
    &[
        required("path", "/version", Shape::Text(&http_formats::ROUTE_PATH))
            .takes("the path, with its query"),
        required("port", "3000", Shape::Whole(1..=65_535)).takes("the port in the container"),
        optional("scheme", "`http`", Shape::Word(&["http", "https"])).takes("of the request"),
        optional("json", "`header` is required", Shape::Text(&sameness_formats::JSON_POINTER))
            .takes("a JSON pointer (RFC 6901) to the revision in the answer's body"),
        optional("header", "`json` is required", Shape::Text(&sameness_formats::HEADER_NAME))
            .takes("the answer's header that is the revision"),
    ],
)
.either(&[Alternative::of(&["json"]), Alternative::of(&["header"])])
.also(sameness_rules::revision_route);

static EXPECTED_REVISION: Record = Record::new(
    "`equals`",
    &[
        optional("file", "`text` is required", Shape::Text(&formats::INNER_PATH))
            .takes("a file in the project directory that holds the revision"),
        optional("text", "`file` is required", Shape::Text(&sameness_formats::REVISION))
            .takes("the revision itself"),
    ],
)
.either(&[Alternative::of(&["file"]), Alternative::of(&["text"])])
.also(sameness_rules::expected_revision);

static RELOAD: Record = Record::new(
    "`reload`",
    &[required("signal", "HUP", Shape::Text(&sameness_formats::SIGNAL))
        .takes("the name of a signal for the container's first process, without `SIG`")],
);

static TLS: Record = Record::new(
    "`tls`",
    &[
        optional("verify", "`true`", Shape::Bool).takes("`false`: any certificate"),
        optional("caFile", "the host's certificates", Shape::Text(&formats::HOST_PATH)).takes(
            "a PEM file, relative to the manifest, with the only certificates that undrift trusts: your own CA's, or \
             the server's own where it is self-signed. undrift reads it at each observation",
        ),
        optional(
            "serverName",
            "the host in the URL; with `path` and `port` that is an address",
            Shape::Text(&http_formats::SERVER_NAME),
        )
        .takes("the name that the certificate must carry, and that undrift asks the server for"),
    ],
)
.also(cross_field::tls);

static AUTH: Record = Record::new(
    "`auth`",
    &[
        optional("basic", "`bearerFrom` is required", Shape::Record(&BASIC))
            .takes("a user name and a password, for HTTP Basic"),
        optional("bearerFrom", "`basic` is required", Shape::Record(&SECRET)).takes("the secret that is a bearer token"),
        required("expect", "200", Shape::Statuses).takes("the status with credentials, or a list"),
        optional(
            "absent",
            "`404` and the statuses of the route's `absent`, without those of `expect`",
            Shape::Statuses,
        )
        .takes("the statuses that mean, with credentials, that the route is not there"),
        optional(
            "allowPlainHttp",
            "undrift sends them, and `validate`, `check` and `doctor` warn (`PlainHttp`)",
            Shape::Bool,
        )
        .takes(
            "`false`: undrift sends no credentials over plain HTTP to another host, and the auth layer is unknown; \
             `true`: it sends them without a warning",
        ),
    ],
)
.either(&[
    Alternative::of(&["basic"]),
    Alternative::of(&["bearerFrom"]),
])
.also(cross_field::auth);

static BASIC: Record = Record::new(
    "`basic`",
    &[
        required("username", "ops", Shape::Text(&http_formats::USERNAME)).takes("the user name, without `:`"),
        required("passwordFrom", "{ env: NAME }", Shape::Record(&SECRET))
            .takes("the secret that is the password"),
    ],
);

static SECRET: Record = Record::new(
    "a reference to a secret",
    &[
        optional("env", "`file` is required", Shape::Text(&http_formats::ENV_NAME))
            .takes("the name of a variable of undrift's environment"),
        optional("file", "`env` is required", Shape::Text(&formats::HOST_PATH)).takes(
            "a regular file of at most 64 KiB, relative to the manifest. undrift drops one line end at its end",
        ),
    ],
)
.either(&[
    Alternative::of(&["env"]),
    Alternative::of(&["file"]),
])
.also(cross_field::secret);

static SOURCE: Record = Record::new(
    "`source`",
    &[optional("drift", "`report`", Shape::Word(&["ignore", "report", "enforce"])).takes(
        "what undrift does when the build context has changed since undrift built the image, or first saw it",
    )],
);

static RECONCILE: Record = Record::new(
    "`reconcile`",
    &[
        optional("mode", "`enforce`", Shape::Word(&["enforce", "observe"]))
            .takes("with `observe` undrift reports drift and takes no step"),
        optional("suspend", "`false`", Shape::Bool)
            .takes("`true`: no step as long as the manifest has it; `undrift resume` does not end it"),
        // Less would keep the engine busy with nothing but being looked at.
        optional("interval", "`5m`", Shape::Duration { at_least: 1_000 })
            .takes("how often undrift observes the object when nothing has happened"),
        optional("buildTimeout", "`30m`", Shape::Duration { at_least: 1 })
            .takes("the time limit of one build; any other step has ten minutes, which is fixed"),
        optional("verify", OF_ITS_FIELDS, Shape::Record(&VERIFY)).takes("how undrift verifies a repair"),
        optional("backoff", OF_ITS_FIELDS, Shape::Record(&BACKOFF)).takes("the wait between attempts"),
        optional("attempts", "`5`", Shape::Whole(1..=u32::MAX as i64))
            .takes("how many attempts one drift of one service gets"),
        optional("rollback", "`true`", Shape::Bool)
            .takes("whether undrift puts the previous image back where the new container is worse"),
        optional("upgrades", "`report`", Shape::Word(&["report", "recreate"])).takes(
            "what undrift does with a container that another version of Compose made from the same configuration, \
             and that the present version would make differently; a report is the note `ComposeUpgraded`",
        ),
        optional("churn", OF_ITS_FIELDS, Shape::Record(&CHURN)).takes("how many restarts are too many"),
    ],
);

static CHURN: Record = Record::new(
    "`churn`",
    &[
        // Each restart is kept until it is older than `within`.
        optional("restarts", "`6`", Shape::Whole(1..=1_000)).takes(
            "from how many restarts of one container on its service [restarts too \
             often](how-it-works.md#a-service-that-restarts-often); undrift reports that and takes no step",
        ),
        optional("within", "`24h`", Shape::Duration { at_least: 1_000 }).takes("within which time"),
    ],
);

static VERIFY: Record = Record::new(
    "`verify`",
    &[
        optional("timeout", "`2m`", Shape::Duration { at_least: 1 })
            .takes("how long after the last step the service may take until it is as declared"),
        optional("stableFor", "`3s`", Shape::Duration { at_least: 0 }).takes("how long it must then stay so"),
        optional("watchFor", "`0s`", Shape::Duration { at_least: 0 }).takes(
            "for how long after the verification undrift asks the routes again, ever less often; where a new container \
             turns out worse, the previous image comes back",
        ),
    ],
);

static BACKOFF: Record = Record::new(
    "`backoff`",
    &[
        optional("initial", "`10s`", Shape::Duration { at_least: 1 })
            .takes("the wait after the first failed attempt, doubled after each further one"),
        optional("max", "`10m`", Shape::Duration { at_least: 1 })
            .takes("the longest wait, at least `initial`"),
    ],
)
.also(cross_field::backoff);

const fn required(name: &'static str, example: &'static str, shape: Shape) -> Field {
    Field::new(name, Requirement::Required(example), shape)
}

/// `without` is what holds where the field is not there.
const fn optional(name: &'static str, without: &'static str, shape: Shape) -> Field {
    Field::new(name, Requirement::Optional(without), shape)
}

#[cfg(test)]
mod tests;
