//! `undrift doctor`: examines everything that undrift depends on, with help for each fault.
//!
//! Each group reads first and judges then; judging is pure. Nothing is changed: doctor creates no state folder, and its
//! tests in an existing one leave nothing behind. The command line prints the report.
//!
//! | file | examines |
//! | --- | --- |
//! | `engine` | the engine: its address, whether it answers, its API |
//! | `compose` | Docker Compose and buildx |
//! | `gate` | the gate for observations |
//! | `state` | the state folder: rights, space, schema, lock, trail |
//! | `place` | the file system that it is on |
//! | `objects` | the recorded objects: whether a daemon observes them, and the age of the last observation |
//! | `clock` | this host's clock, beside the engine's and the trail's |
//! | `manifests` | the manifests of `-f`, and how many folders can be watched |

mod clock;
mod compose;
mod engine;
mod gate;
mod manifests;
mod objects;
mod place;
mod state;
#[cfg(test)]
pub(crate) mod testing;
mod tool;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use serde::Serialize;

use crate::{api::API_VERSION, reconcile};

/// How long examining files may take: longer than one access on an unreachable network file system takes to be given up, so
/// that it is named.
const FILES_LIMIT: Duration = Duration::from_secs(12);

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// It is in order.
    Ok,
    /// undrift works, but this may cause trouble later.
    Warning,
    /// undrift does not work.
    Failed,
    /// It could not be determined. This never counts as passed.
    Unknown,
}

/// One thing that was examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What, in `PascalCase`; a contract.
    pub(crate) name: &'static str,
    /// How it ended.
    pub(crate) status: Status,
    /// The finding, as a sentence fragment.
    pub(crate) found: String,
    /// What to do about it: a command if there is one.
    pub(crate) help: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), help: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self { name, status: Status::Warning, found: found.into(), help: Some(help.into()) }
    }

    fn failed(name: &'static str, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self { name, status: Status::Failed, found: found.into(), help: Some(help.into()) }
    }

    fn unknown(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Unknown, found: found.into(), help: None }
    }

    fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// The findings, as `-o json` prints them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DoctorReport {
    api_version: &'static str,
    kind: &'static str,
    /// Whether nothing failed.
    pub(crate) ok: bool,
    /// In the order in which they are printed.
    pub(crate) checks: Vec<Check>,
}

impl DoctorReport {
    fn of(checks: Vec<Check>) -> Self {
        let ok = checks.iter().all(|check| check.status != Status::Failed);
        Self { api_version: API_VERSION, kind: "Doctor", ok, checks }
    }
}

/// Examines everything at once: the state folder, or why there is none, and the manifests of `-f`, if any are given.
pub(crate) async fn examine(dir: Result<PathBuf, String>, files: &[OsString]) -> DoctorReport {
    let start = clock::Reading::now();
    let (engine, compose, gate, state, objects, synchronised, manifests) = tokio::join!(
        engine::read(),
        compose::read(),
        gate::read(),
        state::read(dir.clone()),
        objects::read(dir, reconcile::now()),
        clock::read_synchronised(),
        manifests::read(files),
    );
    let clocks = clock::Clocks {
        synchronised,
        jumped: start.jump(clock::Reading::now()),
        now: reconcile::now(),
        latest_record: state.latest_record(),
        engine: engine.clock,
    };
    let checks = [
        engine::judge(&engine),
        compose::judge(&compose),
        gate::judge(&gate),
        state::judge(&state),
        objects::judge(&objects),
        clock::judge(&clocks),
        manifests::judge(&manifests),
    ];
    DoctorReport::of(checks.concat())
}

/// The result of a blocking call; `None` if it takes longer than [`FILES_LIMIT`].
async fn in_time<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    within(FILES_LIMIT, look).await
}

/// The same with another limit.
async fn within<T: Send + 'static>(limit: Duration, look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let looked = tokio::task::spawn_blocking(look);
    tokio::time::timeout(limit, looked).await.ok()?.ok()
}

#[cfg(test)]
mod tests;
