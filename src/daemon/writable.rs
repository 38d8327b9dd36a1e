//! A state that cannot be written at the start: a full disk, or one that was made read-only after a fault. Both pass, and
//! restarting undrift again and again instead gains nothing.

use std::{error::Error, path::Path, time::Duration};

use sd_notify::NotifyState;

use super::{Signals, readiness::notify};
use crate::{causes::with_causes, store::is_unwritable};

/// The waits between two attempts, doubling.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Creates something in the state folder `dir`, as soon as possible; `None` if the process is asked to end before. Reports the
/// obstacle once, in the log and to the service manager.
///
/// # Errors
/// Errors that do not pass by themselves.
pub(crate) async fn once_writable<T, E: Error + 'static>(
    dir: &Path,
    signals: &mut Signals,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<Option<T>, E> {
    let (mut wait, longest) = WAITS;
    let mut reported = String::new();
    loop {
        let error = match attempt() {
            Err(error) if is_unwritable(&error) => naming(dir, with_causes(&error)),
            made => {
                if !reported.is_empty() && made.is_ok() {
                    tracing::info!("the state can be written again");
                    notify(&[NotifyState::Status("the state can be written again")]);
                }
                return made.map(Some);
            }
        };
        if error != reported {
            tracing::error!(%error, "not ready: the state cannot be written, and is waited for");
            notify(&[NotifyState::Status(&format!(
                "not ready: waits for a state that can be written: {error}"
            ))]);
            reported = error;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(longest),
            signal = signals.end() => {
                tracing::info!(signal, "ended before the state could be written");
                return Ok(None);
            }
        }
    }
}

/// The error with its state folder, if the message does not name it.
fn naming(dir: &Path, error: String) -> String {
    let dir = dir.display().to_string();
    if error.contains(&dir) { error } else { format!("{dir}: {error}") }
}
