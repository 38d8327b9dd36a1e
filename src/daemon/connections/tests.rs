//! Connections at shutdown, and connections of an earlier version.

use tokio::io::AsyncReadExt as _;

use super::*;
use crate::daemon::{
    socket::FILE,
    testing::{DaemonFixture, healthy},
};

async fn answer(mut stream: UnixStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn connections_during_the_shutdown_are_refused_with_the_reason_ending() {
    let fixture = DaemonFixture::new(healthy());
    let home = tempfile::tempdir().unwrap();
    let (socket, connections) = (ControlSocket::open(home.path()).unwrap(), TaskTracker::new());
    fixture.shared.stop.cancel();
    let connect = || UnixStream::connect(home.path().join(FILE));
    let request = "GET /api/v1/objects HTTP/1.0\r\n\r\n";
    let refused = |answer: String| {
        assert!(answer.starts_with("HTTP/1.0 503") && answer.contains("\"reason\":\"Ending\""), "{answer}");
    };
    tokio::select! {
        answer = async { answer(connect().await.unwrap(), request).await } => refused(answer),
        never = fixture.shared.accept_connections(&socket, &connections) => match never {},
    }
    let not_accepted = connect().await.unwrap();
    fixture.shared.reject_pending(socket, &connections);
    refused(answer(not_accepted, request).await);
    assert!(connect().await.is_err(), "it is closed");
    connections.close();
    connections.wait().await;
}

#[tokio::test]
async fn more_connections_than_a_process_can_spare_are_refused() {
    let fixture = DaemonFixture::new(healthy());
    let home = tempfile::tempdir().unwrap();
    let (socket, connections) = (ControlSocket::open(home.path()).unwrap(), TaskTracker::new());
    let connect = || UnixStream::connect(home.path().join(FILE));
    let request = "GET /healthz HTTP/1.0\r\n\r\n";
    let many = async {
        let mut idle = Vec::new();
        while connections.len() < MOST {
            idle.push(connect().await.unwrap());
        }
        let refused = answer(connect().await.unwrap(), request).await;
        assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("TooManyConnections"), "{refused}");
        idle.clear();
        while !connections.is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(answer(connect().await.unwrap(), request).await.starts_with("HTTP/1.0 200"));
    };
    tokio::select! {
        () = many => {}
        never = fixture.shared.accept_connections(&socket, &connections) => match never {},
    }
}

#[tokio::test]
async fn a_client_of_an_earlier_version_is_refused_with_what_to_do() {
    let fixture = DaemonFixture::new(healthy());
    let home = tempfile::tempdir().unwrap();
    let (socket, connections) = (ControlSocket::open(home.path()).unwrap(), TaskTracker::new());
    let stream = UnixStream::connect(home.path().join("undrift.sock")).await.unwrap();
    let request = "{\"version\":1,\"what\":{\"look\":\"shop\"}}\n";
    tokio::select! {
        answer = answer(stream, request) => {
            let reply: serde_json::Value = serde_json::from_str(&answer).unwrap();
            let why = reply["refused"].as_str().unwrap();
            assert!(why.contains(env!("CARGO_PKG_VERSION")) && why.contains("control.sock"), "{why}");
        }
        never = fixture.shared.accept_connections(&socket, &connections) => match never {},
    }
}
