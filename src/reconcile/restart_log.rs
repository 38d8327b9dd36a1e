//! The restarts of each service, kept across observations and across restarts of undrift.
//!
//! They are in the cache: losing them costs the knowledge of some restarts, and no step rests on them.

use std::collections::BTreeMap;

use crate::{
    api::{Cache as _, Desired, ProjectObservation, Time},
    decide::{History, RestartLog},
    store::Store,
};

/// Their space in the cache.
const SPACE: &str = "restarts";

/// The restarts of each service with this observation, by the service's name. Without a store those that the observation alone
/// shows. A service whose containers are not known keeps what was known.
pub(super) fn read(
    store: Option<&Store>,
    desired: &Desired,
    observed: &ProjectObservation,
    history: &History,
    now: Time,
) -> BTreeMap<String, RestartLog> {
    let within = desired.object.spec.reconcile.churn.within.delta();
    let logs = observed.services.iter().map(|service| {
        let mut log = store.map(|store| kept(store, &observed.project, &service.name)).unwrap_or_default();
        if let Some(containers) = service.containers.known() {
            log.note(containers, &history.recent_steps, within, now);
        }
        (service.name.clone(), log)
    });
    logs.collect()
}

/// Keeps them where they differ from what is kept.
pub(super) fn keep(store: &Store, project: &str, logs: &BTreeMap<String, RestartLog>) {
    for (service, log) in logs {
        if !log.differs(&kept(store, project, service)) {
            continue;
        }
        if let Ok(text) = serde_json::to_string(log) {
            store.put(SPACE, &key(project, service), &text);
        }
    }
}

fn kept(store: &Store, project: &str, service: &str) -> RestartLog {
    let text = store.get(SPACE, &key(project, service));
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Neither name has a slash.
fn key(project: &str, service: &str) -> String {
    format!("{project}/{service}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::Stability,
        store::testing,
        testing::fixtures::{at, container_mut, desired, healthy},
    };

    #[test]
    fn restarts_are_known_after_a_restart_of_undrift() {
        let (home, store) = testing::store();
        let (desired, history) = (desired(), History::default());
        let (mut seen, churn) = (healthy(), desired.object.spec.reconcile.churn);
        for hour in 0..3 {
            let container = container_mut(&mut seen.services[0]);
            container.created_at = Some(at(0));
            container.started_at = Some(at(hour * 3_600));
            let logs = read(Some(&store), &desired, &seen, &history, at(hour * 3_600 + 60));
            keep(&store, &seen.project, &logs);
        }
        drop(store);
        let store = Store::open(home.path(), "test".into()).unwrap();
        let now = at(4 * 3_600);
        let name = seen.services[0].name.clone();
        let said = |store, seen: &ProjectObservation| {
            let logs = read(store, &desired, seen, &history, now);
            logs[&name].stability(seen.services[0].containers.known().unwrap(), churn, now)
        };
        assert_eq!(said(Some(&store), &seen), Some(Stability::Stable(2)));
        assert_eq!(said(None, &seen), Some(Stability::Stable(0)), "one observation alone does not show them");
        let mut unknown = seen.clone();
        unknown.services[0].containers = crate::api::Fact::unknown("no answer");
        keep(&store, &seen.project, &read(Some(&store), &desired, &unknown, &history, now));
        assert_eq!(
            said(Some(&store), &seen),
            Some(Stability::Stable(2)),
            "what is not known is not forgotten"
        );
    }
}
