//! Seeded secrets: no verb prints them, no log, state or cache keeps them.

use std::{fs, thread, time::Duration};

use fastrand::Rng;

use crate::{
    Attack,
    support::{MANIFEST, Project, SERVE},
    tools::{Daemon, Verdict, files, finish, hold},
};

pub(crate) struct Secrets;

/// What is wrong with the project that holds the secret.
const FAULTS: [&str; 5] = [
    "none",
    "the build prints it",
    "the container prints it",
    "a quote is not closed",
    "a dollar is not doubled",
];

const VERBS: [&[&str]; 14] = [
    &["validate", "-f", "undrift.yaml"],
    &["check", "-f", "undrift.yaml"],
    &["check", "-f", "undrift.yaml", "-o", "json"],
    &["plan", "-f", "undrift.yaml"],
    &["apply", "-f", "undrift.yaml"],
    &["--log", "undrift=trace", "apply", "-f", "undrift.yaml", "-o", "json"],
    &["get", "-o", "json"],
    &["describe", "NAME"],
    &["describe", "NAME", "-o", "json"],
    &["audit", "list"],
    &["audit", "list", "-o", "json"],
    &["incident", "list", "-o", "json"],
    &["doctor", "-f", "undrift.yaml"],
    &["suspend", "NAME", "--reason", "a migration"],
];

impl Attack for Secrets {
    fn cases(&self) -> &'static [&'static str] {
        &[
            "env file",
            ".env",
            "caller's environment",
            "literal",
            "build argument",
            "URL",
            "credentials",
            "password file",
            "bearer",
            "Compose secret",
        ]
    }

    fn attempt(&mut self, case: &str, rng: &mut Rng) -> Verdict {
        let seeded = Seeded { case, secret: secret(rng), project: Project::new() };
        let fault = FAULTS[rng.usize(..FAULTS.len())];
        let project = &seeded.project;
        seeded.declare("");
        project.compose_with(&["up", "-d", "--build"], &seeded.environment());
        project.add_module("api", "workflow");
        let secret = seeded.secret.as_str();
        match fault {
            "the build prints it" => project.append(
                "api/Dockerfile",
                &format!("ARG REGISTRY_TOKEN\nRUN echo \"uses $REGISTRY_TOKEN or {secret}\"; false\n"),
            ),
            "the container prints it" => {
                project.write("api/serve", &format!("echo 'begins with {secret}'\nexit 1\n{SERVE}"));
            }
            other => seeded.declare(other),
        }
        seeded.look(fault)
    }
}

struct Seeded<'a> {
    case: &'a str,
    secret: String,
    project: Project,
}

impl Seeded<'_> {
    /// Writes the project with the secret in its place, and with a fault beside it.
    fn declare(&self, fault: &str) {
        let (project, secret) = (&self.project, self.secret.as_str());
        let value = match fault {
            "a quote is not closed" => format!("\"{secret}"),
            "a dollar is not doubled" => format!("{secret}${{"),
            _ => secret.to_owned(),
        };
        let mut manifest =
            MANIFEST.replace("attempts: 3", "attempts: 2").replace("timeout: 60s", "timeout: 3s");
        let (mut build, mut more) = ("build: ./api".to_owned(), String::new());
        match self.case {
            "env file" => {
                project.write("secret.env", &format!("SHOP_PASSWORD={value}\n"));
                more = "env_file: [secret.env]".into();
            }
            ".env" => {
                project.write(".env", &format!("SHOP_PASSWORD={value}\n"));
                more = "environment: { SHOP_PASSWORD: \"${SHOP_PASSWORD}\" }".into();
            }
            "caller's environment" => more = "environment: { SHOP_PASSWORD: \"${SHOP_PASSWORD}\" }".into(),
            "literal" => more = format!("environment: {{ SHOP_PASSWORD: {value} }}"),
            "build argument" => {
                build = format!("build: {{ context: ./api, args: {{ REGISTRY_TOKEN: {value} }} }}");
            }
            "URL" => more = format!("environment: {{ DATABASE_URL: 'postgres://shop:{secret}@db/shop' }}"),
            "password file" => {
                project.write("password", secret);
                manifest = manifest.replace("{ env: E2E_PASSWORD }", "{ file: password }");
            }
            "bearer" => {
                manifest = manifest.replace(
                    "basic: { username: ops, passwordFrom: { env: E2E_PASSWORD } }",
                    "bearerFrom: { env: E2E_PASSWORD }",
                );
            }
            "Compose secret" => {
                project.write("db_password", secret);
                more = "secrets: [db_password]".into();
            }
            _ => {}
        }
        let mut compose = format!(
            "services:\n  api:\n    {build}\n    init: true\n    stop_grace_period: 1s\n    {more}\n"
        );
        if self.case == "Compose secret" {
            compose.push_str("secrets: { db_password: { file: ./db_password } }\n");
        }
        project.write("compose.yaml", &compose);
        project.manifest(&manifest);
    }

    fn environment(&self) -> Vec<(&'static str, &str)> {
        match self.case {
            "caller's environment" => vec![("SHOP_PASSWORD", &self.secret)],
            "credentials" | "bearer" => vec![("E2E_PASSWORD", &self.secret)],
            _ => Vec::new(),
        }
    }

    /// Every verb and the daemon, and then all that is kept.
    fn look(&self, fault: &str) -> Verdict {
        let project = &self.project;
        fs::create_dir(project.path("../tmp")).unwrap();
        for verb in VERBS {
            let args: Vec<&str> =
                verb.iter().map(|&word| if word == "NAME" { &*project.name } else { word }).collect();
            let mut command = project.command(&args);
            let run = finish(command.envs(self.environment()).env("TMPDIR", project.path("../tmp")))?;
            self.must_be_clean(&run.stdout, fault, &format!("on the standard output of {}", verb.join(" ")))?;
            self.must_be_clean(&run.stderr, fault, &format!("on the standard error of {}", verb.join(" ")))?;
        }
        finish(&mut project.command(&["resume", &project.name]))?;
        let mut command = project.command(&["--log", "undrift=debug", "run", "-f", "undrift.yaml"]);
        command.envs(self.environment()).env("TMPDIR", project.path("../tmp"));
        let daemon = Daemon::spawn(command, project);
        thread::sleep(Duration::from_secs(3));
        let log = daemon.log();
        drop(daemon);
        self.must_be_clean(&log, fault, "in the log of run")?;
        for folder in [project.state_dir(), project.cache_home(), project.path("../tmp")] {
            for (path, bytes) in files(&folder) {
                self.must_be_clean(
                    &String::from_utf8_lossy(&bytes),
                    fault,
                    &format!("in {}", path.display()),
                )?;
            }
        }
        Ok(())
    }

    fn must_be_clean(&self, text: &str, fault: &str, place: &str) -> Verdict {
        let found = text.lines().find(|line| line.contains(&self.secret));
        let line = |line: &str| line.chars().filter(|c| !c.is_control()).take(300).collect::<String>();
        hold!(found.is_none(), "{} ({fault}) {place}: {}", self.secret, line(found.unwrap_or_default()))
    }
}

/// Twelve letters or digits and more, sometimes with what stands in passwords and in no name.
fn secret(rng: &mut Rng) -> String {
    let mut secret: String = (0..rng.usize(12..24)).map(|_| rng.alphanumeric()).collect();
    if rng.bool() {
        secret.insert(5, ['-', '.', '!', '+'][rng.usize(..4)]);
    }
    // YAML takes one of digits for a number.
    format!("k{secret}")
}
