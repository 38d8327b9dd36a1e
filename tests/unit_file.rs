//! The unit for systemd, held against the binary that it starts: what the daemon relies on is in it.
//!
//! Where systemd is installed it judges the file itself. Where it is not, the test says so and checks the rest.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write as _},
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

const UNDRIFT: &str = env!("CARGO_BIN_EXE_undrift");

/// Where the unit expects the binary.
const INSTALLED: &str = "/usr/local/bin/undrift";

fn text() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/undrift.service")).unwrap()
}

/// The unit's settings, all values of each.
struct Unit(BTreeMap<String, Vec<String>>);

impl Unit {
    fn read() -> Self {
        let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text().lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '['])) {
            let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("not a setting: {line}"));
            settings.entry(name.to_owned()).or_default().push(value.to_owned());
        }
        Self(settings)
    }

    /// The value of a setting that must be there once.
    #[track_caller]
    fn one(&self, name: &str) -> &str {
        match self.0.get(name).map(Vec::as_slice) {
            Some([value]) => value,
            other => panic!("{name}= is to be there once: {other:?}"),
        }
    }

    fn seconds(&self, name: &str) -> Duration {
        let value = self.one(name);
        let duration: undrift::api::Duration = value.replace("min", "m").parse().unwrap();
        assert!(value.ends_with(['s', 'n']), "{name}={value} has no unit that is read here");
        duration.get()
    }

    /// The command without the binary's path.
    fn arguments(&self) -> Vec<&str> {
        let mut words = self.one("ExecStart").split_ascii_whitespace();
        assert_eq!(words.next(), Some(INSTALLED));
        words.collect()
    }
}

/// The binary without any variable of this process.
fn undrift(arguments: &[&str]) -> Command {
    let mut command = Command::new(UNDRIFT);
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Says something in the test's output even where the test passes, and so its output is not shown.
fn print_note(words: &str) {
    let _ = writeln!(std::io::stderr(), "unit_file: {words}");
}

#[test]
fn systemd_finds_no_fault_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("undrift.service");
    // The binary need not be installed here, so this one takes its place.
    fs::write(&path, text().replace(INSTALLED, UNDRIFT)).unwrap();
    let verified =
        Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).stdin(Stdio::null()).output();
    match verified {
        Ok(output) => {
            // It also complains about units of the host that this one does not name.
            let text_of = text_of(&output);
            let complaints: Vec<&str> =
                text_of.lines().filter(|line| line.contains("undrift.service")).collect();
            assert!(complaints.is_empty(), "systemd-analyze verify: {complaints:#?}");
            assert!(output.status.success(), "systemd-analyze verify: {text_of}");
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            print_note("NOT RUN: systemd-analyze verify, for systemd is not installed here");
        }
        Err(error) => panic!("systemd-analyze could not be run: {error}"),
    }
}

#[test]
fn the_unit_accepts_the_daemons_notifications() {
    let unit = Unit::read();
    assert_eq!(unit.one("Type"), "notify");
    assert_eq!(unit.one("NotifyAccess"), "main");
    // The loop's pulse is every 2 s, and systemd's advice is half of the limit.
    assert!(unit.seconds("WatchdogSec") >= Duration::from_secs(10));
    assert_eq!(unit.one("TimeoutStartSec"), "infinity", "an engine that is away at boot is waited for");
    assert_eq!(unit.one("ExecReload"), "kill -HUP $MAINPID");
    assert_eq!(unit.one("Restart"), "on-failure");
}

#[test]
fn the_end_has_longer_than_the_grace_period() {
    let unit = Unit::read();
    let help = text_of(&undrift(&["run", "--help"]).env("COLUMNS", "1000").output().unwrap());
    let grace = help.split("--grace-period").nth(1).unwrap();
    let grace = grace.split("[default: ").nth(1).unwrap().split(']').next().unwrap();
    let grace = grace.parse::<undrift::api::Duration>().unwrap().get();
    // The whole end is within it, but for an engine that hangs while look-up containers are to be removed.
    assert!(unit.seconds("TimeoutStopSec") >= grace + Duration::from_secs(15), "{grace:?}");
    assert_eq!(unit.one("KillMode"), "mixed", "a Compose command is not to be ended beside undrift");
    assert!(unit.one("After").split(' ').any(|after| after == "docker.service"));
    assert!(!unit.0.contains_key("Requires") && !unit.0.contains_key("BindsTo"), "the engine may restart");
}

#[test]
fn the_binary_takes_the_arguments() {
    let unit = Unit::read();
    let state = tempfile::tempdir().unwrap();
    // With a folder that is not there the arguments are read, and nothing begins.
    let missing = state.path().join("missing");
    let arguments: Vec<String> =
        unit.arguments().iter().map(|word| word.replace("/etc/undrift", missing.to_str().unwrap())).collect();
    let mut command = undrift(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    command.env("UNDRIFT_STATE_DIR", state.path().join("state"));
    for variable in &unit.0["Environment"] {
        let (name, value) = variable.split_once('=').unwrap();
        command.env(name, value);
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text_of(&output).contains("this path does not exist"), "{}", text_of(&output));
}

#[test]
fn its_folders_are_the_ones_that_undrift_uses() {
    let unit = Unit::read();
    let help = text_of(&undrift(&["--help"]).env("COLUMNS", "1000").output().unwrap());
    assert!(help.contains(&format!("/var/lib/{} for root", unit.one("StateDirectory"))), "{help}");
    assert_eq!(unit.one("StateDirectoryMode"), "0700");
    assert_eq!(unit.one("ProtectSystem"), "strict");
    let environment = &unit.0["Environment"];
    let buildx = format!("BUILDX_CONFIG=/var/cache/{}/", unit.one("CacheDirectory"));
    assert!(environment.iter().any(|variable| variable.starts_with(&buildx)), "nothing else is writable");
    assert!(environment.iter().any(|variable| variable == "HOME=/root"), "Compose files use it");
    assert!(!environment.iter().any(|variable| variable.starts_with("UNDRIFT_STATE_DIR")));
    assert_eq!(unit.one("EnvironmentFile"), "-/etc/undrift/environment");
    // A container's owner is looked for in /proc/PID.
    assert!(!unit.0.contains_key("ProtectProc") && !unit.0.contains_key("ProcSubset"));
}
