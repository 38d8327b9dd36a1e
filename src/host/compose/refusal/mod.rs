//! Compose's refusals, as errors: the object and place of a refusal, without the values that Compose quotes ([`passed`]).

mod passed;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use super::{inputs::ComposeInputs, scan};
use crate::{
    api::{Desired, StepOutcome},
    files::{self, Hangs},
    host::{
        HostError,
        process::{Environment, Finished},
    },
};
pub(super) use passed::Passed;

/// The end of Compose's warning about an unset variable, in all versions of 2.x. The name precedes it, bare or in quotes, which
/// the log format may have escaped.
const UNSET: &str = " variable is not set";

/// The help for a missing Compose.
const HELP: &str = "install the docker CLI with its Compose plugin, version 2 \
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
            HostError::ComposeMissing(format!("there is no `docker` on the PATH; {HELP}"))
        }
        _ => HostError::ComposeMissing(format!("`docker` cannot be started ({error}); {HELP}")),
    }
}

/// A command that ran, as an error if it failed.
pub(super) fn check(desired: &Desired, env: &Environment, finished: &Finished) -> Result<(), HostError> {
    let directory = || desired.directory.display().to_string();
    let unset = unset_variables(&finished.output);
    if !unset.is_empty() {
        let (variables, dollars) = named_variables(desired, env, unset);
        return Err(HostError::UnsetVariables { directory: directory(), variables, dollars });
    }
    match finished.outcome {
        StepOutcome::Succeeded => Ok(()),
        StepOutcome::Failed if is_no_compose(&finished.output) => {
            Err(HostError::ComposeMissing(format!("`docker compose` is not a command here; {HELP}")))
        }
        StepOutcome::Failed => {
            let text = message(&Passed::of(desired, env), finished);
            let cause = with_circles(&ComposeInputs::circles(desired, env), text);
            Err(HostError::ComposeRefused { directory: directory(), cause })
        }
        _ => Err(HostError::Engine {
            action: "resolve the Compose files".into(),
            cause: format!(
                "docker compose config did not end within {:.0?}: a file that it reads may be a pipe, or on a file system that \
                 hangs",
                finished.duration
            ),
        }),
    }
}

/// Compose's message, after the files whose symbolic links form a loop: some versions report such a file as missing.
fn with_circles(circles: &BTreeSet<PathBuf>, text: String) -> String {
    let found = circles.iter().map(|path| format!("{}: too many levels of symbolic links", path.display()));
    let mut all: Vec<String> = found.filter(|found| !text.contains(found.as_str())).collect();
    all.push(text);
    all.join("; ")
}

/// Whether this is the output of a docker CLI without the plugin: it takes Compose's options and verbs for its own.
fn is_no_compose(output: &str) -> bool {
    ["is not a docker command", "unknown command: docker compose"].iter().any(|text| output.contains(text))
        || (output.contains("unknown") && output.contains("Usage:  docker [OPTIONS]"))
}

/// Compose's message without its warnings, and without possible values.
pub(super) fn message(passed: &Passed, finished: &Finished) -> String {
    let lines: Vec<&str> = finished.output.lines().filter(|line| !is_warning(line)).collect();
    if lines.is_empty() {
        return match finished.exit_code {
            Some(code) => format!("exit code {code}, without a message"),
            None => "ended by a signal".into(),
        };
    }
    let text = passed.text(&lines[lines.len().saturating_sub(LINES)..].join("\n"));
    // The output of a wrapper, or of a future Compose.
    if text.is_empty() {
        "its output may hold values of the files, and is not passed on".into()
    } else {
        text
    }
}

/// The variables whose names may be shown, and the positions of dollar signs that start none: a dollar sign in a password must
/// be doubled, and the text after it is a part of the password.
fn named_variables(desired: &Desired, env: &Environment, unset: Vec<String>) -> (Vec<String>, Vec<String>) {
    let files = ComposeInputs::known_files(desired, env);
    let texts: Vec<(&Path, String)> =
        files.iter().filter_map(|path| Some((path.as_path(), scan::read_text(path).ok()?))).collect();
    let uses: Vec<(&Path, scan::Use<'_>)> = texts
        .iter()
        .flat_map(|(path, text)| scan::uses(text).into_iter().map(|found| (*path, found)))
        .collect();
    // A name that is in no known file is shown if it looks like a variable.
    let is_named = |name: &String| {
        let mut all = uses.iter().filter(|(_, found)| found.name == name).peekable();
        all.peek().is_none() && scan::is_in_capitals(name) || all.any(|(_, found)| found.is_named)
    };
    let (variables, others): (Vec<String>, Vec<String>) = unset.into_iter().partition(is_named);
    let place = |path: &Path, line: usize| {
        let path = path.strip_prefix(&desired.directory).unwrap_or(path);
        format!("{}:{line}", path.display())
    };
    let of_others = uses.iter().filter(|(_, found)| others.iter().any(|name| name == found.name));
    let dollars: BTreeSet<String> = of_others.map(|(path, found)| place(path, found.line)).collect();
    if dollars.is_empty() && variables.is_empty() {
        return (variables, vec!["a file that is not known".into()]);
    }
    (variables, dollars.into_iter().collect())
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
        check(&desired("/", &["api"]), &Environment::default(), &finished(outcome, output)).unwrap_err()
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
    fn a_missing_plugin_is_distinguished_from_a_refused_project() {
        for output in [
            "unknown flag: --format\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n",
            "docker: 'compose' is not a docker command.\nSee 'docker --help'",
            "docker: unknown command: docker compose\n",
        ] {
            let error = error(StepOutcome::Failed, output);
            assert!(matches!(error, HostError::ComposeMissing(_)), "{error}");
        }
        let warning = "time=\"x\" level=warning msg=\"whatever\"\n";
        let refused =
            error(StepOutcome::Failed, &format!("{warning}yaml: line 3: did not find expected key"));
        assert!(refused.to_string().ends_with("yaml: line 3: did not find expected key"), "{refused}");
        assert!(!refused.to_string().contains("whatever"));
        assert!(matches!(refused, HostError::ComposeRefused { .. }));
    }

    #[test]
    fn what_follows_a_dollar_sign_in_a_password_is_hidden_and_its_place_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            (
                "compose.yaml",
                "services:\n  api:\n    image: x:${tag}\n    environment:\n      DB_PASSWORD: ab$hunter2\n",
            ),
            (".env", "OTHER_TOKEN=$hunter3\n"),
        ];
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let warning = |name: &str| {
            format!("time=\"x\" level=warning msg=\"The \\\"{name}\\\" variable is not set.\"\n")
        };
        let desired = desired(folder.path().to_str().unwrap(), &["api"]);
        let of = |names: &[&str]| {
            let output: String = names.iter().map(|name| warning(name)).collect();
            check(&desired, &Environment::default(), &finished(StepOutcome::Succeeded, &output)).unwrap_err()
        };
        let error = of(&["tag", "hunter2", "hunter3"]).to_string();
        assert!(error.contains("not set: tag; they have a $ "), "{error}");
        assert!(error.ends_with(": .env:1, compose.yaml:5") && !error.contains("hunter"), "{error}");
        let error = of(&["hunter2"]);
        assert!(error.next().unwrap().starts_with("write $$ "), "{error}");
        assert!(
            !of(&["hunter9"]).to_string().contains("hunter9"),
            "and what stands in no file that is known"
        );
    }

    #[test]
    fn a_file_behind_a_circle_of_links_is_named_whatever_compose_prints() {
        for (compose, circle) in [
            ("include: [part.yaml]\nservices: {api: {image: x}}\n", "part.yaml"),
            ("services: {api: {extends: {file: base/web.yaml, service: web}}}\n", "base/web.yaml"),
            ("services: {api: {image: x, env_file: [a.env]}}\n", "a.env"),
            // Also after a part that cannot be parsed.
            ("services: {api: {image: x, env_file: ['$WHERE.env', a.env]}}\n", "a.env"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("compose.yaml"), compose).unwrap();
            let path = folder.path().join(circle);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(path.file_name().unwrap(), &path).unwrap();
            let desired = desired(folder.path().to_str().unwrap(), &["api"]);
            let expected = format!("{}: too many levels of symbolic links", path.display());
            for text in [format!("open {expected}"), "invalid compose project".into()] {
                let finished = finished(StepOutcome::Failed, &text);
                let error = check(&desired, &Environment::default(), &finished).unwrap_err().to_string();
                assert_eq!(error.matches(&expected).count(), 1, "{compose}: {error}");
            }
        }
    }

    #[test]
    fn a_timeout_is_transient() {
        assert!(error(StepOutcome::TimedOut, "").is_transient());
    }
}
