//! The Compose binaries: the one of this machine, and another one that a test may need besides.
//!
//! A test that needs another Compose is ignored, and says so: a run shows it as skipped, and never as passed.
//! `UNDRIFT_TEST_COMPOSE_OTHER` names the plugin of the other one, and `--run-ignored all` runs the tests:
//! `scripts/test-engines` does both.

use std::{os::unix::fs::symlink, path::PathBuf, process::Command};

use crate::support::{Project, docker, run};

/// A Compose's plugin.
#[derive(Debug, Clone)]
pub(crate) struct Compose(PathBuf);

impl Compose {
    /// The one that this machine's docker CLI finds.
    pub(crate) fn own() -> Self {
        let format = "{{range .ClientInfo.Plugins}}{{if eq .Name \"compose\"}}{{.Path}}{{end}}{{end}}";
        Self(docker(&["info", "-f", format]).trim().into())
    }

    /// Another version of it.
    #[track_caller]
    pub(crate) fn other() -> Self {
        let Some(other) = std::env::var_os("UNDRIFT_TEST_COMPOSE_OTHER") else {
            panic!("UNDRIFT_TEST_COMPOSE_OTHER must name the plugin of another Compose")
        };
        let other = Self(other.into());
        assert_ne!(other.version(), Self::own().version(), "it is to be of another version");
        other
    }

    /// The older one of the two.
    #[track_caller]
    pub(crate) fn older() -> Self {
        [Self::own(), Self::other()].into_iter().min_by_key(Self::version).unwrap()
    }

    /// The newer one of the two.
    #[track_caller]
    pub(crate) fn newer() -> Self {
        [Self::own(), Self::other()].into_iter().max_by_key(Self::version).unwrap()
    }

    pub(crate) fn path(&self) -> String {
        self.0.display().to_string()
    }

    pub(crate) fn version(&self) -> Vec<u32> {
        let printed = run(Command::new(&self.0).args(["version", "--short"])).expect(0).stdout;
        let text = printed.trim().trim_start_matches('v').split(['-', '+']).next().unwrap().to_owned();
        text.split('.').map(|number| number.parse().unwrap()).collect()
    }

    /// Runs it on the project; it must succeed.
    pub(crate) fn run(&self, project: &Project, args: &[&str]) -> String {
        let mut command = Command::new(&self.0);
        command.args(["--project-name", &project.name]).args(args).current_dir(project.path(""));
        run(&mut command).expect(0).stdout
    }

    /// From now on it is the Compose of [`Self::undrift`].
    pub(crate) fn install(&self, project: &Project) {
        let place = project.path("docker/cli-plugins/docker-compose");
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&place);
        symlink(&self.0, place).unwrap();
    }

    /// A verb with the Compose that was installed.
    pub(crate) fn undrift(project: &Project, verb: &str) -> Command {
        let mut command = project.command(&[verb, "-f", "undrift.yaml", "-o", "json"]);
        command.env("DOCKER_CONFIG", project.path("docker"));
        command
    }
}
