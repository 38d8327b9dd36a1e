//! The order in which services are built: the bases of an image come first.

use std::collections::{BTreeMap, BTreeSet};

use super::made_of::Builds;

impl Builds {
    /// The order in which these services, and the services whose images they are based on, are built: one stage after the
    /// other, the services of each at once, and the requested ones last. The other ones may be of any profile.
    #[must_use]
    pub fn stages(&self, services: &[String]) -> Vec<Vec<String>> {
        let mut walk = StageWalk { builds: self, levels: BTreeMap::new() };
        let needed: BTreeSet<String> = services.iter().flat_map(|service| walk.needed(service)).collect();
        let mut stages: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for base in &needed {
            stages.entry(walk.levels[base]).or_default().push(base.clone());
        }
        let last: Vec<String> =
            services.iter().filter(|service| !needed.contains(*service)).cloned().collect();
        stages.into_values().chain((!last.is_empty()).then_some(last)).collect()
    }

    /// Why the stages may lack some of the bases, in words, if they may.
    #[must_use]
    pub fn flaw(&self) -> Option<&str> {
        self.flaw.as_deref()
    }
}

/// A walk through the bases of images, which also ends if services are based on each other in a circle.
struct StageWalk<'a> {
    builds: &'a Builds,
    /// The minimum number of builds before this one; 0 while it is not known yet.
    levels: BTreeMap<String, usize>,
}

impl StageWalk<'_> {
    /// All services that must be built before this one, directly or not.
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
        let bases = self.builds.services.get(service).into_iter().flat_map(|built| &built.bases);
        let level = bases.map(|base| self.level(base, needed) + 1).max().unwrap_or_default();
        self.levels.insert(service.to_owned(), level);
        level
    }
}

#[cfg(test)]
mod tests {
    use super::super::made_of::builds_of;

    fn stages(services: &serde_json::Value, of: &[&str]) -> Vec<Vec<String>> {
        builds_of(services).stages(&of.iter().map(ToString::to_string).collect::<Vec<_>>())
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
        // If requested themselves, they come once, and still first.
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
    fn images_that_build_on_each_other_in_a_circle_are_built_once() {
        let circle = serde_json::json!({ "a": from("shop-b"), "b": from("shop-c"), "c": from("shop-a") });
        let order = stages(&circle, &["a"]);
        assert_eq!(order.last().unwrap(), &["a"]);
        assert_eq!(order.concat().len(), 3);
        assert_eq!(stages(&serde_json::json!({ "a": from("shop-a") }), &["a"]), [["a"]]);
    }
}
