//! What a project was resolved from, as digests under a key.

use sha2::{Digest as _, Sha256};

use super::Resolved;
use crate::{
    api::{Desired, ResolvedFrom},
    files,
    host::{KeyedDigest, endpoint::Endpoint, process::Environment},
};

impl Resolved {
    /// A digest of all of it. It rests on digests of whatever may be a secret, of which one under the key must be made.
    pub(in crate::host) fn digest_under(&self, digest: &KeyedDigest) -> String {
        let whole = hex::encode(Sha256::digest(serde_json::to_vec(self).unwrap_or_default()));
        digest("model", whole.as_bytes())
    }

    /// The same with builds whose settings are digests under the key: what an image was built from is recorded.
    pub(super) fn keyed(mut self, digest: &KeyedDigest) -> Self {
        let of_model = self.model.services.values_mut().filter_map(|service| service.build.as_mut());
        let of_builds = self.builds.services.values_mut().map(|built| &mut built.build);
        for build in of_model.chain(of_builds) {
            build.settings = std::mem::take(&mut build.settings).keyed(digest);
        }
        self
    }

    /// What the project was resolved from, and what came of it. `None` where not everything that Compose reads is known: a
    /// remote include, or a file that was changed meanwhile.
    pub(in crate::host) fn resolved_from(
        &self,
        desired: &Desired,
        endpoint: &Endpoint,
        digest: &KeyedDigest,
    ) -> Option<ResolvedFrom> {
        let env = Environment::of_this_process().for_docker(endpoint, &desired.directory);
        let (inputs, keyed) = (self.inputs.clone()?, digest.clone());
        let (files, variables) = files::look(move || inputs.digests(&env, &keyed)).ok()??;
        Some(ResolvedFrom::new(files, variables, self.digest_under(digest)))
    }
}
