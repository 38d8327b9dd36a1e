//! What one look at a host showed. Every field is known, or unknown with its reason.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Attachments, ConfigDifference, CopiedContent, DeclaredAttachments, DeclaredJoin, Fact, Joined,
    NetworkObservation, Obstacle, Presence, RelatedObservation, ResolvedFrom, Ties, Time, VolumeObservation,
};

/// One look at one Compose project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectObservation {
    /// When the look began.
    pub at: Time,
    /// The Compose project's name, as Compose resolved it.
    pub project: String,
    /// The ID of the engine that was looked at; `None` where it did not say, or has none that lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The sign that someone else changes the project right now, in words: another Compose command, or an engine that
    /// has only just started and may not have run its restart policies. undrift then waits for quiet.
    #[serde(rename = "changing")]
    pub external_activity: Option<String>,
    /// One entry per service of the spec, in its order.
    pub services: Vec<ServiceObservation>,
    /// The services that the spec does not name, and that the Compose files tie to those that it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<RelatedObservation>,
    /// What the project was resolved from, where that is known and there is a key for its digests. It is compared, and never
    /// recorded with a look.
    #[serde(skip)]
    pub resolved_from: Option<ResolvedFrom>,
}

impl ProjectObservation {
    /// What was seen of a declared service.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceObservation> {
        self.services.iter().find(|seen| seen.name == name)
    }

    /// The image ID behind the reference of each of these services, as far as it was seen; `None` where there is none.
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

/// One look at one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceObservation {
    /// The service's name.
    pub name: String,
    /// Whether Compose can build it: there is a `build:`.
    pub buildable: bool,
    /// How many containers Compose would run (`deploy.replicas` or `scale`).
    pub replicas: u32,
    /// The hash of the service's configuration as Compose resolves it now, digested under the state folder's key; `None` where
    /// Compose gave none.
    pub config_hash: Option<String>,
    /// What its containers are to be attached to.
    pub attachments: DeclaredAttachments,
    /// The networks that it joins and Compose makes.
    pub networks: Fact<Vec<NetworkObservation>>,
    /// The volumes that it mounts and Compose makes, as far as they could be seen.
    pub volumes: Vec<VolumeObservation>,
    /// What is in the project directory.
    pub source: SourceObservation,
    /// What is behind the image reference.
    pub artifact: ArtifactObservation,
    /// The service's containers, by Compose's labels, in the order of their number; no one-off containers.
    pub containers: Fact<Vec<ContainerObservation>>,
    /// The directory of another Compose project of the same name that made one of them; where there is none of them, that
    /// made all containers of the project. Names a directory of this host that is there.
    #[serde(default = "not_elsewhere", skip_serializing_if = "is_not_elsewhere")]
    pub other_directory: Fact<Option<String>>,
    /// Whether undrift itself runs in one of them: then it takes no step for the service.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub runs_undrift: bool,
    /// What the Compose files order of it and other services.
    #[serde(default)]
    pub ties: Ties,
    /// What its containers are to have of others: namespaces, volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joins: Vec<DeclaredJoin>,
    /// One entry per route of the spec, in its order.
    pub routes: Vec<RouteObservation>,
    /// What keeps it from being repaired or verified, as it is known before a step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<Obstacle>,
    /// The other services of the object that have a port of the host yet which this one is to publish, and that are not to have it
    /// any more: it is free once they are brought up as well.
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
    /// One entry per module of the spec; `None` where it declares no source.
    pub modules: Vec<Option<Fact<Presence>>>,
    /// The digest of the build context (`v1:sha256:…`, with the build's own settings in it; `v2.KEY:sha256:…` where these may be
    /// secrets, and are in it under that key), and after a `+` that of the builds of other services that the image is made of; `None` for a service without `build:`, or one whose context is not a
    /// folder of this host.
    pub digest: Fact<Option<String>>,
    /// What of the build no digest covers, in words: a git repository, also one that a base image is built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// A git work tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitState {
    /// The commit that is checked out; `None` before the first one.
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
    /// The ID behind it (`sha256:…`); `Known(None)` where the engine has nothing of that name.
    pub image: Fact<Option<String>>,
    /// The build context's digest that the store knows for that image ID.
    pub built_from: Option<String>,
    /// The build context as it was when this image was seen first; `None` where undrift has built it, or remembers nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_sight: Option<FirstSight>,
    /// One entry per module of the spec.
    pub modules: Vec<ModuleObservation>,
    /// Whether undrift's own tag for what was verified is on that image. No evidence: only what the tag is for counts.
    #[serde(skip)]
    pub is_kept: bool,
}

/// The build context of a service as it was when its image was seen for the first time. That says nothing of what the image
/// was built from; but it is older than every change that was seen after that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirstSight {
    /// The context's digest then.
    pub digest: String,
    /// When it was.
    pub at: Time,
    /// Since when the context has been seen to be another one; `None` while it is the same.
    pub changed_at: Option<Time>,
}

/// A module at one place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleObservation {
    /// Whether it is there.
    pub presence: Fact<Presence>,
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
    /// How often the engine's restart policy started it again.
    pub restart_count: i64,
    /// The exit code of the last run, where it does not run.
    pub exit_code: Option<i64>,
    /// Whether the engine is between two starts of it.
    pub restarting: bool,
    /// When it was created.
    #[serde(default)]
    pub created_at: Option<Time>,
    /// The last start.
    pub started_at: Option<Time>,
    /// The health check, where there is one.
    pub health: Option<Health>,
    /// The image it runs (`sha256:…`).
    pub image_id: String,
    /// Compose's config hash that it was created with, digested under the state folder's key.
    pub config_hash: Option<String>,
    /// Whether Compose would create it otherwise today. A differing hash alone is not believed: a dry run of
    /// `up` settles it.
    pub config_changed: Fact<bool>,
    /// In what it differs, where `config_changed`: the keys that can be seen of it, which may be none. Unknown where they could
    /// not be compared.
    #[serde(default = "in_nothing", skip_serializing_if = "is_in_nothing")]
    pub differences: Fact<Vec<ConfigDifference>>,
    /// The version of Compose that made it.
    pub made_by: Option<String>,
    /// Whether it was made from the configuration of today, by another version of Compose, whose hash of it is another one.
    pub only_upgraded: bool,
    /// Whether it does not run because a port of the host that it publishes was taken when it was to be started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub port_taken: bool,
    /// What it is attached to.
    pub attachments: Attachments,
    /// The configs and secrets that Compose copied into it.
    pub contents: Vec<CopiedContent>,
    /// One entry per module of the spec.
    pub modules: Vec<ModuleInContainer>,
    /// What it has of other containers.
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

    /// Whether it can never run again: the engine is removing it. Engine 28 calls it `dead` at the very end of a removal, as
    /// every engine does where a removal got stuck (measured with 28.5.2).
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
    /// Whether it is there, as the process in the container sees it.
    pub presence: Fact<Presence>,
    /// The mount that lies over the path, if one does.
    pub covered_by: Option<MountCover>,
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

/// One look at one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteObservation {
    /// One entry per replica, in their order; one for a fixed URL; none where no replica runs.
    pub answers: Vec<RouteAnswer>,
}

/// What one replica answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteAnswer {
    /// The container that was asked; `None` for a fixed URL.
    pub container: Option<String>,
    /// The URL that was asked, without credentials.
    pub url: String,
    /// Without credentials.
    pub plain: Fact<Answer>,
    /// The control request without credentials; `None` where it is off.
    pub control: Option<Fact<Answer>>,
    /// The second control, whose name has the shape of the route's own, without credentials; `None` where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Fact<Answer>>,
    /// With credentials; `None` where none are declared.
    pub auth: Option<Fact<Answer>>,
    /// The control request with credentials; asked only where the plain one cannot tell.
    pub auth_control: Option<Fact<Answer>>,
    /// What a method that changes nothing was answered; asked only where nothing else tells the route from other paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_method: Option<OtherMethod>,
    /// Whether credentials were sent over plain HTTP to another host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_the_clear: bool,
    /// What `HEAD` was answered, where all the rest was therefore asked by `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<u16>,
}

/// The answers to a method that the route is not declared with, all without credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherMethod {
    /// Which: `OPTIONS`, or one that nobody has.
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
        /// The methods that its `Allow` header names, if it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        allow: Option<String>,
        /// The path that its `Location` header leads to, where that is on the same server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<String>,
    },
    /// Without one: refused, reset, timed out; the words for it.
    None(String),
    /// None was asked for: the server's certificate is not trusted; why, in words.
    Untrusted(String),
    /// 429, or not asked at all because of an earlier one: the server has had enough for now.
    #[serde(rename_all = "camelCase")]
    Limited {
        /// Before when it is not to be asked again.
        again_at: Time,
    },
}

impl RouteAnswer {
    /// Before when the server wants no further request, where one of these was refused for that.
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
    /// A status, and no header that says anything.
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

/// Whether a status says something of the path that was asked for: a server that fails, or that has had enough of requests,
/// says it of itself.
#[must_use]
pub const fn speaks_of_its_path(status: u16) -> bool {
    status < 500 && status != TOO_MANY_REQUESTS
}

/// What a server answers that has had enough requests (RFC 6585).
pub const TOO_MANY_REQUESTS: u16 = 429;

impl ServiceObservation {
    /// Containers by ID; empty where they are unknown.
    #[must_use]
    pub fn containers_by_id(&self) -> BTreeMap<&str, &ContainerObservation> {
        self.containers.known().into_iter().flatten().map(|c| (c.id.as_str(), c)).collect()
    }
}
