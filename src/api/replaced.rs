//! The evidence kept of a container before a step may remove it.

use serde::{Deserialize, Serialize};

use super::{ContainerState, Time};

/// A container just before a step that may replace it: its exit, and the last lines that it printed. Both are lost with the
/// container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastWords {
    /// The Compose service.
    pub service: String,
    /// The container's name.
    pub container: String,
    /// The engine's ID, whole.
    pub id: String,
    /// The image it was created from (`sha256:…`).
    pub image_id: String,
    /// Running, exited and so on.
    pub state: ContainerState,
    /// The exit code of its last run, if it does not run.
    pub exit_code: Option<i64>,
    /// The signal that ended it, if the code indicates one: 9 for 137.
    pub signal: Option<i64>,
    /// Whether the kernel ended it because memory ran out.
    pub oom_killed: bool,
    /// The engine's message about its last start or end, if any.
    pub error: Option<String>,
    /// How often the engine's restart policy restarted it.
    pub restart_count: i64,
    /// The last start.
    pub started_at: Option<Time>,
    /// The last end.
    pub finished_at: Option<Time>,
    /// The last lines of both of its streams, oldest first: at most 50 lines and 8 KiB, secrets masked.
    pub output: Vec<String>,
    /// Why there is no output, if it could not be read: a log driver that keeps nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_unknown: Option<String>,
}

impl LastWords {
    /// Its state or exit, in words: `exited with code 137 (signal 9, out of memory)`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let state = self.state.as_str();
        let code = self.exit_code.map(|code| format!(" with code {code}")).unwrap_or_default();
        let signal = self.signal.map(|signal| format!("signal {signal}"));
        let memory = self.oom_killed.then(|| "out of memory".to_owned());
        let why: Vec<String> = signal.into_iter().chain(memory).chain(self.error.clone()).collect();
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) };
        format!("{state}{code}{why}")
    }

    /// Whether it had failed: it does not run, and did not end well.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.oom_killed || self.error.is_some() || self.exit_code.is_some_and(|code| code != 0)
    }
}

/// The signal that ended a process with this exit code, by the convention that a shell and the engine share: 128 and the
/// signal's number.
#[must_use]
pub const fn signal_of(exit_code: i64) -> Option<i64> {
    if exit_code > 128 && exit_code <= 128 + 64 { Some(exit_code - 128) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_container_is_described_with_code_signal_and_cause() {
        let ended = |state, exit_code: Option<i64>, oom_killed, error: Option<&str>| LastWords {
            service: "api".into(),
            container: "shop-api-1".into(),
            id: "0123".into(),
            image_id: "sha256:4".into(),
            state,
            exit_code,
            signal: exit_code.and_then(signal_of),
            oom_killed,
            error: error.map(str::to_owned),
            restart_count: 0,
            started_at: None,
            finished_at: None,
            output: vec![],
            output_unknown: None,
        };
        let running = ended(ContainerState::Running, None, false, None);
        assert_eq!((running.in_words().as_str(), running.has_failed()), ("running", false));
        let done = ended(ContainerState::Exited, Some(0), false, None);
        assert_eq!((done.in_words().as_str(), done.has_failed()), ("exited with code 0", false));
        let fatal = ended(ContainerState::Restarting, Some(3), false, None);
        assert_eq!((fatal.in_words().as_str(), fatal.has_failed()), ("restarting with code 3", true));
        let killed = ended(ContainerState::Exited, Some(137), true, None).in_words();
        assert_eq!(killed, "exited with code 137 (signal 9, out of memory)");
        let never = ended(ContainerState::Created, Some(127), false, Some("no such file")).in_words();
        assert_eq!(never, "created with code 127 (no such file)");
    }
}
