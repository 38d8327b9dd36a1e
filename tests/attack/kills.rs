//! SIGKILL at random moments: what is next must reconcile, with a whole trail, one container and nothing left over.

use std::{
    fs,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Attack,
    support::{Project, docker},
    tools::{Daemon, Verdict, hold, must_apply, must_be_whole, start},
};

pub(crate) struct Kills {
    /// How long a whole repair takes here.
    takes: Duration,
}

impl Kills {
    pub(crate) fn new() -> Self {
        let project = Project::in_incident();
        let since = Instant::now();
        must_apply(&project).unwrap();
        Self { takes: since.elapsed() }
    }

    fn wait(&self, rng: &mut Rng) {
        thread::sleep(self.takes.mul_f64(rng.f64() * 1.1));
    }
}

impl Attack for Kills {
    fn cases(&self) -> &'static [&'static str] {
        &["apply", "apply and its commands", "run", "apply three times"]
    }

    fn attempt(&mut self, case: &str, rng: &mut Rng) -> Verdict {
        let project = Project::in_incident();
        fs::create_dir(project.path("../tmp")).unwrap();
        if rng.bool() {
            project.slow_down_build(2);
        }
        if rng.u8(..4) == 0 {
            project.be_stubborn(3);
        }
        if case == "run" {
            let daemon = Daemon::start(&project);
            self.wait(rng);
            daemon.kill();
        } else {
            for _ in 0..if case == "apply three times" { 3 } else { 1 } {
                let mut command = project.command(&["apply", "-f", "undrift.yaml"]);
                let mut apply = start(command.env("TMPDIR", project.path("../tmp")));
                self.wait(rng);
                let commands =
                    if case == "apply and its commands" { descendants(&apply) } else { Vec::new() };
                // One that has ended already is killed no more: that is an attempt, too.
                let _ = apply.kill();
                for command in commands {
                    let _ = kill_process(command, Signal::KILL);
                }
                apply.wait().unwrap();
            }
        }
        must_apply(&project)?;
        must_be_whole(&project)?;
        must_be_tidy(&project)
    }
}

/// All processes that this one has begun, and those that they have.
fn descendants(of: &Child) -> Vec<Pid> {
    let mut found = vec![of.id().to_string()];
    let stats: Vec<(String, String)> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|process| fs::read_to_string(process.path().join("stat")).ok())
        .filter_map(|stat| {
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.to_owned();
            Some((stat.split(' ').next()?.to_owned(), parent))
        })
        .collect();
    let mut at = 0;
    while let Some(parent) = found.get(at).cloned() {
        found.extend(stats.iter().filter(|(_, of)| *of == parent).map(|(id, _)| id.clone()));
        at += 1;
    }
    found.iter().skip(1).filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
}

/// One container of the current image, look-ups into images included, and no image under a name of its own.
fn must_be_tidy(project: &Project) -> Verdict {
    let containers = project.containers("api");
    hold!(containers.len() == 1 && project.runs_its_image(), "containers: {containers:?}")?;
    let label = format!("label=com.docker.compose.project={}", project.name);
    let names = docker(&["images", "--format", "{{.Repository}}", "--filter", &label]);
    let (image, kept) = (format!("{}-api", project.name), format!("undrift-keep/{}/api", project.name));
    let known = |name: &&str| [image.as_str(), kept.as_str(), "<none>"].contains(name);
    let unknown: Vec<&str> = names.lines().filter(|name| !known(name)).collect();
    hold!(unknown.is_empty(), "images are left over: {unknown:?}")?;
    // The next one that uses the folder clears up after the one that was killed.
    let check = project
        .command(&["check", "-f", "undrift.yaml"])
        .env("TMPDIR", project.path("../tmp"))
        .output()
        .unwrap();
    let left: Vec<_> =
        fs::read_dir(project.path("../tmp")).unwrap().flatten().map(|entry| entry.path()).collect();
    hold!(left.is_empty(), "left over after {}: {left:?}", check.status)
}
