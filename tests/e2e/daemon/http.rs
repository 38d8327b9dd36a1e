//! The control socket as the documentation shows it, by `curl`.

use std::{
    fs::File,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::Daemon;
use crate::{
    processes::Running,
    support::{MANIFEST, Project, run, wait_for},
};

/// `curl` at the project's control socket.
fn curl(project: &Project, args: &[&str], path: &str) -> Command {
    let mut command = Command::new("curl");
    command.args(["--no-progress-meter", "--unix-socket"]).arg(project.state_dir().join("control.sock"));
    command.args(args).arg(format!("http://localhost{path}"));
    command
}

/// The status and the body.
fn ask(project: &Project, args: &[&str], path: &str) -> (u64, String) {
    let answer = run(curl(project, &["--write-out", "\n%{http_code}"], path).args(args)).expect(0).stdout;
    let (body, status) = answer.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

fn json_of(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

const JSON: [&str; 4] = ["-X", "POST", "-H", "Content-Type: application/json"];

#[test]
fn incident_is_followed_and_repaired_over_http() {
    let project = Project::in_incident();
    let suspend = |yes: bool| {
        let reconcile = format!("  reconcile:\n    suspend: {yes}\n");
        project.manifest(&MANIFEST.replace("  reconcile:\n", &reconcile));
    };
    suspend(true);
    let daemon = Daemon::start(&project);
    daemon.wait_until_ready();
    assert_eq!(ask(&project, &[], "/healthz"), (200, "ok\n".into()));
    assert_eq!(ask(&project, &[], "/readyz"), (200, "ok\n".into()));
    let object = format!("/api/v1/objects/{}", project.name);
    let (status, found) = ask(&project, &[], &object);
    assert_eq!(
        (status, &json_of(&found)["status"]["services"][0]["drift"]["reason"]),
        (200, &json!("ModuleMissing"))
    );

    let events = project.path("events.txt");
    let file = File::create(&events).unwrap();
    let mut follow = curl(&project, &["--no-buffer"], "/api/v1/events?after=0");
    let _follow = Running(follow.stdout(file).stderr(Stdio::null()).spawn().unwrap());
    suspend(false);
    let (status, lines) =
        ask(&project, &[&JSON[..], &["--no-buffer", "-d", "{}"]].concat(), &format!("{object}/reconcile"));
    assert_eq!(status, 200, "{lines}");
    let lines: Vec<Value> = lines.lines().map(json_of).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    for kind in ["StepIntended", "Output", "StepFinished", "Verifying", "Reconciled"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["kind"], &last["ready"], &last["error"]),
        (&json!("Result"), &json!(true), &Value::Null)
    );
    let reconciled = &lines[kinds.iter().position(|kind| *kind == "Reconciled").unwrap()];
    let transition = &reconciled["transitions"][0];
    assert_eq!((&transition["before"], &transition["after"]), (&json!(404), &json!(401)));

    // Who follows has every record of the trail once and in order, and the build's output between its records.
    let trail = project.trail();
    let read = || std::fs::read_to_string(&events).unwrap();
    let end = format!("id: {}\n", trail.len());
    wait_for("the last record", || read().contains(&end));
    let text = read();
    let ids: Vec<u64> =
        text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect();
    assert_eq!(ids, (1..=trail.len() as u64).collect::<Vec<_>>());
    let at = |text_of: &str| text.find(text_of).unwrap_or_else(|| panic!("{text_of}: {text}"));
    assert!(at("StepIntended") < at("event: output") && at("event: output") < at("StepFinished"));
    project.assert_trail_is_whole();
}

#[test]
fn person_suspends_and_resumes_over_http_under_their_own_name() {
    let project = Project::healthy();
    let daemon = Daemon::start(&project);
    daemon.wait_until_ready();
    let object = format!("/api/v1/objects/{}", project.name);
    let asked = [&JSON[..], &["-d", r#"{"reason": "moving the database", "for": "2h"}"#]].concat();
    let (status, suspended) = ask(&project, &asked, &format!("{object}/suspend"));
    assert_eq!(status, 200, "{suspended}");
    let get = project.undrift(&["get"]).expect(0);
    assert!(get.stdout.contains("suspended: moving the database"), "{}", get.stdout);
    assert_eq!(ask(&project, &["-X", "POST"], &format!("{object}/resume")).0, 200);
    let (status, error) = ask(&project, &["-X", "POST"], &format!("{object}/retry"));
    assert_eq!((status, &json_of(&error)["reason"]), (409, &json!("NotStalled")));
    let user = run(Command::new("id").arg("-un")).expect(0).stdout;
    let by: Vec<(Value, Value)> =
        project.trail().iter().map(|record| (record["kind"].clone(), record["actor"].clone())).collect();
    for kind in ["Suspended", "Resumed"] {
        assert!(by.contains(&(json!(kind), json!(user.trim()))), "{kind}: {by:?}");
    }
    assert!(daemon.end().success());
    let ended = run(&mut curl(&project, &[], "/healthz"));
    assert_eq!(ended.code, Some(7), "nobody listens any more");
}
