//! One scenario while it is played: a folder, a machine, and what was printed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Parser as _;

use super::{
    machine::FakeMachine,
    projects::Stranger,
    script::{self, Line, Writer},
    sentences::{self, Happening},
    stand_ins::StandIns,
};
use crate::cli::{args::Cli, context, context::Context, default_log, run_verb};

/// What a shell says of a command that was killed: 128 and `SIGKILL`.
const KILLED: u8 = 137;

/// A scenario.
pub(super) struct Scenario {
    folder: tempfile::TempDir,
    pub(super) machine: FakeMachine,
    stand_ins: StandIns,
    written: Writer,
}

impl Scenario {
    /// Plays what is written, and gives the scenario with the transcript as it came out.
    pub(super) fn play(text: &str) -> Result<(Self, String), String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        for project in ["backoffice", "shop"] {
            fs::create_dir_all(folder.path().join("srv").join(project)).map_err(|error| error.to_string())?;
        }
        fs::create_dir_all(folder.path().join("etc/undrift")).map_err(|error| error.to_string())?;
        let (machine, stand_ins) = (FakeMachine::new(), StandIns::new(folder.path()));
        let mut scenario = Self { folder, machine, stand_ins, written: Writer::default() };
        for line in script::parse(text)? {
            scenario.written.line(&line);
            scenario.line(&line)?;
        }
        let written = std::mem::take(&mut scenario.written).finish();
        Ok((scenario, written))
    }

    /// The state folder.
    pub(super) fn state(&self) -> PathBuf {
        self.folder.path().join("var/lib/undrift")
    }

    /// The folder of manifests.
    pub(super) fn manifests(&self) -> PathBuf {
        self.folder.path().join("etc/undrift")
    }

    fn line(&mut self, line: &Line) -> Result<(), String> {
        match line {
            Line::Story(_) => Ok(()),
            Line::Event(text) => self.happens(text),
            Line::Pause(time, _) => {
                self.machine.clock.advance(*time);
                Ok(())
            }
            Line::Command(text) => {
                let (printed, exit) = self.command(text)?;
                self.written.output(&printed, exit);
                Ok(())
            }
        }
    }

    fn happens(&self, text: &str) -> Result<(), String> {
        let (project, happening) = sentences::find(text)?;
        let (projects, now) = (&self.machine.projects, self.machine.clock.now());
        if !projects.has(project) {
            return Err(format!("there is no project {project}: {text}"));
        }
        let host = projects.host(project);
        match happening {
            Happening::Change(change) => host.world(change),
            Happening::FailingBuilds(change, output) => {
                host.world(change);
                projects.print_of_failed_builds(project, output);
            }
            Happening::Later { begins_after, takes, change } => {
                let from = now + begins_after;
                projects.invite(project, Stranger { from, until: from + takes, image: None, change });
            }
            Happening::Interrupt { after } => self.machine.interrupt_at.set(Some(now + after)),
            Happening::Killed(at) => host.kill(Some(at(host.world(|world| world.log.len()) + 1))),
            Happening::Install(words) => self.install(project, words)?,
        }
        Ok(())
    }

    /// Writes the manifest of a project into the folder of manifests.
    fn install(&self, project: &str, words: &[(&str, &str)]) -> Result<(), String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/manifests");
        let file = format!("{project}.yaml");
        let mut manifest = fs::read_to_string(folder.join(&file)).map_err(|error| error.to_string())?;
        for (before, after) in words {
            manifest = manifest.replace(before, after);
        }
        fs::write(self.manifests().join(file), manifest).map_err(|error| error.to_string())
    }

    /// Runs a command as the binary would; what it printed, and its exit code.
    pub(super) fn command(&mut self, text: &str) -> Result<(String, u8), String> {
        let machine = &self.machine;
        machine.process.set(machine.process.get() + 1);
        let typed = words(text).into_iter().map(|word| self.stand_ins.resolve(&word));
        let state = ["--state-dir".to_owned(), self.state().display().to_string()];
        let cli = Cli::try_parse_from(typed.chain(state)).map_err(|error| error.to_string())?;
        let mut context = Context::new(&cli.global, machine);
        let log = default_log(&cli.verb, cli.global.log_format);
        let exit = context::with_log(&machine.screen, machine.clock.clone(), log, || {
            run_verb(&mut context, machine, &cli.verb)
        });
        // Its writers are flushed as at the end of a process.
        drop(context);
        let was_killed = machine.was_killed.take();
        if was_killed {
            for project in ["backoffice", "shop"] {
                machine.projects.host(project).kill(None);
            }
        }
        let printed = self.stand_ins.put(&machine.screen.take());
        Ok((printed, if was_killed { KILLED } else { exit }))
    }
}

/// The words of a command line; what stands between quotation marks is one.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in text.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            c => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    words
}
