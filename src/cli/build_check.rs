//! `check --build`: the builds of all objects, one after the other, with progress for whoever waits.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{Failure, machine::Machine, progress::ProgressPrinter};
use crate::{
    api::{Desired, Event, Step},
    host::{BuildCheckProgress, BuildCheckRequest, CheckedBuild, Host},
    reconcile::{self, ReconcileError},
    store::{LockState, Store},
};

/// How often undrift looks whether another undrift still builds.
const LOOK: Duration = Duration::from_millis(500);

/// The answers by object, or why there are none.
type Answers = BTreeMap<String, Result<Vec<CheckedBuild>, ReconcileError>>;

/// The builds of one run.
pub(super) struct BuildChecks<'a> {
    dir: &'a Path,
    store: Option<&'a Store>,
    printer: Mutex<ProgressPrinter>,
    is_forgotten: bool,
}

impl<'a> BuildChecks<'a> {
    pub(super) const fn new(dir: &'a Path, store: Option<&'a Store>, printer: ProgressPrinter) -> Self {
        Self { dir, store, printer: Mutex::new(printer), is_forgotten: false }
    }

    /// Whether an answer could not be remembered.
    pub(super) const fn is_forgotten(&self) -> bool {
        self.is_forgotten
    }

    /// Builds and compares the services of these objects, and remembers the answers.
    ///
    /// # Errors
    /// [`Failure::Refused`] if the user interrupts it; nothing of a build is left then.
    pub(super) async fn check<M: Machine>(
        &mut self,
        machine: &M,
        host: &M::Host,
        all: Vec<&Desired>,
    ) -> Result<Answers, Failure> {
        let cancel = CancellationToken::new();
        let answers = {
            let builds = self.check_all(host, all, &cancel);
            tokio::pin!(builds);
            tokio::select! {
                answers = &mut builds => answers,
                () = machine.interrupted() => {
                    cancel.cancel();
                    // A running build ends, and its image goes.
                    builds.await
                }
            }
        };
        self.printer().end();
        if cancel.is_cancelled() {
            return Err(Failure::Refused("interrupted: nothing of the build is left".into()));
        }
        for (desired, checked) in &answers {
            let Ok(checked) = checked else { continue };
            let remembers = |store: &Store| reconcile::remember_checks(store, desired, checked);
            let has_any = checked.iter().any(|one| one.check.is_lasting());
            self.is_forgotten |= has_any && !self.store.is_some_and(remembers);
        }
        Ok(answers.into_iter().map(|(desired, checked)| (desired.name().to_owned(), checked)).collect())
    }

    async fn check_all<'d>(
        &self,
        host: &impl Host,
        all: Vec<&'d Desired>,
        cancel: &CancellationToken,
    ) -> Vec<(&'d Desired, Result<Vec<CheckedBuild>, ReconcileError>)> {
        let mut answers = Vec::new();
        // One after the other: a build takes all that the machine has.
        for desired in all {
            let waited = cancel.run_until_cancelled(self.wait_for_another(desired)).await;
            if waited.is_none() {
                break;
            }
            let progress = |happens: BuildCheckProgress<'_>| self.print(desired.name(), happens);
            let timeout = desired.object.spec.reconcile.build_timeout.get();
            let request = BuildCheckRequest { timeout, cancel, progress: &progress };
            answers.push((desired, reconcile::check_builds(host, desired, request).await));
        }
        answers
    }

    /// Waits for the build of an undrift that runs on the state, up to the longest that one may take: two at once would be more
    /// than the person has allowed.
    async fn wait_for_another(&self, desired: &Desired) {
        let end = tokio::time::Instant::now() + desired.object.spec.reconcile.build_timeout.get();
        let mut is_said = false;
        while tokio::time::Instant::now() < end {
            let Some(object) = self.builds_now() else { return };
            if !is_said {
                self.printer().remark(desired.name(), &format!("waits: undrift builds {object} now"));
                is_said = true;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The object of which another undrift builds something now.
    fn builds_now(&self) -> Option<String> {
        let open = self.store?.open_intents().ok()?;
        let build = open.into_iter().find(|intent| matches!(intent.step, Step::Build { .. }))?;
        // The intent of a killed one stays open until the next start.
        let runs = matches!(LockState::of(self.dir), LockState::Held(_));
        runs.then(|| build.object.unwrap_or_default())
    }

    fn print(&self, object: &str, happens: BuildCheckProgress<'_>) {
        let mut printer = self.printer();
        match happens {
            BuildCheckProgress::Begins { service } => {
                printer.remark(object, &format!("{service}: builds it under another name, to compare it"));
            }
            BuildCheckProgress::Output { line } => {
                printer.print(object, &Event::Output { line: line.into() });
            }
            BuildCheckProgress::Ends { service, reference, check } => {
                printer.remark(object, &format!("{service}: {}", check.in_words(reference)));
            }
        }
    }

    /// Nothing is half done where a thread panicked with it.
    fn printer(&self) -> MutexGuard<'_, ProgressPrinter> {
        self.printer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That an answer holds for this run only, and why.
pub(super) fn not_remembered(store: Option<&Store>, dir: &Path) -> String {
    let why = match store {
        None => format!("there is no state in {}", dir.display()),
        Some(_) => format!("the state in {} cannot be written", dir.display()),
    };
    format!("what was built is not remembered: {why}")
}
