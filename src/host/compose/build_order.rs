//! In which order services are built: what an image is made of comes first.
//!
//! Compose builds the services that it is given at once or in the order of their names, and knows nothing of a `FROM` that
//! names another service's image. A build of the one alone takes the other's old image.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde::Deserialize;

use super::{Environment, argv, dockerfile, resolve::PATIENCE, resolve::run_quietly};
use crate::{
    api::{Desired, StepOutcome},
    host::{endpoint::Endpoint, reference},
};

/// A longer file is no Dockerfile that anybody wrote.
const LONGEST_DOCKERFILE: u64 = 1 << 20;

/// The order in which these services and what their images are made of are built: one entry after the other, the services of
/// each at once, and those that were asked for last. The other ones may be of any profile.
///
/// # Errors
/// Why it is not known, in words: Compose does not tell the model.
pub async fn build_order(
    desired: &Desired,
    endpoint: &Endpoint,
    services: &[String],
) -> Result<Vec<Vec<String>>, String> {
    let env = Environment::of_this_process().for_docker(endpoint, &desired.directory);
    // Asked anew, for it holds the arguments of builds, which are not kept.
    let argv = argv::config_json_of_all_profiles(desired);
    let finished = run_quietly(desired, &env, &argv, PATIENCE).await.map_err(|error| error.to_string())?;
    if finished.outcome != StepOutcome::Succeeded {
        return Err("`docker compose config` of all profiles fails".to_owned());
    }
    let project: Project = serde_json::from_slice(&finished.stdout).map_err(|error| error.to_string())?;
    Ok(project.stages(services))
}

#[derive(Deserialize)]
struct Project {
    name: String,
    #[serde(default)]
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
struct Service {
    image: Option<String>,
    build: Option<Build>,
}

#[derive(Deserialize)]
struct Build {
    #[serde(default)]
    context: String,
    dockerfile: Option<String>,
    dockerfile_inline: Option<String>,
    #[serde(default)]
    args: BTreeMap<String, Option<String>>,
    #[serde(default)]
    additional_contexts: BTreeMap<String, String>,
}

impl Project {
    fn stages(&self, services: &[String]) -> Vec<Vec<String>> {
        let mut walk = Walk { bases: self.bases(), levels: BTreeMap::new() };
        let needed: BTreeSet<String> = services.iter().flat_map(|service| walk.needed(service)).collect();
        let mut stages: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for base in &needed {
            stages.entry(walk.levels[base]).or_default().push(base.clone());
        }
        let last: Vec<String> =
            services.iter().filter(|service| !needed.contains(*service)).cloned().collect();
        stages.into_values().chain((!last.is_empty()).then_some(last)).collect()
    }

    /// By service, the other services that build what its image is made of.
    fn bases(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut makers = BTreeMap::new();
        for (name, service) in self.services.iter().filter(|(_, service)| service.build.is_some()) {
            let image = service.image.clone().unwrap_or_else(|| format!("{}-{name}", self.name));
            makers.entry(reference::full(&image)).or_insert(name.as_str());
        }
        let of = |name: &String, service: &Service| -> BTreeSet<&str> {
            let build = service.build.iter();
            let found = build.flat_map(|build| self.made_of(build, &makers));
            found.filter(|other| other != name).collect()
        };
        self.services.iter().map(|(name, service)| (name.as_str(), of(name, service))).collect()
    }

    fn made_of<'a>(&'a self, build: &Build, makers: &BTreeMap<String, &'a str>) -> BTreeSet<&'a str> {
        let contexts = &build.additional_contexts;
        let named = build.images().into_iter().map(|name| match contexts.get(&name) {
            // A context of the name of an image takes its place.
            Some(context) => context.strip_prefix("docker-image://").unwrap_or_default().to_owned(),
            None => name,
        });
        let by_image = named.filter_map(|name| makers.get(&reference::full(&name)).copied());
        let by_service = contexts.values().filter_map(|context| context.strip_prefix("service:"));
        let by_service = by_service.filter_map(|name| self.services.get_key_value(name));
        by_image.chain(by_service.map(|(name, _)| name.as_str())).collect()
    }
}

impl Build {
    /// The images that its Dockerfile names; none where that is not a readable file of this host.
    fn images(&self) -> BTreeSet<String> {
        let args =
            self.args.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
        let text = self.dockerfile_inline.clone().or_else(|| {
            let path = Path::new(&self.context).join(self.dockerfile.as_deref().unwrap_or("Dockerfile"));
            let meta = fs::metadata(&path).ok()?;
            let is_read = path.is_absolute() && meta.is_file() && meta.len() <= LONGEST_DOCKERFILE;
            is_read.then(|| fs::read_to_string(&path).ok())?
        });
        text.map(|text| dockerfile::images(&text, &args)).unwrap_or_default()
    }
}

/// A walk through what is made of what, which ends also where services are made of each other in a circle.
struct Walk<'a> {
    bases: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// How many builds come before one, at least; 0 while it is not known yet.
    levels: BTreeMap<String, usize>,
}

impl Walk<'_> {
    /// All that comes before this service, at whatever distance.
    fn needed(&mut self, service: &str) -> BTreeSet<String> {
        let mut needed = BTreeSet::new();
        self.level(service, &mut needed);
        needed.remove(service);
        needed
    }

    fn level(&mut self, service: &str, needed: &mut BTreeSet<String>) -> usize {
        if !needed.insert(service.to_owned()) {
            return self.levels.get(service).copied().unwrap_or_default();
        }
        let bases: Vec<String> =
            self.bases.get(service).into_iter().flatten().map(|base| (*base).to_owned()).collect();
        let level = bases.iter().map(|base| self.level(base, needed) + 1).max().unwrap_or_default();
        self.levels.insert(service.to_owned(), level);
        level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(services: &serde_json::Value, of: &[&str]) -> Vec<Vec<String>> {
        let project = serde_json::json!({ "name": "shop", "services": services });
        let project: Project = serde_json::from_value(project).unwrap();
        project.stages(&of.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn from(image: &str) -> serde_json::Value {
        serde_json::json!({ "build": { "context": "/x", "dockerfile_inline": format!("FROM {image}\n") } })
    }

    #[test]
    fn what_an_image_is_made_of_is_built_before_it() {
        let services = || {
            serde_json::json!({
                "base": { "image": "shop-os:1", "build": { "context": "/x", "dockerfile_inline": "FROM scratch\n" } },
                "middle": from("docker.io/library/shop-os:1"), "api": from("shop-middle"), "web": from("shop-os:1"),
                "other": from("debian:12"), "pulled": { "image": "debian:12" },
            })
        };
        assert_eq!(stages(&services(), &["other"]), [["other"]]);
        assert_eq!(stages(&services(), &["api"]), [["base"], ["middle"], ["api"]]);
        assert_eq!(stages(&services(), &["web", "other"]), [vec!["base"], vec!["web", "other"]]);
        // Asked for themselves, they come once, and still first.
        assert_eq!(stages(&services(), &["api", "base", "middle"]), [["base"], ["middle"], ["api"]]);
        assert_eq!(stages(&services(), &["gone"]), [["gone"]]);
    }

    #[test]
    fn arguments_and_additional_contexts_name_what_an_image_is_made_of_too() {
        let inline = |text: &str, more: serde_json::Value| {
            let mut build = serde_json::json!({ "context": "/x", "dockerfile_inline": text });
            build.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::json!({ "build": build })
        };
        let services = serde_json::json!({
            "base": from("scratch"),
            "given": inline("ARG BASE\nFROM $BASE\n", serde_json::json!({ "args": { "BASE": "shop-base", "NULL": null } })),
            "service": inline("FROM os\n", serde_json::json!({ "additional_contexts": { "os": "service:base" } })),
            "image": inline("FROM os\n", serde_json::json!({ "additional_contexts": { "os": "docker-image://shop-base" } })),
            "replaced": inline("FROM shop-base\n", serde_json::json!({ "additional_contexts": { "shop-base": "/os" } })),
        });
        for service in ["given", "service", "image"] {
            assert_eq!(stages(&services, &[service]), [["base"], [service]], "{service}");
        }
        assert_eq!(stages(&services, &["replaced"]), [["replaced"]]);
    }

    #[test]
    fn what_is_made_of_each_other_or_of_itself_is_built_once_all_the_same() {
        let circle = serde_json::json!({ "a": from("shop-b"), "b": from("shop-c"), "c": from("shop-a") });
        let order = stages(&circle, &["a"]);
        assert_eq!(order.last().unwrap(), &["a"]);
        assert_eq!(order.concat().len(), 3);
        assert_eq!(stages(&serde_json::json!({ "a": from("shop-a") }), &["a"]), [["a"]]);
    }
}
