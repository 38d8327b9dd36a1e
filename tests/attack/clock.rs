//! A clock that is set forward, back, or stands, by Debian's faketime: nothing crashes, nothing healthy is repaired, what
//! drifts is, and no duration is negative.

use std::{fs, path::PathBuf, process::Command, thread, time::Duration};

use fastrand::Rng;

use crate::{
    Attack,
    support::docker,
    tools::{Daemon, Verdict, comes, finish, hold, intended, is_up, must_be_whole, need, records, verified},
};

pub(crate) struct Clock;

const RECONCILE: &str = "    interval: 1s
    verify: { timeout: 10s, stableFor: 300ms }
    backoff: { initial: 200ms, max: 1s }
";

/// The library that stands before the clock.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

impl Attack for Clock {
    fn cases(&self) -> &'static [&'static str] {
        &["healthy", "drifts", "under run"]
    }

    fn attempt(&mut self, case: &str, rng: &mut Rng) -> Verdict {
        let library = library();
        need(library.is_some(), "Debian's faketime is not installed")?;
        let library = library.unwrap_or_default();
        let project = verified(RECONCILE);
        let before = intended(&records(&project)?, "");
        let sign = if rng.bool() { '+' } else { '-' };
        let offset = format!("{sign}{}{}", rng.u32(1..90), ["s", "m", "h", "d"][rng.usize(..4)]);
        let set = project.path("../clock");
        fs::write(&set, &offset).unwrap();
        let faked = |mut command: Command| {
            command.env("LD_PRELOAD", &library).env("FAKETIME_TIMESTAMP_FILE", &set);
            command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            command
        };
        if case == "under run" {
            fs::write(&set, "+0s").unwrap();
            let mut daemon = Daemon::spawn(faked(project.command(&["run", "-f", "undrift.yaml"])), &project);
            thread::sleep(Duration::from_secs(3));
            fs::write(&set, &offset).unwrap();
            docker(&["kill", &project.containers("api")[0]]);
            let up = comes(Duration::from_secs(60), || is_up(&project));
            daemon.must_run()?;
            hold!(up, "the clock went {offset}: not started again\n{}", crate::tools::tail(&daemon.log()))?;
        } else {
            if case == "drifts" {
                docker(&["kill", &project.containers("api")[0]]);
            }
            let apply = finish(&mut faked(project.command(&["apply", "-f", "undrift.yaml"])))?;
            hold!(
                apply.code == Some(0),
                "the clock went {offset}: apply ended with {:?}\n{}",
                apply.code,
                apply.stderr
            )?;
            let steps = intended(&records(&project)?, "") - before;
            hold!(steps == usize::from(case == "drifts"), "the clock went {offset}: {steps} steps")?;
        }
        must_be_whole(&project)?;
        for verb in [&["get"][..], &["describe", &project.name], &["incident", "list"], &["audit", "list"]] {
            // Both clocks: the one that wrote and the one that is right again.
            for run in [finish(&mut project.command(verb))?, finish(&mut faked(project.command(verb)))?] {
                let negative = run.stdout.split_whitespace().find(|word| is_negative(word));
                hold!(negative.is_none(), "the clock went {offset}: {} says {negative:?}", verb[0])?;
            }
        }
        Ok(())
    }
}

/// `-3s`, `-2h`: a duration before nothing.
fn is_negative(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit()) && rest.ends_with(['s', 'm', 'h', 'd'])
    })
}
