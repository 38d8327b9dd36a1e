//! The fields read from `docker compose config --format json`. No environment values: they may be secrets, and this is stored
//! on disk.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use super::order::{AfterSuccess, Dependencies, Order};
use crate::{
    api::{JoinOwner, Shared},
    host::{KeyedDigest, sealed::name_of},
};

/// A Compose project as Compose resolves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The project's name.
    pub name: String,
    /// The services of the active profiles, by name.
    pub services: BTreeMap<String, ServiceModel>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceModel {
    /// The image reference: the explicit one, or Compose's `<project>-<service>`.
    pub image: String,
    /// Its build, if it has one.
    pub build: Option<BuildModel>,
    /// Whether its image may not be fetched: `pull_policy: never`.
    pub pull_never: bool,
    /// How many containers Compose would run.
    pub replicas: u32,
    /// The services that Compose starts before it: `depends_on`, and what Compose infers from namespaces,
    /// volumes and links.
    pub depends_on: BTreeSet<String>,
    /// Whether it shares a namespace or the volumes of another service. Its config hash then holds that
    /// service's container ID.
    pub joins_another: bool,
    /// The namespaces and volumes that its containers share with another service's, or with a container that Compose does not
    /// make.
    pub joins: Vec<(Shared, JoinOwner)>,
    /// The names of the variables that it declares.
    pub environment: BTreeSet<String>,
    /// The program that Compose runs for it at each `up`, in a dry run too.
    pub program: Option<Program>,
    /// The ports that it exposes to other containers, as the files write them: `3000`, `8000-8010`, `53/udp`.
    pub expose: Vec<String>,
    /// The network mode, if the files set it: `host`, `none`, `service:NAME`.
    pub network_mode: Option<String>,
    /// The other order that the files declare for it.
    pub order: Order,
}

/// A program that Compose runs besides the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Program {
    /// The one that provides the service (`provider:`, Compose 2.36), which has no container.
    Provider,
    /// `docker model`, whose answer gives the service's containers variables (`models:`, Compose 2.38).
    ModelRunner,
}

/// A service's build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildModel {
    /// The build context: an absolute folder, or a URL.
    pub context: String,
    /// The Dockerfile, relative to the context; `None` if it is inline.
    pub dockerfile: Option<String>,
    /// Additional contexts by name: absolute folders, URLs, or references such as `docker-image://x`.
    pub additional_contexts: BTreeMap<String, String>,
    /// The settings that change the image in addition to the files: arguments, target, inline Dockerfile, labels, platforms.
    pub settings: BuildSettings,
}

/// A digest of the settings of a build. Arguments may be secrets, which could be guessed from a plain digest: the stored one is
/// under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuildSettings {
    /// Of settings that hold no user-defined values, such as a target.
    Open(String),
    /// Of any others: only while the process lives.
    Raw(String),
    /// Of the same, under a key.
    Keyed {
        /// The name of the key.
        key: String,
        /// The digest.
        digest: String,
    },
}

impl Default for BuildSettings {
    fn default() -> Self {
        Self::Open(String::new())
    }
}

impl BuildSettings {
    /// The same in a form that may be stored.
    pub(super) fn keyed(self, digest: &KeyedDigest) -> Self {
        match self {
            Self::Raw(raw) => {
                Self::Keyed { key: name_of(digest), digest: digest("build settings", raw.as_bytes()) }
            }
            other => other,
        }
    }
}

impl Model {
    /// Reads Compose's JSON, leniently: only the required fields, in every form that they have had.
    ///
    /// # Errors
    /// If it is not the JSON of a project.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let raw: RawProject = serde_json::from_slice(json)?;
        let services = raw
            .services
            .into_iter()
            .map(|(name, service)| {
                let service = service.read(&raw.name, &name);
                (name, service)
            })
            .collect();
        Ok(Self { name: raw.name, services })
    }

    /// A service for which this JSON gives neither an image, nor a build, nor a provider: Compose refuses such a service, so
    /// the JSON is incomplete.
    ///
    /// # Errors
    /// If it is not the JSON of a project.
    pub(super) fn cut_off(json: &[u8]) -> Result<Option<String>, serde_json::Error> {
        let raw: RawProject = serde_json::from_slice(json)?;
        let is_cut_off = |service: &RawService| {
            service.image.is_none() && service.build.is_none() && service.provider.is_none()
        };
        Ok(raw.services.into_iter().find(|(_, service)| is_cut_off(service)).map(|(name, _)| name))
    }

    /// How many containers Compose would run for each of these services.
    #[must_use]
    pub fn replicas<'a>(&self, services: impl IntoIterator<Item = &'a str>) -> BTreeMap<&'a str, u32> {
        let replicas = |service| self.services.get(service).map_or(1, |service| service.replicas);
        services.into_iter().map(|service| (service, replicas(service))).collect()
    }

    /// The images of these services and of all their dependencies, with whether each may be fetched: not if Compose builds it,
    /// and not if the file forbids it.
    #[must_use]
    pub fn images(&self, services: &[String]) -> Vec<(&str, bool)> {
        let names = self.dependencies(services).into_iter().chain(services.iter().map(String::as_str));
        let models = names
            .filter_map(|name| self.services.get(name))
            .filter(|model| model.program != Some(Program::Provider));
        models.map(|model| (model.image.as_str(), model.build.is_none() && !model.pull_never)).collect()
    }

    /// The services that this one names as dependencies and that a program provides: the program gives this service variables.
    #[must_use]
    pub fn providers_of(&self, service: &str) -> Vec<&str> {
        let named = self.services.get(service).into_iter().flat_map(|model| &model.depends_on);
        named.map(String::as_str).filter(|name| self.is_provided(name)).collect()
    }

    /// The program that an `up` of this service runs, as a dry run does.
    #[must_use]
    pub fn program(&self, service: &str) -> Option<Program> {
        self.services.get(service)?.program
    }

    /// Whether a program provides this service.
    #[must_use]
    pub fn is_provided(&self, service: &str) -> bool {
        self.program(service) == Some(Program::Provider)
    }

    /// Whether a program gives variables to the containers of this service.
    #[must_use]
    pub fn is_given_variables(&self, service: &str) -> bool {
        self.program(service) == Some(Program::ModelRunner) || !self.providers_of(service).is_empty()
    }

    /// The services that these depend on, directly or not. One of them is included only if another one depends on it.
    #[must_use]
    pub fn dependencies(&self, services: &[String]) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&str> = services.iter().map(String::as_str).collect();
        while let Some(service) = open.pop() {
            let Some((_, service)) = self.services.get_key_value(service) else { continue };
            for dependency in &service.depends_on {
                if found.insert(dependency.as_str()) {
                    open.push(dependency);
                }
            }
        }
        found
    }
}

#[derive(Deserialize)]
struct RawProject {
    name: String,
    services: BTreeMap<String, RawService>,
}

#[derive(Deserialize)]
struct RawService {
    image: Option<String>,
    build: Option<RawBuild>,
    scale: Option<u32>,
    deploy: Option<RawDeploy>,
    #[serde(default)]
    depends_on: Dependencies,
    network_mode: Option<String>,
    ipc: Option<String>,
    pid: Option<String>,
    #[serde(default, deserialize_with = "names")]
    volumes_from: BTreeSet<String>,
    platform: Option<String>,
    pull_policy: Option<String>,
    restart: Option<String>,
    provider: Option<serde_json::Value>,
    #[serde(default)]
    models: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    expose: Vec<serde_json::Value>,
    #[serde(default, deserialize_with = "names")]
    environment: BTreeSet<String>,
}

#[derive(Deserialize)]
struct RawDeploy {
    replicas: Option<u32>,
    restart_policy: Option<RawRestartPolicy>,
}

#[derive(Deserialize)]
struct RawRestartPolicy {
    condition: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawBuild {
    Context(String),
    Settings(Box<RawSettings>),
}

/// The build settings that are known to change the image. The names are part of the digest's form.
#[derive(Deserialize, Serialize, Default)]
#[serde(default)]
struct RawSettings {
    #[serde(skip_serializing)]
    context: Option<String>,
    #[serde(skip_serializing)]
    dockerfile: Option<String>,
    #[serde(skip_serializing)]
    additional_contexts: serde_json::Value,
    args: serde_json::Value,
    target: Option<String>,
    dockerfile_inline: Option<String>,
    labels: serde_json::Value,
    platforms: Vec<String>,
}

impl RawService {
    fn read(self, project: &str, name: &str) -> ServiceModel {
        let joins = |mode: &Option<String>| mode.as_deref().is_some_and(|mode| mode.starts_with("service:"));
        let joins_another = !self.volumes_from.is_empty()
            || joins(&self.network_mode)
            || joins(&self.ipc)
            || joins(&self.pid);
        let modes =
            [(Shared::Network, &self.network_mode), (Shared::Ipc, &self.ipc), (Shared::Pid, &self.pid)];
        let joins = modes.into_iter().filter_map(|(what, mode)| Some((what, owner(mode.as_deref()?)?)));
        let joins = joins.chain(self.volumes_from.iter().map(|from| (Shared::Volumes, volumes_owner(from))));
        let joins = joins.collect();
        let platform = self.platform;
        let policy = self.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref());
        let policy = policy.map(|policy| policy.condition.as_deref().unwrap_or("any"));
        let after_success = AfterSuccess::read(self.restart.as_deref(), policy);
        let uses_models = (!self.models.is_empty()).then_some(Program::ModelRunner);
        let program = self.provider.as_ref().map(|_| Program::Provider).or(uses_models);
        ServiceModel {
            order: self.depends_on.order(after_success),
            image: self.image.unwrap_or_else(|| format!("{project}-{name}")),
            build: self.build.map(|build| build.read(platform.as_deref())),
            pull_never: self.pull_policy.as_deref() == Some("never"),
            replicas: self.scale.or(self.deploy.and_then(|deploy| deploy.replicas)).unwrap_or(1),
            depends_on: self.depends_on.names(),
            joins_another,
            joins,
            expose: self.expose.iter().map(port).collect(),
            network_mode: self.network_mode.filter(|mode| !mode.is_empty()),
            environment: self.environment.iter().map(|entry| variable(entry).to_owned()).collect(),
            program,
        }
    }
}

impl RawBuild {
    fn read(self, platform: Option<&str>) -> BuildModel {
        let settings = match self {
            Self::Context(context) => RawSettings { context: Some(context), ..RawSettings::default() },
            Self::Settings(settings) => *settings,
        };
        let inline = settings.dockerfile_inline.is_some();
        BuildModel {
            settings: settings.digest(platform),
            context: settings.context.unwrap_or_else(|| ".".into()),
            dockerfile: (!inline).then(|| settings.dockerfile.unwrap_or_else(|| "Dockerfile".into())),
            additional_contexts: named_contexts(&settings.additional_contexts),
        }
    }
}

/// Parses `network_mode`, `ipc` and `pid`.
fn owner(mode: &str) -> Option<JoinOwner> {
    let (kind, name) = mode.split_once(':')?;
    match kind {
        "service" => Some(JoinOwner::Service(name.to_owned())),
        "container" => Some(JoinOwner::Container(name.to_owned())),
        _ => None,
    }
}

/// `SERVICE`, `SERVICE:ro`, `container:NAME` or `container:NAME:ro`.
fn volumes_owner(from: &str) -> JoinOwner {
    let bare = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
    match from.strip_prefix("container:") {
        Some(name) => JoinOwner::Container(bare(name)),
        None => JoinOwner::Service(bare(from)),
    }
}

impl RawSettings {
    /// Objects of `serde_json` are sorted by key, so the digest does not depend on Compose's order.
    fn digest(&self, platform: Option<&str>) -> BuildSettings {
        let form = serde_json::json!({"build": self, "platform": platform});
        let digest = hex::encode(Sha256::digest(form.to_string().as_bytes()));
        let is_empty = |value: &serde_json::Value| match value {
            serde_json::Value::Null => true,
            serde_json::Value::Object(map) => map.is_empty(),
            serde_json::Value::Array(list) => list.is_empty(),
            _ => false,
        };
        let is_open = is_empty(&self.args) && is_empty(&self.labels) && self.dockerfile_inline.is_none();
        if is_open { BuildSettings::Open(digest) } else { BuildSettings::Raw(digest) }
    }
}

/// `{name: value}`, or a list of `name=value`.
fn named_contexts(value: &serde_json::Value) -> BTreeMap<String, String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    match value {
        serde_json::Value::Object(map) => {
            map.iter().map(|(name, value)| (name.clone(), text(value))).collect()
        }
        serde_json::Value::Array(list) => list
            .iter()
            .filter_map(|entry| entry.as_str()?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        _ => BTreeMap::new(),
    }
}

/// A port, which is a text or a number.
fn port(port: &serde_json::Value) -> String {
    port.as_str().map_or_else(|| port.to_string(), str::to_owned)
}

/// The name in `NAME` or `NAME=value`.
fn variable(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

/// Names from `{name: …}` or `[name]`.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        Map(BTreeMap<String, serde_json::Value>),
        List(Vec<String>),
    }
    Ok(match Option::<Names>::deserialize(deserializer)? {
        Some(Names::Map(map)) => map.into_keys().collect(),
        Some(Names::List(list)) => list.into_iter().collect(),
        None => BTreeSet::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(json: &serde_json::Value) -> ServiceModel {
        let whole = serde_json::json!({"name": "shop", "services": {"api": json}});
        Model::parse(whole.to_string().as_bytes()).unwrap().services["api"].clone()
    }

    #[test]
    fn reads_what_compose_prints() {
        let api = service(&serde_json::json!({
            "build": {"context": "/srv/app", "dockerfile": "Dockerfile", "args": {"A": "1", "B": null},
                "additional_contexts": {"extra": "/srv/extra"}},
            "command": null, "environment": {"SECRET": "hunter2"},
            "depends_on": {"db": {"condition": "service_started", "required": true}},
            "deploy": {"replicas": 2, "resources": {}, "placement": {}},
            "ports": [{"mode": "ingress", "target": 80}]
        }));
        assert_eq!(api.image, "shop-api");
        assert_eq!(api.replicas, 2);
        assert_eq!(api.depends_on, BTreeSet::from(["db".to_owned()]));
        assert!(!api.joins_another);
        let build = api.build.clone().unwrap();
        assert_eq!((build.context.as_str(), build.dockerfile.as_deref()), ("/srv/app", Some("Dockerfile")));
        assert_eq!(build.additional_contexts["extra"], "/srv/extra");
        assert!(!serde_json::to_string(&api).unwrap().contains("hunter2"), "no environment values are kept");
    }

    #[test]
    fn a_project_that_is_not_whole_is_none() {
        for text in ["{}", "null", "[]", r#"{"name": "shop"}"#, r#"{"services": {}}"#] {
            assert!(Model::parse(text.as_bytes()).is_err(), "{text}");
        }
        let cut_off = |service: serde_json::Value| {
            let whole =
                serde_json::json!({"name": "shop", "services": {"api": service, "db": {"image": "x"}}});
            Model::cut_off(whole.to_string().as_bytes()).unwrap()
        };
        assert_eq!(cut_off(serde_json::json!({"ports": []})), Some("api".to_owned()));
        for whole in [
            serde_json::json!({"image": "x"}),
            serde_json::json!({"build": "."}),
            serde_json::json!({"provider": {"type": "cloud"}}),
        ] {
            assert_eq!(cut_off(whole), None);
        }
    }

    #[test]
    fn providers_and_the_services_that_get_their_variables_are_found() {
        let json = serde_json::json!({"name": "p", "services": {
            "db": {"provider": {"type": "awesomecloud"}}, "web": {"depends_on": {"api": {}}},
            "api": {"depends_on": {"db": {}, "cache": {}}, "environment": {"A": "hunter2", "B": null}}, "cache": {},
            "list": {"environment": ["A=hunter2", "B"]}
        }});
        let model = Model::parse(json.to_string().as_bytes()).unwrap();
        assert_eq!((model.providers_of("api"), model.providers_of("web")), (vec!["db"], vec![]));
        for service in ["api", "list"] {
            assert_eq!(model.services[service].environment, BTreeSet::from(["A".to_owned(), "B".to_owned()]));
        }
    }

    #[test]
    fn reads_other_forms() {
        let api = service(&serde_json::json!({"image": "x:1", "build": "/srv", "scale": 0,
            "depends_on": ["a", "b"], "network_mode": "service:a", "expose": ["3000", 80]}));
        assert_eq!(
            (api.expose.join(" "), api.network_mode.as_deref()),
            ("3000 80".into(), Some("service:a"))
        );
        assert_eq!((api.image.as_str(), api.replicas, api.joins_another), ("x:1", 0, true));
        assert!(!api.pull_never);
        assert_eq!(api.depends_on.len(), 2);
        let inline = service(&serde_json::json!({"build": {"context": "/s", "dockerfile_inline": "FROM x"}}));
        assert_eq!(inline.build.unwrap().dockerfile, None);
        assert_eq!(service(&serde_json::json!({"image": "x"})).replicas, 1);
    }

    #[test]
    fn reads_whose_namespaces_and_volumes_are_joined() {
        let api = service(
            &serde_json::json!({"network_mode": "service:vpn", "ipc": "container:box", "pid": "host",
            "volumes_from": ["data:ro", "container:old:rw"]}),
        );
        let (of_service, of_container) =
            (|n: &str| JoinOwner::Service(n.into()), |n: &str| JoinOwner::Container(n.into()));
        assert_eq!(
            api.joins,
            [
                (Shared::Network, of_service("vpn")),
                (Shared::Ipc, of_container("box")),
                (Shared::Volumes, of_container("old")),
                (Shared::Volumes, of_service("data")),
            ]
        );
        assert!(service(&serde_json::json!({"network_mode": "none", "ipc": "shareable"})).joins.is_empty());
    }

    #[test]
    fn settings_that_change_the_image_change_the_digest() {
        let digest =
            |json: serde_json::Value| service(&serde_json::json!({"build": json})).build.unwrap().settings;
        let plain = digest(serde_json::json!({"context": "/s"}));
        assert_eq!(plain, digest(serde_json::json!({"context": "/other", "no_cache": true})));
        for json in [
            serde_json::json!({"args": {"A": "1"}}),
            serde_json::json!({"args": {"A": "2"}}),
            serde_json::json!({"target": "final"}),
            serde_json::json!({"dockerfile_inline": "FROM scratch"}),
            serde_json::json!({"labels": {"a": "b"}}),
            serde_json::json!({"platforms": ["linux/arm64"]}),
        ] {
            assert_ne!(plain, digest(json.clone()), "{json}");
        }
        let b_a = digest(serde_json::json!({"args": {"B": "1", "A": "1"}}));
        assert_eq!(b_a, digest(serde_json::json!({"args": {"A": "1", "B": "1"}})));
    }

    #[test]
    fn settings_that_may_hold_secrets_are_kept_under_a_key() {
        let settings =
            |json: serde_json::Value| service(&serde_json::json!({"build": json})).build.unwrap().settings;
        let key: KeyedDigest = std::sync::Arc::new(|name, value| format!("0123456789{name}{}", value.len()));
        let other: KeyedDigest = std::sync::Arc::new(|_, _| "another key".into());
        for json in [
            serde_json::json!({"args": {"A": "1"}}),
            serde_json::json!({"args": ["A=1"]}),
            serde_json::json!({"dockerfile_inline": "FROM scratch"}),
            serde_json::json!({"labels": {"a": "b"}}),
        ] {
            let raw = settings(json.clone());
            let BuildSettings::Keyed { key: name, digest } = raw.clone().keyed(&key) else {
                panic!("{json}")
            };
            assert_eq!(
                (name.as_str(), digest.as_str()),
                ("01234567", "0123456789build settings64"),
                "{json}"
            );
            assert_ne!(raw.clone().keyed(&other), raw.clone().keyed(&key));
            assert_eq!(raw.clone().keyed(&key).keyed(&other), raw.keyed(&key), "once is enough");
        }
        for json in [
            serde_json::json!({"target": "final"}),
            serde_json::json!({"args": {}, "platforms": ["linux/arm64"]}),
        ] {
            let open = settings(json.clone());
            assert!(matches!(open, BuildSettings::Open(_)), "{json}");
            assert_eq!(open.clone().keyed(&key), open);
        }
    }

    #[test]
    fn follows_dependencies_at_any_distance_and_in_circles() {
        let json = serde_json::json!({"name": "p", "services": {
            "a": {"depends_on": {"b": {}}}, "b": {"depends_on": {"c": {}}}, "c": {"depends_on": {"a": {}}},
            "d": {}
        }});
        let model = Model::parse(json.to_string().as_bytes()).unwrap();
        assert_eq!(model.dependencies(&["a".into()]), BTreeSet::from(["a", "b", "c"]));
        assert!(model.dependencies(&["d".into(), "gone".into()]).is_empty());
    }

    #[test]
    fn only_what_comes_from_elsewhere_may_be_fetched() {
        let json = serde_json::json!({"name": "p", "services": {
            "api": {"build": "/a", "pull_policy": "always", "depends_on": {"db": {}, "cache": {}}},
            "db": {"image": "db:1", "pull_policy": "never"}, "cache": {"image": "cache:1"}, "other": {"image": "o"}
        }});
        let model = Model::parse(json.to_string().as_bytes()).unwrap();
        assert_eq!(model.images(&["api".into()]), [("cache:1", true), ("db:1", false), ("p-api", false)]);
    }
}
