//! The bases of a project's images: for each service that is built, in every profile, the other services that build something
//! that its image is based on.
//!
//! Compose builds the services that it is given at once or sorted by name, and does not follow a `FROM` that names another
//! service's image. So a build of the one alone takes the other's old image, and a change of the other's source is also a
//! change of the one's.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{
    builds::LONGEST_DOCKERFILE,
    dockerfile,
    model::{BuildModel, Model},
};
use crate::{files, reference};

/// The base image that no one builds.
const EMPTY_IMAGE: &str = "scratch";

/// The builds of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builds {
    /// By service, those of profiles that are not enabled as well.
    pub(super) services: BTreeMap<String, Built>,
    /// Why the profiles that are not enabled are unknown, in words, if they are.
    pub(super) flaw: Option<String>,
}

/// One service's build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Built {
    /// How it is built.
    pub(super) build: BuildModel,
    /// The full reference that its build writes.
    pub(super) image: String,
    /// The other services that build something its image is based on.
    pub(super) bases: BTreeSet<String>,
    /// The images that its image is based on and none of the known services builds, as full references.
    pub(super) foreign: BTreeSet<String>,
}

/// The project of every profile as Compose resolves it, with the arguments of builds, which may be secrets. It lives only while
/// the Dockerfiles are read, and is never stored.
#[derive(Clone)]
pub(super) struct Whole {
    model: Model,
    raw: RawBuildsProject,
    flaw: Option<String>,
}

#[derive(Clone, Deserialize)]
struct RawBuildsProject {
    #[serde(default)]
    services: BTreeMap<String, RawBuildsService>,
}

#[derive(Clone, Deserialize)]
struct RawBuildsService {
    build: Option<RawBuildSection>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum RawBuildSection {
    Settings(RawBuildArgs),
    /// Only a context; the model holds it.
    Context(serde::de::IgnoredAny),
}

#[derive(Clone, Deserialize, Default)]
#[serde(default)]
struct RawBuildArgs {
    dockerfile_inline: Option<String>,
    args: BTreeMap<String, Option<String>>,
}

impl Whole {
    /// Reads Compose's JSON of the project; `flaw` gives the reason if it covers the enabled profiles only.
    ///
    /// # Errors
    /// If it is not the JSON of a project.
    pub(super) fn parse(json: &[u8], flaw: Option<String>) -> Result<Self, serde_json::Error> {
        Ok(Self { model: Model::parse(json)?, raw: serde_json::from_slice(json)?, flaw })
    }

    /// Every file that could be the Dockerfile of one of its services.
    pub(super) fn dockerfiles(&self) -> Vec<PathBuf> {
        let builds = self.model.services.values().filter_map(|service| service.build.as_ref());
        builds.flat_map(BuildModel::dockerfiles).collect()
    }

    /// Reads the Dockerfiles.
    pub(super) fn builds(&self) -> Builds {
        let makers = self.makers();
        let built = self.model.services.iter().filter_map(|(name, service)| {
            let build = service.build.as_ref()?;
            let images = self.images(name, build);
            let by_image = images.iter().filter_map(|image| makers.get(image).copied());
            let by_service = build.services().filter(|other| self.builds_one(other));
            let bases = by_image.chain(by_service).filter(|base| base != name).map(str::to_owned).collect();
            let foreign = images.into_iter().filter(|image| !makers.contains_key(image)).collect();
            let image = reference::full(&service.image);
            Some((name.clone(), Built { build: build.clone(), image, bases, foreign }))
        });
        Builds { services: built.collect(), flaw: self.flaw.clone() }
    }

    /// The service that builds each image.
    fn makers(&self) -> BTreeMap<String, &str> {
        let mut makers = BTreeMap::new();
        for (name, service) in self.model.services.iter().filter(|(_, service)| service.build.is_some()) {
            makers.entry(reference::full(&service.image)).or_insert(name.as_str());
        }
        makers
    }

    fn builds_one(&self, service: &str) -> bool {
        self.model.services.get(service).is_some_and(|service| service.build.is_some())
    }

    /// The images that a service's image is based on, as full references.
    fn images(&self, service: &str, build: &BuildModel) -> BTreeSet<String> {
        let names = self.named(service, build).into_iter().filter_map(|name| {
            match build.additional_contexts.get(&name) {
                // A context with the name of an image replaces it.
                Some(context) => context.strip_prefix("docker-image://").map(str::to_owned),
                None => Some(name),
            }
        });
        names.filter(|name| name != EMPTY_IMAGE).map(|name| reference::full(&name)).collect()
    }

    /// The images that its Dockerfile names; none if that is not a readable file of this host.
    fn named(&self, service: &str, build: &BuildModel) -> BTreeSet<String> {
        let (args, inline) = match self.raw.services.get(service).and_then(|raw| raw.build.as_ref()) {
            Some(RawBuildSection::Settings(settings)) => {
                let args = settings.args.iter();
                let args = args.filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
                (args, settings.dockerfile_inline.clone())
            }
            Some(RawBuildSection::Context(_)) | None => (BTreeMap::new(), None),
        };
        let text =
            inline.or_else(|| files::read_to_string(&build.dockerfile_path()?, LONGEST_DOCKERFILE).ok());
        text.map(|text| dockerfile::images(&text, &args)).unwrap_or_default()
    }
}

impl Builds {
    /// The build of a service, of whatever profile.
    #[must_use]
    pub fn build(&self, service: &str) -> Option<&BuildModel> {
        self.services.get(service).map(|built| &built.build)
    }

    /// The other services that build something this one's image is based on, directly or not.
    #[must_use]
    pub fn bases(&self, service: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open = vec![service];
        while let Some(built) = open.pop().map(|service| self.services.get(service)) {
            for base in built.into_iter().flat_map(|built| &built.bases).filter(|base| *base != service) {
                if found.insert(base.as_str()) {
                    open.push(base);
                }
            }
        }
        found
    }

    /// The other services, of whatever profile, whose builds write the same reference and are others.
    pub(in crate::host) fn rivals(&self, service: &str) -> Vec<&str> {
        let Some(own) = self.services.get(service) else { return Vec::new() };
        let is_rival = |other: &Built| other.image == own.image && other.build != own.build;
        self.services.iter().filter(|(_, other)| is_rival(other)).map(|(name, _)| name.as_str()).collect()
    }

    /// The images that a service's image and its bases are based on and that none of the known services builds.
    pub(in crate::host) fn foreign_bases(&self, service: &str) -> BTreeSet<&str> {
        let all = self.bases(service).into_iter().chain([service]);
        let built = all.filter_map(|service| self.services.get(service));
        built.flat_map(|built| &built.foreign).map(String::as_str).collect()
    }

    /// The builds of these services, and of those that they are based on.
    pub(in crate::host) fn with_bases(&self, services: &[String]) -> Vec<BuildModel> {
        let all = services.iter().map(String::as_str);
        let all: BTreeSet<&str> =
            all.flat_map(|service| self.bases(service).into_iter().chain([service])).collect();
        all.into_iter().filter_map(|service| self.build(service)).cloned().collect()
    }

    /// The inputs of a service's build that no digest covers, in words: remote ones, of itself or of its bases. Addresses are
    /// left out: they may hold credentials.
    #[must_use]
    pub fn unreadable(&self, service: &str) -> Option<String> {
        let bases = self.bases(service);
        let of = |name: &str| self.services.get(name).map(|built| self.inputs_from_elsewhere(built));
        let own = of(service).into_iter().flatten();
        let of_bases = bases.iter().flat_map(|base| {
            let inputs = of(base).into_iter().flatten();
            inputs.map(move |input| format!("{input} of {base}, which it is made of"))
        });
        let all: Vec<String> = own.chain(of_bases).collect();
        let elsewhere = (!all.is_empty()).then(|| format!("{}: no folder of this host", all.join(", ")));
        let mut built = bases.iter().chain([&service]).filter_map(|name| self.services.get(*name));
        let flaw = self.flaw.as_ref().filter(|_| built.any(|built| !built.foreign.is_empty()));
        let flaw =
            flaw.map(|why| format!("its base images, which a profile that is not enabled may build: {why}"));
        let parts: Vec<String> = elsewhere.into_iter().chain(flaw).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn inputs_from_elsewhere(&self, built: &Built) -> Vec<String> {
        let is_read = |context: &str| {
            let service = context.strip_prefix("service:");
            context.starts_with('/')
                || context.starts_with("docker-image://")
                || service.is_some_and(|service| self.services.contains_key(service))
        };
        let main = (!built.build.context.starts_with('/')).then(|| "the build context itself".to_owned());
        let more = built.build.additional_contexts.iter().filter(|(_, value)| !is_read(value));
        main.into_iter().chain(more.map(|(name, _)| format!("the additional context {name}"))).collect()
    }
}

#[cfg(test)]
pub(in crate::host) fn builds_of(services: &serde_json::Value) -> Builds {
    let project = serde_json::json!({ "name": "shop", "services": services });
    Whole::parse(project.to_string().as_bytes(), None).unwrap().builds()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_read_is_named_without_its_address() {
        let builds = builds_of(&json!({
            "web": {"build": "/a"},
            "api": {"build": {"context": "/b", "additional_contexts": {
                "base": "service:web", "files": "/f", "debian": "docker-image://debian:12", "gone": "service:none"}}},
            "git": {"build": "https://user:hunter2@example.org/shop.git#main"},
            "on-git": {"build": {"context": "/c", "dockerfile_inline": "FROM shop-git\n"}},
        }));
        assert_eq!(builds.unreadable("web"), None);
        let elsewhere = |what: &str| Some(format!("{what}: no folder of this host"));
        assert_eq!(builds.unreadable("api"), elsewhere("the additional context gone"));
        assert_eq!(builds.unreadable("git"), elsewhere("the build context itself"));
        let of_base = "the build context itself of git, which it is made of";
        assert_eq!(builds.unreadable("on-git"), elsewhere(of_base));
        assert_eq!(builds.bases("api"), BTreeSet::from(["web"]));
    }

    #[test]
    fn profiles_that_cannot_be_resolved_count_where_one_of_them_may_build_a_base() {
        let inline = |text: &str| json!({ "build": { "context": "/x", "dockerfile_inline": text } });
        let services = json!({
            "base": inline("FROM scratch\n"), "api": inline("FROM shop-base\n"), "web": inline("FROM debian:12\n"),
        });
        let project = json!({ "name": "shop", "services": services }).to_string();
        let builds = Whole::parse(project.as_bytes(), Some("X is required".into())).unwrap().builds();
        assert_eq!((builds.unreadable("base"), builds.unreadable("api")), (None, None));
        assert!(builds.unreadable("web").unwrap().ends_with("may build: X is required"));
    }

    #[test]
    fn builds_that_write_one_reference_and_images_that_no_service_builds_are_found() {
        let inline = |text: &str| json!({ "context": "/x", "dockerfile_inline": text });
        let of = |image: &str, text: &str| json!({ "image": image, "build": inline(text) });
        let builds = builds_of(&json!({
            "one": of("jobs", "FROM debian:12\n"), "same": of("docker.io/library/jobs:latest", "FROM debian:12\n"),
            "other": of("jobs", "FROM node:20\n"), "web": of("web", "FROM node:20\nCOPY --from=shop-base / /\n"),
            "base": { "build": inline("FROM alpine\n") }, "run": { "image": "jobs" },
        }));
        assert_eq!((builds.rivals("one"), builds.rivals("same")), (vec!["other"], vec!["other"]));
        assert_eq!((builds.rivals("other"), builds.rivals("web")), (vec!["one", "same"], vec![]));
        assert_eq!((builds.rivals("run"), builds.rivals("none")), (vec![], vec![]));
        let foreign = |service| builds.foreign_bases(service).into_iter().collect::<Vec<_>>();
        let full = ["alpine:latest", "node:20"].map(reference::full);
        assert_eq!(foreign("web"), full, "also those of its bases");
        assert_eq!(foreign("run"), [""; 0]);
    }

    #[test]
    fn dockerfiles_are_those_of_folders_only() {
        let project = json!({ "name": "shop", "services": {
            "a": {"build": "/a"}, "b": {"build": {"context": "/b", "dockerfile": "sub/D"}},
            "git": {"build": "https://example.org/x.git"}, "inline": {"build": {"context": "/c", "dockerfile_inline": "FROM x"}},
        }});
        let whole = Whole::parse(project.to_string().as_bytes(), None).unwrap();
        let found: Vec<_> = whole.dockerfiles().iter().map(|path| path.display().to_string()).collect();
        assert_eq!(found, ["/a/Dockerfile", "/a/dockerfile", "/b/sub/D"]);
    }
}
