//! `doctor` and `completions` through the binary. The engine of this host is only asked.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde::Deserialize;
use tempfile::TempDir;
use undrift::{
    api::{API_VERSION, AuditKind, NewRecord},
    store::Store,
};

/// `doctor -o json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Doctor {
    api_version: String,
    kind: String,
    ok: bool,
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    name: String,
    status: String,
    found: String,
    help: Option<String>,
}

impl Doctor {
    #[track_caller]
    fn check(&self, name: &str) -> &Check {
        self.checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }
}

/// undrift with a state folder in `home`, at an address at which nobody listens.
fn undrift(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_undrift"));
    for variable in ["FILE", "OUTPUT", "LOG", "LOG_FORMAT"] {
        command.env_remove(format!("UNDRIFT_{variable}"));
    }
    command.env_remove("DOCKER_CONTEXT").env("DOCKER_HOST", "unix:///nowhere");
    command.env("UNDRIFT_STATE_DIR", home.join("state")).args(args).stdin(Stdio::null());
    command
}

#[track_caller]
fn examine(command: &mut Command) -> (i32, Doctor) {
    let output = command.args(["-o", "json"]).output().unwrap();
    let doctor: Doctor =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!((doctor.api_version.as_str(), doctor.kind.as_str()), (API_VERSION, "Doctor"));
    let code = output.status.code().unwrap();
    assert_eq!(doctor.ok, code == 0, "{doctor:?}");
    assert!(doctor.ok || doctor.checks.iter().any(|check| check.status == "failed" && check.help.is_some()));
    (code, doctor)
}

/// A state with one record.
fn recorded(home: &Path) -> PathBuf {
    let state = home.join("state");
    let store = Store::open(&state, "ops@host undrift[1] test".into()).unwrap();
    store.append(&NewRecord::of(AuditKind::Started)).unwrap();
    state
}

#[test]
fn without_an_engine_the_address_and_the_help_are_shown() {
    let home = TempDir::new().unwrap();
    let (code, doctor) = examine(&mut undrift(home.path(), &["doctor"]));
    let engine = doctor.check("EngineReachable");
    assert_eq!((code, engine.status.as_str()), (1, "failed"));
    assert!(engine.found.contains("unix:///nowhere (from DOCKER_HOST)"), "{engine:?}");
    assert!(engine.help.as_ref().unwrap().contains("unset DOCKER_HOST"), "{engine:?}");
    for name in ["EngineApi", "ClockAgreesWithEngine"] {
        assert_eq!(doctor.check(name).status, "unknown", "{doctor:?}");
    }
    assert!(!home.path().join("state").exists(), "it only looks");

    let output = undrift(home.path(), &["doctor"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("✗ EngineReachable ") && text.contains("\n  → ") && !text.contains('\u{1b}'),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn an_engine_that_accepts_and_never_answers_does_not_hold_up_doctor() {
    let home = TempDir::new().unwrap();
    let socket = home.path().join("silent.sock");
    let _silent = UnixListener::bind(&socket).unwrap();
    let began = Instant::now();
    let mut command = undrift(home.path(), &["doctor"]);
    let (code, doctor) = examine(command.env("DOCKER_HOST", format!("unix://{}", socket.display())));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let engine = doctor.check("EngineReachable");
    assert_eq!((code, engine.status.as_str()), (1, "failed"));
    assert!(engine.found.contains("accepts, and does not answer"), "{engine:?}");
    // Compose is asked for its version without the engine.
    assert_eq!(doctor.check("ComposeInstalled").status, "ok", "{doctor:?}");
}

#[test]
fn this_hosts_engine_answers() {
    let home = TempDir::new().unwrap();
    recorded(home.path());
    let mut command = undrift(home.path(), &["doctor"]);
    match std::env::var_os("DOCKER_HOST") {
        Some(host) => command.env("DOCKER_HOST", host),
        None => command.env_remove("DOCKER_HOST"),
    };
    let (code, doctor) = examine(&mut command);
    assert_eq!(code, 0, "these tests need a Docker engine with Compose v2: run scripts/host: {doctor:?}");
    for name in [
        "EngineReachable",
        "EngineApi",
        "ComposeInstalled",
        "LooksChangeNothing",
        "TrailWhole",
        "ClockAgreesWithEngine",
    ] {
        assert_eq!(doctor.check(name).status, "ok", "{doctor:?}");
    }
}

#[test]
fn a_state_folder_that_cannot_be_written_is_explained() {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("file"), "").unwrap();
    // Also for root, who may write almost anything.
    for dir in [home.path().join("file/state"), "/proc/undrift".into()] {
        let (code, doctor) = examine(undrift(home.path(), &["doctor", "--state-dir"]).arg(&dir));
        let state = doctor.check("StateWritable");
        assert_eq!((code, state.status.as_str()), (1, "failed"), "{state:?}");
        assert!(state.help.as_ref().unwrap().contains(dir.to_str().unwrap()), "{state:?}");
    }
}

#[test]
fn a_newer_schema_and_a_broken_trail_are_reported() {
    let home = TempDir::new().unwrap();
    let state = recorded(home.path());
    let db = Connection::open(state.join("state.db")).unwrap();
    let triggers: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for trigger in triggers {
        db.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    db.execute("UPDATE trail SET actor = 'nobody', time = '2999-01-01T00:00:00.000000Z'", []).unwrap();
    let (_, doctor) = examine(&mut undrift(home.path(), &["doctor"]));
    let trail = doctor.check("TrailWhole");
    assert_eq!((trail.status.as_str(), trail.help.as_deref()), ("failed", Some("undrift audit verify")));
    let clock = doctor.check("ClockAfterTrail");
    assert!(clock.status == "failed" && clock.found.contains("2999-01-01T00:00:00Z"), "{clock:?}");

    db.pragma_update(None, "user_version", 99).unwrap();
    let (_, doctor) = examine(&mut undrift(home.path(), &["doctor"]));
    let schema = doctor.check("StateSchema");
    assert!(schema.status == "failed" && schema.found.contains("99"), "{schema:?}");
    assert_eq!(doctor.check("TrailWhole").status, "unknown");
}

#[test]
fn manifests_are_examined_where_they_are_named() {
    let home = TempDir::new().unwrap();
    let (_, doctor) = examine(&mut undrift(home.path(), &["doctor"]));
    assert!(!doctor.checks.iter().any(|check| check.name == "ManifestsValid"), "{doctor:?}");
    fs::write(home.path().join("bad.yaml"), "kind: Nothing\n").unwrap();
    let bad = home.path().join("bad.yaml");
    let (code, doctor) = examine(undrift(home.path(), &["doctor", "-f"]).arg(&bad));
    let manifests = doctor.check("ManifestsValid");
    assert_eq!((code, manifests.status.as_str()), (1, "failed"));
    assert_eq!(manifests.help, Some(format!("undrift validate -f {}", bad.display())));
}

#[test]
fn completions_are_what_the_shells_can_read() {
    let home = TempDir::new().unwrap();
    let verbs = ["validate", "check", "plan", "apply", "audit", "incident", "doctor", "completions"];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = undrift(home.path(), &["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && verbs.iter().all(|verb| script.contains(verb)),
            "{shell}: {script}"
        );
        // What is not installed cannot read it.
        if matches!(shell, "bash" | "zsh" | "fish")
            && Command::new(shell).arg("--version").output().is_ok_and(|output| output.status.success())
        {
            let path = home.path().join(shell);
            fs::write(&path, script).unwrap();
            let read = Command::new(shell).arg("-n").arg(&path).output().unwrap();
            assert!(read.status.success(), "{shell}: {}", String::from_utf8_lossy(&read.stderr));
        }
    }
    let output = undrift(home.path(), &["completions", "ksh"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
