//! Engines that misbehave: one behind a wire that can be cut or can hang, and one that says what a test wants.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::{Mutex, mpsc, watch},
    task::JoinSet,
};
use undrift::host::{endpoint::Endpoint, engine::Engine};

use super::support;

/// How often it was asked.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) events: AtomicUsize,
    pub(crate) pings: AtomicUsize,
}

impl Asked {
    /// A request comes in one piece, for it is short.
    fn note(&self, piece: &[u8]) {
        let has = |what: &[u8]| piece.windows(what.len()).any(|window| window == what);
        if has(b"GET /events") {
            self.events.fetch_add(1, Relaxed);
        }
        if has(b"GET /_ping") {
            self.pings.fetch_add(1, Relaxed);
        }
    }
}

/// A wire to the real engine.
pub(crate) struct Proxy {
    folder: TempDir,
    wires: JoinSet<()>,
    /// How often it was reached while it was cut.
    pub(crate) attempts: Arc<AtomicUsize>,
    pub(crate) hangs: watch::Sender<bool>,
    pub(crate) asked: Arc<Asked>,
}

impl Proxy {
    pub(crate) async fn new() -> Self {
        support::engine();
        let mut proxy = Self {
            folder: TempDir::new().unwrap(),
            wires: JoinSet::new(),
            attempts: Arc::default(),
            hangs: watch::Sender::new(false),
            asked: Arc::default(),
        };
        proxy.restore().await;
        proxy
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::new(Endpoint::Unix(self.socket()))
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }

    /// Ends all connections, and closes each new one at once.
    pub(crate) async fn cut(&mut self) {
        let (listener, attempts) = (self.listen().await, Arc::clone(&self.attempts));
        let mut wires = JoinSet::new();
        wires.spawn(async move {
            loop {
                drop(listener.accept().await.unwrap());
                attempts.fetch_add(1, Relaxed);
            }
        });
        self.wires = wires;
    }

    async fn listen(&mut self) -> UnixListener {
        self.wires.shutdown().await;
        let _ = std::fs::remove_file(self.socket());
        UnixListener::bind(self.socket()).unwrap()
    }

    /// Connects each new connection with the engine.
    pub(crate) async fn restore(&mut self) {
        let listener = self.listen().await;
        let (hangs, asked) = (self.hangs.subscribe(), Arc::clone(&self.asked));
        let mut wires = JoinSet::new();
        wires.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                open.spawn(wire(client, hangs.clone(), Arc::clone(&asked)));
            }
        });
        self.wires = wires;
    }
}

async fn wire(client: UnixStream, hangs: watch::Receiver<bool>, asked: Arc<Asked>) {
    let engine = UnixStream::connect(support::socket()).await.unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_engine, to_engine) = engine.into_split();
    let there = carry(from_client, to_engine, hangs.clone(), |piece| asked.note(piece));
    let back = carry(from_engine, to_client, hangs, |_| {});
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

/// Carries bytes until either side ends. What hangs is never carried on: it ends when nothing hangs any more.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut hangs: watch::Receiver<bool>,
    note: impl Fn(&[u8]),
) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        note(&piece[..length]);
        if *hangs.borrow() {
            let _ = hangs.wait_for(|hangs| !hangs).await;
            return;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}

/// An engine whose events a test writes.
pub(crate) struct Fake {
    _folder: TempDir,
    _server: JoinSet<()>,
    engine: Engine,
    lines: mpsc::Sender<String>,
    /// Whether it answers a request for events with 403.
    pub(crate) refuses: watch::Sender<bool>,
    /// How long that takes. By itself a little longer than it takes to answer a ping.
    pub(crate) refuses_after: watch::Sender<Duration>,
    pub(crate) asked: Arc<Asked>,
}

impl Fake {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        // Without room of its own: what was said has left for the socket.
        let (lines, receiver) = mpsc::channel(1);
        let receiver = Arc::new(Mutex::new(receiver));
        let (refuses, asked) = (watch::Sender::new(false), Arc::<Asked>::default());
        let refuses_after = watch::Sender::new(Duration::from_millis(20));
        let mut server = JoinSet::new();
        let (refusing, noted) = ((refuses.subscribe(), refuses_after.subscribe()), Arc::clone(&asked));
        server.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                open.spawn(answer(client, Arc::clone(&receiver), refusing.clone(), Arc::clone(&noted)));
            }
        });
        let engine = Engine::new(Endpoint::Unix(socket));
        Self { _folder: folder, _server: server, engine, lines, refuses, refuses_after, asked }
    }

    pub(crate) fn engine(&self) -> Engine {
        self.engine.clone()
    }

    /// Writes a line to the stream of events that was opened last.
    pub(crate) async fn send_event(&self, line: &str) {
        tokio::time::timeout(super::LIMIT, self.lines.send(format!("{line}\n")))
            .await
            .expect("it is read")
            .unwrap();
    }

    pub(crate) async fn send_project_event(&self, project: &str) {
        self.send_event(&format!(
            r#"{{"Type":"container","Action":"start","Actor":{{"ID":"1","Attributes":{{"com.docker.compose.project":"{project}"}}}}}}"#
        ))
        .await;
    }
}

async fn answer(
    mut client: UnixStream,
    receiver: Arc<Mutex<mpsc::Receiver<String>>>,
    (refuses, refuses_after): (watch::Receiver<bool>, watch::Receiver<Duration>),
    asked: Arc<Asked>,
) {
    let mut request = vec![0; 64 * 1024];
    let length = client.read(&mut request).await.unwrap();
    asked.note(&request[..length]);
    let events = request.starts_with(b"GET /events");
    let head = |status: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
    };
    if !events {
        let _ = client.write_all(format!("{}OK", head("200 OK")).as_bytes()).await;
        return;
    }
    if *refuses.borrow() {
        let after = *refuses_after.borrow();
        tokio::time::sleep(after).await;
        let _ = client.write_all(format!("{}{{\"message\":\"no\"}}", head("403 Forbidden")).as_bytes()).await;
        return;
    }
    let _ = client.write_all(head("200 OK").as_bytes()).await;
    let (mut from, mut to) = client.into_split();
    let speak = async {
        let mut receiver = receiver.lock().await;
        while let Some(line) = receiver.recv().await {
            if to.write_all(line.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    // A client that has gone makes room for the next one.
    let gone = async { while let Ok(1..) = from.read(&mut [0; 64]).await {} };
    tokio::select! {
        () = speak => {}
        () = gone => {}
    }
}
