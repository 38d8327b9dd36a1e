//! What is known to be secret of an object, so that it can be hidden in what other programs print.

use super::{
    LocalHost,
    compose::{self, Environment, Resolved},
    redact::Redactor,
};
use crate::api::Desired;

impl LocalHost {
    /// The declared credentials, and the secrets among the variables of this process and of the project's env files.
    pub(super) async fn known_secrets(&self, desired: &Desired) -> Redactor {
        let declared = self.prober.credentials(desired).await;
        let known = Redactor::of_this_process().clone().with_secrets(declared);
        known.with_secrets(compose::of_env_files(desired))
    }

    /// The same, and whatever builds and containers are given by the Compose files. Asked anew, for no value is kept.
    pub(super) async fn all_secrets(&self, desired: &Desired, resolved: &Resolved) -> Redactor {
        let known = self.known_secrets(desired).await;
        match compose::values(desired, self.engine.endpoint(), resolved).await {
            Ok(project) => known.with_secrets(compose::of_project(&project, &Environment::of_this_process())),
            Err(why) => {
                tracing::debug!(
                    why,
                    "the values of the Compose files are not known: what is printed is hidden without them"
                );
                known
            }
        }
    }
}
