//! Asks the engine for signs that somebody takes the project down; see [`compose_down`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::PoisonError,
    time::Duration,
};

use bollard::{models::EventMessage, query_parameters::EventsOptionsBuilder};
use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all};

use super::{Engine, EngineError, containers::PROJECT};
use crate::{
    api::Time,
    interference::{
        ContainerRow,
        compose_down::{self, ContainerEvent, ContainerEventKind, DownSight, Stop},
        compose_up::WAITS_AT_MOST,
    },
};

/// How long the engine may take to answer. If its clock is behind this one, it waits for the end of the requested interval.
const EVENTS_WITHIN: Duration = Duration::from_secs(1);

fn container_event(event: EventMessage) -> Option<ContainerEvent> {
    let actor = event.actor?;
    let attributes = actor.attributes.unwrap_or_default();
    let what = match event.action.as_deref()? {
        "kill" => ContainerEventKind::Signalled(attributes.get("signal")?.parse().ok()?),
        "die" => ContainerEventKind::Ended,
        "start" => ContainerEventKind::Started,
        "stop" => ContainerEventKind::Stopped,
        "destroy" => ContainerEventKind::Destroyed,
        _ => return None,
    };
    Some(ContainerEvent { at: event.time?, id: actor.id?, name: attributes.get("name").cloned()?, what })
}

impl Engine {
    /// The sign that someone takes the project of these containers down. Only ask for it if a container is missing or does not
    /// run: a project that runs is not being taken down.
    pub(in crate::host::engine) async fn sign_of_compose_down(
        &self,
        project: &str,
        rows: &[ContainerRow],
    ) -> Result<Option<String>, EngineError> {
        let at = chrono::Utc::now();
        let (events, mut stopping) = (self.events_of(project, at).await, self.remembered_stopping(project));
        let signalled = compose_down::signalled(&events, &stopping);
        let stops = rows.iter().filter(|row| signalled.contains(&row.id)).map(|row| self.stop_of(&row.id));
        let stops: BTreeMap<String, Stop> = try_join_all(stops).await?.into_iter().flatten().collect();
        let sight = DownSight { now: at.timestamp(), own: &self.own_steps_on(project), stops: &stops };
        let sign = compose_down::sign(rows, events, &mut stopping, &sight);
        self.remember_stopping(project, &stopping);
        Ok(sign)
    }

    /// The engine's remaining events of the project's containers, the oldest first; nothing if it does not report them.
    async fn events_of(&self, project: &str, now: Time) -> Vec<ContainerEvent> {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("label".to_owned(), vec![format!("{PROJECT}={project}")]),
            ("event".to_owned(), ["kill", "die", "start", "stop", "destroy"].map(str::to_owned).to_vec()),
        ]);
        let options = EventsOptionsBuilder::default()
            .since(&(now.timestamp() - WAITS_AT_MOST).to_string())
            .until(&format!("{}.{:09}", now.timestamp(), now.timestamp_subsec_nanos()))
            .filters(&filters)
            .build();
        let events = self
            .call_aside(async |docker| {
                let enough = tokio::time::sleep(EVENTS_WITHIN);
                docker.events(Some(options)).take_until(enough).try_collect::<Vec<_>>().await
            })
            .await;
        match events {
            Ok(events) => events.into_iter().filter_map(container_event).collect(),
            Err(error) => {
                tracing::debug!(project, %error, "the engine does not list its recent events");
                Vec::new()
            }
        }
    }

    fn remembered_stopping(&self, project: &str) -> BTreeMap<String, i64> {
        let all = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(project).cloned().unwrap_or_default()
    }

    fn remember_stopping(&self, project: &str, stopping: &BTreeMap<String, i64>) {
        let mut all = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        if stopping.is_empty() {
            all.remove(project);
        } else {
            all.insert(project.to_owned(), stopping.clone());
        }
    }
}
