//! From what may have changed to the names of objects. Nothing is decided here.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _};

use super::reconciler::Shared;
use crate::{
    api::{AuditKind, ConditionStatus, ConditionType, Desired, IncidentOutcome, NewRecord},
    host::{Host, engine::Change},
    reconcile::now,
    runtime::debounce,
    store::StoreError,
};

/// A burst of the engine's events is over after this long without one: an `up` is a dozen of them.
const QUIET: Duration = Duration::from_millis(100);
/// One without end is acted on after this.
const LATEST: Duration = Duration::from_secs(1);

impl<H: Host + 'static> Shared<H> {
    /// Names the objects that a change may concern, for as long as there are changes.
    pub(super) async fn follow(self: Arc<Self>, changes: impl Stream<Item = Change> + Send) {
        let mut changes = std::pin::pin!(debounce(changes, QUIET, LATEST));
        while let Some(change) = changes.next().await {
            let all = self.objects.names();
            let meant = match &change {
                Change::Everything => all,
                Change::Project(project) => self.memory.of_project(all, project),
                Change::Image(reference) => self.memory.of_image(all, reference),
            };
            if !meant.is_empty() {
                tracing::debug!(?change, objects = ?meant, "may have changed");
            }
            self.keys.name_all(meant);
        }
    }

    /// Reads the manifests again whenever something says so.
    pub(super) async fn read_again(self: Arc<Self>, edits: impl Stream<Item = ()> + Send) {
        let mut edits = std::pin::pin!(edits);
        while let Some(()) = edits.next().await {
            self.reload();
        }
    }

    /// Reads the manifests, and has every object looked at whose declaration is another now.
    pub(super) fn reload(&self) {
        let reloaded = self.objects.reload();
        for error in &reloaded.errors {
            tracing::warn!(manifest = %error.in_a_line(), "not valid, and not in effect");
        }
        for desired in &reloaded.changed {
            tracing::info!(object = desired.name(), manifest = desired.manifest, "declared");
            self.memory.refresh(desired.name());
            self.keys.name(desired.name());
        }
        for desired in &reloaded.removed {
            tracing::info!(object = desired.name(), "no longer declared: it is left as it is");
            self.waiters.dismiss(Some(desired.name()));
            self.keys.name(desired.name());
        }
    }

    /// Ends the watch of an object that is no longer declared. Not to be called while a turn is at work on it, which
    /// would have the last word.
    pub(super) fn part_from(&self, name: &str) {
        let Some(desired) = self.objects.take_removed(name) else { return };
        self.memory.forget(name);
        self.readiness.observed(name);
        if let Err(error) = self.no_longer_watched(&desired) {
            tracing::error!(object = name, %error, "the end of the watch could not be recorded");
        }
    }

    /// The trail and the status say that nobody looks any more. No container is touched.
    fn no_longer_watched(&self, desired: &Desired) -> Result<(), StoreError> {
        let (name, now) = (desired.name(), now());
        let record =
            |kind, evidence| NewRecord { object: Some(name.into()), evidence, ..NewRecord::of(kind) };
        let evidence = serde_json::json!({ "removed": true, "manifest": desired.manifest });
        self.store.append(&record(AuditKind::ManifestChanged, evidence))?;
        if let Some(incident) = self.store.current_incident(name)? {
            let evidence = serde_json::json!({
                "reason": NOT_WATCHED, "message": "its manifest was removed before it was reconciled",
            });
            let stalled = record(AuditKind::Stalled, evidence);
            self.store.append(&NewRecord {
                incident: Some(incident.id.clone()),
                outcome: Some(IncidentOutcome::Stalled.to_string()),
                ..stalled
            })?;
            self.store.close_incident(&incident.id, now, IncidentOutcome::Stalled, None)?;
        }
        if let Some(mut object) = self.store.object(name)? {
            for condition in &mut object.status.conditions {
                let status = match condition.kind {
                    ConditionType::Ready => ConditionStatus::Unknown,
                    _ => ConditionStatus::False,
                };
                if condition.status != status {
                    condition.last_transition_time = now;
                }
                condition.status = status;
                NOT_WATCHED.clone_into(&mut condition.reason);
                condition.message = format!("its manifest {} is gone; it is left as it is", desired.manifest);
            }
            object.status.plan.clear();
            self.store.save_object(&object)?;
        }
        Ok(())
    }
}

/// The reason of an object whose manifest was removed.
const NOT_WATCHED: &str = "NotWatched";
