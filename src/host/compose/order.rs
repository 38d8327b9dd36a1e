//! The order that the Compose files declare among services: which service waits for another's end, which ones restart together,
//! and which ones get their environment from a provider.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Resolved, model::Model};
use crate::api::Ties;

/// The order of one service among the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The services that must have succeeded before it starts: `condition: service_completed_successfully`. Not those of
    /// `required: false`: Compose goes on without them.
    pub completed: BTreeSet<String>,
    /// The services with which it restarts: `restart: true`.
    pub restarts_with: BTreeSet<String>,
    /// What happens to one of its containers that exited with 0.
    pub after_success: AfterSuccess,
}

/// What happens to a container that exited with 0, by `restart:` or else `deploy.restart_policy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterSuccess {
    /// The engine starts it again.
    Restarted,
    /// It stays as it is by default. Most servers are of this kind, too.
    #[default]
    Stays,
    /// It stays as it is, by declaration: `restart: "no"`.
    StaysAsSaid,
}

impl AfterSuccess {
    /// `restart:` wins over `deploy.restart_policy.condition`, as in Compose; a policy without a condition is `any`.
    pub(super) fn read(restart: Option<&str>, deployed: Option<&str>) -> Self {
        match restart.or(deployed) {
            None => Self::Stays,
            Some("no" | "none") => Self::StaysAsSaid,
            Some(policy) if policy.starts_with("on-failure") => Self::Stays,
            Some(_) => Self::Restarted,
        }
    }
}

/// `depends_on`, in both of its forms.
#[derive(Default)]
pub(super) struct Dependencies(BTreeMap<String, Dependency>);

#[derive(Deserialize, Default)]
#[serde(default)]
struct Dependency {
    condition: String,
    restart: bool,
    required: Option<bool>,
}

impl Dependencies {
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.0.keys().cloned().collect()
    }

    pub(super) fn order(&self, after_success: AfterSuccess) -> Order {
        let which = |wanted: fn(&Dependency) -> bool| {
            self.0.iter().filter(|(_, dependency)| wanted(dependency)).map(|(name, _)| name.clone()).collect()
        };
        let completes =
            |d: &Dependency| d.condition == "service_completed_successfully" && d.required != Some(false);
        Order { completed: which(completes), restarts_with: which(|d| d.restart), after_success }
    }
}

impl<'de> Deserialize<'de> for Dependencies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Map(BTreeMap<String, Option<Dependency>>),
            List(Vec<String>),
        }
        let entries = match Option::<Form>::deserialize(deserializer)? {
            Some(Form::Map(map)) => map.into_iter().map(|(name, d)| (name, d.unwrap_or_default())).collect(),
            Some(Form::List(list)) => list.into_iter().map(|name| (name, Dependency::default())).collect(),
            None => BTreeMap::new(),
        };
        Ok(Self(entries))
    }
}

impl Resolved {
    /// The order that the files declare between a service and others. Names of missing services are left out.
    #[must_use]
    pub fn ties(&self, service: &str) -> Ties {
        let ties = self.model.ties(service);
        let of_jobs: Vec<_> = ties.waits_for.iter().map(|job| (job, self.hashes.get(job))).collect();
        let jobs = (!of_jobs.is_empty()).then(|| hex::encode(Sha256::digest(format!("{of_jobs:?}"))));
        Ties { jobs, ..ties }
    }
}

impl Model {
    /// The order that the files declare between a service and others. Names of missing services are left out.
    #[must_use]
    pub fn ties(&self, service: &str) -> Ties {
        let Some(model) = self.services.get(service) else { return Ties::default() };
        let there = |names: &BTreeSet<String>| {
            names.iter().filter(|name| self.services.contains_key(*name)).cloned().collect::<Vec<_>>()
        };
        let ends = model.order.after_success != AfterSuccess::Restarted;
        let is_awaited = ends && self.is_awaited(service);
        Ties {
            is_job: is_awaited || model.order.after_success == AfterSuccess::StaysAsSaid,
            is_awaited,
            waits_for: there(&model.order.completed),
            jobs: None,
            restarts_with: there(&model.order.restarts_with),
        }
    }

    fn is_awaited(&self, service: &str) -> bool {
        self.services.values().any(|other| other.order.completed.contains(service))
    }

    /// The services tied to these that are not among them: the jobs that they wait for, and those that restart with them or
    /// with such a service; each directly or not.
    #[must_use]
    pub fn related<'a>(&'a self, services: &BTreeSet<&str>) -> BTreeSet<&'a str> {
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> =
            self.services.keys().map(String::as_str).filter(|name| services.contains(name)).collect();
        while let Some(name) = open.pop() {
            let jobs = self.services.get(name).into_iter().flat_map(|model| &model.order.completed);
            let jobs = jobs.filter_map(|job| self.services.get_key_value(job)).map(|(job, _)| job);
            let with = self.services.iter().filter(|(_, other)| other.order.restarts_with.contains(name));
            for next in jobs.chain(with.map(|(other, _)| other)) {
                if !services.contains(next.as_str()) && found.insert(next) {
                    open.push(next);
                }
            }
        }
        found
    }

    /// How many running containers each of these services is to have: a job has none.
    #[must_use]
    pub fn to_run<'a>(&self, services: impl IntoIterator<Item = &'a str>) -> BTreeMap<&'a str, u32> {
        let mut all = self.replicas(services);
        all.iter_mut().filter(|(service, _)| self.ties(service).is_job).for_each(|(_, wanted)| *wanted = 0);
        all
    }

    /// The providers that these services depend on, and that are not among them. If the command of an `up` does not name them,
    /// the services' containers lose the environment that they give (Compose takes each named service's own providers only).
    #[must_use]
    pub fn providers(&self, services: &[String]) -> Vec<String> {
        let models = services.iter().filter_map(|service| self.services.get(service));
        let named: BTreeSet<&String> = models.flat_map(|model| &model.depends_on).collect();
        let is_provider = |name: &&String| self.is_provided(name);
        named.into_iter().filter(is_provider).filter(|name| !services.contains(name)).cloned().collect()
    }

    /// Whether an `up` of these services with all their dependencies is forbidden: it would run a provider or `docker model`,
    /// run a finished job again, or (as a dry run) wait forever for one that is only simulated.
    #[must_use]
    pub fn must_leave_dependencies(&self, services: &[String]) -> bool {
        let is_special = |name: &str| self.is_awaited(name) || self.program(name).is_some();
        self.dependencies(services).into_iter().any(is_special)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(services: &serde_json::Value) -> Model {
        let whole = serde_json::json!({"name": "shop", "services": services});
        Model::parse(whole.to_string().as_bytes()).unwrap()
    }

    fn shop() -> Model {
        model(&serde_json::json!({
            "api": {"image": "api", "depends_on": {
                "migrate": {"condition": "service_completed_successfully", "required": true},
                "stats": {"condition": "service_completed_successfully", "required": false},
                "cloud": {"condition": "service_started"}}},
            "migrate": {"image": "api", "depends_on": {"seed": {"condition": "service_completed_successfully"}}},
            "seed": {"image": "api", "restart": "on-failure:3"},
            "stats": {"image": "stats"},
            "cloud": {"provider": {"type": "cloud"}},
            "web": {"image": "web", "depends_on": {"api": {"condition": "service_started", "restart": true}}},
            "edge": {"image": "web", "depends_on": {"web": {"restart": true}, "gone": {"restart": true}}},
            "once": {"image": "web", "restart": "no"},
            "plain": {"image": "web", "depends_on": ["api"]},
        }))
    }

    #[test]
    fn who_waits_and_who_restarts_is_read() {
        let model = shop();
        let api = model.ties("api");
        assert_eq!((api.waits_for, api.is_job), (vec!["migrate".to_owned()], false));
        let job = |name: &str| (model.ties(name).is_job, model.ties(name).is_awaited);
        assert_eq!(["migrate", "seed", "once"].map(job), [(true, true), (true, true), (true, false)]);
        // Without a policy a server stays down as well, and no service waits for its end.
        assert_eq!(["stats", "plain", "web"].map(job), [(false, false); 3]);
        assert_eq!(model.ties("edge").restarts_with, ["web"], "and not what is not there");
    }

    #[test]
    fn what_the_engine_starts_again_is_no_job_although_someone_waits_for_it() {
        for (policy, is_job) in [
            (serde_json::json!({"restart": "always"}), false),
            (serde_json::json!({"restart": "unless-stopped"}), false),
            (serde_json::json!({"deploy": {"restart_policy": {}}}), false),
            (serde_json::json!({"deploy": {"restart_policy": {"condition": "any"}}}), false),
            (serde_json::json!({"deploy": {"restart_policy": {"condition": "none"}}}), true),
            (serde_json::json!({"deploy": {"restart_policy": {"condition": "on-failure"}}}), true),
            (serde_json::json!({"restart": "no", "deploy": {"restart_policy": {"condition": "any"}}}), true),
            (serde_json::json!({"deploy": {"replicas": 1}}), true),
            (serde_json::json!({}), true),
        ] {
            let model = model(&serde_json::json!({
                "job": policy, "a": {"depends_on": {"job": {"condition": "service_completed_successfully"}}}}));
            assert_eq!(model.ties("job").is_job, is_job, "{policy}");
        }
    }

    #[test]
    fn related_are_jobs_and_who_restarts_at_any_distance() {
        let model = shop();
        let of = |services: &[&str]| model.related(&services.iter().copied().collect());
        assert_eq!(of(&["api"]), BTreeSet::from(["edge", "migrate", "seed", "web"]));
        assert_eq!(of(&["api", "web", "migrate"]), BTreeSet::from(["edge", "seed"]));
        assert!(of(&["plain", "gone"]).is_empty());
    }

    #[test]
    fn a_provider_comes_along_and_is_not_tried() {
        let model = shop();
        let one = |name: &str| [name.to_owned()];
        assert_eq!(model.providers(&one("api")), ["cloud"]);
        assert!(model.providers(&one("web")).is_empty(), "it gives to its own dependents only");
        assert!(model.must_leave_dependencies(&one("web")) && !model.must_leave_dependencies(&one("once")));
        assert!(model.images(&one("api")).iter().all(|(image, _)| *image != "shop-cloud"), "it has no image");
    }

    #[test]
    fn a_job_is_as_it_is_to_be_with_no_container_that_runs() {
        assert_eq!(shop().to_run(["api", "migrate"]), BTreeMap::from([("api", 1), ("migrate", 0)]));
    }
}
