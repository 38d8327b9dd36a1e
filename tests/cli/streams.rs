//! Where standard output and standard error go: a reader that has gone, a full disk, a terminal.

use std::{
    fs::File,
    io,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    documents::ErrorDocument,
    home::{Home, Run, run, tamper},
};

/// The exit code where nobody reads standard output any more.
fn unread(home: &Home, args: &[&str]) -> Run {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let child = home.command(args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    crate::read(child.wait_with_output().unwrap())
}

#[test]
fn a_verdict_outlives_its_reader() {
    let home = Home::new();
    home.recorded();
    home.manifest("shop");
    for format in ["text", "json"] {
        unread(&home, &["audit", "verify", "-o", format]).expect(0);
    }
    tamper(&home.state(), "UPDATE trail SET actor = 'nobody' WHERE seq = 2");
    for format in ["text", "json"] {
        unread(&home, &["audit", "verify", "-o", format]).expect(1);
        // No engine: an error, and a check that failed.
        unread(&home, &["check", "-f", "shop.yaml", "-o", format]).expect(2);
        unread(&home, &["plan", "-f", "shop.yaml", "-o", format]).expect(2);
        unread(&home, &["apply", "-f", "shop.yaml", "-o", format]).expect(2);
        unread(&home, &["describe", "nobody", "-o", format]).expect(2);
        unread(&home, &["doctor", "-o", format]).expect(1);
    }
    unread(&home, &["validate", "-f", "missing.yaml"]).expect(2);
}

#[test]
fn a_closed_standard_output_is_no_error() {
    let home = Home::new();
    home.recorded();
    home.manifest("shop");
    for args in [
        &["validate", "-f", "shop.yaml"][..],
        &["schema"],
        &["completions", "bash"],
        &["get"],
        &["audit", "list"],
        &["incident", "list"],
        &["--help"],
    ] {
        let run = unread(&home, args).expect(0);
        assert_eq!(run.stderr, "", "{args:?}");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error_with_the_systems_reason() {
    let home = Home::new();
    home.recorded();
    home.manifest("shop");
    for args in [
        &["validate", "-f", "shop.yaml"][..],
        &["schema"],
        &["completions", "bash"],
        &["get"],
        &["audit", "list"],
        &["audit", "verify"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let child = home.command(args).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let run = crate::read(child.wait_with_output().unwrap()).expect(2);
        assert!(run.stderr.contains("No space left on device"), "{args:?}: {run:?}");
    }
}

#[test]
fn a_wrong_log_filter_is_an_error_in_the_requested_format() {
    let home = Home::new();
    let run = home.undrift(&["get", "-o", "json", "--log", "undrift=loudly"]).expect(2);
    let error: ErrorDocument = run.json();
    assert_eq!((error.kind.as_str(), error.reason.as_str()), ("Error", "Usage"), "{run:?}");
}

#[test]
fn a_state_folder_that_is_none_is_not_called_locked() {
    let home = Home::new();
    home.manifest("shop");
    let file = home.0.path().join("shop.yaml");
    let args = ["apply", "-f", "shop.yaml", "-o", "json", "--state-dir", file.to_str().unwrap()];
    let run = home.undrift(&args).expect(2);
    let error: Value = run.json();
    assert_eq!(error["reason"], "StateUnavailable", "{run:?}");
    assert!(run.stderr.contains("shop.yaml is a file and not a folder"), "the cause is not said: {run:?}");
}

#[test]
fn without_a_terminal_nothing_is_coloured_whoever_forces_it() {
    let home = Home::new();
    for args in [&["--help"][..], &["chekc"]] {
        let mut command = home.command(args);
        let run = run(command.env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR"));
        // `expect` looks for escapes.
        let code = i32::from(args[0] == "chekc") * 2;
        run.expect(code);
    }
}

/// What a person sees on a terminal (`script` makes one) with these variables; `None` where there is no `script`.
fn on_a_terminal(home: &Home, variables: &[(&str, &str)]) -> Option<String> {
    let undrift = env!("CARGO_BIN_EXE_undrift");
    let manifest = home.0.path().join("shop.yaml");
    let line = format!("{undrift} check -f {} --log debug", manifest.display());
    let plain = home.command(&[]);
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env_remove("NO_COLOR").env("TERM", "xterm");
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    match command.output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn on_a_terminal_the_log_is_coloured_unless_the_user_says_otherwise() {
    let home = Home::new();
    home.manifest("shop");
    let Some(coloured) = on_a_terminal(&home, &[]) else { return };
    assert!(coloured.contains("engine asked"), "nothing was logged: {coloured}");
    assert!(coloured.contains('\u{1b}'), "{coloured}");
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = on_a_terminal(&home, &[variable]).unwrap();
        assert!(plain.contains("engine asked"), "nothing was logged: {plain}");
        assert!(!plain.contains('\u{1b}'), "{variable:?}: {plain}");
    }
}
