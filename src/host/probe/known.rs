//! The declared credentials as values, so that they can be hidden.

use std::{collections::BTreeSet, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::{
    Prober,
    secret::{self, Credentials},
};
use crate::{
    api::{Auth, Desired},
    host::redact::LONG,
};

/// Whether declared credentials can be read and are too short to be hidden everywhere in output. A relative file is next to the
/// manifest, in `from`.
pub async fn are_short_credentials(auth: &Auth, from: &Path) -> bool {
    match secret::read(auth, from, |name| std::env::var_os(name)).await {
        Ok(Credentials::Basic { password: secret, .. } | Credentials::Bearer(secret)) => {
            secret.expose().chars().count() < LONG
        }
        // Another check reports that they cannot be read.
        Err(_) => false,
    }
}

impl Prober {
    /// The declared passwords and tokens of an object, as far as they can be read, and the header's encoding of a password.
    pub(in crate::host) async fn credentials(&self, desired: &Desired) -> BTreeSet<String> {
        let routes = desired.services().iter().flat_map(|service| &service.routes);
        let mut known = BTreeSet::new();
        for auth in routes.filter_map(|route| route.auth.as_ref()) {
            // Unreadable credentials were sent to no server.
            let read = secret::read(auth, &desired.manifest_directory, self.env()).await;
            match read {
                Ok(Credentials::Basic { username, password }) => {
                    known.insert(STANDARD_NO_PAD.encode(format!("{username}:{}", password.expose())));
                    known.insert(password.expose().to_owned());
                }
                Ok(Credentials::Bearer(token)) => drop(known.insert(token.expose().to_owned())),
                Err(_) => {}
            }
        }
        known
    }
}
