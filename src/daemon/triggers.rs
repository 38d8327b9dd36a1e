//! Translates possible changes into the names of objects. Decides nothing.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _};

use super::reconciler::DaemonContext;
use crate::{
    api::Desired,
    causes::with_causes,
    host::{Host, engine::Change},
    reconcile::{ReconcileError, deregister, in_full, register},
    runtime::debounce,
};

/// A burst of the engine's events is over after this long without one: an `up` is a dozen of them.
const QUIET: Duration = Duration::from_millis(100);
/// An endless burst is acted on after this.
const LATEST: Duration = Duration::from_secs(1);

/// How often to read invalid manifests again. A fault may disappear without an edit: a project directory that is mounted
/// late.
const FAULT_RECHECK: Duration = Duration::from_secs(30);

/// Why an object in the state is not managed.
pub(super) const NOT_DECLARED: &str =
    "no manifest that undrift was started with declares it; it is left as it is";

impl<H: Host + 'static> DaemonContext<H> {
    /// Queues the objects that a change may concern, for as long as there are changes.
    pub(super) async fn follow(self: Arc<Self>, changes: impl Stream<Item = Change> + Send) {
        let mut changes = std::pin::pin!(debounce(changes, QUIET, LATEST));
        while let Some(change) = changes.next().await {
            let all = self.objects.names();
            let meant = match &change {
                Change::Everything => all,
                Change::Project(project) => self.sessions.of_project(all, project),
                Change::Image(reference) => self.sessions.of_image(all, reference),
            };
            if !meant.is_empty() {
                tracing::debug!(?change, objects = ?meant, "may have changed");
            }
            self.queue.add_all(meant);
        }
    }

    /// Reads the manifests again whenever they may have changed.
    pub(super) async fn read_again(self: Arc<Self>, edits: impl Stream<Item = ()> + Send) {
        let mut edits = std::pin::pin!(edits);
        loop {
            match tokio::time::timeout(FAULT_RECHECK, edits.next()).await {
                Ok(Some(())) => self.reload().await,
                Ok(None) => return,
                Err(_) if self.objects.has_faults() || !self.objects.undeclared().is_empty() => {
                    self.reload().await;
                }
                Err(_) => {}
            }
        }
    }

    /// Reads the manifests, and has every object observed whose declaration changed.
    ///
    /// On a file system that hangs it hangs, and with it every later reload; everything else continues with the last version
    /// read.
    pub(super) async fn reload(self: &Arc<Self>) {
        let reading = Arc::clone(&self.reading).lock_owned().await;
        let shared = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            shared.reload_now();
            drop(reading);
        });
        if let Err(error) = read.await {
            let error = with_causes(&error);
            tracing::error!(%error, "the manifests were not read");
        }
    }

    fn reload_now(&self) {
        let reloaded = self.objects.reload();
        for fault in &reloaded.new_faults {
            tracing::warn!(manifest = fault, "not valid, and not in effect");
        }
        self.keep_declared();
        for desired in &reloaded.changed {
            if desired.superseded_by.is_none() {
                tracing::info!(object = desired.name(), manifest = desired.manifest, "declared");
            } else {
                tracing::info!(object = desired.name(), "goes on as it was declared before");
            }
            self.objects.add_pending_registration(desired.name());
            self.sessions.refresh(desired.name());
            self.queue.add(desired.name());
        }
        for desired in &reloaded.removed {
            tracing::info!(object = desired.name(), "no longer declared: it is left as it is");
            self.subscribers.disconnect(Some(desired.name()));
            self.queue.add(desired.name());
        }
        for name in self.objects.undeclared() {
            if self.deregister_object(&name, NOT_DECLARED) {
                self.objects.confirm_undeclared(&name);
            }
        }
    }

    /// Records at once the declarations, and which manifests are not in effect: the status follows only at the end of a
    /// reconcile, which may be a build away.
    pub(super) fn keep_declared(&self) {
        for desired in self.objects.all() {
            let fault = desired.superseded_by.as_deref();
            let kept = self.store.keep_manifest_fault(desired.name(), fault).and_then(|()| match fault {
                None => self.store.keep_declaration(&desired),
                Some(_) => Ok(()),
            });
            if let Err(error) = kept {
                let error = self.store.in_full(&error);
                tracing::error!(object = desired.name(), %error, "how it is declared could not be recorded");
            }
        }
    }

    /// Deregisters an object that is no longer declared; returns whether nothing is left to report of it. Do not call this
    /// during a reconcile of the object, which would write last.
    pub(super) fn finish_removal(&self, name: &str) -> bool {
        let Some(desired) = self.objects.pending_removal(name) else { return true };
        self.sessions.forget(name);
        self.sources.forget(name);
        self.readiness.forget(name);
        let why = format!("its manifest {} is gone; it is left as it is", desired.manifest);
        let is_recorded = self.deregister_object(name, &why);
        if is_recorded {
            self.objects.confirm_removal(&desired);
        }
        is_recorded
    }

    /// Records that an object is no longer managed; returns whether it succeeded. Until then its last status stands, which
    /// may look healthy.
    fn deregister_object(&self, name: &str, why: &str) -> bool {
        let ended = deregister(&self.store, name, why, self.store.now());
        if let Err(error) = &ended {
            let error = in_full(&self.store, error);
            tracing::error!(object = name, %error, "the end of the watch could not be recorded");
        }
        ended.is_ok()
    }

    /// Records that a newly declared object is managed again, before its first reconcile. A reconcile before that would
    /// replace the status that reports it as not managed.
    ///
    /// # Errors
    /// If the state folder fails.
    pub(super) fn register_added(&self, desired: &Desired) -> Result<(), ReconcileError> {
        let name = desired.name();
        if self.objects.is_pending_registration(name) {
            register(&self.store, name, &desired.manifest)?;
            self.objects.confirm_registration(name);
        }
        Ok(())
    }
}
