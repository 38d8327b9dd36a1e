//! An object's known secrets, which undrift hides in other programs' output and in its own.

use super::{
    HostError, LocalHost,
    compose::{self, Resolved, SecretsFound},
    redact::{Redactor, Words},
};
use crate::{
    api::{Desired, ProjectObservation},
    host::process::Environment,
};

impl LocalHost {
    /// The declared credentials, and the secrets among the variables of this process and of the project's env files.
    pub(super) async fn known_secrets(&self, desired: &Desired) -> Redactor {
        let declared = self.prober.credentials(desired).await;
        let SecretsFound { values, unknown } = compose::of_env_files(desired);
        let services = desired.services().iter().map(|service| service.name.clone()).collect();
        let known = Redactor::of_this_process().clone().with_words(Words::of(services, [].into()));
        knowing_all(known.with_secrets(declared.into_iter().chain(values)), unknown)
    }

    /// The same, plus all values that the Compose files give to builds and containers. Asked anew, because no value is stored.
    pub(super) async fn all_secrets(&self, desired: &Desired, resolved: &Resolved) -> Redactor {
        let known = self.known_secrets(desired).await;
        match compose::values(desired, self.engine.endpoint(), resolved).await {
            Ok(project) => {
                let SecretsFound { values, unknown } =
                    compose::of_project(&project, &Environment::of_this_process());
                let known = known.with_words(compose::words_of(&project)).with_secrets(values);
                knowing_all(known, unknown)
            }
            Err(why) => known.withholding(&format!("the values of the Compose files: {why}")),
        }
    }

    /// An observation in a form that may be printed and recorded.
    pub(super) async fn without_secrets(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        observed: ProjectObservation,
    ) -> ProjectObservation {
        let known = self.known_secrets(desired).await.with_words(resolved.words());
        known.with_secrets(resolved.filled_in.iter().cloned()).observation(observed)
    }

    /// The error of an observation in a form that may be printed and recorded.
    pub(super) async fn error_without_secrets(&self, desired: &Desired, error: HostError) -> HostError {
        self.known_secrets(desired).await.error(error)
    }
}

fn knowing_all(known: Redactor, unknown: Option<String>) -> Redactor {
    match unknown {
        Some(why) => known.withholding(&why),
        None => known,
    }
}
