//! What Compose says when it refuses, as errors. Its own words are passed on; values of the environment are not
//! added to them.

use std::{collections::BTreeSet, io};

use super::command::Finished;
use crate::{
    api::{Desired, StepOutcome},
    files::{self, Hangs},
    host::HostError,
};

/// How Compose's warning about an unset variable ends, in all versions of 2.x. The name stands before it, bare
/// or in quotes, which the log format may have escaped.
const UNSET: &str = " variable is not set";

/// What to do where Compose is not there.
const MEND: &str = "install the docker CLI with its Compose plugin, version 2 \
    (on Debian and Ubuntu docker-compose-plugin, docker-compose-v2 or docker-compose)";

/// How much of Compose's message an error carries, in lines from the end.
const LINES: usize = 12;

/// A command that could not even be started.
pub(super) fn not_started(desired: &Desired, error: &io::Error) -> HostError {
    let directory = desired.directory.display().to_string();
    if Hangs::is_why(error) {
        return HostError::FileHangs(error.to_string());
    }
    if !files::is_dir(&desired.directory) {
        return HostError::ComposeRefused { directory, cause: "there is no such directory".into() };
    }
    match error.kind() {
        io::ErrorKind::NotFound => {
            HostError::ComposeMissing(format!("there is no `docker` on the PATH; {MEND}"))
        }
        _ => HostError::ComposeMissing(format!("`docker` cannot be started ({error}); {MEND}")),
    }
}

/// A command that ran, as an error where it did not end well.
pub(super) fn check(desired: &Desired, finished: &Finished) -> Result<(), HostError> {
    let directory = || desired.directory.display().to_string();
    let variables = unset_variables(&finished.output);
    if !variables.is_empty() {
        return Err(HostError::UnsetVariables { directory: directory(), variables });
    }
    match finished.outcome {
        StepOutcome::Succeeded => Ok(()),
        StepOutcome::Failed if is_no_compose(&finished.output) => {
            Err(HostError::ComposeMissing(format!("`docker compose` is not a command here; {MEND}")))
        }
        StepOutcome::Failed => {
            Err(HostError::ComposeRefused { directory: directory(), cause: message(finished) })
        }
        _ => Err(HostError::Engine {
            action: "resolve the Compose files".into(),
            cause: format!("docker compose config did not end within {:.0?}", finished.duration),
        }),
    }
}

/// What a docker CLI without the plugin says: it takes Compose's options and verbs for its own.
fn is_no_compose(output: &str) -> bool {
    ["is not a docker command", "unknown command: docker compose"].iter().any(|text| output.contains(text))
        || (output.contains("unknown") && output.contains("Usage:  docker [OPTIONS]"))
}

/// What Compose says without its warnings.
pub(super) fn message(finished: &Finished) -> String {
    let lines: Vec<&str> = finished.output.lines().filter(|line| !is_warning(line)).collect();
    if lines.is_empty() {
        return match finished.exit_code {
            Some(code) => format!("exit code {code}, and no word about it"),
            None => "ended by a signal".into(),
        };
    }
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// A line of Compose's log, which is no part of an error.
pub(super) fn is_warning(line: &str) -> bool {
    line.starts_with("time=") && line.contains("level=") || line.starts_with("WARN[")
}

/// The variables that Compose warns of, each once, sorted.
fn unset_variables(output: &str) -> Vec<String> {
    let names: BTreeSet<String> = output.lines().filter_map(unset_variable).collect();
    names.into_iter().collect()
}

fn unset_variable(line: &str) -> Option<String> {
    let (before, _) = line.split_once(UNSET)?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = before.trim_end_matches(|c| !is_name(c)).rsplit(|c| !is_name(c)).next()?;
    (!name.is_empty() && is_warning(line)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::test_support::desired, *};

    fn finished(outcome: StepOutcome, output: &str) -> Finished {
        Finished {
            outcome,
            exit_code: Some(1),
            output: output.into(),
            stdout: vec![],
            duration: Duration::from_secs(30),
        }
    }

    fn error(outcome: StepOutcome, output: &str) -> HostError {
        check(&desired("/", &["api"]), &finished(outcome, output)).unwrap_err()
    }

    #[test]
    fn names_unset_variables_in_every_wording_once() {
        let output = r#"
time="2026-01-01T00:00:00Z" level=warning msg="The \"BAR\" variable is not set. Defaulting to a blank string."
time="2026-01-01T00:00:00Z" level=warning msg="The \"BAR\" variable is not set. Defaulting to a blank string."
time="2026-01-01T00:00:00Z" level=warning msg="\"FOO_2\" variable is not set. Defaulting to a blank string."
time="2026-01-01T00:00:00Z" level=warning msg="The ZED variable is not set. Defaulting to a blank string."
WARN[0000] The "OLD" variable is not set. Defaulting to a blank string.
time="2026-01-01T00:00:00Z" level=warning msg="the attribute `version` is obsolete"
an error: a variable is not set"#;
        assert_eq!(unset_variables(output), ["BAR", "FOO_2", "OLD", "ZED"]);
        let error = error(StepOutcome::Succeeded, output);
        assert!(matches!(error, HostError::UnsetVariables { .. }), "{error}");
    }

    #[test]
    fn tells_a_missing_plugin_from_a_refused_project() {
        for output in [
            "unknown flag: --format\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n",
            "docker: 'compose' is not a docker command.\nSee 'docker --help'",
            "docker: unknown command: docker compose\n",
        ] {
            let error = error(StepOutcome::Failed, output);
            assert!(matches!(error, HostError::ComposeMissing(_)), "{error}");
        }
        let warning = "time=\"x\" level=warning msg=\"whatever\"\n";
        let refused = error(StepOutcome::Failed, &format!("{warning}yaml: line 3: did not find it"));
        assert!(refused.to_string().ends_with("yaml: line 3: did not find it"), "{refused}");
        assert!(!refused.to_string().contains("whatever"));
        assert!(matches!(refused, HostError::ComposeRefused { .. }));
    }

    #[test]
    fn a_timeout_can_pass_by_itself() {
        assert!(error(StepOutcome::TimedOut, "").is_transient());
    }
}
