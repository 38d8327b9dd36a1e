//! In what a container differs is named, never with a value; and an environment that alone makes it another one is not acted on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    daemon::Daemon,
    support::{Project, Run, docker, run},
};

const MANIFEST: &str = "apiVersion: undrift.dev/v1alpha1
kind: ComposeProject
metadata: { name: NAME }
spec:
  project: { directory: ., name: NAME }
  services: [{ name: api }]
  reconcile: { verify: { timeout: 30s, stableFor: 500ms }, backoff: { initial: 100ms, max: 1s } }
";

const COMPOSE: &str = "services:
  api:
    image: undrift-example-base:latest
    command: sleep 10000
    init: true
    stop_grace_period: 1s
    labels: { tier: front }
    environment: { DB_PASSWORD: \"${SHOP_PASSWORD:-fallback-of-the-file}\", MODE: \"${MODE:-plain}\" }
";

const RIGHT: &[(&str, &str)] = &[("SHOP_PASSWORD", "the-right-password")];
const WRONG: &[(&str, &str)] = &[("SHOP_PASSWORD", "another-password")];

/// Brought up by hand with the right password, and verified with it.
fn verified() -> Project {
    let project = Project::new();
    project.manifest(MANIFEST);
    project.write("compose.yaml", COMPOSE);
    project.compose_with(&["up", "-d"], RIGHT);
    let id = project.containers("api");
    with(&project, "apply", RIGHT, &[]).expect(0);
    assert_eq!(project.containers("api"), id, "adoption disturbs nothing");
    project
}

fn command(project: &Project, verb: &str, env: &[(&str, &str)], more: &[&str]) -> Command {
    let mut command = project.command(&[verb, "-f", "undrift.yaml"]);
    command.args(more).env_remove("SHOP_PASSWORD").env_remove("MODE").envs(env.iter().copied());
    command
}

fn with(project: &Project, verb: &str, env: &[(&str, &str)], more: &[&str]) -> Run {
    run(&mut command(project, verb, env, more))
}

fn as_json(project: &Project, verb: &str, env: &[(&str, &str)]) -> Run {
    with(project, verb, env, &["-o", "json"])
}

fn notes(run: &Run) -> Vec<(String, String)> {
    let status = run.status();
    let text = |note: &Value, key: &str| note[key].as_str().unwrap().to_owned();
    let notes = status["services"][0]["notes"].as_array().unwrap();
    notes.iter().map(|note| (text(note, "reason"), text(note, "message"))).collect()
}

fn differences(run: &Run) -> Value {
    run.status()["services"][0]["containers"][0]["differences"].clone()
}

fn password_in(project: &Project) -> String {
    let [id] = &project.containers("api")[..] else { panic!("no container") };
    let env = docker(&["inspect", "-f", "{{range .Config.Env}}{{println .}}{{end}}", id]);
    env.lines().find_map(|line| line.strip_prefix("DB_PASSWORD=")).unwrap().to_owned()
}

fn steps(project: &Project) -> usize {
    project.steps().len()
}

#[test]
fn shell_with_another_value_takes_no_step_and_names_the_variable() {
    let project = verified();
    let before = project.containers("api");
    for (env, what) in [(WRONG, "another value"), (&[][..], "no value")] {
        let check = as_json(&project, "check", env).expect(1);
        assert_eq!(check.drift("api"), "container ConfigChanged", "{what}");
        let expected =
            serde_json::json!([{"key": "environment.DB_PASSWORD", "variables": ["SHOP_PASSWORD"]}]);
        assert_eq!(differences(&check), expected, "{what}");
        let message = check.status()["services"][0]["drift"]["message"].to_string();
        assert!(
            message.contains("environment.DB_PASSWORD (SHOP_PASSWORD of the environment) differs"),
            "{message}"
        );
        let [(reason, note)] = &notes(&check)[..] else { panic!("{check:?}") };
        assert!(
            reason == "EnvironmentDiffers" && note.contains("SHOP_PASSWORD") && !note.contains("MODE"),
            "{note}"
        );
        assert_eq!(as_json(&project, "plan", env).expect(1).plan(), [""; 0], "{what}");
        let apply = as_json(&project, "apply", env).expect(1);
        assert_eq!(apply.condition("Reconciling"), "False EnvironmentDiffers", "{what}");
        let text = with(&project, "apply", env, &[]).expect(1).stdout;
        for part in ["no step was taken", "SHOP_PASSWORD", "--accept-environment"] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        assert_eq!((steps(&project), project.containers("api")), (0, before.clone()), "{what}");
    }
    let right = as_json(&project, "apply", RIGHT).expect(0);
    assert_eq!((right.drift("api").as_str(), notes(&right)), ("", vec![]));
}

/// Names that look like words and not like variables, a home that stands for `~`, and a login in between.
#[test]
fn every_variable_that_compose_fills_in_is_compared() {
    let api = "image: undrift-example-base:latest, command: sleep 10000, init: true, stop_grace_period: 1s";
    for (more, name) in [
        ("environment: { DB_PASSWORD: \"${shop_password:-fallback}\" }", "shop_password"),
        ("environment: [shop_proxy]", "shop_proxy"),
        ("environment: { shop_key: }", "shop_key"),
        ("tmpfs: [/tmp], volumes: [ \"~/data:/data\" ]", "HOME"),
    ] {
        let project = Project::new();
        project.manifest(MANIFEST);
        project.write("compose.yaml", &format!("services:\n  api: {{ {api}, {more} }}\n"));
        let (one, other) = (project.path("one"), project.path("other"));
        let value = one.display().to_string();
        let docker_config = project.path("docker");
        let settings = docker_config.display().to_string();
        project.write("docker/config.json", "{}");
        let right = [(name, value.as_str()), ("DOCKER_CONFIG", settings.as_str())];
        project.compose_with(&["up", "-d"], &right);
        with(&project, "apply", &right, &[]).expect(0);
        let before = project.containers("api");
        let value = other.display().to_string();
        let wrong = [(name, value.as_str()), right[1]];
        // `docker login` writes this file.
        project.write("docker/config.json", "{ \"auths\": {} }");
        let others: &[&[(&str, &str)]] = if name == "HOME" { &[&wrong] } else { &[&wrong, &wrong[1..]] };
        for env in others {
            let check = as_json(&project, "check", env).expect(1);
            let [(reason, note)] = &notes(&check)[..] else { panic!("{name}: {check:?}") };
            assert!(reason == "EnvironmentDiffers" && note.contains(name), "{note}");
            with(&project, "apply", env, &[]).expect(1);
            assert_eq!((steps(&project), project.containers("api")), (0, before.clone()), "{name}");
        }
        with(&project, "apply", &right, &[]).expect(0);
    }
}

#[test]
fn environment_that_is_accepted_is_the_one_of_the_next_verified_state() {
    let project = verified();
    let before = project.containers("api");
    with(&project, "apply", WRONG, &["--accept-environment"]).expect(0);
    assert_ne!(project.containers("api"), before);
    assert_eq!(password_in(&project), "another-password");
    assert_eq!(notes(&as_json(&project, "apply", WRONG).expect(0)), [], "it is the verified one now");
    let taken = steps(&project);
    with(&project, "apply", RIGHT, &[]).expect(1);
    assert_eq!(steps(&project), taken);
    let mut accepting = command(&project, "apply", RIGHT, &[]);
    run(accepting.env("UNDRIFT_ACCEPT_ENVIRONMENT", "true")).expect(0);
    assert_eq!(password_in(&project), "the-right-password");
}

#[test]
fn file_that_has_changed_too_is_acted_on() {
    let project = verified();
    project.write("compose.yaml", &COMPOSE.replace("10000", "10001"));
    let check = as_json(&project, "check", WRONG).expect(1);
    assert_eq!(notes(&check), [], "a file has changed, which is what somebody wanted");
    with(&project, "apply", WRONG, &[]).expect(0);
    assert_eq!(password_in(&project), "another-password");
}

#[test]
fn variable_of_which_nothing_comes_is_no_matter() {
    let project = verified();
    let before = project.containers("api");
    let env = [RIGHT, &[("MODE", "plain"), ("OTHER", "x")]].concat();
    let check = as_json(&project, "check", &env).expect(0);
    assert_eq!(notes(&check), [], "its value is the one that the file has without it");
    with(&project, "apply", &env, &[]).expect(0);
    assert_eq!(project.containers("api"), before);
}

#[test]
fn value_of_a_dot_env_file_is_a_files_and_what_steers_compose_is_the_environments() {
    let project = verified();
    // The shell still says otherwise, and wins.
    project.write(".env", "MODE=of-the-file\n");
    let check = as_json(&project, "check", RIGHT).expect(1);
    assert_eq!(notes(&check), [], "a file has come");
    assert_eq!(differences(&check), serde_json::json!([{"key": "environment.MODE"}]));
    with(&project, "apply", RIGHT, &[]).expect(0);
    project.write("other.yaml", &COMPOSE.replace("front", "back"));
    let other = [RIGHT, &[("COMPOSE_FILE", "other.yaml")]].concat();
    let taken = steps(&project);
    let apply = as_json(&project, "apply", &other).expect(1);
    let [(_, note)] = &notes(&apply)[..] else { panic!("{apply:?}") };
    assert!(note.contains("COMPOSE_FILE"), "{note}");
    assert_eq!(steps(&project), taken);
}

#[test]
fn daemons_environment_counts_as_declared_and_a_shells_does_not() {
    let project = verified();
    let before = project.containers("api");
    let daemon = Daemon::spawn(&mut command(&project, "run", WRONG, &[]), &project);
    project.wait_for_healed(1);
    assert_ne!(project.containers("api"), before);
    assert_eq!(password_in(&project), "another-password");
    // Beside the daemon it is the daemon that reconciles, with its own environment.
    let beside = project.containers("api");
    with(&project, "apply", RIGHT, &[]).expect(0);
    assert_eq!(project.containers("api"), beside);
    assert!(daemon.end().success());
    let taken = steps(&project);
    let apply = as_json(&project, "apply", RIGHT).expect(1);
    assert_eq!(apply.condition("Reconciling"), "False EnvironmentDiffers");
    assert_eq!(steps(&project), taken);
}

#[test]
fn every_visible_key_is_named_and_invisible_ones_are_reported_as_such() {
    let project = verified();
    let changed = "services:
  api:
    image: undrift-example-base:latest
    command: sleep 10001
    init: false
    stop_grace_period: 2s
    mem_limit: 64m
    labels: { rank: first }
    environment: { DB_PASSWORD: \"${SHOP_PASSWORD:-fallback-of-the-file}\", ADDED: \"a-value-to-hide\" }
    volumes: [\"./api:/mnt:ro\"]
    ports: [\"127.0.0.1::81\"]
";
    project.write("compose.yaml", changed);
    let check = as_json(&project, "check", RIGHT).expect(1);
    let keys: Vec<String> = differences(&check)
        .as_array()
        .unwrap()
        .iter()
        .map(|difference| difference["key"].as_str().unwrap().to_owned())
        .collect();
    let expected = [
        "command",
        "environment.ADDED",
        "environment.MODE",
        "init",
        "labels.rank",
        "labels.tier",
        "mem_limit",
        "ports",
        "stop_grace_period",
        "volumes./mnt",
    ];
    assert_eq!(keys, expected);
    let text = with(&project, "check", RIGHT, &[]).expect(1).stdout;
    assert!(text.contains("command, environment.ADDED") && text.contains(" more differ"), "{text}");
    // `attach` is in Compose's hash and in nothing that the engine has.
    project.write("compose.yaml", &COMPOSE.replace("init: true", "init: true\n    attach: false"));
    let check = as_json(&project, "check", RIGHT).expect(1);
    assert_eq!(differences(&check), Value::Null);
    let message = check.status()["services"][0]["drift"]["message"].to_string();
    assert!(message.contains("which key differs cannot be seen of the container"), "{message}");
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn no_value_is_printed_or_kept_anywhere() {
    let project = verified();
    let mut outputs = Vec::new();
    for (verb, env, more) in [
        ("check", WRONG, &["-o", "json"][..]),
        ("check", WRONG, &[]),
        ("plan", WRONG, &[]),
        ("apply", WRONG, &[]),
        ("apply", WRONG, &["--accept-environment"]),
        ("apply", RIGHT, &["-o", "json"]),
    ] {
        let mut command = command(&project, verb, env, more);
        let run = run(command.env("UNDRIFT_LOG", "trace"));
        outputs.push(run.stdout);
        outputs.push(run.stderr);
    }
    assert!(outputs.iter().any(|text| text.contains("SHOP_PASSWORD")));
    let kept = files(&project.state_dir()).into_iter().chain(files(&project.cache_home()));
    let kept: Vec<Vec<u8>> = kept.map(|file| fs::read(file).unwrap()).collect();
    assert!(kept.len() > 3, "the state, its key and the cache");
    for secret in ["the-right-password", "another-password", "fallback-of-the-file"] {
        assert!(outputs.iter().all(|text| !text.contains(secret)), "{secret}");
        let holds = |bytes: &Vec<u8>| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!kept.iter().any(holds), "{secret}");
    }
}
