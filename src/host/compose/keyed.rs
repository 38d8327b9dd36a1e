//! What a project was resolved from, as digests under a key.

use sha2::{Digest as _, Sha256};

use super::{Environment, Resolved};
use crate::{
    api::{Desired, ResolvedFrom},
    files,
    host::{KeyedDigest, endpoint::Endpoint},
};

impl Resolved {
    /// A digest of all of it. It is no secret's: no value is in it, but as a digest.
    pub(in crate::host) fn digest(&self) -> String {
        hex::encode(Sha256::digest(serde_json::to_vec(self).unwrap_or_default()))
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
        // It rests on digests of whatever may be a secret, of which one under the key must be made.
        Some(ResolvedFrom::new(files, variables, digest("model", self.digest().as_bytes())))
    }
}
