//! Asks the engine for signs of somebody else's `docker compose up`; see [`compose_up`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::PoisonError,
};

use bollard::query_parameters::ListNetworksOptionsBuilder;
use futures_util::future::try_join_all;

use super::{
    Engine, EngineError,
    containers::{PROJECT, time},
    request::EngineRequest,
};
use crate::interference::{
    ContainerRow,
    compose_up::{self, Sight, UP_LASTS_FOR, all_run, distance, mark_removals},
    leftovers,
};

impl Engine {
    /// The sign that someone else works on the project at this very moment. `services` maps each service to its number of
    /// running containers.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn external_activity(
        &self,
        project: &str,
        services: &BTreeMap<&str, u32>,
    ) -> Result<Option<String>, EngineError> {
        let mut rows = self.rows(project).await?;
        let ended = rows.iter().filter(|row| row.has_ended() && services.contains_key(row.service.as_str()));
        let details = try_join_all(ended.map(|row| self.container(&row.id))).await?;
        mark_removals(&mut rows, details.iter().flatten().map(|container| &container.seen));
        self.activity_of_others(project, services, &rows).await
    }

    /// The same for these containers of the project. If everything already runs, it costs no request.
    pub(in crate::host::engine) async fn activity_of_others(
        &self,
        project: &str,
        services: &BTreeMap<&str, u32>,
        rows: &[ContainerRow],
    ) -> Result<Option<String>, EngineError> {
        match self.sign_of_compose_up(project, rows).await? {
            None if !all_run(services, rows) => Box::pin(self.sign_of_compose_down(project, rows)).await,
            sign => Ok(sign),
        }
    }

    /// Whether a container of the project that never ran may still belong to someone else's `up`.
    pub(in crate::host::engine) fn may_be_of_an_up(&self, project: &str, row: &ContainerRow) -> bool {
        let age = distance(chrono::Utc::now().timestamp(), row.created);
        age < UP_LASTS_FOR && !self.own_steps_on(project).covers(row.created)
    }

    /// The sign that someone else's `up` runs on the project of these containers.
    async fn sign_of_compose_up(
        &self,
        project: &str,
        rows: &[ContainerRow],
    ) -> Result<Option<String>, EngineError> {
        let own = self.own_steps_on(project);
        let now = chrono::Utc::now().timestamp();
        let removing_since = self.removing_since(project, rows, now);
        let mut sight = Sight { now, own, removing_since, ..Sight::default() };
        if rows.is_empty() {
            sight.network = self.youngest_network(project).await?;
        }
        for row in rows.iter().filter(|row| row.never_started() && distance(now, row.created) >= UP_LASTS_FOR)
        {
            // Only a replacement waits for another container to stop.
            if row.replaces.is_none() {
                continue;
            }
            let of_old = match leftovers::replaced(row, rows) {
                Some(old) => self.stop_grace(&old.id).await?,
                None => 0,
            };
            let grace = of_old.max(self.stop_grace(&row.id).await?);
            sight.grace.insert(row.id.clone(), grace);
        }
        Ok(compose_up::sign(rows, &sight))
    }

    /// When each container's removal was first seen: the engine does not report it, and one whose files cannot be removed may
    /// stay in this state forever.
    fn removing_since(&self, project: &str, rows: &[ContainerRow], now: i64) -> BTreeMap<String, i64> {
        let mut all = self.removing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.remove(project).unwrap_or_default();
        let seen = rows.iter().filter(|row| row.is_removing());
        let seen: BTreeMap<String, i64> =
            seen.map(|row| (row.id.clone(), before.get(&row.id).copied().unwrap_or(now))).collect();
        if !seen.is_empty() {
            all.insert(project.to_owned(), seen.clone());
        }
        seen
    }

    async fn youngest_network(&self, project: &str) -> Result<Option<(String, i64)>, EngineError> {
        let filters = HashMap::from([("label".to_owned(), vec![format!("{PROJECT}={project}")])]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let request = EngineRequest::networks();
        let list = self.ask(&request, async |docker| docker.list_networks(Some(options)).await).await?;
        let mut dated = Vec::new();
        for network in list {
            let name = request.required_text("Name", network.name)?;
            let created = time(&request.required("Created", network.created)?);
            dated.extend(created.map(|created| (name, created.timestamp())));
        }
        Ok(dated.into_iter().max_by_key(|(_, created)| *created))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::ContainerState, host::endpoint::Endpoint};

    #[test]
    fn since_when_a_container_goes_is_kept_by_project() {
        let engine = Engine::new(Endpoint::Unix("/none".into()));
        let rows = [ContainerRow {
            id: "a".into(),
            state: Some(ContainerState::Removing),
            ..ContainerRow::default()
        }];
        assert_eq!(engine.removing_since("p", &rows, 5), [("a".to_owned(), 5)].into());
        assert_eq!(engine.removing_since("q", &[], 6), BTreeMap::new());
        assert_eq!(
            engine.removing_since("p", &rows, 9),
            [("a".to_owned(), 5)].into(),
            "another one is not in it"
        );
        assert_eq!(engine.removing_since("p", &[], 9), BTreeMap::new());
        assert_eq!(engine.removing_since("p", &rows, 10), [("a".to_owned(), 10)].into());
    }
}
