//! Removes the leftovers of a killed recreate; see [`leftovers`](crate::interference::leftovers).

use std::collections::BTreeSet;

use bollard::query_parameters::{RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder};

use super::{Engine, EngineError};
use crate::interference::leftovers::{Leftover, find};

impl Engine {
    /// Clears the way for an `up` of these services; returns its actions, in words for the trail.
    ///
    /// Never touches a container that runs or ever ran, undrift's own, one that may still belong to someone else's `up`, or any
    /// volume.
    ///
    /// # Errors
    /// If the engine does not answer, or refuses. Earlier removals remain.
    pub async fn remove_leftovers(
        &self,
        project: &str,
        services: &[String],
    ) -> Result<Vec<String>, EngineError> {
        let rows = self.rows(project).await?;
        let mut notes = Vec::new();
        let young = rows.iter().filter(|row| self.may_be_of_an_up(project, row));
        let young: BTreeSet<&str> = young.map(|row| row.id.as_str()).collect();
        let ours = |found: &Leftover| {
            let spared = self.own_container.is(found.id()) || young.contains(found.id().as_str());
            services.contains(found.service()) && !spared
        };
        for leftover in find(&rows).into_iter().filter(ours) {
            match leftover {
                Leftover::Superfluous { id, name, .. } => {
                    if self.remove_if_never_started(&id).await? {
                        notes.push(format!("removed {name}, which a killed recreate left behind"));
                    }
                }
                Leftover::Unfinished { id, name, final_name, .. } => {
                    let options = RenameContainerOptionsBuilder::default().name(&final_name).build();
                    self.call(async |docker| docker.rename_container(&id, options).await).await?;
                    notes.push(format!(
                        "renamed {name}, which a killed recreate left behind, to {final_name}"
                    ));
                }
            }
        }
        Ok(notes)
    }

    /// Without force the engine refuses to remove a container that was started in between.
    async fn remove_if_never_started(&self, id: &str) -> Result<bool, EngineError> {
        let options = RemoveContainerOptionsBuilder::default().force(false).v(false).build();
        match self.call(async |docker| docker.remove_container(id, Some(options)).await).await {
            Ok(()) => Ok(true),
            Err(EngineError::NotFound(_) | EngineError::Refused { status: 409, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
