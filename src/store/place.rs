//! The lock on the place of a state folder: on its path, whatever is there now.
//!
//! The lock in the folder belongs to a file and moves with the file: once the folder is moved or removed, another undrift
//! creates a new one at the same path and locks that. So the path is locked as well, by names of sockets that the kernel
//! keeps in memory (abstract ones, `unix(7)`): they end with the process, and nobody can move or remove them. A lock in
//! `/run` would be a file again, which the unit may not write.
//!
//! The lock is on the path and not on the engine: one engine may have two states with different projects. The name includes
//! the file system's root, too, and is visible in one network namespace only. So a path of the same name in a container is
//! another place.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            fs::MetadataExt as _,
            net::{SocketAddr, UnixListener},
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::net::Shutdown;
use sha2::{Digest as _, Sha256};

use crate::files;

/// How often to retry a name that another process is just binding or releasing.
const TRIES: u32 = 5;

/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// The lock, held until this is dropped.
#[derive(Debug)]
pub(super) struct PlaceLock {
    /// `None` if this process may have no such sockets.
    _names: Vec<Name>,
}

/// A bound name.
///
/// Anybody may connect to find the holder. The kernel queues a limited number of connections that nobody has accepted
/// (`listen(2)`), also those whose other end is closed, and refuses all later ones: then nobody could find the holder any more.
/// So each is accepted, and closed at once.
#[derive(Debug)]
struct Name {
    listener: Arc<UnixListener>,
    accepting: Option<JoinHandle<()>>,
}

impl Name {
    fn bind(name: &[u8]) -> io::Result<Self> {
        let listener = Arc::new(UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?);
        let accepts = Arc::clone(&listener);
        let accepting = thread::Builder::new().name("place".into()).spawn(move || accept_all(&accepts))?;
        Ok(Self { listener, accepting: Some(accepting) })
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // It ends the thread that accepts; otherwise the name stays bound.
        if rustix::net::shutdown(&self.listener, Shutdown::Both).is_ok()
            && let Some(accepting) = self.accepting.take()
        {
            let _ = accepting.join();
        }
    }
}

/// Accepts until the socket is shut down, when `accept` returns `EINVAL`: no listener.
fn accept_all(listener: &UnixListener) {
    loop {
        match listener.accept() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            // The process may be out of descriptors, for instance, and have one soon.
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// The holder of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Occupant {
    /// Its process, if it is visible from here.
    pub(super) pid: Option<i32>,
}

impl PlaceLock {
    /// Takes the lock at once, or returns its holder. The folder need not exist, and nothing is created.
    pub(super) fn acquire(dir: &Path) -> Result<Self, Occupant> {
        let mut names = Vec::new();
        for name in names_of(dir) {
            names.extend(bind(&name, dir)?);
        }
        Ok(Self { _names: names })
    }
}

/// The holder of this folder's place.
pub(super) fn occupant(dir: &Path) -> Option<Occupant> {
    names_of(dir).into_iter().find_map(|name| trusted_peer(&name, dir))
}

/// Binds the name; `None` if no holder that counts has it and it still cannot be bound.
fn bind(name: &[u8], dir: &Path) -> Result<Option<Name>, Occupant> {
    for _ in 0..TRIES {
        match Name::bind(name) {
            Ok(name) => return Ok(Some(name)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if let Some(occupant) = trusted_peer(name, dir) {
                    return Err(occupant);
                }
                thread::sleep(PAUSE);
            }
            Err(error) => {
                tracing::warn!(%error, "the path of the state folder cannot be locked, only the files in it");
                return Ok(None);
            }
        }
    }
    // Anybody may bind any such name: this is no reason not to start.
    tracing::warn!(
        dir = %dir.display(),
        "another user's process holds the name that locks the path of the state folder: only the files in it are locked"
    );
    Ok(None)
}

/// The names of a place: of its path as given, and with links resolved, because either may come to lead elsewhere.
fn names_of(dir: &Path) -> Vec<Vec<u8>> {
    let root = files::metadata(Path::new("/")).map_or((0, 0), |root| (root.dev(), root.ino()));
    let given = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let mut paths = vec![without_links(&given), given];
    paths.dedup();
    let name = |path: &PathBuf| {
        let mut digest = Sha256::new();
        digest.update(root.0.to_le_bytes());
        digest.update(root.1.to_le_bytes());
        digest.update(path.as_os_str().as_bytes());
        format!("undrift-state-{}", hex::encode(digest.finalize())).into_bytes()
    };
    paths.iter().map(name).collect()
}

/// The path with the links resolved in as much of it as exists.
fn without_links(path: &Path) -> PathBuf {
    let resolve = |above: &Path| {
        let rest = path.strip_prefix(above).ok()?;
        let resolved = files::canonicalize(above).ok()?;
        Some(if rest.as_os_str().is_empty() { resolved } else { resolved.join(rest) })
    };
    path.ancestors().find_map(resolve).unwrap_or_else(|| path.to_owned())
}

/// The process that listens at the name, if it belongs to root, this user, or the owner of the folder or of its closest
/// existing parent.
fn trusted_peer(name: &[u8], dir: &Path) -> Option<Occupant> {
    let (pid, user) = peer(name)?;
    let owner = dir.ancestors().find_map(|path| Some(files::metadata(path).ok()?.uid()));
    counts(user, rustix::process::geteuid().as_raw(), owner).then_some(Occupant { pid })
}

/// Whether a process of this user can be an undrift that holds the place. Another user's process is there to block undrift,
/// or by chance.
fn counts(user: u32, this_user: u32, owner: Option<u32>) -> bool {
    user == 0 || user == this_user || owner == Some(user)
}

/// The process and the user that listen at a name. On a thread of its own: the caller may be in a runtime or not.
fn peer(name: &[u8]) -> Option<(Option<i32>, u32)> {
    let address = path_of(name);
    let ask = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().ok()?;
        let connect = || runtime.block_on(tokio::net::UnixStream::connect(&address));
        let mut connected = connect();
        for _ in 1..TRIES {
            // So many connect at once that the holder falls behind.
            if !connected.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                break;
            }
            thread::sleep(PAUSE);
            connected = connect();
        }
        let user = connected.ok()?.peer_cred().ok()?;
        Some((user.pid().filter(|pid| *pid > 0), user.uid()))
    };
    thread::spawn(ask).join().ok().flatten()
}

/// The name in the form that Tokio takes.
fn path_of(name: &[u8]) -> PathBuf {
    std::ffi::OsStr::from_bytes(&[b"\0", name].concat()).into()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn this_process() -> Occupant {
        Occupant { pid: i32::try_from(std::process::id()).ok() }
    }

    #[test]
    fn a_place_is_held_once_whether_anything_is_there_or_not() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("a/state");
        assert_eq!(occupant(&dir), None);
        let lock = PlaceLock::acquire(&dir).unwrap();
        assert!(!home.path().join("a").exists(), "nothing is made");
        assert_eq!(PlaceLock::acquire(&dir).unwrap_err(), this_process());
        fs::create_dir_all(&dir).unwrap();
        assert_eq!(occupant(&dir), Some(this_process()));
        assert_eq!(occupant(&home.path().join("a/./state")), Some(this_process()));
        assert_eq!(occupant(&home.path().join("a/other")), None);
        drop(lock);
        assert_eq!(occupant(&dir), None);
        PlaceLock::acquire(&dir).unwrap();
    }

    #[test]
    fn a_place_behind_a_link_is_held_as_both_also_where_the_link_leads_elsewhere_later() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::create_dir(at("one")).unwrap();
        symlink("one", at("state")).unwrap();
        let _lock = PlaceLock::acquire(&at("state")).unwrap();
        assert_eq!(occupant(&at("one")), Some(this_process()));
        fs::create_dir(at("two")).unwrap();
        fs::remove_file(at("state")).unwrap();
        symlink("two", at("state")).unwrap();
        assert_eq!(occupant(&at("state")), Some(this_process()));
        assert_eq!(occupant(&at("two")), None);
    }

    #[test]
    fn the_holder_of_a_place_is_found_however_often_others_connect() {
        let home = tempfile::tempdir().unwrap();
        let lock = PlaceLock::acquire(home.path()).unwrap();
        let most = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        let most: usize = most.trim().parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let address = path_of(&names_of(home.path())[0]);
        // Anybody may connect, and more often than the kernel's queue is long.
        for _ in 0..=most {
            drop(runtime.block_on(tokio::net::UnixStream::connect(&address)));
        }
        // The holder may be behind for a moment.
        let since = std::time::Instant::now();
        while occupant(home.path()).is_none() && since.elapsed() < Duration::from_secs(10) {}
        assert_eq!(occupant(home.path()), Some(this_process()));
        assert_eq!(PlaceLock::acquire(home.path()).unwrap_err(), this_process());
        drop(lock);
        assert_eq!(occupant(home.path()), None);
        PlaceLock::acquire(home.path()).unwrap();
    }

    #[test]
    fn one_who_has_bound_the_name_and_is_no_undrift_holds_nothing() {
        let home = tempfile::tempdir().unwrap();
        let name = names_of(home.path()).remove(0);
        // It does not listen, so its owner is unknown.
        let socket = tokio::net::UnixSocket::new_stream().unwrap();
        socket.bind(path_of(&name)).unwrap();
        assert_eq!(occupant(home.path()), None);
        PlaceLock::acquire(home.path()).unwrap();
        drop(socket);
    }

    #[test]
    fn a_process_of_root_of_this_user_or_of_the_folders_owner_counts_and_no_other() {
        for (user, this_user, owner, expected) in [
            (0, 1000, Some(1000), true),
            (1000, 1000, Some(0), true),
            (1000, 0, Some(1000), true),
            (1000, 0, Some(0), false),
            (1001, 1000, Some(1000), false),
            (1001, 1000, None, false),
        ] {
            assert_eq!(counts(user, this_user, owner), expected, "{user} {this_user} {owner:?}");
        }
    }
}
