//! Asks the engine for signs that somebody else rolls a service out; see [`roll_out`].

use std::{collections::BTreeMap, time::Duration};

use super::{Container, Engine, EngineError};
use crate::interference::{
    leftovers::{self, Leftover},
    roll_out::{self, Replica},
};

impl Engine {
    /// The sign, from these containers of the project, that someone else rolls one of these services out; `wanted` is each
    /// one's number of replicas. A replica is young for as long as the verification of a repair may take.
    #[must_use]
    pub fn roll_out(
        &self,
        project: &str,
        wanted: &BTreeMap<&str, u32>,
        containers: &[Container],
        young_for: Duration,
    ) -> Option<String> {
        let replicas: Vec<Replica<'_>> = containers
            .iter()
            .filter(|container| !container.seen.state.is_being_removed())
            .map(|container| Replica {
                service: &container.service,
                name: &container.seen.name,
                created: container.seen.created_at.map_or(0, |created| created.timestamp()),
            })
            .collect();
        self.sign_of_roll_out(project, wanted, &replicas, young_for)
    }

    /// The same, from a list of its own.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn roll_out_in_progress(
        &self,
        project: &str,
        wanted: &BTreeMap<&str, u32>,
        young_for: Duration,
    ) -> Result<Option<String>, EngineError> {
        let rows = self.rows(project).await?;
        let left = leftovers::find(&rows);
        let is_left = |id: &String| {
            left.iter().any(
                |left| matches!(left, Leftover::Superfluous { id: superfluous, .. } if superfluous == id),
            )
        };
        let replicas: Vec<Replica<'_>> = rows
            .iter()
            .filter(|row| !is_left(&row.id) && !row.is_removing())
            .map(|row| Replica { service: &row.service, name: &row.name, created: row.created })
            .collect();
        Ok(self.sign_of_roll_out(project, wanted, &replicas, young_for))
    }

    fn sign_of_roll_out(
        &self,
        project: &str,
        wanted: &BTreeMap<&str, u32>,
        replicas: &[Replica<'_>],
        young_for: Duration,
    ) -> Option<String> {
        let own = self.own_steps_on(project);
        roll_out::sign(wanted, replicas, young_for, chrono::Utc::now().timestamp(), |created| {
            !own.covers(created)
        })
    }
}
