//! The result of one observation of a host. Every field is known, or unknown with its reason.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Attachments, BuildCheck, ConfigDifference, ContentObservation, CopiedContent, DeclaredAttachments,
    DeclaredJoin, Expansion, Fact, GitLock, Joined, MountedFile, NetworkObservation, Obstacle, Presence,
    RelatedObservation, ResolvedFrom, RevisionObservation, SourcePaths, Ties, Time, UnknownVariable,
    VolumeObservation,
};

/// One observation of one Compose project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectObservation {
    /// When the observation began.
    pub at: Time,
    /// The Compose project's name, as Compose resolved it.
    pub project: String,
    /// The ID of the observed engine; `None` if it did not report one, or has none that lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The sign of external activity on the project, in words: another Compose command, or an engine that has only just
    /// started and may not have run its restart policies. undrift then waits for quiet.
    #[serde(rename = "changing")]
    pub external_activity: Option<String>,
    /// One entry per service of the spec, in its order.
    pub services: Vec<ServiceObservation>,
    /// The services that the spec does not name, and that the Compose files tie to those that it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<RelatedObservation>,
    /// What the project was resolved from, if that is known and there is a key for its digests. It is compared, and never
    /// recorded with an observation.
    #[serde(skip)]
    pub resolved_from: Option<ResolvedFrom>,
    /// The paths of this host that it rests on. They are watched, and never recorded.
    #[serde(skip)]
    pub source_paths: SourcePaths,
}

impl ProjectObservation {
    /// The observation of a declared service.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceObservation> {
        self.services.iter().find(|seen| seen.name == name)
    }

    /// The image ID that the reference of each of these services names, if observed; `None` if there is none.
    #[must_use]
    pub fn examined(&self, services: &[String]) -> BTreeMap<String, Option<String>> {
        let of = |name: &String| {
            let named = self.service(name).map(|seen| &seen.artifact.image);
            let related = || self.related.iter().find(|seen| seen.name == *name).map(|seen| &seen.image);
            named.or_else(related).and_then(Fact::known).map(|image| (name.clone(), image.clone()))
        };
        services.iter().filter_map(of).collect()
    }
}

/// One observation of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceObservation {
    /// The service's name.
    pub name: String,
    /// Whether Compose can build it: it has a `build:`.
    pub buildable: bool,
    /// How many containers Compose would run (`deploy.replicas` or `scale`).
    pub replicas: u32,
    /// The hash of the service's configuration as Compose resolves it now, digested under the state folder's key; `None` if
    /// Compose printed none.
    pub config_hash: Option<String>,
    /// The declared attachments of its containers.
    pub attachments: DeclaredAttachments,
    /// The networks that it joins and Compose creates.
    pub networks: Fact<Vec<NetworkObservation>>,
    /// The volumes that it mounts and Compose creates, if they could be observed.
    pub volumes: Vec<VolumeObservation>,
    /// The source in the project directory.
    pub source: SourceObservation,
    /// The image that the reference names.
    pub artifact: ArtifactObservation,
    /// The service's containers, by Compose's labels, in the order of their number; no one-off containers.
    pub containers: Fact<Vec<ContainerObservation>>,
    /// The directory of another Compose project of the same name that created one of them; if there are none, that created
    /// all containers of the project. Names an existing directory of this host.
    #[serde(default = "not_elsewhere", skip_serializing_if = "is_not_elsewhere")]
    pub other_directory: Fact<Option<String>>,
    /// Whether undrift itself runs in one of them: then it takes no step for the service.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub runs_undrift: bool,
    /// The order in the Compose files between it and other services.
    #[serde(default)]
    pub ties: Ties,
    /// What its containers should share of others: namespaces, volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joins: Vec<DeclaredJoin>,
    /// One entry per route of the spec, in its order.
    pub routes: Vec<RouteObservation>,
    /// The revision that it carries; `None` if none is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionObservation>,
    /// The variable without which nothing follows from how Compose resolves it; `None` if all that it may use are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unresolved: Option<UnknownVariable>,
    /// The obstacles to its repair or verification, known before a step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<Obstacle>,
    /// The other services of the object that still have a port of the host which this one should publish, and that should no
    /// longer have it: it is free once they are brought up as well.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ports_of: BTreeSet<String>,
}

const fn not_elsewhere() -> Fact<Option<String>> {
    Fact::Known(None)
}

fn is_not_elsewhere(other: &Fact<Option<String>>) -> bool {
    *other == not_elsewhere()
}

/// The source layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceObservation {
    /// One entry per module of the spec; `None` if it declares no source.
    pub modules: Vec<Option<Fact<Presence>>>,
    /// The digest of the build context (`v1:sha256:…`, with the build's own settings in it; `v2.KEY:sha256:…` if these may be
    /// secrets, and are in it under that key), and after a `+` that of the builds of other services that the image is based on;
    /// `None` for a service without `build:`, or one whose context is not a folder of this host.
    pub digest: Fact<Option<String>>,
    /// The part of the build that no digest covers, in words: a git repository, also one that a base image is built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// What each `each` of the spec gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expansions: Vec<Expansion>,
    /// The lock of a git that changes the files of the build; `None` if there is none, or nothing to build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_lock: Option<GitLock>,
}

/// A git work tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitState {
    /// The checked-out commit; `None` before the first one.
    pub revision: Option<String>,
    /// Whether anything below the project directory differs from it.
    pub dirty: bool,
}

/// The artifact layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactObservation {
    /// The image reference that Compose uses for the service.
    pub reference: String,
    /// The ID that it names (`sha256:…`); `Known(None)` if the engine has nothing of that name.
    pub image: Fact<Option<String>>,
    /// The build context's digest that the store knows for that image ID: of undrift's own build, or of one that `check --build`
    /// found to be the same.
    pub built_from: Option<String>,
    /// The build context as it was when this image was seen first; `None` if undrift built it, or remembers nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_sight: Option<FirstSight>,
    /// What `check --build` found of that image: in its own run whatever it is, later in what it differs, or that it is the same
    /// in its modules only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_check: Option<BuildCheck>,
    /// One entry per module of the spec.
    pub modules: Vec<ModuleObservation>,
    /// Whether undrift's own tag for verified images is on that image. No evidence: only what the tag is for counts.
    #[serde(skip)]
    pub is_kept: bool,
}

/// The build context of a service when its image was first seen. It does not show what the image was built from; but it is
/// older than every change seen after that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirstSight {
    /// The context's digest then.
    pub digest: String,
    /// When it was.
    pub at: Time,
    /// When the context was first seen as it is now, if it differs from then; `None` while it is the same.
    pub changed_at: Option<Time>,
}

/// A module at one location.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleObservation {
    /// Whether it exists.
    pub presence: Fact<Presence>,
    /// How its files compare with the source; `None` unless that is declared and both are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentObservation>,
}

/// One container of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerObservation {
    /// The engine's ID, whole.
    pub id: String,
    /// The name, without the leading slash.
    pub name: String,
    /// Compose's container number.
    pub number: u32,
    /// Running, exited and so on.
    pub state: ContainerState,
    /// How often the engine's restart policy restarted it.
    pub restart_count: i64,
    /// The exit code of the last run, if it does not run.
    pub exit_code: Option<i64>,
    /// Whether the engine is between two starts of it.
    pub restarting: bool,
    /// When it was created.
    #[serde(default)]
    pub created_at: Option<Time>,
    /// The last start.
    pub started_at: Option<Time>,
    /// The health check, if there is one.
    pub health: Option<Health>,
    /// The image it runs (`sha256:…`).
    pub image_id: String,
    /// Compose's config hash from its creation, digested under the state folder's key.
    pub config_hash: Option<String>,
    /// Whether Compose would create it differently today. A differing hash alone is not trusted: a dry run of `up` settles
    /// it.
    pub config_changed: Fact<bool>,
    /// How it differs, if `config_changed`: the visible keys, of which there may be none. Unknown if they could not be
    /// compared.
    #[serde(default = "in_nothing", skip_serializing_if = "is_in_nothing")]
    pub differences: Fact<Vec<ConfigDifference>>,
    /// The version of Compose that created it.
    pub made_by: Option<String>,
    /// Whether it was created from today's configuration by another version of Compose, which computes another hash of it.
    pub only_upgraded: bool,
    /// Whether it does not run because a port of the host that it publishes was in use at its start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub port_taken: bool,
    /// Its attachments.
    pub attachments: Attachments,
    /// The configs and secrets that Compose copied into it.
    pub contents: Vec<CopiedContent>,
    /// The single files of the host that are mounted into it. Of one that does not run only the time of their last change is
    /// known: the next start reads them anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounted: Vec<MountedFile>,
    /// One entry per module of the spec.
    pub modules: Vec<ModuleInContainer>,
    /// What it shares of other containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<Joined>,
}

const fn in_nothing() -> Fact<Vec<ConfigDifference>> {
    Fact::Known(Vec::new())
}

fn is_in_nothing(differences: &Fact<Vec<ConfigDifference>>) -> bool {
    *differences == in_nothing()
}

/// The state of a container, in the engine's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the engine's own words")]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

impl ContainerState {
    /// The engine's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// Whether it can never run again: the engine is removing it. Engine 28 reports it as `dead` at the very end of a
    /// removal, as every engine does if a removal got stuck (measured with 28.5.2).
    #[must_use]
    pub const fn is_being_removed(self) -> bool {
        matches!(self, Self::Removing | Self::Dead)
    }
}

/// The verdict of a container's own health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the engine's own words")]
pub enum Health {
    Starting,
    Healthy,
    Unhealthy,
}

/// A module in a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleInContainer {
    /// Whether it exists, as seen by the process in the container.
    pub presence: Fact<Presence>,
    /// The mount that lies over the path, if one does.
    pub covered_by: Option<MountCover>,
    /// How its files compare with the source, as the process in the container sees them; `None` as in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentObservation>,
}

/// A mount that covers a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MountCover {
    /// `volume`, `bind` or `tmpfs`.
    pub kind: String,
    /// Where it is mounted in the container.
    pub destination: String,
    /// The volume's name or the path on the host.
    pub source: String,
}

/// One observation of one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteObservation {
    /// One entry per replica, in their order; one for a fixed URL; empty if no replica runs.
    pub answers: Vec<RouteAnswer>,
}

/// The answers of one replica.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteAnswer {
    /// The probed container; `None` for a fixed URL.
    pub container: Option<String>,
    /// The probed URL, without credentials.
    pub url: String,
    /// Without credentials.
    pub plain: Fact<Answer>,
    /// The control request without credentials; `None` if it is off.
    pub control: Option<Fact<Answer>>,
    /// The second control, whose name has the shape of the route's own, without credentials; `None` if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Fact<Answer>>,
    /// With credentials; `None` if none are declared.
    pub auth: Option<Fact<Answer>>,
    /// The control request with credentials; sent only if the plain one is inconclusive.
    pub auth_control: Option<Fact<Answer>>,
    /// The answer to a method that changes nothing; sent only if nothing else distinguishes the route from other paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_method: Option<OtherMethod>,
    /// Whether credentials were sent over plain HTTP to another host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_the_clear: bool,
    /// The answer to `HEAD`, if that made undrift use `GET` for the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<u16>,
}

/// The answers to a method that the route does not declare, all without credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherMethod {
    /// The method: `OPTIONS`, or one that nobody has.
    pub method: String,
    /// At the route.
    pub route: Fact<Answer>,
    /// At each path that must not exist.
    pub controls: Vec<Fact<Answer>>,
}

/// How an HTTP request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// With a status.
    #[serde(rename_all = "camelCase")]
    Status {
        /// The HTTP status.
        code: u16,
        /// Whether a `WWW-Authenticate` header came with it: evidence, never required.
        challenge: bool,
        /// The methods that its `Allow` header lists, if it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        allow: Option<String>,
        /// The path in its `Location` header, if that is on the same server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<String>,
    },
    /// Without one: refused, reset, timed out; the message.
    None(String),
    /// No request was sent: the server's certificate is not trusted; why, in words.
    Untrusted(String),
    /// 429, or not probed at all because of an earlier one: the server limits requests for now.
    #[serde(rename_all = "camelCase")]
    Limited {
        /// The earliest time to probe it again.
        again_at: Time,
    },
}

impl RouteAnswer {
    /// The earliest time of the next request that the server accepts, if it refused one of these for that.
    #[must_use]
    pub fn limited_until(&self) -> Option<Time> {
        let optional = [&self.control, &self.shape, &self.auth, &self.auth_control];
        let all = optional.into_iter().flatten().chain([&self.plain]);
        let until = |answer: &Fact<Answer>| match answer.known()? {
            Answer::Limited { again_at } => Some(*again_at),
            _ => None,
        };
        all.filter_map(until).max()
    }
}

impl Answer {
    /// A status without any significant header.
    #[must_use]
    pub const fn of(code: u16) -> Self {
        Self::Status { code, challenge: false, allow: None, location: None }
    }

    /// The status, if there was one.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            Self::Limited { .. } => Some(TOO_MANY_REQUESTS),
            Self::None(_) | Self::Untrusted(_) => None,
        }
    }
}

/// Whether a status concerns the requested path: a server that fails, or that limits requests, answers for itself.
#[must_use]
pub const fn speaks_of_its_path(status: u16) -> bool {
    status < 500 && status != TOO_MANY_REQUESTS
}

/// The answer of a server that limits requests (RFC 6585).
pub const TOO_MANY_REQUESTS: u16 = 429;

impl ServiceObservation {
    /// Containers by ID; empty if they are unknown.
    #[must_use]
    pub fn containers_by_id(&self) -> BTreeMap<&str, &ContainerObservation> {
        self.containers.known().into_iter().flatten().map(|c| (c.id.as_str(), c)).collect()
    }
}
