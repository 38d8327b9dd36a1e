//! The state folder: whether undrift can write there, who else can read it, and its content.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, Mode, OFlags},
    io::Errno,
};

use super::{
    FILES_LIMIT, in_time,
    place::{Keeping, mount_of},
};
use crate::{
    api::Time,
    daemon::CONTROL_SOCKET,
    files::{
        self,
        trust::{self, Others},
    },
    store::{Displaced, FILES, LockState, LostTrail, Store, StoreError, Verification},
};

mod judge;

pub(super) use judge::judge;

/// The findings; the reason if there are none.
#[derive(Debug)]
pub(super) struct StateFindings {
    /// The folder; why there is none if none is set.
    dir: Result<PathBuf, String>,
    /// `None` if the file system did not answer in time, or there is no folder to examine.
    folder: Option<StateFolder>,
    /// `None` if it took too long.
    content: Option<Content>,
}

/// The folder itself; if it does not exist yet, the nearest existing one above it.
#[derive(Debug)]
struct StateFolder {
    exists: bool,
    /// Whether it belongs to another user, who may run an undrift on it.
    is_anothers: bool,
    /// Where the write was tried.
    tried: PathBuf,
    /// Why nothing can be created there, or an existing file cannot be written.
    unwritable: Option<String>,
    /// The folder and files in it that others than their owner may read, or even write, with their modes.
    open: Vec<(PathBuf, u32)>,
    /// What a stranger could replace: the folder, something above it, or a file in it; in words.
    exposed: Option<String>,
    mount: Option<(String, Keeping)>,
    /// Bytes that this user may still write there.
    free: Option<u64>,
    lock: LockState,
    displaced: Option<Displaced>,
}

/// The recorded content.
#[derive(Debug)]
enum Content {
    /// There is no database yet.
    Nothing,
    /// There was one.
    Lost(LostTrail),
    /// It cannot be read.
    Unreadable(StoreError),
    Read {
        verification: Result<Verification, StoreError>,
        latest: Result<Option<Time>, StoreError>,
        begun_anew: Result<Option<Time>, StoreError>,
    },
}

impl StateFindings {
    /// The latest time in the trail, for the clock.
    pub(super) fn latest_record(&self) -> Result<Option<Time>, String> {
        match &self.content {
            None => Err("the trail could not be read in time".into()),
            Some(Content::Nothing | Content::Lost(_)) => Ok(None),
            Some(Content::Unreadable(_)) => Err("the trail cannot be read".into()),
            Some(Content::Read { latest, .. }) => {
                latest.as_ref().copied().map_err(|_| "the trail cannot be read".into())
            }
        }
    }
}

/// Examines the folder and its content.
pub(super) async fn read(dir: Result<PathBuf, String>) -> StateFindings {
    let path = match &dir {
        Ok(path) => path.clone(),
        Err(_) => return StateFindings { dir, folder: None, content: Some(Content::Nothing) },
    };
    let inside = path.clone();
    let (folder, content) = tokio::join!(in_time(move || look(&path)), in_time(move || look_inside(&inside)));
    StateFindings { dir, folder, content }
}

fn look(dir: &Path) -> StateFolder {
    let exists = dir.symlink_metadata().is_ok();
    let tried = dir.ancestors().find(|folder| folder.exists()).unwrap_or(dir).to_owned();
    let tried = if tried.as_os_str().is_empty() { PathBuf::from(".") } else { tried };
    let space = rustix::fs::statvfs(&tried).ok();
    let is_mine = |found: fs::Metadata| found.uid() == rustix::process::geteuid().as_raw();
    StateFolder {
        exists,
        is_anothers: dir.metadata().is_ok_and(|found| !is_mine(found)),
        unwritable: try_to_write(&tried).and_then(|()| writable_files(dir)).err(),
        open: if exists { open_to_others(dir) } else { Vec::new() },
        exposed: exposed(dir),
        mount: mount_of(&tried).map(|(mount, keeping)| (mount.kind, keeping)),
        // A file system without blocks, such as proc, always reports none free, which means nothing.
        free: space
            .filter(|space| space.f_blocks > 0)
            .map(|space| space.f_bavail.saturating_mul(space.f_frsize)),
        lock: LockState::of(dir),
        displaced: Displaced::of(dir),
        tried,
    }
}

/// Creates a file without a name: it leaves nothing behind, whatever happens. If the file system does not support such
/// files, one with a name, which is removed at once.
fn try_to_write(folder: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("nothing can be made in {}: {error}", folder.display());
    if !folder.is_dir() {
        return Err(format!("{} is not a folder", folder.display()));
    }
    let nameless = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(folder, nameless, Mode::RUSR | Mode::WUSR) {
        Ok(_) => return Ok(()),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
        Err(error) => return Err(failed(error.into())),
    }
    let path = folder.join(format!(".undrift-doctor-{}", std::process::id()));
    fs::File::create_new(&path).map_err(failed)?;
    fs::remove_file(&path).map_err(failed)
}

/// Checks of each existing file whether it may be written, and opens none: closing a file of SQLite's releases all locks
/// that this very process has on it by another descriptor (<https://www.sqlite.org/howtocorrupt.html>, 2.2), and the trail
/// is being read meanwhile.
fn writable_files(dir: &Path) -> Result<(), String> {
    for path in FILES.iter().map(|name| dir.join(name)) {
        let cannot = |error: io::Error| format!("{} cannot be written: {error}", path.display());
        files::is_file_or_absent(&path).map_err(cannot)?;
        match rustix::fs::access(&path, Access::WRITE_OK) {
            Err(error) if error != Errno::NOENT => return Err(cannot(error.into())),
            _ => {}
        }
    }
    Ok(())
}

fn open_to_others(dir: &Path) -> Vec<(PathBuf, u32)> {
    let paths = std::iter::once(dir.to_owned()).chain(FILES.iter().map(|name| dir.join(name)));
    let modes = paths.filter_map(|path| {
        let mode = path.metadata().ok()?.permissions().mode() & 0o777;
        Some((path, mode))
    });
    modes.filter(|(_, mode)| mode & 0o077 != 0).collect()
}

fn exposed(dir: &Path) -> Option<String> {
    let found = match trust::exposed(dir, Others::WorldAndGroup) {
        Ok(Some(exposed)) => Some(exposed),
        // The write test there reports that it is not accessible.
        Err(_) => return None,
        Ok(None) => {
            let mut files = FILES.iter().chain(&[CONTROL_SOCKET]).map(|name| dir.join(name));
            files.find_map(|file| trust::exposed_file(&file).ok().flatten())
        }
    };
    found.map(|exposed| exposed.to_string())
}

fn look_inside(dir: &Path) -> Content {
    match Store::open_read_only(dir) {
        Ok(None) => LostTrail::of(dir).map_or(Content::Nothing, Content::Lost),
        Ok(Some(store)) => Content::Read {
            verification: store.verify(),
            latest: store.latest_time(),
            begun_anew: store.begun_anew(),
        },
        // A missing state cannot be read; a fault of the folder is reported for the folder.
        Err(StoreError::Folder { source, .. }) if source.kind() == io::ErrorKind::NotADirectory => {
            Content::Nothing
        }
        Err(error) => Content::Unreadable(error),
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
