//! The gate before a small fake engine, which returns the requests that it received.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixStream},
    sync::mpsc,
    time::timeout,
};

use super::*;

/// An engine on TCP that answers every request alike and hands out the bytes that it was sent.
struct Fake {
    endpoint: Endpoint,
    received: mpsc::UnboundedReceiver<String>,
}

async fn fake(answer: &'static str) -> Fake {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap().to_string());
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                while !bytes.ends_with(b"\r\n\r\n") && stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {}
                sender.send(String::from_utf8(bytes).unwrap()).unwrap();
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    Fake { endpoint, received }
}

const OK: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nApi-Version: 1.41\r\nConnection: keep-alive\r\n\r\n{}";

fn socket(gate: &Gate) -> PathBuf {
    let Endpoint::Unix(path) = gate.endpoint() else { panic!("no socket") };
    path
}

/// Sends these bytes and returns the whole response.
async fn send(gate: &Gate, bytes: &str) -> String {
    let mut stream = UnixStream::connect(socket(gate)).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

/// One request, after which the client closes the connection.
fn request(first: &str, headers: &str) -> String {
    format!("{first} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
}

#[tokio::test]
async fn a_question_comes_to_the_engine_with_its_query_and_its_answer_back() {
    let mut engine = fake(OK).await;
    let gate = Gate::open(&engine.endpoint).unwrap();
    let headers = "User-Agent: compose\r\nX-Registry-Auth: secret\r\nConnection: X-Hop\r\nX-Hop: 1\r\n";
    let answer = send(&gate, &request("GET /v1.41/containers/json?all=1&filters=%7B%7D", headers)).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n{}"), "{answer}");
    assert!(answer.contains("api-version: 1.41"), "the client negotiates by it: {answer}");
    let received = engine.received.recv().await.unwrap();
    assert!(
        received.starts_with("GET /v1.41/containers/json?all=1&filters=%7B%7D HTTP/1.1\r\n"),
        "{received}"
    );
    assert!(received.contains("user-agent: compose"), "{received}");
    for word in ["secret", "x-hop", "close"] {
        assert!(!received.contains(word), "{word}: {received}");
    }
    assert_eq!(gate.tally(), Tally { passed: 1, ..Tally::default() });
}

#[tokio::test]
async fn head_has_the_headers_and_no_body() {
    let engine = fake("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nApi-Version: 1.41\r\n\r\n").await;
    let gate = Gate::open(&engine.endpoint).unwrap();
    let answer = send(&gate, &request("HEAD /_ping", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(answer.contains("api-version: 1.41"), "{answer}");
}

#[tokio::test]
async fn whatever_is_no_question_never_comes_to_the_engine_and_is_named() {
    let mut engine = fake(OK).await;
    let gate = Gate::open(&engine.endpoint).unwrap();
    for (first, headers) in [
        ("POST /v1.41/containers/create?name=shop-api-1&secret=x", "Content-Length: 0\r\n"),
        ("DELETE /v1.41/containers/shop-api-1?force=1", ""),
        ("GET /v1.41/distribution/shop/json", ""),
        ("POST /session", "Upgrade: h2c\r\nContent-Length: 0\r\n"),
        ("GET /v1.41/info", "Upgrade: tcp\r\n"),
        ("GET /v1.41/info", "Content-Length: 3\r\n\r\nabc"),
        ("GET http://127.0.0.1:1/v1.41/events", ""),
    ] {
        let answer = send(&gate, &request(first, headers)).await;
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{first}: {answer}");
        assert!(answer.contains("lets a look change nothing"), "{answer}");
    }
    let tally = gate.tally();
    let named: Vec<String> = tally.first.iter().map(ToString::to_string).collect();
    assert_eq!((tally.passed, tally.refused, named.len()), (0, 7, 7));
    assert_eq!(
        named[..3],
        ["POST /containers/create", "DELETE /containers/shop-api-1", "GET /distribution/shop/json"]
    );
    assert!(engine.received.try_recv().is_err(), "nothing was sent on");
}

#[tokio::test]
async fn a_request_that_is_hidden_behind_a_question_is_judged_like_every_other() {
    let mut engine = fake(OK).await;
    let gate = Gate::open(&engine.endpoint).unwrap();
    // Two at once on one connection, as keep-alive allows.
    let delete = request("DELETE /v1.41/containers/a", "");
    let answer = send(&gate, &format!("GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n{delete}")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("HTTP/1.1 403 Forbidden"), "{answer}");
    // Contradictory lengths, by which a gate and an engine would see different requests.
    let smuggled = format!("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{delete}");
    let answer = send(&gate, &request("GET /v1.41/info", &smuggled)).await;
    assert!(!answer.contains("200 OK"), "{answer}");
    let mut received = Vec::new();
    while let Ok(one) = engine.received.try_recv() {
        received.push(one);
    }
    assert!(received.len() == 1 && received[0].starts_with("GET /_ping HTTP/1.1\r\n"), "{received:?}");
}

#[tokio::test]
async fn an_engine_that_switches_protocols_or_is_away_is_an_error_and_no_pipe() {
    let engine =
        fake("HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n").await;
    let gate = Gate::open(&engine.endpoint).unwrap();
    let answer = send(&gate, &request("GET /v1.41/info", "")).await;
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway"), "{answer}");
    let gate = Gate::open(&Endpoint::Unix("/nonexistent/docker.sock".into())).unwrap();
    let answer = send(&gate, &request("GET /v1.41/info", "")).await;
    assert!(answer.contains("502") && answer.contains("cannot reach the engine"), "{answer}");
}

#[tokio::test]
async fn only_this_user_can_come_in_and_nothing_is_left_when_it_closes() {
    // An engine that never answers.
    let mut engine = fake("").await;
    let gate = Gate::open(&engine.endpoint).unwrap();
    let path = socket(&gate);
    let folder = path.parent().unwrap().to_owned();
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(path.as_os_str().len() <= LONGEST_PATH);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /v1.41/info HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    engine.received.recv().await.unwrap();
    drop(gate);
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "who waits is let go");
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_long_folder_for_temporary_files_is_not_taken() {
    let home = TempDir::new().unwrap();
    let long = home.path().join("x".repeat(100));
    fs::create_dir(&long).unwrap();
    let folder = folder(&long).unwrap();
    assert_eq!(folder.path().parent(), Some(Path::new(FALLBACK)));
}

#[test]
fn what_a_killed_undrift_left_is_removed_and_what_lives_is_not() {
    use std::os::unix::net::UnixListener;
    let home = TempDir::new().unwrap();
    let make = |name: &str| {
        let folder = home.path().join(name);
        fs::create_dir(&folder).unwrap();
        folder
    };
    let (dead, alive, opening, other) =
        (make("undrift-gate-dead"), make("undrift-gate-live"), make("undrift-gate-new"), make("other"));
    // Killed in the middle of an observation, and before it had opened.
    fs::write(dead.join("of-a-look"), "x").unwrap();
    let never_opened = make("undrift-gate-none");
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(60);
    fs::File::open(&never_opened).unwrap().set_modified(long_ago).unwrap();
    drop(UnixListener::bind(dead.join(SOCKET)).unwrap());
    drop(UnixListener::bind(other.join(SOCKET)).unwrap());
    let _listener = UnixListener::bind(alive.join(SOCKET)).unwrap();
    std::os::unix::fs::symlink(&other, home.path().join("undrift-gate-link")).unwrap();
    sweep::sweep(home.path());
    assert!(
        !dead.exists()
            && !never_opened.exists()
            && alive.exists()
            && opening.exists()
            && other.join(SOCKET).exists()
    );
}

#[tokio::test]
async fn a_gate_that_opens_while_another_undrift_sweeps_is_not_taken_for_a_dead_one() {
    let (engine, home) = (fake(OK).await, TempDir::new().unwrap());
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (parent, over) = (home.path().to_owned(), Arc::clone(&is_over));
    let sweeping = std::thread::spawn(move || {
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            sweep::sweep(&parent);
        }
    });
    let mut lost = 0;
    for _ in 0..2_000 {
        let gate = Gate::open_in(home.path(), &engine.endpoint).unwrap();
        lost += usize::from(UnixStream::connect(socket(&gate)).await.is_err());
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    sweeping.join().unwrap();
    assert_eq!(lost, 0);
}
