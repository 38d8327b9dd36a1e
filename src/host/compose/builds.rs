//! What a build is of: which services build one and the same image, and which of its inputs cannot be read.

use std::collections::BTreeSet;

use super::model::{BuildModel, Model};
use crate::host::reference;

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

impl BuildModel {
    /// The inputs whose content no digest covers, in words: what is fetched from elsewhere, and what another service
    /// builds. A base image counts as what its name says. Addresses are left out: they may hold credentials.
    #[must_use]
    pub fn unreadable(&self) -> Option<String> {
        let is_read = |context: &str| context.starts_with('/') || context.starts_with("docker-image://");
        let main = (!self.context.starts_with('/')).then(|| "the build context itself".to_owned());
        let more = self.additional_contexts.iter().filter(|(_, value)| !is_read(value));
        let more = more.map(|(name, _)| format!("the additional context {name}"));
        let all: Vec<String> = main.into_iter().chain(more).collect();
        (!all.is_empty()).then(|| format!("{}: no folder of this host", all.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let json = serde_json::json!({"name": "shop", "services": {
            "web": {"build": "/a", "image": "same"}, "worker": {"build": "/a", "image": "docker.io/library/same:latest"},
            "api": {"build": {"context": "/b", "additional_contexts": {
                "base": "service:web", "files": "/f", "debian": "docker-image://debian:12"}}},
            "git": {"build": "https://user:hunter2@example.org/shop.git#main"}
        }});
        Model::parse(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn one_image_is_built_once() {
        let all = ["web", "api", "worker", "gone"].map(str::to_owned);
        assert_eq!(model().builds_once(&all), ["web", "api", "gone"]);
    }

    #[test]
    fn what_cannot_be_read_is_named_without_its_address() {
        let of = |service: &str| model().services[service].build.as_ref().unwrap().unreadable();
        assert_eq!(of("web"), None);
        assert_eq!(of("api").unwrap(), "the additional context base: no folder of this host");
        assert_eq!(of("git").unwrap(), "the build context itself: no folder of this host");
    }
}
