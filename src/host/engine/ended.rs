//! Waiting for the end of a container.

use bollard::{errors::Error as BollardError, query_parameters::WaitContainerOptionsBuilder};
use futures_util::StreamExt as _;

use super::{Engine, EngineError};
use crate::api::ContainerState;

impl Engine {
    /// Waits until a container that was seen in this state has ended, or is gone. It may come back sooner, as an answer
    /// that takes the engine longer than a question may take ends the wait: look at the container again.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn wait_for_end(&self, id: &str, seen: ContainerState) -> Result<(), EngineError> {
        let condition = match seen {
            // Between two starts it does not run, and will.
            ContainerState::Restarting => "next-exit",
            ContainerState::Removing => "removed",
            _ => "not-running",
        };
        let options = WaitContainerOptionsBuilder::default().condition(condition).build();
        let docker = self.docker().await?;
        let mut answers = std::pin::pin!(docker.wait_container(id, Some(options)));
        match answers.next().await {
            None | Some(Ok(_) | Err(BollardError::DockerContainerWaitError { .. })) => Ok(()),
            Some(Err(error)) => match EngineError::from(error) {
                EngineError::NotFound(_) | EngineError::TimedOut(_) => Ok(()),
                error => Err(error),
            },
        }
    }
}
