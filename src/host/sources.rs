//! The inputs of services' images: each service's own build, and those of the other services that its image is based on.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use futures_util::future::join_all;

use super::{
    Cache,
    compose::{BuildModel, Builds},
    source::{self, FieldHasher},
};
use crate::{
    api::{Fact, GitLock, on_bases},
    files,
};

/// The builds as they are now, each read once.
pub(super) struct Sources<'a> {
    builds: &'a Builds,
    /// The digest of each service's own build.
    own: BTreeMap<&'a str, Fact<Option<String>>>,
    /// By service, the state of the files of its own build, if a later change would show in it.
    settled: BTreeMap<&'a str, String>,
    /// The lock of a git that changes them.
    locks: BTreeMap<&'a str, GitLock>,
}

impl<'a> Sources<'a> {
    /// Reads the builds of these services and of all their bases.
    pub(super) async fn read(
        builds: &'a Builds,
        services: impl IntoIterator<Item = &'a str>,
        cache: &dyn Cache,
    ) -> Self {
        let all: BTreeSet<&str> = services
            .into_iter()
            .flat_map(|service| builds.bases(service).into_iter().chain([service]))
            .collect();
        let each: Vec<_> =
            all.into_iter().filter_map(|service| Some((service, builds.build(service)?))).collect();
        // Before the files: a git that begins between the two makes the build torn.
        let locks =
            join_all(each.iter().map(async |(service, build)| Some((*service, git_lock(build).await?))));
        let locks = locks.await.into_iter().flatten().collect();
        let states = each
            .into_iter()
            .map(async |(service, build)| (service, source::context_state(build, cache).await));
        let (mut own, mut settled) = (BTreeMap::new(), BTreeMap::new());
        for (service, state) in join_all(states).await {
            if let Ok(Some(state)) = &state {
                settled.extend(state.settled.clone().map(|settled| (service, settled)));
            }
            own.insert(service, state.map(|state| state.map(|state| state.digest)).into());
        }
        Self { builds, own, settled, locks }
    }

    /// A digest of the size, times and inode of everything in the contexts of a service's own build; `None` if a later change
    /// might not show in it.
    pub(super) fn settled(&self, service: &str) -> Option<&str> {
        self.settled.get(service).map(String::as_str)
    }

    /// The lock of a git that changes the inputs of a service's image.
    pub(super) fn git_lock(&self, service: &str) -> Option<GitLock> {
        let mut all = self.builds.bases(service).into_iter().chain([service]);
        all.find_map(|name| self.locks.get(name)).cloned()
    }

    /// The digest of the inputs of a service's image; `None` if it has no `build:`, or one whose context is no folder of this
    /// host.
    pub(super) fn digest(&self, service: &str) -> Fact<Option<String>> {
        let own = match self.own.get(service) {
            None | Some(Fact::Known(None)) => return Fact::Known(None),
            Some(Fact::Unknown(why)) => return Fact::unknown(why),
            Some(Fact::Known(Some(own))) => own,
        };
        let bases = self.builds.bases(service);
        if bases.is_empty() {
            return Fact::Known(Some(own.clone()));
        }
        let mut fields = FieldHasher::default();
        let mut own = own.clone();
        for base in bases {
            let (kind, digest) = match self.own.get(base) {
                Some(Fact::Unknown(why)) => {
                    return Fact::unknown(format!("{base}, which it is made of: {why}"));
                }
                Some(Fact::Known(Some(digest))) => ("base", digest.as_str()),
                // A build from elsewhere is reported as unreadable.
                Some(Fact::Known(None)) | None => ("elsewhere", ""),
            };
            fields.named(kind, &[base.as_bytes(), digest.as_bytes()]);
            own = by_the_rule_of(digest, own);
        }
        Fact::Known(Some(on_bases(&own, &fields.hex())))
    }
}

/// The lock of a git that changes one of a build's folders. One that does not answer has none: its digest is unknown anyway.
pub(super) async fn git_lock(build: &BuildModel) -> Option<GitLock> {
    let folders = [&build.context].into_iter().chain(build.additional_contexts.values());
    let folders: Vec<PathBuf> = folders.map(PathBuf::from).filter(|folder| folder.is_absolute()).collect();
    files::looked(move || folders.iter().find_map(|folder| source::git_lock(folder))).await.ok().flatten()
}

/// A digest under the rule of a base's digest, if that one has a key and its own has none: a digest over digests follows
/// another rule as soon as one of them does.
fn by_the_rule_of(base: &str, own: String) -> String {
    let rule = |digest: &str| digest.split_once(':').map(|(rule, _)| rule.to_owned()).unwrap_or_default();
    let (of_base, of_own) = (rule(base), rule(&own));
    if of_base.contains('.') && !of_own.contains('.') { own.replacen(&of_own, &of_base, 1) } else { own }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{SourceComparison, compare_sources};

    #[test]
    fn a_key_makes_another_rule_and_no_change_also_where_only_a_base_has_it() {
        let own = |digest: &str| Fact::Known(Some(digest.to_owned()));
        let services = serde_json::json!({"base": {"build": "/b"}, "api": {"build": {"context": "/a", "dockerfile_inline": "FROM shop-base"}}});
        let builds = crate::host::compose::builds_of(&services);
        let digest = |of_base: &str, of_own: &str| {
            let own = BTreeMap::from([("base", own(of_base)), ("api", own(of_own))]);
            Sources { builds: &builds, own, settled: BTreeMap::new(), locks: BTreeMap::new() }
                .digest("api")
                .known()
                .cloned()
                .flatten()
                .unwrap()
        };
        let before = digest("v1:sha256:b", "v1:sha256:a");
        let after = digest("v2.0123:sha256:c", "v1:sha256:a");
        assert!(
            before.starts_with("v1:sha256:a+") && after.starts_with("v2.0123:sha256:a+"),
            "{before} {after}"
        );
        assert_eq!(
            compare_sources(&before, &after),
            SourceComparison::OtherRule,
            "an upgrade rebuilds nothing"
        );
        let changed = digest("v2.0123:sha256:d", "v1:sha256:a");
        assert_eq!(compare_sources(&after, &changed), SourceComparison::Changed);
        assert_eq!(
            compare_sources(&digest("v1:sha256:b", "v2.9:sha256:a"), &digest("v1:sha256:b", "v2.9:sha256:a")),
            SourceComparison::Same
        );
    }
}
