//! The subject of a build: which services build the same image, and which files and services a build names.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    dockerfile,
    model::{BuildModel, Model},
};
use crate::{files, host::engine::tcp_ports, reference};

impl Model {
    /// These services, each image once: an anchor may give many services one build under one reference.
    #[must_use]
    pub fn builds_once(&self, services: &[String]) -> Vec<String> {
        let mut built = BTreeSet::new();
        let image = |service: &String| self.services.get(service).map(|model| reference::full(&model.image));
        services
            .iter()
            .filter(|service| image(service).is_none_or(|image| built.insert(image)))
            .cloned()
            .collect()
    }
}

/// A longer file is no real Dockerfile.
pub(super) const LONGEST_DOCKERFILE: u64 = 1 << 20;

impl BuildModel {
    /// The TCP ports that the Dockerfile exposes; `None` if they are not known: it is inline or elsewhere, or a variable names
    /// a port.
    #[must_use]
    pub fn exposed(&self) -> Option<BTreeSet<u16>> {
        let path = self.dockerfile_path()?;
        let text = files::read_to_string(&path, LONGEST_DOCKERFILE).ok()?;
        let ports = dockerfile::exposed(&text)?;
        Some(tcp_ports(ports.iter().map(String::as_str)))
    }

    /// The file that is its Dockerfile; `None` if it is inline, or if the context is no folder of this host. Docker uses
    /// `dockerfile` if the default name does not exist.
    #[must_use]
    pub fn dockerfile_path(&self) -> Option<PathBuf> {
        let [path, fallback] = &self.dockerfiles()[..] else { return self.dockerfiles().pop() };
        Some(if !files::exists(path) && files::exists(fallback) { fallback.clone() } else { path.clone() })
    }

    /// Every file that could be the Dockerfile, the first choice first.
    pub(super) fn dockerfiles(&self) -> Vec<PathBuf> {
        let Some(name) = self.dockerfile.as_deref().filter(|_| self.context.starts_with('/')) else {
            return Vec::new();
        };
        // A Dockerfile may also be a URL; then it is a setting, and no file.
        if name.contains("://") {
            return Vec::new();
        }
        let fallback = (name == "Dockerfile").then_some("dockerfile");
        [name].into_iter().chain(fallback).map(|name| Path::new(&self.context).join(name)).collect()
    }

    /// The services that its additional contexts name.
    pub(super) fn services(&self) -> impl Iterator<Item = &str> {
        self.additional_contexts.values().filter_map(|context| context.strip_prefix("service:"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let json = serde_json::json!({"name": "shop", "services": {
            "web": {"build": "/a", "image": "same"}, "worker": {"build": "/a", "image": "docker.io/library/same:latest"},
            "api": {"build": "/b"}
        }});
        Model::parse(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn one_image_is_built_once() {
        let all = ["web", "api", "worker", "gone"].map(str::to_owned);
        assert_eq!(model().builds_once(&all), ["web", "api", "gone"]);
    }
}
