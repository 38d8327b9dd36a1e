//! What can be known before a step is said before it: by `doctor`, by `check`, and by taking no step that could not be
//! verified.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{MANIFEST, Project, Run, docker, run, wait_for};

/// The Compose file of every project here.
const COMPOSE: &str = "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s }\n";

/// One way to make a project wrong.
struct Mistake {
    what: &'static str,
    /// What is replaced in the manifest, and by what.
    manifest: (&'static str, &'static str),
    /// The Compose file.
    compose: &'static str,
    /// The check of `doctor` that does not end well.
    doctor: &'static str,
    /// What both name.
    names: &'static str,
    /// What both say to do next.
    next: &'static str,
    /// The exit code of `check`.
    code: i32,
}

/// Nothing is replaced.
const AS_IT_IS: (&str, &str) = ("", "");

const PASSWORD: &str = "passwordFrom: { env: E2E_PASSWORD }";
const AUTH: &str = "basic: { username: ops, passwordFrom: { env: E2E_PASSWORD } }";

const MISTAKES: [Mistake; 14] = [
    Mistake {
        what: "a password variable that is not set",
        manifest: (PASSWORD, "passwordFrom: { env: E2E_NOT_SET }"),
        compose: COMPOSE,
        doctor: "CredentialsReadable",
        names: "the environment variable E2E_NOT_SET is not set",
        next: "export E2E_NOT_SET=…",
        code: 1,
    },
    Mistake {
        what: "a password file that is not there",
        manifest: (PASSWORD, "passwordFrom: { file: no-such-secret }"),
        compose: COMPOSE,
        doctor: "CredentialsReadable",
        names: "cannot read the secret in no-such-secret",
        next: "sudo install -m 600 /dev/stdin ",
        code: 1,
    },
    Mistake {
        what: "a password file that is a folder",
        manifest: (PASSWORD, "passwordFrom: { file: api }"),
        compose: COMPOSE,
        doctor: "CredentialsReadable",
        names: "cannot read the secret in api",
        next: "ls -l ",
        code: 1,
    },
    Mistake {
        what: "a token variable that is not set",
        manifest: (AUTH, "bearerFrom: { env: E2E_NO_TOKEN }"),
        compose: COMPOSE,
        doctor: "CredentialsReadable",
        names: "the environment variable E2E_NO_TOKEN is not set",
        next: "export E2E_NO_TOKEN=…",
        code: 1,
    },
    Mistake {
        what: "a token file of several lines",
        manifest: (AUTH, "bearerFrom: { file: api/Dockerfile }"),
        compose: COMPOSE,
        doctor: "CredentialsReadable",
        names: "the token has a line break",
        next: "ls -l ",
        code: 1,
    },
    Mistake {
        what: "certificates that are not there",
        manifest: (
            "          expect: [401]",
            "          scheme: https\n          tls: { caFile: no-such-ca.pem }\n          expect: [401]",
        ),
        compose: COMPOSE,
        doctor: "CredentialsReadable",
        names: "cannot read the certificates in no-such-ca.pem",
        next: "openssl x509 -noout -subject -in ",
        code: 1,
    },
    Mistake {
        what: "a service that the Compose project does not have",
        manifest: ("- name: api", "- name: apis"),
        compose: COMPOSE,
        doctor: "ComposeProjectsAccepted",
        names: "has no service apis",
        next: "docker compose config --services",
        code: 2,
    },
    Mistake {
        what: "a service behind a profile",
        manifest: AS_IT_IS,
        compose: "services:\n  api: { build: ./api, profiles: [debug] }\n  other: { image: undrift-example-base }\n",
        doctor: "ComposeProjectsAccepted",
        names: "has no service api",
        next: "project.profiles",
        code: 2,
    },
    Mistake {
        what: "a Compose variable that is not set",
        manifest: AS_IT_IS,
        compose: "services:\n  api: { build: ./api, environment: { A: \"${E2E_UNSET}\" } }\n",
        doctor: "ComposeProjectsAccepted",
        names: "E2E_UNSET",
        next: "echo 'E2E_UNSET=…' >> ",
        code: 2,
    },
    Mistake {
        what: "a Compose variable that must be set",
        manifest: AS_IT_IS,
        compose: "services:\n  api: { build: ./api, environment: { A: \"${E2E_REQUIRED:?give one}\" } }\n",
        doctor: "ComposeProjectsAccepted",
        names: "E2E_REQUIRED",
        next: "config --quiet",
        code: 2,
    },
    Mistake {
        what: "an env_file that is not there",
        manifest: AS_IT_IS,
        compose: "services:\n  api: { build: ./api, env_file: missing.env }\n",
        doctor: "ComposeProjectsAccepted",
        names: "missing.env",
        next: "config --quiet",
        code: 2,
    },
    Mistake {
        what: "no network to be asked by",
        manifest: AS_IT_IS,
        compose: "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, network_mode: none }\n",
        doctor: "RoutesReachable",
        names: "no network (network_mode: none)",
        next: "ask by `url`",
        code: 1,
    },
    Mistake {
        what: "a Dockerfile that is not there",
        manifest: AS_IT_IS,
        compose: "services:\n  api: { build: { context: ./api, dockerfile: Missing }, init: true, stop_grace_period: 1s }\n",
        doctor: "BuildsPossible",
        names: "there is no Dockerfile ",
        next: "correct `build` in the Compose files",
        code: 1,
    },
    // The last one: a server is given half a minute to listen at a port that nothing exposes.
    Mistake {
        what: "a port that nothing exposes",
        manifest: ("port: 3000", "port: 3001"),
        compose: COMPOSE,
        doctor: "RoutesReachable",
        names: "nothing exposes port 3001 of api",
        next: "expose: [\"3001\"]",
        code: 1,
    },
];

/// The text that `check` prints, answers and complaints.
fn check(project: &Project) -> (Option<i32>, String) {
    let Run { code, stdout, stderr } = project.with_manifest("check", &[]);
    (code, stdout + &stderr)
}

#[test]
fn each_of_fourteen_mistakes_is_reported_before_any_step_and_breaks_nothing() {
    let project = Project::in_incident();
    let (containers, image) = (project.containers("api"), project.image());
    for mistake in &MISTAKES {
        let what = mistake.what;
        let (from, to) = mistake.manifest;
        project.manifest(&MANIFEST.replace(from, to));
        project.write("compose.yaml", mistake.compose);

        let doctor = project.undrift(&["doctor", "-f", "undrift.yaml", "-o", "json"]);
        let json = doctor.json();
        let checks = json["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["name"] == mistake.doctor);
        let found = found.unwrap_or_else(|| panic!("{what}: no {}: {json}", mistake.doctor));
        assert!(["failed", "warning"].iter().any(|status| found["status"] == *status), "{what}: {found}");
        let field_of = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        assert!(field_of("found").contains(mistake.names), "{what}: {found}");
        assert!(field_of("help").contains(mistake.next), "{what}: {found}");

        if mistake.doctor == "RoutesReachable" && !to.is_empty() {
            wait_for("the server to have had its time to listen", || {
                check(&project).1.contains(mistake.names)
            });
        }
        let (code, text) = check(&project);
        assert_eq!(code, Some(mistake.code), "{what}: {text}");
        assert!(text.contains(mistake.names) && text.contains(mistake.next), "{what}: {text}");

        let began = Instant::now();
        let apply = project.with_manifest("apply", &[]).expect(mistake.code);
        assert!(began.elapsed() < Duration::from_secs(50), "{what}: {:?}", began.elapsed());
        let text = apply.stdout + &apply.stderr;
        assert!(text.contains(mistake.names), "{what}: {text}");
        assert_eq!(
            (project.containers("api"), project.image()),
            (containers.clone(), image.clone()),
            "{what}"
        );
        assert_eq!(project.steps(), Vec::<String>::new(), "{what}");
    }
    // Put right, it is repaired.
    project.manifest(MANIFEST);
    project.write("compose.yaml", COMPOSE);
    project.apply().expect(0);
    assert_ne!(project.containers("api"), containers);
    project.assert_trail_is_whole();
}

fn stalled(status: &Value) -> String {
    let conditions = status["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|condition| condition["type"] == "Stalled").unwrap();
    format!("{} {}", found["status"].as_str().unwrap(), found["reason"].as_str().unwrap())
}

#[test]
fn what_is_down_is_started_though_it_cannot_be_verified_and_nothing_is_waited_for() {
    let project = Project::healthy();
    project.manifest(&MANIFEST.replace(PASSWORD, "passwordFrom: { env: E2E_NOT_SET }"));
    let containers = project.containers("api");
    docker(&["stop", "-t", "1", &containers[0]]);
    let began = Instant::now();
    let apply = project.apply().expect(1);
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}: {}", began.elapsed(), apply.stderr);
    assert_eq!(stalled(&apply.status()), "True CredentialsUnreadable", "{apply:?}");
    assert_eq!(project.containers("api"), containers, "as it ran before");
    let running = docker(&["inspect", "-f", "{{.State.Running}}", &containers[0]]);
    assert_eq!(running.trim(), "true");
}

#[test]
fn rejected_password_is_not_waited_for_until_the_timeout() {
    let project = Project::healthy();
    project.manifest(&MANIFEST.replace("timeout: 60s", "timeout: 5m"));
    project.compose(&["restart", "-t", "1", "api"]);
    let began = Instant::now();
    let mut apply = project.command(&["apply", "-f", "undrift.yaml", "-o", "json"]);
    let apply = run(apply.env("E2E_PASSWORD", "wrong")).expect(1);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}: {}", began.elapsed(), apply.stderr);
    assert_eq!(apply.drift("api"), "auth Rejected");
    assert_eq!(stalled(&apply.status()), "True Rejected");
    assert_eq!(project.steps(), Vec::<String>::new());
}
