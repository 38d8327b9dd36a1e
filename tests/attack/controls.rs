//! Control characters and text that changes its direction, in names and in what programs print: none comes through as it is,
//! and no line of text is forged.

use std::{thread, time::Duration};

use fastrand::Rng;

use crate::{
    Attack,
    support::{MANIFEST, Project},
    tools::{Daemon, Fail, Verdict, finish, hold},
};

pub(crate) struct Controls;

/// What is seeded: escape sequences, lone controls, C1, and what changes the direction. `\n` forges a line.
const EVIL: [&str; 12] = [
    "\u{1b}[31m",
    "\u{1b}]0;t\u{7}",
    "\r",
    "\u{8}\u{8}",
    "\u{b}",
    "\u{c}",
    "\u{7f}",
    "\u{9b}31m",
    "\u{85}",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
];

const FORGED: &str = "FORGED level=info all is well";

impl Attack for Controls {
    fn cases(&self) -> &'static [&'static str] {
        &["field", "value", "file name", "build", "container", "reason", "actor", "module", "Compose"]
    }

    fn attempt(&mut self, case: &str, rng: &mut Rng) -> Verdict {
        let evil = EVIL[rng.usize(..EVIL.len())];
        let project = Project::in_incident();
        let quoted = evil.chars().fold(String::new(), |all, c| format!("{all}\\u{:04x}", u32::from(c)));
        let mut folder = "undrift.yaml".to_owned();
        let mut manifest =
            MANIFEST.replace("timeout: 60s", "timeout: 2s").replace("attempts: 3", "attempts: 1");
        let (mut actor, mut reason) = ("ops".to_owned(), "a migration".to_owned());
        match case {
            "field" => manifest = format!("{manifest}    \"a{quoted}b\\n{FORGED}\": 1\n"),
            "value" => {
                manifest =
                    manifest.replace("stableFor: 1s", &format!("stableFor: \"1{quoted}s\\n{FORGED}\""));
            }
            "file name" => {
                folder = "watched".into();
                project.write(&format!("watched/a{evil}b\n{FORGED}.yaml"), "kind: Nothing\n");
            }
            "build" => {
                project.append("api/Dockerfile", &format!("RUN printf '%b' 'x{}y\\n'; false\n", octal(evil)));
            }
            "container" => {
                project.write("api/serve", &format!("printf '%b' 'x{}y\\n'\nexit 1\n", octal(evil)));
            }
            "reason" => reason = format!("a{evil}b\n{FORGED}"),
            "actor" => actor = format!("a{evil}b\n{FORGED}"),
            "module" => {
                manifest = manifest.replace(
                    "path: /app/dist/modules/workflow",
                    &format!("path: \"/app/dist/modules/w{quoted}x\""),
                );
            }
            _ => project.write(
                "compose.yaml",
                &format!("services:\n  api: {{ build: ./api, \"in{quoted}it\\n{FORGED}\": true }}\n"),
            ),
        }
        project.manifest(&manifest);
        let name = project.name.clone();
        let with_manifest =
            ["validate", "check", "plan", "apply", "doctor"].map(|verb| vec![verb, "-f", &folder]);
        let others = [
            vec!["suspend", &*name, "--reason", &reason],
            vec!["get"],
            vec!["describe", &*name],
            vec!["audit", "list"],
            vec!["incident", "list"],
        ];
        for args in with_manifest.iter().chain(&others) {
            must_be_plain(&project, args, &actor, evil)?;
        }
        for incident in incidents(&project)? {
            must_be_plain(&project, &["incident", "show", &incident], &actor, evil)?;
        }
        finish(&mut project.command(&["resume", &name]))?;
        let mut command = project.command(&["--log", "undrift=debug", "run", "-f", &folder]);
        command.env("USER", &actor);
        let daemon = Daemon::spawn(command, &project);
        thread::sleep(Duration::from_secs(2));
        let log = daemon.log();
        drop(daemon);
        is_plain(&log, evil).or_else(|what| hold!(false, "the log of run: {what}"))
    }
}

fn octal(text: &str) -> String {
    text.bytes().fold(String::new(), |all, byte| format!("{all}\\0{byte:o}"))
}

fn must_be_plain(project: &Project, args: &[&str], actor: &str, evil: &str) -> Verdict {
    let run = finish(project.command(args).env("USER", actor).env_remove("SUDO_USER"))?;
    for text in [&run.stdout, &run.stderr] {
        is_plain(text, evil).or_else(|what| hold!(false, "{}: {what}", args[0]))?;
    }
    Ok(())
}

fn is_plain(text: &str, evil: &str) -> Result<(), String> {
    let changes_direction = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let bad = |c: char| (c.is_control() && c != '\n') || changes_direction(c);
    match text.lines().find(|line| line.chars().any(bad) || line.starts_with("FORGED")) {
        Some(line) => Err(format!("of {evil:?} came {:?}", line.chars().take(300).collect::<String>())),
        None => Ok(()),
    }
}

fn incidents(project: &Project) -> Result<Vec<String>, Fail> {
    let run = finish(&mut project.command(&["incident", "list", "-o", "json"]))?;
    let list: serde_json::Value = serde_json::from_str(&run.stdout).unwrap_or_default();
    let items = list["items"].as_array().cloned().unwrap_or_default();
    Ok(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect())
}
