//! What the images of services are built from: each service's own build, and those of the other services that its image is made
//! of.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::{
    Cache,
    compose::Builds,
    source::{self, Fields},
};
use crate::api::{Fact, on_bases};

/// The builds as they are now, each read once.
pub(super) struct Sources<'a> {
    builds: &'a Builds,
    /// The digest of each service's own build.
    own: BTreeMap<&'a str, Fact<Option<String>>>,
}

impl<'a> Sources<'a> {
    /// Reads the builds of these services and all that they are made of.
    pub(super) async fn read(
        builds: &'a Builds,
        services: impl IntoIterator<Item = &'a str>,
        cache: &dyn Cache,
    ) -> Self {
        let all: BTreeSet<&str> = services
            .into_iter()
            .flat_map(|service| builds.bases(service).into_iter().chain([service]))
            .collect();
        let each = all.into_iter().filter_map(|service| Some((service, builds.build(service)?)));
        let each = each.map(async |(service, build)| {
            let digest: Fact<Option<String>> = source::context_digest(build, cache).await.into();
            (service, digest)
        });
        Self { builds, own: join_all(each).await.into_iter().collect() }
    }

    /// The digest of what a service's image is built from; `None` where it has no `build:`, or one whose context is no folder of
    /// this host.
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
        let mut fields = Fields::default();
        for base in bases {
            let (kind, digest) = match self.own.get(base) {
                Some(Fact::Unknown(why)) => {
                    return Fact::unknown(format!("{base}, which it is made of: {why}"));
                }
                Some(Fact::Known(Some(digest))) => ("base", digest.as_str()),
                // What is not of this host is said to be unreadable.
                Some(Fact::Known(None)) | None => ("elsewhere", ""),
            };
            fields.named(kind, &[base.as_bytes(), digest.as_bytes()]);
        }
        Fact::Known(Some(on_bases(own, &fields.hex())))
    }
}
