//! Waits for the end of a container.

use bollard::{errors::Error as BollardError, query_parameters::WaitContainerOptionsBuilder};
use futures_util::StreamExt as _;

use super::{Engine, EngineError};
use crate::api::ContainerState;

impl Engine {
    /// Waits until a container that was observed in this state has ended, or is gone. It may return sooner, because a request's
    /// time limit also ends the wait: check the container again.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn wait_for_end(&self, id: &str, seen: ContainerState) -> Result<(), EngineError> {
        let condition = match seen {
            // Between two starts it does not run, but will.
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
