//! The git work tree of the project directory, by calls of git.

use std::{io, path::Path, time::Duration};

use tokio_util::sync::CancellationToken;

use super::head::is_commit;

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

/// The same for a question about the history, which git may have to walk through whole. undrift asks it once per commit.
const HISTORY_LIMIT: Duration = Duration::from_secs(30);

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
    let here = [".".to_owned()];
    match status(directory, &here).await {
        Ok(finished) => read(&finished),
        Err(error) => Fact::unknown(not_started(&error)),
    }
}

/// Whether anything at these paths of a directory in a work tree is not committed; anything below it if none is given.
pub async fn is_dirty(directory: &Path, paths: &[String]) -> Fact<bool> {
    let here = [".".to_owned()];
    match status(directory, if paths.is_empty() { &here } else { paths }).await {
        Ok(finished) => read(&finished).map(|state| state.is_some_and(|state| state.dirty)),
        Err(error) => Fact::unknown(not_started(&error)),
    }
}

/// The last commit before `revision`, or itself, that touches one of these paths of a directory; `None` if none does. Without
/// paths, `revision` itself.
///
/// # Errors
/// Why git does not say so, and what to do about it.
pub async fn last_commit(
    directory: &Path,
    revision: &str,
    paths: &[String],
) -> Result<Option<String>, String> {
    let mut arguments = ["rev-list", "--max-count=1", revision, "--"].map(str::to_owned).to_vec();
    arguments.extend_from_slice(paths);
    let finished = run(directory, &arguments, HISTORY_LIMIT).await.map_err(|error| not_started(&error))?;
    match finished.outcome {
        StepOutcome::Succeeded => {
            let id = String::from_utf8_lossy(&finished.stdout).trim().to_owned();
            Ok(Some(id).filter(|id| is_commit(id)))
        }
        StepOutcome::Failed => Err(refused(&finished)),
        _ => Err("git did not answer in time".into()),
    }
}

fn not_started(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        return "git is not installed".into();
    }
    format!("git could not be started: {error}")
}

/// What git says if it does not work in a repository of another user.
const OWNED_BY_ANOTHER: &str = "detected dubious ownership in repository at '";

/// Why git refused, and what to do about it, as far as that is known.
fn refused(finished: &Finished) -> String {
    let reason = finished.output.lines().next().unwrap_or("no word about it");
    let reason = without_values(reason.trim_start_matches("fatal: "));
    let root = reason.split_once(OWNED_BY_ANOTHER).and_then(|(_, rest)| rest.strip_suffix('\''));
    let help = root.map(|root| {
        format!(
            ": another user owns it; if undrift is to run git there, `git config --system --add safe.directory {root}`"
        )
    });
    format!("git refused: {}{}", Redactor::of_this_process().line(&reason), help.unwrap_or_default())
}

fn may_be_in_a_work_tree(directory: &Path) -> bool {
    let absolute = files::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let mut marks = absolute.ancestors().map(|folder| files::metadata(&folder.join(".git")));
    // A path that does not respond may be one.
    marks.any(|mark| mark.is_ok() || mark.is_err_and(|error| Hangs::is_why(&error)))
}

async fn status(directory: &Path, paths: &[String]) -> io::Result<Finished> {
    let status =
        ["status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--"].map(str::to_owned);
    run(directory, &[&status, paths].concat(), LIMIT).await
}

/// Runs git in a directory. Paths are no patterns.
async fn run(directory: &Path, arguments: &[String], limit: Duration) -> io::Result<Finished> {
    let env = STRAYING.iter().fold(Environment::of_this_process(), |env, name| env.without(name));
    let env = env.with("LC_ALL", "C").with("GIT_TERMINAL_PROMPT", "0").with("GIT_OPTIONAL_LOCKS", "0");
    // A partial clone would fetch what it lacks.
    let env = env.with("GIT_NO_LAZY_FETCH", "1");
    let git = ["git", "--no-optional-locks", "--literal-pathspecs", "-c", "core.fsmonitor=false", "-C", "."];
    command::run(Invocation {
        argv: &[&git.map(str::to_owned), arguments].concat(),
        directory,
        env: &env,
        limit,
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
        StepOutcome::Failed => return Fact::unknown(refused(finished)),
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
pub(super) mod tests {
    use std::{fs, process::Command};

    use super::*;

    /// Runs git, which must succeed, and returns what it printed.
    pub(in crate::host) fn git(directory: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]);
        let output = command.current_dir(directory).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    async fn state(directory: &Path) -> GitState {
        git_state(directory).await.known().unwrap().clone().unwrap()
    }

    #[tokio::test]
    async fn the_revision_and_changes_below_the_directory_are_read() {
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
    fn configuration_values_in_gits_errors_are_hidden() {
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
