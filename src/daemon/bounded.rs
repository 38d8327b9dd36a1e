//! A host whose looks end with the grace period.

use tokio_util::sync::CancellationToken;

use crate::{
    api::{Desired, Fact, GitState, ProjectObservation},
    host::{Host, HostError, StepReport, StepRequest},
};

/// The host, while undrift may still wait for it: an engine that hangs answers each question with its time limit only,
/// and a look is several of them. A step hears of the end by itself, for its outcome is to be told.
pub(super) struct Bounded<'a, H> {
    pub(super) host: &'a H,
    pub(super) over: &'a CancellationToken,
}

impl<H: Host> Host for Bounded<'_, H> {
    async fn observe(&self, desired: &Desired) -> Result<ProjectObservation, HostError> {
        let look = self.host.observe(desired);
        self.over.run_until_cancelled(look).await.unwrap_or(Err(HostError::Ending))
    }

    async fn git(&self, desired: &Desired) -> Fact<Option<GitState>> {
        self.host.git(desired).await
    }

    async fn execute(&self, desired: &Desired, request: StepRequest<'_>) -> StepReport {
        self.host.execute(desired, request).await
    }

    async fn prune(&self, images: &[String]) -> Vec<String> {
        self.over.run_until_cancelled(self.host.prune(images)).await.unwrap_or_default()
    }
}
