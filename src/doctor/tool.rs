//! Short commands that answer a question, and versions in their output.

use std::{ffi::OsStr, fmt, io, path::Path, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    api::StepOutcome,
    files,
    host::{
        HostError, docker_config,
        endpoint::Endpoint,
        process::{Environment, Invocation, command},
    },
};

/// How long a command may take to print its version.
const LIMIT: Duration = Duration::from_secs(4);

/// How long it may then take to end.
const GRACE: Duration = Duration::from_millis(500);

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToolOutput {
    /// Its standard output.
    Words(String),
    /// It failed with an error; the last line that it printed.
    Refused(String),
    /// There is no such program.
    NoProgram,
    /// It could not be started, or did not end in time; the message.
    Silent(String),
    /// It was not run, because it could not read its own configuration; the message and the help.
    NotRun {
        /// The file, and its fault.
        why: String,
        /// What to do.
        next: Option<String>,
    },
}

/// Runs a command that needs no engine. Its engine address does not answer, so that it cannot hang if the engine does.
pub(super) async fn ask(words: &[&str]) -> ToolOutput {
    let nobody = Endpoint::Unix("/nonexistent/docker.sock".into());
    ask_in(words, Environment::of_this_process().for_docker(&nobody, Path::new("/"))).await
}

/// Runs a command in this environment.
pub(super) async fn ask_in(words: &[&str], env: Environment) -> ToolOutput {
    if words.first() == Some(&"docker")
        && let Err(error) = configured(&env).await
    {
        return ToolOutput::NotRun { why: error.to_string(), next: error.next() };
    }
    let argv: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let finished = command::run(Invocation {
        argv: &argv,
        directory: Path::new("/"),
        env: &env.with("LC_ALL", "C"),
        limit: LIMIT,
        grace: GRACE,
        cancel: &CancellationToken::new(),
        progress: &|_| {},
        hold: None,
        keep_stdout: true,
    })
    .await;
    match finished {
        Err(error) if error.kind() == io::ErrorKind::NotFound => ToolOutput::NoProgram,
        Err(error) => ToolOutput::Silent(format!("`{}` cannot be started: {error}", argv.join(" "))),
        Ok(finished) => match finished.outcome {
            StepOutcome::Succeeded => {
                ToolOutput::Words(String::from_utf8_lossy(&finished.stdout).trim().to_owned())
            }
            StepOutcome::Failed => {
                ToolOutput::Refused(finished.output.lines().last().unwrap_or_default().to_owned())
            }
            _ => ToolOutput::Silent(format!("`{}` did not end within {} s", argv.join(" "), LIMIT.as_secs())),
        },
    }
}

/// Whether docker commands in this environment can read their configuration.
async fn configured(env: &Environment) -> Result<(), HostError> {
    let env = env.clone();
    let check = move || docker_config::check(&|name| env.get(name).map(OsStr::to_owned));
    files::looked(check).await.unwrap_or_else(|hangs| Err(hangs.into()))
}

/// A version's first three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32, pub(super) u32);

impl Version {
    /// The first word of the text that is a version, whatever surrounds it: `v2.40.3-desktop.1`, `0.13.1+ds1`.
    pub(super) fn find(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(Self::parse)
    }

    fn parse(word: &str) -> Option<Self> {
        let word = word.strip_prefix('v').unwrap_or(word);
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let mut numbers = word[..end].split('.').map(str::parse::<u32>);
        let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(Self(major, minor, numbers.next().and_then(Result::ok).unwrap_or_default()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_the_output_of_the_tools() {
        for (text, version) in [
            ("2.26.1-4", Version(2, 26, 1)),
            ("v2.40.3-desktop.1", Version(2, 40, 3)),
            ("Docker Compose version v5.0.0", Version(5, 0, 0)),
            ("github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3", Version(0, 13, 1)),
            ("github.com/docker/buildx v0.17.1 257815a6fbaee88976808020bf04274388275ae8", Version(0, 17, 1)),
            ("1.29", Version(1, 29, 0)),
        ] {
            assert_eq!(Version::find(text), Some(version), "{text}");
        }
        for text in ["", "dev", "v", "4294967296.1", "1"] {
            assert_eq!(Version::find(text), None, "{text}");
        }
        assert!(Version(2, 9, 9) < Version(2, 10, 0));
    }

    #[tokio::test]
    async fn docker_is_not_run_where_it_would_wait_at_its_own_configuration() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};

        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("config.json");
        mknodat(CWD, &settings, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let env = || Environment::of_this_process().with("DOCKER_CONFIG", folder.path());
        let ToolOutput::NotRun { why, next } = ask_in(&["docker", "version"], env()).await else {
            panic!("it was run")
        };
        assert!(why.contains(&format!("{} is a named pipe", settings.display())), "{why}");
        assert!(next.is_some_and(|next| next.contains("DOCKER_CONFIG")));
        assert_eq!(
            ask_in(&["echo", "a"], env()).await,
            ToolOutput::Words("a".into()),
            "others do not read it"
        );
    }

    #[tokio::test]
    async fn a_missing_program_is_distinguished_from_one_that_fails() {
        assert_eq!(ask(&["undrift-no-such-program"]).await, ToolOutput::NoProgram);
        assert_eq!(ask(&["echo", "a", "b"]).await, ToolOutput::Words("a b".into()));
        assert_eq!(ask(&["false"]).await, ToolOutput::Refused(String::new()));
    }
}
