//! A gate to the engine that lets questions pass and nothing else.
//!
//! A look has Compose say what `up` would do (`--dry-run`). That it changes nothing is a promise of Compose's: a version or
//! a wrapper that ignores the flag breaks it (docker/compose#14029). So that child is given, as its only engine, a socket
//! behind which undrift reads each request, and sends on only GET and HEAD of a fixed list of paths.
//!
//! | file | says |
//! | --- | --- |
//! | `path` | what may pass |
//! | `relay` | one connection: reads requests, writes them anew for the engine, gives its answers back |
//! | `sweep` | removes what a killed undrift left |

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

/// How the names of the gates' folders begin.
const PREFIX: &str = "undrift-gate-";

/// The socket's name in its folder.
const SOCKET: &str = "s";

/// Its name until somebody listens at it.
const UNNAMED: &str = "b";

/// The longest path that a socket may have everywhere: Linux has room for 107 bytes, macOS for 103.
const LONGEST_PATH: usize = 103;

/// How many refused requests are kept by name; all of them are counted.
const KEPT: usize = 16;

/// A request that was not sent on.
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

/// What has come to a gate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many requests were sent on.
    pub passed: u64,
    /// How many were refused.
    pub refused: u64,
    /// The first of those that were refused, in their order.
    pub first: Vec<Refused>,
}

/// An open gate: a socket of its own, until it is dropped.
///
/// # Guarantees
/// Nothing reaches the engine but GET and HEAD of the listed paths, without a body and without an upgrade, each written
/// anew: there is no connection whose bytes are passed on unread. Only this user can reach the socket. Dropping it ends
/// every connection and removes the folder.
#[derive(Debug)]
pub struct Gate {
    folder: TempDir,
    tally: Arc<Mutex<Tally>>,
    open: CancellationToken,
}

impl Gate {
    /// Opens a gate to this engine. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where there is no folder for temporary files to put a socket into.
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

    /// Where it is reached, in the engine's place.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.folder.path().join(SOCKET))
    }

    /// Its folder, for files that only whoever goes through it is to read.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What has come to it until now.
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

/// Listens at the socket. It gets its name once somebody listens: another undrift that begins just then would take it for what a
/// dead one has left, and remove it.
fn bind(folder: &Path) -> io::Result<UnixListener> {
    let unnamed = folder.join(UNNAMED);
    let listener = UnixListener::bind(&unnamed)?;
    fs::rename(&unnamed, folder.join(SOCKET))?;
    Ok(listener)
}

/// Where a gate goes when the path of the folder for temporary files is too long for a socket.
const FALLBACK: &str = "/tmp";

/// A new folder that this user alone can enter, with a path short enough for a socket.
fn folder(temporary: &Path) -> io::Result<TempDir> {
    let name = PREFIX.len() + 6 + "/".len() + SOCKET.len();
    let fits = temporary.as_os_str().len() + "/".len() + name <= LONGEST_PATH;
    let parent: PathBuf = if fits { temporary.into() } else { FALLBACK.into() };
    tempfile::Builder::new().prefix(PREFIX).permissions(fs::Permissions::from_mode(0o700)).tempdir_in(parent)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
