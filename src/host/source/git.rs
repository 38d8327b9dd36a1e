//! The git work tree of the project directory, by one call of git.

use std::{io, path::Path, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    api::{Fact, GitState, StepOutcome},
    files::{self, Hangs},
    host::{
        process::{Environment, Finished, Invocation, command},
        redact::Redactor,
    },
};

/// How long git may take. Without an answer the state is unknown, and nothing depends on it.
const LIMIT: Duration = Duration::from_secs(2);

/// How long git may then take to end.
const GRACE: Duration = Duration::from_millis(500);

/// Variables that would point git at a repository other than the directory's.
const STRAYING: [&str; 5] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"];

/// The revision, and whether anything below the directory differs from it; `Known(None)` if the directory is in no work tree.
/// Takes no lock in the repository, and runs no monitor that the repository configures.
pub async fn git_state(directory: &Path) -> Fact<Option<GitState>> {
    // Most project directories outside a work tree are recognized without a process.
    let at = directory.to_owned();
    match files::looked(move || may_be_in_a_work_tree(&at)).await {
        Ok(true) => {}
        Ok(false) => return Fact::Known(None),
        Err(hangs) => return Fact::unknown(hangs.to_string()),
    }
    let env = STRAYING.iter().fold(Environment::of_this_process(), |env, name| env.without(name));
    let env = env.with("LC_ALL", "C").with("GIT_TERMINAL_PROMPT", "0").with("GIT_OPTIONAL_LOCKS", "0");
    match status(directory, &env).await {
        Ok(finished) => read(&finished),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Fact::unknown("git is not installed"),
        Err(error) => Fact::unknown(format!("git could not be started: {error}")),
    }
}

fn may_be_in_a_work_tree(directory: &Path) -> bool {
    let absolute = files::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let mut marks = absolute.ancestors().map(|folder| files::metadata(&folder.join(".git")));
    // A path that does not respond may be one.
    marks.any(|mark| mark.is_ok() || mark.is_err_and(|error| Hangs::is_why(&error)))
}

async fn status(directory: &Path, env: &Environment) -> io::Result<Finished> {
    let mut argv = vec!["git".to_owned()];
    argv.extend(["--no-optional-locks", "-c", "core.fsmonitor=false", "-C", "."].map(str::to_owned));
    let status = ["status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", "."];
    argv.extend(status.map(str::to_owned));
    command::run(Invocation {
        argv: &argv,
        directory,
        env,
        limit: LIMIT,
        grace: GRACE,
        cancel: &CancellationToken::new(),
        progress: &|_| {},
        hold: None,
        keep_stdout: true,
    })
    .await
}

/// Reads `git status --porcelain=v2 --branch`: headers begin with `#`, every other line is a difference.
fn read(finished: &Finished) -> Fact<Option<GitState>> {
    match finished.outcome {
        StepOutcome::Succeeded => {}
        StepOutcome::Failed
            if ["not a git repository", "must be run in a work tree"]
                .iter()
                .any(|text| finished.output.contains(text)) =>
        {
            return Fact::Known(None);
        }
        StepOutcome::Failed => {
            let reason = finished.output.lines().next().unwrap_or("no word about it");
            let reason = without_values(reason.trim_start_matches("fatal: "));
            return Fact::unknown(format!("git refused: {}", Redactor::of_this_process().line(&reason)));
        }
        _ => return Fact::unknown("git did not answer in time"),
    }
    let stdout = String::from_utf8_lossy(&finished.stdout);
    let revision = stdout.lines().find_map(|line| line.strip_prefix("# branch.oid "));
    match revision {
        Some(revision) => Fact::Known(Some(GitState {
            revision: Some(revision.to_owned()).filter(|revision| revision != "(initial)"),
            dirty: stdout.lines().any(|line| !line.starts_with('#')),
        })),
        None => Fact::unknown("git did not name a revision"),
    }
}

/// A line without git's quotes, except for paths: git also quotes values of its configuration.
fn without_values(line: &str) -> String {
    let mut parts = line.split('\'').enumerate().map(|(index, part)| {
        let is_quoted = index % 2 == 1;
        if is_quoted && !part.starts_with('/') { "…" } else { part }
    });
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |line, part| format!("{line}'{part}"))
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    fn git(directory: &Path, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]);
        let output = command.current_dir(directory).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    async fn state(directory: &Path) -> GitState {
        git_state(directory).await.known().unwrap().clone().unwrap()
    }

    #[tokio::test]
    async fn tells_revision_and_dirt_below_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(git_state(root).await, Fact::Known(None), "no work tree");
        fs::create_dir(root.join("app")).unwrap();
        fs::write(root.join("app/a"), "1").unwrap();
        git(root, &["init", "-q"]);
        let app = root.join("app");
        assert_eq!(state(&app).await, GitState { revision: None, dirty: true }, "before the first commit");
        git(root, &["add", "."]);
        git(root, &["commit", "-qm", "one"]);
        let clean = state(&app).await;
        assert!(!clean.dirty && clean.revision.as_ref().is_some_and(|oid| oid.len() == 40), "{clean:?}");
        fs::write(root.join("beside"), "").unwrap();
        assert!(!state(&app).await.dirty, "what lies beside the project does not count");
        fs::write(app.join("new"), "").unwrap();
        assert!(state(&app).await.dirty, "an untracked file");
        git(root, &["add", "."]);
        git(root, &["commit", "-qm", "two"]);
        fs::write(app.join("a"), "2").unwrap();
        let dirty = state(&app).await;
        assert!(dirty.dirty && dirty.revision != clean.revision, "{dirty:?}");
    }

    #[test]
    fn what_git_quotes_of_its_configuration_is_not_told() {
        for (line, expected) in [
            ("bad boolean config value 'hunter2' for 'core.bare'", "bad boolean config value '…' for '…'"),
            (
                "detected dubious ownership in repository at '/srv/shop'",
                "detected dubious ownership in repository at '/srv/shop'",
            ),
            ("bad config line 1 in file .git/config", "bad config line 1 in file .git/config"),
        ] {
            assert_eq!(without_values(line), expected);
        }
    }

    #[tokio::test]
    async fn a_repository_that_git_refuses_is_unknown_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".git")).unwrap();
        assert_eq!(git_state(folder.path()).await, Fact::Known(None), "an empty .git is no repository");
        git(folder.path(), &["init", "-q"]);
        fs::write(folder.path().join(".git/config"), "[broken").unwrap();
        let state = git_state(folder.path()).await;
        assert!(state.why_unknown().is_some_and(|why| why.contains("config")), "{state:?}");
    }
}
