//! A gate to the engine that lets only read requests through.
//!
//! An observation has Compose print what `up` would do (`--dry-run`). Compose promises not to change anything then: a version
//! or a wrapper that ignores the flag breaks the promise (docker/compose#14029). So that child gets, as its only engine, a
//! socket behind which undrift reads each request, and forwards only GET and HEAD of a fixed list of paths.
//!
//! | file | contents |
//! | --- | --- |
//! | `path` | which requests may pass |
//! | `relay` | one connection: reads requests, rebuilds them for the engine, returns its answers |
//! | `sweep` | removes the leftovers of a killed undrift |

mod path;
mod relay;
mod sweep;
#[cfg(test)]
mod tests;

use std::{
    fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::endpoint::Endpoint;

/// The prefix of the names of gate folders.
const PREFIX: &str = "undrift-gate-";

/// The socket's name in its folder.
const SOCKET: &str = "s";

/// Its name until a process listens on it.
const UNNAMED: &str = "b";

/// The longest socket path that works everywhere: Linux has room for 107 bytes, macOS for 103.
const LONGEST_PATH: usize = 103;

/// How many refused requests are kept by name; all of them are counted.
const KEPT: usize = 16;

/// A request that was not forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its method.
    pub method: String,
    /// Its path, without the API's version and without the query.
    pub path: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// The requests that have reached a gate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many requests were forwarded.
    pub passed: u64,
    /// How many were refused.
    pub refused: u64,
    /// The first refused ones, in their order.
    pub first: Vec<Refused>,
}

/// An open gate: a socket of its own, until it is dropped.
///
/// # Guarantees
/// Nothing reaches the engine but GET and HEAD of the listed paths, without a body and without an upgrade, each rebuilt: no
/// connection passes bytes on unread. Only this user can reach the socket. Dropping the gate ends every connection and removes
/// the folder.
#[derive(Debug)]
pub struct Gate {
    folder: TempDir,
    tally: Arc<Mutex<Tally>>,
    open: CancellationToken,
}

impl Gate {
    /// Opens a gate to this engine. Call it within a tokio runtime.
    ///
    /// # Errors
    /// If there is no folder for temporary files to put a socket into.
    pub fn open(engine: &Endpoint) -> io::Result<Self> {
        sweep::once(&[std::env::temp_dir().as_path(), Path::new(FALLBACK)]);
        Self::open_in(&std::env::temp_dir(), engine)
    }

    /// The same, in this folder for temporary files.
    fn open_in(temporary: &Path, engine: &Endpoint) -> io::Result<Self> {
        let folder = folder(temporary)?;
        let listener = bind(folder.path())?;
        let gate = Self { folder, tally: Arc::default(), open: CancellationToken::new() };
        let relay =
            relay::Relay { engine: engine.clone(), tally: gate.tally.clone(), open: gate.open.clone() };
        tokio::spawn(gate.open.clone().run_until_cancelled_owned(relay.serve(listener)));
        Ok(gate)
    }

    /// The address at which clients reach it, in the engine's place.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.folder.path().join(SOCKET))
    }

    /// Its folder, for files that only its clients may read.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The requests that have reached it so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open.cancel();
    }
}

/// Listens on the socket. It gets its name once a process listens: another undrift that starts just then would take it for the
/// leftover of a dead one, and remove it.
fn bind(folder: &Path) -> io::Result<UnixListener> {
    let unnamed = folder.join(UNNAMED);
    let listener = UnixListener::bind(&unnamed)?;
    fs::rename(&unnamed, folder.join(SOCKET))?;
    Ok(listener)
}

/// The parent of a gate's folder if the path of the folder for temporary files is too long for a socket.
const FALLBACK: &str = "/tmp";

/// A new folder that only this user can enter, with a path short enough for a socket.
fn folder(temporary: &Path) -> io::Result<TempDir> {
    let name = PREFIX.len() + 6 + "/".len() + SOCKET.len();
    let fits = temporary.as_os_str().len() + "/".len() + name <= LONGEST_PATH;
    let parent: PathBuf = if fits { temporary.into() } else { FALLBACK.into() };
    tempfile::Builder::new().prefix(PREFIX).permissions(fs::Permissions::from_mode(0o700)).tempdir_in(parent)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
