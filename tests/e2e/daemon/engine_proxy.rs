//! A wire to the real engine that can be cut or can hang, and on which the questions that are open at once are counted.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::Command,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use tempfile::TempDir;

use super::{Daemon, watching};
use crate::support::Project;

/// A socket that stands for the engine's.
pub(crate) struct EngineProxy {
    folder: TempDir,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    mode: Mutex<Mode>,
    open: Mutex<Vec<UnixStream>>,
    /// Connections that came while it was cut or hung.
    pub(crate) in_vain: AtomicUsize,
    asked: AtomicUsize,
    unanswered: AtomicUsize,
    most: AtomicUsize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Carries,
    Cut,
    Hangs,
}

impl EngineProxy {
    pub(crate) fn new() -> Self {
        let (folder, state) = (TempDir::new().unwrap(), Arc::<State>::default());
        let listener = UnixListener::bind(folder.path().join("engine.sock")).unwrap();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                shared.accept(&client);
            }
        });
        Self { folder, state }
    }

    /// What `DOCKER_HOST` is to be.
    pub(crate) fn docker_host(&self) -> String {
        format!("unix://{}", self.folder.path().join("engine.sock").display())
    }

    /// As `watch`, with this for the engine.
    pub(crate) fn watch(&self, project: &Project, more: &[&str]) -> Daemon {
        Daemon::spawn(&mut self.command(project, more), project).started()
    }

    pub(crate) fn command(&self, project: &Project, more: &[&str]) -> Command {
        let mut command = watching(project, more);
        command.env("DOCKER_HOST", self.docker_host());
        command
    }

    /// Ends all connections, and closes each new one at once.
    pub(crate) fn cut(&self) {
        self.state.become_(Mode::Cut);
    }

    /// Accepts, and answers nothing from now on.
    pub(crate) fn hang(&self) {
        *self.state.mode() = Mode::Hangs;
    }

    /// Carries again. What was swallowed is not made up for: its connections end.
    pub(crate) fn restore(&self) {
        self.state.become_(Mode::Carries);
    }

    /// How many connections came while it was cut or hung.
    pub(crate) fn in_vain(&self) -> usize {
        self.state.in_vain.load(Relaxed)
    }

    /// How many questions undrift has asked, and how many of them at most were open at once. Compose's are not counted.
    pub(crate) fn questions(&self) -> (usize, usize) {
        (self.state.asked.load(Relaxed), self.state.most.load(Relaxed))
    }
}

impl State {
    fn mode(&self) -> MutexGuard<'_, Mode> {
        self.mode.lock().unwrap()
    }

    fn become_(&self, mode: Mode) {
        *self.mode() = mode;
        for connection in self.open.lock().unwrap().drain(..) {
            // One that has ended is as good.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn accept(self: &Arc<Self>, client: &UnixStream) {
        let mode = *self.mode();
        if mode != Mode::Carries {
            self.in_vain.fetch_add(1, Relaxed);
        }
        if mode == Mode::Cut {
            return;
        }
        let engine = UnixStream::connect(engine_socket()).unwrap();
        self.open.lock().unwrap().extend([client.try_clone().unwrap(), engine.try_clone().unwrap()]);
        let question = Arc::<Question>::default();
        for (from, to, asks) in [(client, &engine, true), (&engine, client, false)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let (state, question) = (Arc::clone(self), Arc::clone(&question));
            thread::spawn(move || state.carry(from, to, asks, &question));
        }
    }

    /// Carries one direction to its end.
    fn carry(&self, mut from: UnixStream, mut to: UnixStream, asks: bool, question: &Question) {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            if *self.mode() == Mode::Hangs {
                continue;
            }
            question.note(self, asks.then_some(&piece[..length]));
            if to.write_all(&piece[..length]).is_err() {
                break;
            }
        }
        question.note(self, None);
        // One who has said all may still listen, as a build does.
        let _ = to.shutdown(Shutdown::Write);
    }
}

/// What one connection is at: a question is open from its first byte to the first one of its answer.
#[derive(Default)]
struct Question(Mutex<bool>);

impl Question {
    fn note(&self, state: &State, asked: Option<&[u8]>) {
        let mut open = self.0.lock().unwrap();
        match asked {
            Some(piece) if !*open && !is_of_compose(piece) => {
                *open = true;
                state.asked.fetch_add(1, Relaxed);
                let unanswered = state.unanswered.fetch_add(1, Relaxed) + 1;
                state.most.fetch_max(unanswered, Relaxed);
            }
            None if *open => {
                *open = false;
                state.unanswered.fetch_sub(1, Relaxed);
            }
            _ => {}
        }
    }
}

/// Compose and the docker CLI say who they are; undrift's client does not.
fn is_of_compose(piece: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&piece[..piece.len().min(2_048)]).to_lowercase();
    head.contains("user-agent:") || !head.contains(" http/1.1\r\n")
}

fn engine_socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let path = PathBuf::from(host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock"));
    fs::canonicalize(&path).unwrap_or(path)
}
