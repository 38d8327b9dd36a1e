//! The shape of a manifest, as a table: which fields there are, and what each must be.
//!
//! A test holds this table against the types of [`crate::api`]: their JSON Schema names the same fields.

use super::{
    cross_field, formats,
    shape::{Field, Record, Shape},
};

/// A whole document.
pub(super) static PROJECT: Record = Record {
    what: "an object",
    fields: &[
        required("apiVersion", crate::api::API_VERSION, Shape::Exactly(crate::api::API_VERSION)),
        required("kind", crate::api::KIND, Shape::Exactly(crate::api::KIND)),
        required("metadata", "{ name: shop }", Shape::Record(&METADATA)),
        required(
            "spec",
            "{ project: { directory: ../shop }, services: [{ name: api }] }",
            Shape::Record(&SPEC),
        ),
    ],
    also: cross_field::nothing,
};

static METADATA: Record = Record {
    what: "`metadata`",
    fields: &[
        required("name", "shop", Shape::Text(formats::object_name)),
        optional("labels", Shape::Labels(formats::label)),
        optional("annotations", Shape::Labels(formats::label)),
    ],
    also: cross_field::nothing,
};

static SPEC: Record = Record {
    what: "`spec`",
    fields: &[
        required("project", "{ directory: ../shop }", Shape::Record(&PROJECT_REF)),
        required("services", "[{ name: api }]", Shape::List { of: &SERVICE, at_least_one: true }),
        optional("source", Shape::Record(&SOURCE)),
        optional("reconcile", Shape::Record(&RECONCILE)),
    ],
    also: cross_field::spec,
};

static PROJECT_REF: Record = Record {
    what: "`project`",
    fields: &[
        required("directory", "../shop", Shape::Text(formats::host_path)),
        optional("files", Shape::Texts(formats::inner_path)),
        optional("name", Shape::Text(formats::project_name)),
        optional("profiles", Shape::Texts(formats::profile)),
        optional("envFiles", Shape::Texts(formats::inner_path)),
        optional("takeOver", Shape::Bool),
    ],
    also: cross_field::nothing,
};

static SERVICE: Record = Record {
    what: "a service",
    fields: &[
        required("name", "api", Shape::Text(formats::service_name)),
        optional("modules", Shape::List { of: &MODULE, at_least_one: false }),
        optional("routes", Shape::List { of: &ROUTE, at_least_one: false }),
    ],
    also: cross_field::service,
};

static MODULE: Record = Record {
    what: "a module",
    fields: &[
        optional("name", Shape::Text(formats::label_text)),
        optional("source", Shape::Text(formats::inner_path)),
        required("path", "/app/dist/modules/workflow", Shape::Text(formats::container_path)),
        optional("type", Shape::Word(&["file", "directory", "any"])),
    ],
    also: cross_field::nothing,
};

static ROUTE: Record = Record {
    what: "a route",
    fields: &[
        optional("name", Shape::Text(formats::label_text)),
        optional("path", Shape::Text(formats::route_path)),
        optional("port", Shape::Whole(1..=65_535)),
        optional("url", Shape::Text(formats::url)),
        optional("scheme", Shape::Word(&["http", "https"])),
        optional("http", Shape::Whole(1..=2)),
        optional("tls", Shape::Record(&TLS)),
        optional("method", Shape::Text(formats::method)),
        optional("headers", Shape::Labels(formats::header)),
        required("expect", "401", Shape::Statuses),
        optional("absent", Shape::Statuses),
        optional("control", Shape::Text(formats::control)),
        optional("auth", Shape::Record(&AUTH)),
        optional("timeout", Shape::Duration { at_least: 1 }),
    ],
    also: cross_field::route,
};

static TLS: Record = Record {
    what: "`tls`",
    fields: &[
        optional("verify", Shape::Bool),
        optional("caFile", Shape::Text(formats::host_path)),
        optional("serverName", Shape::Text(formats::server_name)),
    ],
    also: cross_field::tls,
};

static AUTH: Record = Record {
    what: "`auth`",
    fields: &[
        optional("basic", Shape::Record(&BASIC)),
        optional("bearerFrom", Shape::Record(&SECRET)),
        required("expect", "200", Shape::Statuses),
        optional("absent", Shape::Statuses),
        optional("allowPlainHttp", Shape::Bool),
    ],
    also: cross_field::auth,
};

static BASIC: Record = Record {
    what: "`basic`",
    fields: &[
        required("username", "ops", Shape::Text(formats::username)),
        required("passwordFrom", "{ env: NAME }", Shape::Record(&SECRET)),
    ],
    also: cross_field::nothing,
};

static SECRET: Record = Record {
    what: "a reference to a secret",
    fields: &[
        optional("env", Shape::Text(formats::env_name)),
        optional("file", Shape::Text(formats::host_path)),
    ],
    also: cross_field::secret,
};

static SOURCE: Record = Record {
    what: "`source`",
    fields: &[optional("drift", Shape::Word(&["ignore", "report", "enforce"]))],
    also: cross_field::nothing,
};

static RECONCILE: Record = Record {
    what: "`reconcile`",
    fields: &[
        optional("mode", Shape::Word(&["enforce", "observe"])),
        optional("suspend", Shape::Bool),
        // Less would keep the engine busy with nothing but being looked at.
        optional("interval", Shape::Duration { at_least: 1_000 }),
        optional("buildTimeout", Shape::Duration { at_least: 1 }),
        optional("verify", Shape::Record(&VERIFY)),
        optional("backoff", Shape::Record(&BACKOFF)),
        optional("attempts", Shape::Whole(1..=u32::MAX as i64)),
        optional("rollback", Shape::Bool),
        optional("upgrades", Shape::Word(&["report", "recreate"])),
    ],
    also: cross_field::nothing,
};

static VERIFY: Record = Record {
    what: "`verify`",
    fields: &[
        optional("timeout", Shape::Duration { at_least: 1 }),
        optional("stableFor", Shape::Duration { at_least: 0 }),
    ],
    also: cross_field::nothing,
};

static BACKOFF: Record = Record {
    what: "`backoff`",
    fields: &[
        optional("initial", Shape::Duration { at_least: 1 }),
        optional("max", Shape::Duration { at_least: 1 }),
    ],
    also: cross_field::backoff,
};

const fn required(name: &'static str, example: &'static str, shape: Shape) -> Field {
    Field { name, required: Some(example), shape }
}

const fn optional(name: &'static str, shape: Shape) -> Field {
    Field { name, required: None, shape }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// Follows `$ref` and `allOf` to the schema that says something.
    fn resolve<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
        if let Some(inner) = schema["allOf"].get(0) {
            return resolve(inner, root);
        }
        match schema["$ref"].as_str() {
            Some(path) => resolve(root.pointer(path.trim_start_matches('#')).unwrap(), root),
            None => schema,
        }
    }

    fn words(schema: &Value) -> BTreeSet<&str> {
        let consts = schema["oneOf"].as_array().into_iter().flatten();
        let of_const = consts.filter_map(|one| one["const"].as_str().or(one["enum"][0].as_str()));
        let of_enum = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        of_const.chain(of_enum).collect()
    }

    fn compare(record: &Record, schema: &Value, root: &Value, compared: &mut usize) {
        *compared += 1;
        let schema = resolve(schema, root);
        if record.what == SECRET.what {
            let both: BTreeSet<_> = schema["oneOf"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["required"][0].as_str().unwrap())
                .collect();
            assert_eq!(both, record.fields.iter().map(|field| field.name).collect());
            return;
        }
        let properties = schema["properties"].as_object().unwrap();
        let names: BTreeSet<_> = record.fields.iter().map(|field| field.name).collect();
        assert_eq!(names, properties.keys().map(String::as_str).collect(), "{}", record.what);
        let required: BTreeSet<_> =
            record.fields.iter().filter(|field| field.required.is_some()).map(|field| field.name).collect();
        let declared =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert_eq!(required, declared, "{}", record.what);
        assert_eq!(schema["additionalProperties"], Value::Bool(false), "{}", record.what);
        for field in record.fields {
            let property = resolve(&properties[field.name], root);
            match &field.shape {
                Shape::Record(inner) => compare(inner, property, root, compared),
                Shape::List { of, .. } => compare(of, &property["items"], root, compared),
                Shape::Word(right) => {
                    assert_eq!(right.iter().copied().collect::<BTreeSet<_>>(), words(property));
                }
                Shape::Bool => assert_eq!(property["type"], "boolean", "{}", field.name),
                Shape::Whole(_) => assert_eq!(property["type"], "integer", "{}", field.name),
                _ => {}
            }
        }
    }

    #[test]
    fn the_table_and_the_types_name_the_same_fields() {
        let root = crate::manifest::json_schema();
        let mut compared = 0;
        compare(&PROJECT, &root, &root, &mut compared);
        assert_eq!(compared, 16, "records, those of secrets twice");
    }
}
