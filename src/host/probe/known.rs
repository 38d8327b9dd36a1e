//! The declared credentials as values, for whoever hides them.

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

/// Whether declared credentials can be read and are too short to be hidden wherever they are printed. A relative file is one next
/// to the manifest, in `from`.
pub async fn are_short_credentials(auth: &Auth, from: &Path) -> bool {
    match secret::read(auth, from, |name| std::env::var_os(name)).await {
        Ok(Credentials::Basic { password: secret, .. } | Credentials::Bearer(secret)) => {
            secret.expose().chars().count() < LONG
        }
        // That they cannot be read is told elsewhere.
        Err(_) => false,
    }
}

impl Prober {
    /// The declared passwords and tokens of an object, as far as they can be read, and what a header has in a password's place.
    pub(in crate::host) async fn credentials(&self, desired: &Desired) -> BTreeSet<String> {
        let routes = desired.services().iter().flat_map(|service| &service.routes);
        let mut known = BTreeSet::new();
        for auth in routes.filter_map(|route| route.auth.as_ref()) {
            // What cannot be read was sent to nobody.
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
