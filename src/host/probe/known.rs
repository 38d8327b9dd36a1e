//! The declared credentials as values, for whoever hides them.

use std::collections::BTreeSet;

use super::{
    Prober,
    secret::{self, Credentials},
};
use crate::api::Desired;

impl Prober {
    /// The declared passwords and tokens of an object, as far as they can be read.
    pub(in crate::host) async fn credentials(&self, desired: &Desired) -> BTreeSet<String> {
        let routes = desired.services().iter().flat_map(|service| &service.routes);
        let mut known = BTreeSet::new();
        for auth in routes.filter_map(|route| route.auth.as_ref()) {
            // What cannot be read was sent to nobody.
            let read = secret::read(auth, &desired.manifest_directory, self.env()).await;
            if let Ok(Credentials::Basic { password: secret, .. } | Credentials::Bearer(secret)) = read {
                known.insert(secret.expose().to_owned());
            }
        }
        known
    }
}
