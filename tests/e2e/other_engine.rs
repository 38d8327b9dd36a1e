//! A status is of an engine: what is said to another one leaves it alone.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::{
        fs::symlink,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    thread,
};

use serde_json::Value;

use crate::support::{Project, Run, docker, run};

/// The engine's socket.
fn socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").into()
}

/// The same engine at this socket, under another ID: one that a caller has come to by mistake.
fn another_engine(at: &Path) -> String {
    let id = docker(&["info", "-f", "{{.ID}}"]).trim().to_owned();
    let other: String = id.chars().rev().collect();
    assert_ne!(id, other);
    let listener = UnixListener::bind(at).unwrap();
    let (from, to) = (id.into_bytes(), other.clone().into_bytes());
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, engine) = (client.unwrap(), UnixStream::connect(socket()).unwrap());
            let (answers, to_client) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
            let (from, to) = (from.clone(), to.clone());
            thread::spawn(move || carry(client, engine, &[], &[]));
            thread::spawn(move || carry(answers, to_client, &from, &to));
        }
    });
    other
}

/// Carries bytes over, with one text in place of another of the same length.
fn carry(mut from: UnixStream, mut to: UnixStream, text: &[u8], other: &[u8]) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let piece = &mut buffer[..length];
        if let Some(at) = piece.windows(text.len().max(1)).position(|window| window == text) {
            piece[at..at + other.len()].copy_from_slice(other);
        }
        if to.write_all(piece).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn at(project: &Project, socket: &Path, verb: &str) -> Run {
    let mut command = project.command(&[verb, "-f", "undrift.yaml", "-o", "json"]);
    run(command.env("DOCKER_HOST", format!("unix://{}", socket.display())).env_remove("DOCKER_CONTEXT"))
}

fn recorded(project: &Project) -> Value {
    project.undrift(&["get", "-o", "json"]).expect(0).json()
}

#[test]
fn apply_against_another_engine_is_refused_and_leaves_the_record_alone() {
    let project = Project::healthy();
    project.apply().expect(0);
    let (record, trail) = (recorded(&project), project.trail());
    let id = docker(&["info", "-f", "{{.ID}}"]).trim().to_owned();
    let status = &record["items"][0]["status"];
    assert_eq!(status["engine"], id);
    assert!(status["observedAt"].is_string() && status["suspension"].is_null(), "{status}");

    let wrong = project.state_dir().join("wrong.sock");
    let other = another_engine(&wrong);
    let refused = at(&project, &wrong, "apply").expect(2);
    for part in [&id, &other, "the record stays as it was", "unset DOCKER_HOST"] {
        assert!(refused.stderr.contains(part), "no {part}: {}", refused.stderr);
    }
    assert_eq!(recorded(&project), record);
    assert_eq!(project.trail(), trail);
    // Nor does one at which nobody is.
    at(&project, &project.state_dir().join("nobody.sock"), "apply").expect(2);
    assert_eq!(recorded(&project), record);
    // A look takes nothing and leaves nothing; what it says is of where it looked.
    let check = at(&project, &wrong, "check").expect(0);
    assert_eq!(check.status()["engine"], other);
    assert!(check.stderr.contains("the recorded state is of another engine"), "{}", check.stderr);
    assert_eq!(recorded(&project), record);

    // The same engine by another path is the same.
    let link = project.state_dir().join("link.sock");
    symlink(socket(), &link).unwrap();
    at(&project, &link, "apply").expect(0);
    // Where it has moved for good a person says so.
    project.undrift(&["retry", &project.name]).expect(0);
    assert_eq!(at(&project, &wrong, "apply").expect(0).status()["engine"], other);
    assert_eq!(recorded(&project)["items"][0]["status"]["engine"], other);
    project.assert_trail_is_whole();
}
