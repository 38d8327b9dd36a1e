//! Control characters of whoever wrote a file, a name or an argument: they begin no line and steer no terminal, in no text, no log and
//! no JSON.

use std::{
    fs::{self, File},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::home::{Home, Run, manifest};

/// A line that seems to be undrift's own, a screen that is cleared (by seven bits and by eight), a direction that turns, and a
/// line end that is none of ASCII.
const HOSTILE: &str = "x\nforged: all is well\r\u{1b}[2J\u{9b}2J\u{202e}\u{2066}\u{85}\u{2028}y";

/// Whether a terminal would do something else with a character than show it.
fn steers(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[track_caller]
fn assert_harmless(run: &Run) {
    for text in [&run.stdout, &run.stderr] {
        assert!(!text.contains(steers), "{text:?}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("forged")), "{text}");
    }
}

/// A folder with a manifest of a hostile name, which has a hostile field, header and text.
fn hostile() -> Home {
    let home = Home::new();
    home.manifest("shop");
    let quoted = serde_json::to_string(HOSTILE).unwrap();
    let text = format!(
        "{}  {quoted}: 1\n  reconcile: {{ mode: {quoted} }}\n  project: {{ {quoted}: . }}\n",
        manifest("bank").replace("{ name: web }", &format!("{{ name: {quoted}, {quoted}: 1 }}"))
    );
    fs::write(home.0.path().join(format!("{HOSTILE}.yaml")), text).unwrap();
    home
}

#[test]
fn names_of_fields_and_files_begin_no_line() {
    let home = hostile();
    let file = format!("{HOSTILE}.yaml");
    for args in [
        &["validate", "-f", &file][..],
        &["validate", "-f", "."],
        &["check", "-f", &file],
        &["check", "-f", &file, "-o", "json"],
        &["plan", "-f", "."],
        &["apply", "-f", &file, "-o", "json"],
        &["doctor", "-f", &file],
        &["doctor", "-f", &file, "-o", "json"],
        &["--log-format", "json", "check", "-f", &file],
        &["run", "-f", &file],
    ] {
        let run = home.undrift(args);
        assert_harmless(&run);
        assert!(run.code == Some(2) || args[0] == "doctor", "{run:?}");
    }
    let errors = home.undrift(&["validate", "-f", &file]).stderr;
    assert!(errors.contains("x forged: all is well"), "what stands there is shown: {errors}");
}

#[test]
fn a_valid_manifest_of_a_hostile_name_is_one_line() {
    let home = Home::new();
    home.manifest("shop");
    fs::rename(home.0.path().join("shop.yaml"), home.0.path().join(format!("{HOSTILE}.yaml"))).unwrap();
    let run = home.undrift(&["validate", "-f", "."]).expect(2);
    assert_harmless(&run);
    fs::remove_file(home.0.path().join("compose.yaml")).unwrap();
    let run = home.undrift(&["validate", "-f", "."]).expect(0);
    assert_harmless(&run);
    assert_eq!(run.stdout.lines().count(), 1, "{run:?}");
}

#[test]
fn arguments_that_are_quoted_begin_no_line() {
    let home = Home::new();
    home.recorded();
    for args in [
        &[HOSTILE][..],
        &["get", HOSTILE],
        &["get", HOSTILE, "-o", "json"],
        &["describe", HOSTILE],
        &["incident", "show", HOSTILE],
        &["check", "-f", HOSTILE],
        &["audit", "list", "--since", HOSTILE],
        &["audit", "list", "-o", HOSTILE],
        &["--log", HOSTILE, "get"],
        &["--log-format", HOSTILE, "get"],
        &["suspend", HOSTILE, "--reason", HOSTILE],
        &["suspend", "shop", "--reason", HOSTILE, "--for", HOSTILE],
        &["completions", HOSTILE],
        &["--state-dir", HOSTILE, "audit", "verify"],
    ] {
        assert_harmless(&home.undrift(args));
    }
}

/// What `run` logs of a folder with a manifest that is right and a hostile one.
fn logged(format: &str) -> String {
    let home = hostile();
    let log = home.0.path().join("log");
    let mut command = home.command(&["--log-format", format, "run", "-f", "."]);
    let mut daemon = command.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let logged = loop {
        let text = fs::read_to_string(&log).unwrap();
        if text.contains("not valid, and not in effect") && text.ends_with('\n') || Instant::now() > end {
            break text;
        }
        thread::sleep(Duration::from_millis(20));
    };
    kill_process(Pid::from_child(&daemon), Signal::KILL).unwrap();
    daemon.wait().unwrap();
    assert!(logged.contains("not valid, and not in effect"), "{logged}");
    assert!(!logged.contains(steers), "{logged:?}");
    logged
}

#[test]
fn an_event_of_the_log_is_one_line() {
    for line in logged("text").lines() {
        assert!(line.starts_with("20"), "each begins with its time: {line:?}");
    }
    for line in logged("json").lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["timestamp"].is_string(), "{line}");
    }
}
