//! The control socket in the state folder, from both sides; and the socket of earlier versions.

use std::{
    fs::{File, Permissions},
    io,
    os::{fd::AsRawFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::files::trust::{self, Others};

/// The socket at which a daemon speaks HTTP.
pub(crate) const FILE: &str = "control.sock";

/// The socket of earlier versions, which spoke lines of JSON. Its clients get a message with what to do; the next version drops
/// it.
const FORMER_FILE: &str = "undrift.sock";

/// The most connections at a time. Each costs an open file, of which a process may have 1,024 by default, and the engine and the
/// probes need some.
pub(super) const MOST: usize = 128;

/// The sockets of the daemon that holds the state folder; removed when this is dropped.
#[derive(Debug)]
pub(super) struct ControlSocket {
    current: BoundSocket,
    former: BoundSocket,
    /// One for each connection.
    slots: Arc<Semaphore>,
}

/// A connection.
#[derive(Debug)]
pub(super) enum Connection {
    /// It speaks HTTP.
    Http(UnixStream),
    /// It uses the protocol of an earlier version.
    Former(UnixStream),
}

impl ControlSocket {
    /// Opens both. Call it under the state folder's lock: an existing socket then belongs to a dead daemon.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let slots = Arc::new(Semaphore::new(MOST));
        Ok(Self {
            current: BoundSocket::bind(dir, FILE)?,
            former: BoundSocket::bind(dir, FORMER_FILE)?,
            slots,
        })
    }

    /// The permit to serve one more connection; `None` if there are too many.
    pub(super) fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }

    /// The next connection.
    pub(super) async fn next(&self) -> io::Result<Connection> {
        tokio::select! {
            stream = self.current.accept() => stream.map(Connection::Http),
            stream = self.former.accept() => stream.map(Connection::Former),
        }
    }
}

#[derive(Debug)]
struct BoundSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl BoundSocket {
    fn bind(dir: &Path, file: &str) -> io::Result<Self> {
        let path = dir.join(file);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let folder = File::open(dir)?;
        let listener = UnixListener::bind(short(&folder, file))?;
        // The folder is private to its owner already; this is for a folder that somebody else created.
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The socket's path through the open folder. A socket's address has 108 bytes, and a folder's path may have more.
fn short(folder: &File, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{file}", folder.as_raw_fd()))
}

/// Whether anybody accepts at the socket of this state folder, where no stranger could have put it. Blocks no longer than the
/// kernel takes.
pub(crate) fn is_listening(dir: &Path) -> bool {
    answers(dir, FILE) || answers(dir, FORMER_FILE)
}

/// Connects to the daemon through the socket of earlier versions.
pub(super) async fn connect_former(dir: &Path) -> io::Result<UnixStream> {
    connect_at(dir, FORMER_FILE).await
}

fn answers(dir: &Path, file: &str) -> bool {
    let connect = || std::os::unix::net::UnixStream::connect(short(&trusted_folder(dir)?, file));
    connect().is_ok()
}

/// Connects to the daemon that holds this state folder: trusts neither a folder that another user could change, nor another
/// user's process.
pub(super) async fn connect(dir: &Path) -> io::Result<UnixStream> {
    connect_at(dir, FILE).await
}

async fn connect_at(dir: &Path, file: &str) -> io::Result<UnixStream> {
    let folder = trusted_folder(dir)?;
    let stream = UnixStream::connect(short(&folder, file)).await?;
    refuse_stranger(stream.peer_cred()?.uid())?;
    Ok(stream)
}

/// The folder, if no stranger could change it: otherwise a stranger could answer for the daemon.
fn trusted_folder(dir: &Path) -> io::Result<File> {
    match trust::exposed(dir, Others::WorldAndGroup)? {
        None => File::open(dir),
        Some(exposed) => Err(io::Error::new(io::ErrorKind::PermissionDenied, exposed.to_string())),
    }
}

/// Refuses to contact a process of another user, which could answer anything. The kernel reports the listener's user
/// (`SO_PEERCRED`, `unix(7)`).
fn refuse_stranger(listens: u32) -> io::Result<()> {
    if [0, rustix::process::geteuid().as_raw()].contains(&listens) {
        return Ok(());
    }
    let message =
        format!("a process of the user {listens} listens at its socket, and that is no undrift of yours");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

pub(super) fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::api::NewRecord;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_request_comes_through_a_path_of_any_length_and_only_its_owner_may_ask() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("x".repeat(200));
        std::fs::create_dir(&dir).unwrap();
        runtime().block_on(async {
            let socket = ControlSocket::open(&dir).unwrap();
            for file in [FILE, FORMER_FILE] {
                assert_eq!(dir.join(file).metadata().unwrap().permissions().mode() & 0o777, 0o600);
            }
            let (connected, accepted) = tokio::join!(connect(&dir), socket.next());
            assert!(connected.is_ok() && matches!(accepted, Ok(Connection::Http(_))));
        });
    }

    #[test]
    fn without_a_daemon_nobody_answers_and_a_dead_ones_socket_is_in_nobodys_way() {
        let home = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            assert!(is_nobody(&connect(home.path()).await.unwrap_err()));
            // The leftovers of a killed daemon.
            drop(std::os::unix::net::UnixListener::bind(home.path().join(FILE)).unwrap());
            assert!(is_nobody(&connect(home.path()).await.unwrap_err()));
            let socket = ControlSocket::open(home.path()).unwrap();
            drop(socket);
            assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        });
    }

    #[test]
    fn a_daemon_of_an_earlier_version_is_one() {
        let home = tempfile::tempdir().unwrap();
        assert!(!is_listening(home.path()));
        let former = std::os::unix::net::UnixListener::bind(home.path().join(FORMER_FILE)).unwrap();
        assert!(is_listening(home.path()));
        let request = crate::daemon::ReconcileRequest::default();
        let ask = |refusal: &'static [u8]| {
            let former = former.try_clone().unwrap();
            let daemon = std::thread::spawn(move || {
                let (stream, _) = former.accept().unwrap();
                io::BufRead::read_line(&mut io::BufReader::new(&stream), &mut String::new()).unwrap();
                io::Write::write_all(&mut &stream, refusal).unwrap();
            });
            let asked = runtime().block_on(crate::daemon::reconcile(home.path(), "shop", &request));
            daemon.join().unwrap();
            asked
        };
        drop(former.accept().unwrap());
        let error =
            ask(b"{\"refused\":\"the running undrift is of another version: restart it\"}\n").unwrap_err();
        assert!(error.to_string().contains("earlier version"), "{error}");
        let store = crate::store::Store::open(home.path(), "test".into()).unwrap();
        store.append(&NewRecord::started("0.0.9", &[])).unwrap();
        let error = ask(b"{\"refused\":\"another version: restart it\"}\n").unwrap_err();
        assert!(error.to_string().starts_with("the running undrift is version 0.0.9, which"), "{error}");
        // A daemon of this version whose socket somebody has removed.
        assert!(ask(b"{\"refused\":\"it speaks HTTP at control.sock\"}\n").unwrap().is_none());
        drop(former);
        assert!(!is_listening(home.path()));
    }

    #[test]
    fn a_link_at_the_sockets_place_is_replaced_and_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let other = home.path().join("other");
        std::fs::write(&other, "kept").unwrap();
        symlink(&other, home.path().join(FILE)).unwrap();
        runtime().block_on(async {
            let _door = ControlSocket::open(home.path()).unwrap();
            assert_eq!(std::fs::read_to_string(&other).unwrap(), "kept");
        });
    }

    #[test]
    fn a_stranger_is_not_asked() {
        assert!(refuse_stranger(0).is_ok() && refuse_stranger(rustix::process::geteuid().as_raw()).is_ok());
        assert!(refuse_stranger(12_345).unwrap_err().to_string().contains("the user 12345"));
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), Permissions::from_mode(0o777)).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(home.path().join(FILE)).unwrap();
        listener.set_nonblocking(true).unwrap();
        runtime().block_on(async {
            let error = connect(home.path()).await.unwrap_err();
            assert!(error.to_string().contains("others can write"), "{error}");
        });
        assert!(!is_listening(home.path()));
        assert!(listener.accept().is_err(), "nobody has even connected");
    }
}
