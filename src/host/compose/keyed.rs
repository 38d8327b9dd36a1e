//! The inputs that a project was resolved from, as digests under a key.

use sha2::{Digest as _, Sha256};

use super::Resolved;
use crate::{
    api::{Desired, ResolvedFrom},
    files,
    host::{KeyedDigest, endpoint::Endpoint, process::Environment},
};

impl Resolved {
    /// A digest of all of it. It covers digests of possible secrets, each of which must be made under the key.
    pub(in crate::host) fn digest_under(&self, digest: &KeyedDigest) -> String {
        let whole = hex::encode(Sha256::digest(serde_json::to_vec(self).unwrap_or_default()));
        digest("model", whole.as_bytes())
    }

    /// The same with build settings as digests under the key: the inputs of an image are recorded.
    pub(super) fn keyed(mut self, digest: &KeyedDigest) -> Self {
        let of_model = self.model.services.values_mut().filter_map(|service| service.build.as_mut());
        let of_builds = self.builds.services.values_mut().map(|built| &mut built.build);
        for build in of_model.chain(of_builds) {
            build.settings = std::mem::take(&mut build.settings).keyed(digest);
        }
        self
    }

    /// The inputs of the project, and the result. `None` if not everything that Compose reads is known: a remote include, or a
    /// file that changed meanwhile.
    pub(in crate::host) fn resolved_from(
        &self,
        desired: &Desired,
        endpoint: &Endpoint,
        digest: &KeyedDigest,
    ) -> Option<ResolvedFrom> {
        let env = Environment::of_this_process().for_project(endpoint, desired);
        let (inputs, keyed) = (self.inputs.clone()?, digest.clone());
        let (mut files, mut variables) = files::look(move || inputs.digests(&env, &keyed)).ok()??;
        // A revision belongs to the source, and not to the environment of whoever calls.
        for (name, value) in &desired.variables {
            if variables.remove(name).is_some() {
                files.insert(format!("the revision in {name}"), digest(name, value.as_bytes()));
            }
        }
        Some(ResolvedFrom::new(files, variables, self.digest_under(digest)))
    }
}
