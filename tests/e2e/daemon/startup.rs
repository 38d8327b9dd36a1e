//! Files and pipes that hang, signals that come early, manifests that are not valid at the start, and what is logged.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixDatagram, UnixListener},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use super::Daemon;
use crate::support::{MANIFEST, Project, docker, run, wait_for};

/// How long an end may take on a machine that is busy, besides the grace period.
const AND_A_FEW_SECONDS: Duration = Duration::from_secs(6);

/// One daemon for these projects, with the state of the first.
fn command(projects: &[&Project], more: &[&str]) -> Command {
    let mut command = projects[0].command(&["run"]);
    command.args(more);
    for project in projects {
        command.arg("-f").arg(project.path("undrift.yaml"));
    }
    command
}

/// The recorded status of a project in the state of another.
fn recorded(home: &Project, of: &Project) -> Value {
    let json = home.undrift(&["get", "-o", "json"]).expect(0).json();
    let items = json["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["metadata"]["name"] == of.name);
    found.map(|item| item["status"].clone()).unwrap_or_default()
}

fn ready(home: &Project, of: &Project) -> String {
    let ready = &recorded(home, of)["conditions"][0];
    let word = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
    format!("{} {}", word("status"), word("reason"))
}

fn end_within(daemon: Daemon, limit: Duration) {
    let began = Instant::now();
    let ended = daemon.end();
    assert!(ended.success(), "{ended}");
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
}

/// A pipe is refused, and a file system that hangs is given up: see `hanging.rs`. What Compose alone is to read may hang for
/// as long as Compose has.
#[test]
fn file_at_which_compose_waits_holds_up_neither_the_others_nor_the_end() {
    let (well, hangs) = (Project::healthy(), Project::healthy());
    let made = Command::new("mkfifo").arg(hangs.path("x.env")).status().unwrap();
    assert!(made.success());
    // undrift does not know what Compose makes of such a path.
    hangs.write("compose.yaml", "services:\n  api: { build: ./api, env_file: '${FILE:+y}x.env' }\n");
    let daemon = Daemon::spawn(&mut command(&[&hangs, &well], &["--grace-period", "500ms"]), &hangs);
    wait_for("the other to be looked at", || ready(&hangs, &well).starts_with("True"));
    docker(&["kill", &well.containers("api")[0]]);
    wait_for("the other to be healed", || {
        hangs.trail().iter().any(|record| record["kind"] == "Reconciled" && record["object"] == well.name)
    });
    assert!(recorded(&hangs, &hangs).is_null(), "nothing is said of the one that hangs");
    end_within(daemon, Duration::from_millis(500) + AND_A_FEW_SECONDS);
    assert_eq!(ready(&hangs, &hangs), "Unknown Ending");
    hangs.assert_trail_is_whole();
}

#[test]
fn manifests_that_never_come_from_standard_input_hold_up_no_end() {
    let project = Project::new();
    let mut command = project.command(&["run", "-f", "-"]);
    let daemon = Daemon::spawn(command.stdin(Stdio::piped()), &project);
    wait_for("it to open its socket", || project.state_dir().join("control.sock").exists());
    end_within(daemon, AND_A_FEW_SECONDS);
}

/// Between the wait for a command that an earlier undrift has left and the first look, there was nobody who listened.
#[test]
fn signal_that_comes_while_it_starts_ends_it() {
    let project = Project::in_incident();
    let dockerfile = fs::read_to_string(project.path("api/Dockerfile")).unwrap();
    project.write("api/Dockerfile", &format!("{dockerfile}RUN sleep 2\n"));
    let killed = Daemon::spawn(&mut command(&[&project], &[]), &project);
    wait_for("a build to be at work", || project.is_at("compose") && project.is_at(" build "));
    killed.kill();
    // The command that it has left ends; in its place this holds the lock.
    let path = project.state_dir().join("step.lock");
    let orphan = File::options().read(true).write(true).open(&path).unwrap();
    orphan.lock().unwrap();
    let mut daemon = Daemon::spawn(&mut command(&[&project], &[]), &project);
    daemon.wait_for_log("waiting for its end");
    // From here on it stands still where it closes the step that was interrupted.
    let state = rusqlite::Connection::open(project.state_dir().join("state.db")).unwrap();
    state.execute_batch("BEGIN IMMEDIATE").unwrap();
    orphan.unlock().unwrap();
    let signed = format!("\"pid\":{}", daemon.pid());
    wait_for("it to go on", || fs::read_to_string(&path).unwrap().contains(&signed));
    daemon.signal(Signal::TERM);
    state.execute_batch("ROLLBACK").unwrap();
    wait_for("it to end", || daemon.child.try_wait().unwrap().is_some());
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0), "{}", daemon.log());
}

#[test]
fn many_starts_that_are_ended_at_once_all_end() {
    let project = Project::healthy();
    project.apply().expect(0);
    for ms in 0..40 {
        let mut daemon = Daemon::spawn(&mut command(&[&project], &[]), &project);
        // Not a wait for something: the moment of the signal is what differs.
        thread::sleep(Duration::from_millis(ms));
        daemon.signal(Signal::TERM);
        let began = Instant::now();
        wait_for("it to end", || daemon.child.try_wait().unwrap().is_some());
        assert!(began.elapsed() < AND_A_FEW_SECONDS, "after {ms} ms: {}", daemon.log());
    }
    project.assert_trail_is_whole();
}

#[test]
fn manifest_that_is_not_valid_at_the_start_ends_no_watch() {
    let (home, other) = (Project::healthy(), Project::healthy());
    let daemon = Daemon::spawn(&mut command(&[&home, &other], &[]), &home);
    let are_well = || [&home, &other].iter().all(|project| ready(&home, project).starts_with("True"));
    wait_for("both to be proven", are_well);
    assert!(daemon.end().success());
    let about_other = || {
        let trail = home.trail();
        trail.into_iter().filter(|record| record["object"] == other.name).collect::<Vec<_>>()
    };
    let before = about_other();

    other.manifest(&MANIFEST.replace("expect: [401]", "expect: [never]"));
    let daemon = Daemon::spawn(&mut command(&[&home, &other], &[]), &home);
    daemon.wait_until_ready();
    let message = || recorded(&home, &other)["conditions"][0]["message"].to_string();
    wait_for("what holds to be said", || message().contains("is not in effect"));
    assert!(message().contains("undrift.yaml:12:20"), "{}", message());
    assert_eq!(ready(&home, &other), "True ManifestInvalid", "it goes on as it was declared before");
    assert_eq!(about_other(), before, "it is not said to be removed");
    docker(&["kill", &other.containers("api")[0]]);
    wait_for("a repair", || about_other().iter().any(|record| record["kind"] == "Reconciled"));
    other.manifest(MANIFEST);
    wait_for("the manifest to be in effect", || are_well() && !message().contains("is not in effect"));

    // Once every manifest is valid, what none declares is not watched.
    other.manifest(&MANIFEST.replace("expect: [401]", "expect: [never]"));
    assert!(daemon.end().success());
    let daemon = Daemon::spawn(&mut command(&[&home, &other], &[]), &home);
    daemon.wait_until_ready();
    fs::write(other.path("undrift.yaml"), MANIFEST.replace("NAME", "another-one")).unwrap();
    wait_for("the end of the watch", || ready(&home, &other) == "Unknown NotWatched");
    assert!(daemon.end().success());
    home.assert_trail_is_whole();
}

#[test]
fn last_good_spec_of_an_altered_state_does_not_go_on() {
    let project = Project::healthy();
    let daemon = Daemon::start(&project);
    assert!(daemon.end().success());
    project.manifest(&MANIFEST.replace("expect: [401]", "expect: [never]"));
    let daemon = Daemon::start(&project);
    assert!(daemon.end().success(), "the only manifest is not valid, and what was declared goes on");
    let db = rusqlite::Connection::open(project.state_dir().join("state.db")).unwrap();
    let alter = "UPDATE declarations SET declared = replace(declared, '/api/workflow', '/')";
    assert_eq!(db.execute(alter, []).unwrap(), 1);
    drop(db);
    let run = run(&mut project.command(&["run", "-f", "undrift.yaml"])).expect(2);
    assert!(run.stderr.contains("undrift.yaml:12:20"), "{}", run.stderr);
}

#[test]
fn every_line_of_the_log_is_one_event_with_its_object_and_incident() {
    let (home, other) = (Project::in_incident(), Project::healthy());
    let daemon = Daemon::spawn(&mut command(&[&home, &other], &[]), &home);
    home.wait_for_healed(1);
    // Compose says why in three lines.
    other.write("compose.yaml", "services:\n  api: { image: \"a${\" }\n");
    docker(&["kill", &other.containers("api")[0]]);
    daemon.wait_for_log("nothing can be said of the object");
    let log = daemon.log();
    assert!(daemon.end().success());
    let mut events = Vec::new();
    for line in log.lines() {
        let mut words = line.split_whitespace();
        let time = words.next().unwrap_or_default();
        assert!(time.starts_with("20") && time.ends_with('Z'), "not an event: {line}\n{log}");
        let level = words.next().unwrap_or_default();
        assert!(["ERROR", "WARN", "INFO"].contains(&level), "{line}");
        events.push(line);
    }
    let of = |message: &str| {
        let found: Vec<&&str> = events.iter().filter(|line| line.contains(message)).collect();
        assert!(!found.is_empty(), "no {message} in {log}");
        found
    };
    let span = format!("reconcile{{object=\"{}\" run=01", home.name);
    for message in [": drift ", ": step ended ", ": reconciled "] {
        for line in of(message) {
            assert!(line.contains(&span), "{line}");
            assert_eq!(line.matches(" incident=\"01").count(), 1, "{line}");
        }
    }
    let refused = of("nothing can be said of the object");
    assert!(refused[0].contains("services.api.image. | You may need to escape any $ with"), "{}", refused[0]);
}

#[test]
fn service_manager_that_has_gone_is_not_missed() {
    let project = Project::healthy();
    let mut command = command(&[&project], &[]);
    command.env("NOTIFY_SOCKET", project.path("gone.sock"));
    let daemon = Daemon::spawn(&mut command, &project);
    daemon.wait_until_ready();
    docker(&["kill", &project.containers("api")[0]]);
    project.wait_for_healed(1);
    end_within(daemon, AND_A_FEW_SECONDS);
}

#[test]
fn state_that_makes_every_turn_wait_is_no_loop_that_stands_still() {
    let project = Project::healthy();
    let object = |number: usize| {
        MANIFEST
            .replace("name: NAME }\nspec", &format!("name: o{number} }}\nspec"))
            .replace("  reconcile:\n", "  reconcile:\n    mode: observe\n")
    };
    // As many as may be at work at once.
    project.manifest(&(0..16).map(object).collect::<Vec<_>>().join("---\n"));
    let path = project.path("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let next_message = || {
        let mut message = [0; 64];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).trim().to_owned()
    };
    let mut command = command(&[&project], &["--log", "undrift=debug"]);
    let daemon = Daemon::spawn(command.env("NOTIFY_SOCKET", &path), &project);
    daemon.wait_until_ready();
    let state = rusqlite::Connection::open(project.state_dir().join("state.db")).unwrap();
    state.busy_timeout(Duration::from_secs(60)).unwrap();
    state.execute_batch("BEGIN IMMEDIATE").unwrap();
    let named = || daemon.log().matches("may have changed").count();
    let before = named();
    docker(&["kill", &project.containers("api")[0]]);
    wait_for("all to be named", || named() > before);
    // What was said until now may have waited to be heard.
    manager.set_nonblocking(true).unwrap();
    while manager.recv(&mut [0; 64]).is_ok() {}
    manager.set_nonblocking(false).unwrap();
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(next_message(), "WATCHDOG=1");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    state.execute_batch("ROLLBACK").unwrap();
    assert!(daemon.end().success());
}

#[test]
fn image_period_that_would_be_a_hot_loop_is_refused() {
    let project = Project::new();
    let refused = run(&mut command(&[&project], &["--image-period", "0s"])).expect(2);
    assert!(refused.stderr.contains("--image-period 0s is too short: give 1s or more"), "{}", refused.stderr);
}

#[test]
fn daemon_that_does_not_accept_a_request_is_reported_with_its_version() {
    let project = Project::healthy();
    project.apply().expect(0);
    let door = UnixListener::bind(project.state_dir().join("control.sock")).unwrap();
    let daemon = thread::spawn(move || {
        for _ in 0..2 {
            let (mut person, _) = door.accept().unwrap();
            let mut lines = BufReader::new(&person).lines().map(Result::unwrap);
            assert!(lines.any(|line| line.is_empty()), "the head of a request");
            let answer = b"HTTP/1.1 404 Not Found\r\nServer: undrift/9.8.7\r\nContent-Length: 0\r\n\r\n";
            person.write_all(answer).unwrap();
        }
    });
    let name = project.name.as_str();
    for args in [&["suspend", name, "--reason", "a test"][..], &["resume", name]] {
        let ended = project.undrift(args).expect(0);
        assert!(
            ended
                .stderr
                .contains("the running undrift is version 9.8.7 and answers 404 Not Found: restart it"),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains("it is written"), "{}", ended.stderr);
    }
    daemon.join().unwrap();
}
