//! The binary as a script sees it: exit codes, standard output, standard error. No engine is asked for anything.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod anchors;
mod checkpoints;
mod docs;
mod documents;
mod earlier_trail;
mod exposed;
mod home;
mod hostile;
mod shapes;
mod state_locks;
#[path = "../support/stranger.rs"]
#[expect(dead_code, reason = "each of the crates that share it reads another part of it")]
mod stranger;
mod streams;
mod trail_export;
mod unusable_files;
mod warnings;

use std::{fs, io::Write, process::Stdio};

use serde_json::{Value, json};
use undrift::{
    api::{API_VERSION, AuditRecord, ConditionStatus, Incident, IncidentOutcome, ObjectList, Time},
    store::StateLock,
};

use documents::{AuditVerification, ErrorDocument, IncidentDocument};
use home::{Home, Run, manifest, read, run, tamper};
use stranger::List;

fn names(run: &Run) -> Vec<&str> {
    run.stdout.lines().filter_map(|line| line.split_whitespace().nth(1)).collect()
}

#[test]
fn validate_distinguishes_valid_from_invalid() {
    let home = Home::new();
    let good = home.manifest("shop");
    let good = good.to_str().unwrap();
    let run = home.undrift(&["validate", "-f", good]).expect(0);
    assert!(run.stdout.starts_with("ok  shop  ") && run.stdout.contains("1 service"), "{run:?}");
    assert_eq!(run.stderr, "");

    fs::write(home.0.path().join("bad.yaml"), manifest("Shop").replace("services", "servcies")).unwrap();
    let run = home.undrift(&["validate", "-f", "bad.yaml"]).expect(2);
    assert_eq!(run.stdout, "");
    for part in ["bad.yaml", "servcies", "Shop"] {
        assert!(run.stderr.contains(part), "no {part:?} in {run:?}");
    }
    assert!(!home.state().exists(), "validate needs no state");
}

#[test]
fn schema_is_the_file_that_is_shipped() {
    let shipped =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/undrift.schema.json")).unwrap();
    assert_eq!(Home::new().undrift(&["schema"]).expect(0).stdout, shipped);
}

#[test]
fn a_manifest_may_come_from_standard_input() {
    let home = Home::new();
    home.manifest("other");
    let piped = |text: &str| {
        let mut command = home.command(&["validate", "-f", "-"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        read(child.wait_with_output().unwrap())
    };
    assert_eq!(names(&piped(&manifest("shop")).expect(0)), ["shop"]);
    assert!(piped("kind: ComposeProjekt\n").expect(2).stderr.contains("ComposeProjekt"));
}

#[test]
fn manifests_may_be_several() {
    let home = Home::new();
    let (first, second) = (home.manifest("zoo"), home.manifest("bar"));
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    // In order of file name, whatever the order on the command line.
    assert_eq!(names(&home.undrift(&["validate", "-f", first, "--file", second]).expect(0)), ["bar", "zoo"]);
    let missing = home.undrift(&["validate", "-f", first, "-f", "missing.yaml"]).expect(2);
    assert!(missing.stdout.is_empty() && missing.stderr.contains("missing.yaml"), "{missing:?}");
    assert!(missing.stderr.contains("help: name a manifest"), "{missing:?}");
}

#[test]
fn flags_may_be_given_as_variables() {
    let home = Home::new();
    let id = home.recorded();
    let manifest = home.manifest("shop");
    assert_eq!(names(&run(home.command(&["validate"]).env("UNDRIFT_FILE", manifest)).expect(0)), ["shop"]);

    let listed = run(home.command(&["incident", "list"]).env("UNDRIFT_OUTPUT", "json")).expect(0);
    assert_eq!(listed.json::<List<Incident>>().items[0].id, id, "the state of UNDRIFT_STATE_DIR");
    let elsewhere = home.0.path().join("elsewhere");
    let mut command = home.command(&["incident", "list", "-o", "text", "--state-dir"]);
    let flags_first = run(command.arg(&elsewhere).env("UNDRIFT_OUTPUT", "json")).expect(0);
    assert_eq!(flags_first.stdout, "no incidents\n");
    assert!(!elsewhere.exists(), "what only reads creates nothing");

    let of = |object: &str| {
        let mut command = home.command(&["audit", "list", "-o", "json"]);
        run(command.env("UNDRIFT_OBJECT", object)).expect(0).json::<List<AuditRecord>>().items.len()
    };
    assert_eq!((of("shop"), of("bank")), (2, 0));
}

#[test]
fn standard_output_is_one_document_and_the_log_is_json() {
    let home = Home::new();
    home.manifest("shop");
    let args = ["check", "-f", "shop.yaml", "-o", "json", "--log", "trace", "--log-format", "json"];
    let run = run(home.command(&args).env("SECRET_OF_THE_SHOP", "hunter2")).expect(2);
    let list: ObjectList = run.json();
    let ready = &list.items[0].status.conditions[0];
    assert_eq!((ready.status, list.items.len()), (ConditionStatus::Unknown, 1), "{ready:?}");
    let mut events: Vec<Value> = Vec::new();
    for line in run.stderr.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["level"].is_string() && event["target"].is_string(), "{event}");
        events.push(event);
    }
    let asked = events.iter().find(|event| event["message"] == "engine asked");
    let asked = asked.unwrap_or_else(|| panic!("the question is not in the log: {run:?}"));
    assert_eq!((&asked["ok"], &asked["span"]["name"]), (&json!(false), &json!("observe")));
    assert_eq!((&asked["span"]["object"], asked["ms"].is_u64()), (&json!("shop"), true), "{asked}");
    assert!(!run.stderr.contains("hunter2"), "the environment is in the log: {run:?}");
    // What is said to whoever typed the command is an event, too.
    let complaint = events.iter().find(|event| event["target"] == "undrift::cli");
    let complaint = complaint.unwrap_or_else(|| panic!("no complaint: {run:?}"));
    assert_eq!(complaint["level"], "WARN");
    assert!(complaint["message"].as_str().unwrap().starts_with("shop: no engine answers"), "{complaint}");
    assert!(complaint["timestamp"].as_str().unwrap().parse::<Time>().is_ok(), "{complaint}");
}

#[test]
fn who_only_looks_makes_no_state_and_upgrades_none() {
    let home = Home::new();
    home.manifest("shop");
    for verb in ["check", "plan"] {
        home.undrift(&[verb, "-f", "shop.yaml"]).expect(2);
        assert!(!home.state().exists(), "{verb} makes a state folder");
    }
    // As an earlier version left it.
    fs::create_dir(home.state()).unwrap();
    let state = rusqlite::Connection::open(home.state().join("state.db")).unwrap();
    let mode: String = state.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    state.execute_batch(include_str!("../../src/store/schema/1.sql")).unwrap();
    state.pragma_update(None, "user_version", 1).unwrap();
    let files = || fs::read_dir(home.state()).unwrap().count();
    let before = files();
    for verb in ["check", "plan"] {
        home.undrift(&[verb, "-f", "shop.yaml"]).expect(2);
        let version: i64 = state.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!((version, files()), (1, before), "{verb} touches it");
    }
}

#[test]
fn why_a_verb_failed_is_an_event_where_the_log_is_json() {
    let home = Home::new();
    home.recorded();
    let run = home.undrift(&["describe", "nobody", "--log-format", "json"]).expect(2);
    let event: Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!(
        (&event["level"], &event["message"], &event["reason"]),
        (&json!("ERROR"), &json!("no object nobody is recorded"), &json!("NoSuchObject"))
    );
    // Also where the message has several lines.
    fs::write(home.0.path().join("bad.yaml"), "kind: Nothing\n").unwrap();
    let run = home.undrift(&["check", "-f", "bad.yaml", "--log-format", "json"]).expect(2);
    let event: Value = serde_json::from_str(run.stderr.trim_end()).unwrap();
    assert!(event["message"].as_str().unwrap().contains('\n'), "{event}");
    assert_eq!(run.stderr.lines().count(), 1);
}

#[test]
fn a_folder_that_is_locked_is_named_with_who_holds_it() {
    let home = Home::new();
    let manifest = home.manifest("shop");
    let _lock = StateLock::acquire(&home.state(), "run").unwrap();
    let run = home.undrift(&["apply", "-f", manifest.to_str().unwrap()]).expect(2);
    let (state, process) = (home.state(), std::process::id());
    let expected =
        format!("the state folder {} is held by undrift run, process {process}, ", state.display());
    assert!(run.stderr.contains(&expected), "{run:?}");
}

#[test]
fn the_variable_takes_several_manifests_and_an_argument_one() {
    let home = Home::new();
    let (first, second) = (home.manifest("bar"), home.manifest("zoo"));
    let validate = |variable: &str, args: &[&str]| {
        run(home.command(&[&["validate"], args].concat()).env("UNDRIFT_FILE", variable))
    };
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    assert_eq!(names(&validate(&format!("{first}::{second}:"), &[]).expect(0)), ["bar", "zoo"]);
    assert_eq!(names(&validate(&format!("{first}:{second}"), &["-f", first]).expect(0)), ["bar"]);
    // A path in an argument may hold a colon.
    let odd = home.0.path().join("a:b.yaml");
    fs::rename(first, &odd).unwrap();
    assert_eq!(names(&validate(second, &["-f", odd.to_str().unwrap()]).expect(0)), ["bar"]);
    assert!(validate("", &[]).expect(2).stderr.contains("does not exist"));
    assert!(run(&mut home.command(&["validate", "--help"])).stdout.contains("separated by colons"));
}

#[test]
fn usage_errors_exit_2_and_help_does_not() {
    let home = Home::new();
    for args in [
        &[][..],
        &["chekc"],
        &["check"],
        &["get", "--output", "yaml"],
        &["describe"],
        &["audit", "list", "--since", "yesterday"],
        &["incident", "show"],
        &["get", "--log", "undrift=loudly"],
    ] {
        let run = home.undrift(args).expect(2);
        assert!(run.stdout.is_empty() && !run.stderr.is_empty(), "{args:?}: {run:?}");
    }
    // What clap refuses is told in the wanted form, too.
    for json in [&["-o", "json"][..], &["--output", "json"], &["-ojson"], &["--output=json"]] {
        let run = home.undrift(&[&["check"], json].concat()).expect(2);
        let error: ErrorDocument = run.json();
        assert_eq!((error.kind.as_str(), error.reason.as_str()), ("Error", "Usage"), "{run:?}");
        assert!(error.message.contains("--file") && run.stderr.contains("--file"), "{run:?}");
    }
    for args in [&["--help"][..], &["--version"], &["audit", "list", "--help"]] {
        let run = home.undrift(args).expect(0);
        assert!(run.stderr.is_empty() && run.stdout.contains("undrift"), "{args:?}: {run:?}");
    }
}

#[test]
fn an_empty_state_is_no_error() {
    let home = Home::new();
    for (args, text) in [
        (["get"].as_slice(), "nothing is recorded yet"),
        (&["audit", "list"], "no records\n"),
        (&["incident", "list"], "no incidents\n"),
        (&["audit", "verify"], "whole: 0 records, "),
    ] {
        let run = home.undrift(args).expect(0);
        assert!(run.stdout.starts_with(text) && run.stderr.is_empty(), "{args:?}: {run:?}");
    }
    let json = |args: &[&str]| home.undrift(&[args, &["-o", "json"]].concat()).expect(0);
    assert!(json(&["get"]).json::<ObjectList>().items.is_empty());
    for (verb, kind) in [("audit", "AuditList"), ("incident", "IncidentList")] {
        let list: List<Value> = json(&[verb, "list"]).json();
        assert_eq!((list.api_version.as_str(), list.kind.as_str(), list.items.len()), (API_VERSION, kind, 0));
    }
    assert!(json(&["audit", "verify"]).json::<AuditVerification>().whole);
    assert!(!home.state().exists(), "what only reads creates nothing");
}

#[test]
fn a_tampered_trail_is_reported_with_its_first_bad_record() {
    let home = Home::new();
    home.recorded();
    let verify = || home.undrift(&["audit", "verify", "-o", "json"]);
    let whole: AuditVerification = verify().expect(0).json();
    assert_eq!((whole.api_version.as_str(), whole.kind.as_str()), (API_VERSION, "AuditVerification"));
    assert_eq!(whole.differs, [""; 0]);
    assert!(whole.whole && whole.records == 3 && whole.first_bad.is_none(), "{whole:?}");
    assert!(whole.differs.is_empty() && whole.missing.is_none() && whole.begun_anew.is_none(), "{whole:?}");
    let [key] = &whole.keys[..] else { panic!("one key: {whole:?}") };
    assert!(key.since == 1 && key.key.starts_with("undrift/"), "{whole:?}");
    assert_eq!(whole.head.unwrap().len(), 64);

    tamper(&home.state(), "UPDATE trail SET actor = 'nobody' WHERE seq = 2");
    let run = home.undrift(&["audit", "verify"]).expect(1);
    assert!(run.stdout.starts_with("broken: record 2 "), "{run:?}");
    let broken: AuditVerification = verify().expect(1).json();
    assert!(!broken.whole && broken.records == 1 && broken.head.is_none(), "{broken:?}");
    let first = broken.first_bad.unwrap();
    assert!(first.seq == 2 && !first.problem.is_empty(), "{first:?}");
}

#[test]
fn an_incident_can_be_read_by_a_program() {
    let home = Home::new();
    let id = home.recorded();
    let list: List<Incident> = home.undrift(&["incident", "list", "-o", "json"]).expect(0).json();
    assert_eq!((list.kind.as_str(), list.items.len()), ("IncidentList", 1));
    assert_eq!(
        (list.items[0].id.as_str(), list.items[0].outcome),
        (id.as_str(), Some(IncidentOutcome::Reconciled))
    );

    let shown: IncidentDocument = home.undrift(&["incident", "show", &id, "-o", "json"]).expect(0).json();
    assert_eq!((shown.api_version.as_str(), shown.kind.as_str()), (API_VERSION, "Incident"));
    assert_eq!(shown.incident, list.items[0]);
    let kinds: Vec<&str> = shown.timeline.iter().map(|record| record.kind.as_str()).collect();
    assert_eq!(kinds, ["DriftDetected", "Reconciled"]);
    assert_eq!(home.undrift(&["incident", "show", "01ZZZZ"]).expect(2).stdout, "");
    let missing = home.undrift(&["incident", "show", "01ZZZZ", "-o", "json"]).expect(2);
    assert_eq!(missing.json::<ErrorDocument>().reason, "NoSuchIncident");
}

#[test]
fn an_object_that_is_not_recorded_is_an_error_in_the_requested_format() {
    let home = Home::new();
    home.recorded();
    let run = home.undrift(&["describe", "nobody"]).expect(2);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", "undrift: no object nobody is recorded\n"));
    let run = home.undrift(&["describe", "nobody", "-o", "json"]).expect(2);
    let error: ErrorDocument = run.json();
    assert_eq!((error.api_version.as_str(), error.kind.as_str()), (API_VERSION, "Error"));
    assert_eq!(
        (error.reason.as_str(), error.message.as_str()),
        ("NoSuchObject", "no object nobody is recorded"),
        "{run:?}"
    );
}

#[test]
fn an_object_that_was_never_seen_has_a_row_per_service_all_the_same() {
    let home = Home::new();
    home.manifest("shop");
    home.undrift(&["apply", "-f", "shop.yaml"]).expect(2);
    let run = home.undrift(&["get"]).expect(0);
    let row: Vec<&str> = run.stdout.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(row[..9], ["shop", "web", "–", "–", "?", "–", "–", "Unknown", "EngineUnavailable"], "{run:?}");
}

#[test]
fn an_object_that_its_manifest_suspends_is_not_resumed_by_the_verb() {
    let home = Home::new();
    let path = home.manifest("shop");
    let suspended = manifest("shop") + "  reconcile: { suspend: true }\n";
    fs::write(path, suspended).unwrap();
    home.undrift(&["apply", "-f", "shop.yaml"]).expect(2);
    let run = home.undrift(&["resume", "shop"]).expect(0);
    assert!(run.stdout.contains("spec.reconcile.suspend is true"), "{run:?}");
    home.manifest("shop");
    home.undrift(&["apply", "-f", "shop.yaml"]).expect(2);
    let run = home.undrift(&["resume", "shop"]).expect(0);
    assert!(run.stdout.contains("was not suspended") && !run.stdout.contains("its manifest"), "{run:?}");
}
