//! A folder to run the binary in, what it prints there, and a state that is recorded already.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rusqlite::Connection;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use undrift::{
    api::{API_VERSION, AuditKind, IncidentOutcome, NewRecord, ObjectStatus, Time},
    store::{NewIncident, Store},
};

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        // No run of this file has a terminal.
        assert!(!self.stdout.contains('\u{1b}') && !self.stderr.contains('\u{1b}'), "an escape: {self:?}");
        self
    }

    /// Standard output as the one JSON document that it must be.
    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A folder with a state folder in it, which need not exist.
pub(crate) struct Home(pub(crate) TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    /// A manifest of one object, next to a project that has one service.
    pub(crate) fn manifest(&self, name: &str) -> PathBuf {
        fs::write(self.0.path().join("compose.yaml"), "services: { web: { image: none } }\n").unwrap();
        let path = self.0.path().join(format!("{name}.yaml"));
        fs::write(&path, manifest(name)).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_undrift"));
        for variable in
            ["FILE", "OUTPUT", "LOG", "LOG_FORMAT", "OBJECT", "SERVICE", "INCIDENT", "SINCE", "UNTIL"]
        {
            command.env_remove(format!("UNDRIFT_{variable}"));
        }
        command.env("UNDRIFT_STATE_DIR", self.state()).env("DOCKER_HOST", self.no_engine());
        command.env("XDG_CACHE_HOME", self.0.path().join("cache")).env_remove("CACHE_DIRECTORY");
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// An address at which nobody listens.
    fn no_engine(&self) -> String {
        format!("unix://{}", self.0.path().join("no-engine.sock").display())
    }

    pub(crate) fn undrift(&self, args: &[&str]) -> Run {
        run(&mut self.command(args))
    }

    /// A state with three records and a closed incident; its ID.
    pub(crate) fn recorded(&self) -> String {
        let store = Store::open(&self.state(), "ops@host undrift[1] test".into()).unwrap();
        let at: Time = "2026-03-01T10:00:00Z".parse().unwrap();
        let drift =
            json!({ "web": { "layer": "container", "reason": "NotRunning", "message": "it exited" } });
        let status = json!(ObjectStatus::default());
        let new = NewIncident { object: "shop", at, drift: &drift, before: &status };
        let id = store.open_incident(new, None).unwrap().id;
        store.append(&NewRecord::of(AuditKind::Started)).unwrap();
        let of = |kind, evidence| NewRecord {
            object: Some("shop".into()),
            incident: Some(id.clone()),
            evidence,
            ..NewRecord::of(kind)
        };
        store.append(&of(AuditKind::DriftDetected, drift["web"].clone())).unwrap();
        store.append(&of(AuditKind::Reconciled, Value::Null)).unwrap();
        let end = at + chrono::TimeDelta::seconds(90);
        store.close_incident(&id, end, IncidentOutcome::Reconciled, Some(status)).unwrap();
        id
    }
}

pub(crate) fn manifest(name: &str) -> String {
    format!(
        "apiVersion: {API_VERSION}\nkind: ComposeProject\nmetadata: {{ name: {name} }}\n\
         spec:\n  project: {{ directory: . }}\n  services: [{{ name: web }}]\n"
    )
}

pub(crate) fn run(command: &mut Command) -> Run {
    read(command.output().unwrap())
}

pub(crate) fn read(output: Output) -> Run {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Changes the database as one who may write the file and knows SQLite: first the triggers go.
pub(crate) fn tamper(state: &Path, sql: &str) {
    let db = Connection::open(state.join("state.db")).unwrap();
    let triggers: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(!triggers.is_empty(), "the trail has no triggers");
    for trigger in triggers {
        db.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    assert_eq!(db.execute(sql, []).unwrap(), 1, "{sql}");
}
