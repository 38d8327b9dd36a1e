//! Files that somebody else names: a manifest, a Compose project, an option, a variable.
//!
//! Such a path may lead to a named pipe that nobody writes to, to a device that never ends, or to a file system whose server
//! is gone. A plain `open` waits there for ever, and a time limit around it gives the caller back, but not the thread. So
//! all of them are reached through this room, and its functions are named as those of [`std::fs`] that they stand for:
//!
//! - Only regular files are opened, without waiting for anybody. Anything else is an error that says what is there.
//! - What is read has a limit of size, and a file that has more by what the kernel says of it is not read at all.
//! - Every access has a limit of time ([`Limits`]): after it the caller has an error, and the path is not asked again
//!   before the kernel has come back. So a path costs one blocked thread, and a file system eight.
//! - Where too many threads are blocked, [`spent`] says so: only a new process has new ones.
//!
//! Whoever needs many accesses makes them within one [`look`] or [`looked`], which has one thread for all.
//!
//! | file | says |
//! | --- | --- |
//! | `accesses` | which accesses are under way, and which is not begun |
//! | `workers` | the threads that make them |
//! | `regular` | how a file is opened and read |
//! | `named` | how a path is named in an error |
//! | `mounts` | on which file system a path lies |
//! | `trust` | who could change what lies at a path |
//! | `acl` | whom its access control list lets write |
//! | `accounts` | which users are in which groups |

mod accesses;
mod accounts;
mod acl;
pub(crate) mod mounts;
mod named;
mod regular;
#[cfg(test)]
mod tests;
pub(crate) mod trust;
mod workers;

use std::{
    ffi::OsString,
    fs::{self, File, Metadata},
    io,
    path::{Path, PathBuf},
};

pub(crate) use accesses::{Accesses, Hangs};
use accesses::{Limits, Sharing};
pub(crate) use regular::Odd;

/// The accesses of this process.
static ACCESSES: Accesses = Accesses::new(Limits::OF_A_PROCESS);

/// The most that a text which a person or a program has written for Compose or the docker CLI has, in bytes. Real ones have
/// some thousands.
pub(crate) const LARGEST_TEXT: u64 = 16 * 1024 * 1024;

/// The name of a user of this host; `uid N` of one that its files do not have.
pub(crate) fn user_name(uid: u32) -> String {
    accounts::Accounts::of_this_host().name(uid)
}

/// Runs work that makes accesses, on a thread of its own. It is over where one of them takes longer than its limit;
/// together they may take as long as they want.
///
/// # Errors
/// [`Hangs`]: what was waited for in vain.
pub(crate) fn look<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Hangs> {
    workers::run(&ACCESSES, work)
}

/// The same for many files that are each of interest alone. It is begun anew where it hangs: what it hung at is then refused
/// at once, as an error of that path only.
///
/// # Errors
/// [`Hangs`]: at more paths than are worth it.
pub(crate) fn look_past<T: Send + 'static>(
    work: impl FnOnce() -> T + Clone + Send + 'static,
) -> Result<T, Hangs> {
    workers::run_past(&ACCESSES, work)
}

/// The same as [`look`] for who may not block.
///
/// # Errors
/// [`Hangs`]: what was waited for in vain.
pub(crate) async fn looked<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Hangs> {
    workers::run_beside(&ACCESSES, work).await
}

/// Returns once so many accesses hang that no more are begun; nothing but a new process helps then. It is told to one who
/// waits.
pub(crate) async fn spent() {
    ACCESSES.spent().await;
}

/// The same as [`look_past`] for who may not block.
///
/// # Errors
/// [`Hangs`]: at more paths than are worth it.
pub(crate) async fn looked_past<T: Send + 'static>(
    work: impl FnOnce() -> T + Clone + Send + 'static,
) -> Result<T, Hangs> {
    workers::run_past_beside(&ACCESSES, work).await
}

/// The files that hang right now, in the order in which they were asked for.
pub(crate) fn hanging() -> Vec<PathBuf> {
    ACCESSES.hanging()
}

/// Has [`spent`] return: threads are lost at files in a way that only its caller can count.
pub(crate) fn declare_spent() {
    ACCESSES.declare_spent();
}

/// Whether a path leads to a regular file, or to nothing.
///
/// # Errors
/// Where something else is there, or it cannot be seen.
pub(crate) fn is_file_or_absent(path: &Path) -> io::Result<()> {
    match metadata(path) {
        Ok(found) => regular::refuse_odd(path, &found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether a path leads to a folder, or to nothing. `/dev/null` counts as nothing.
///
/// # Errors
/// Where something else is there, or it cannot be seen.
pub(crate) fn is_folder_or_absent(path: &Path) -> io::Result<()> {
    match metadata(path) {
        Ok(found) => regular::refuse_no_folder(path, &found),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Whether a path leads to a regular file that has at most `most` bytes. It is not opened.
///
/// # Errors
/// Why it would not be read: [`Odd`], [`Hangs`], or that it cannot be seen.
pub(crate) fn is_readable(path: &Path, most: u64) -> io::Result<()> {
    access(path, move |path, _| {
        let found = fs::metadata(path)?;
        regular::refuse_odd(path, &found)?;
        regular::refuse_large(path, &found, most)
    })
}

/// Whether what was found at a path is a regular file, for who looks without a limit of time.
///
/// # Errors
/// [`Odd::NotRegular`].
pub(crate) fn refuse_irregular(path: &Path, found: &Metadata) -> io::Result<()> {
    regular::refuse_irregular(path, found)
}

/// Opens a regular file to read it.
///
/// # Errors
/// Where it cannot be opened, is [not regular](Odd::NotRegular), or [`Hangs`].
pub(crate) fn open(path: &Path) -> io::Result<File> {
    access(path, |path, _| regular::open(path))
}

/// All bytes of a regular file, of which it has at most `most`.
///
/// # Errors
/// As [`open`]; [`Odd::TooLarge`] where it has more, of the kind [`io::ErrorKind::FileTooLarge`].
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    access(path, move |path, _| regular::read(path, most))
}

/// The text of a regular file.
///
/// # Errors
/// As [`read`]; [`io::ErrorKind::InvalidData`] where it is not UTF-8.
pub(crate) fn read_to_string(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Reads a regular file of any size, piece by piece, each within the limit. To be called within a [`look`].
///
/// # Errors
/// As [`open`].
pub(crate) fn read_in_pieces(path: &Path, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    workers::access(path, Sharing::Shared, |path, access| {
        regular::read_in_pieces(path, |piece| {
            access.touch();
            take(piece);
        })
    })
}

/// Whether another program that opens the same path would wait there as well, or read without end or gigabytes.
pub(crate) fn is_trap(error: &io::Error) -> bool {
    Hangs::is_why(error) || Odd::is_trap(error)
}

/// One entry of a folder.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: OsString,
    /// Of itself: a link is not followed.
    pub(crate) meta: Metadata,
    /// Where a link leads to, as it is written.
    pub(crate) target: Option<PathBuf>,
}

/// Every entry of a folder, each within the limit. To be called within a [`look`].
///
/// # Errors
/// With the path that could not be read.
pub(crate) fn list(folder: &Path) -> Result<Vec<Listed>, (PathBuf, io::Error)> {
    let listed =
        workers::access(folder, Sharing::Shared, |folder, access| Ok(list_with(folder, || access.touch())));
    listed.unwrap_or_else(|error| Err((folder.to_owned(), error)))
}

fn list_with(folder: &Path, touch: impl Fn()) -> Result<Vec<Listed>, (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    let mut listed = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let name = entry.map_err(at(folder))?.file_name();
        touch();
        let path = folder.join(&name);
        let meta = fs::symlink_metadata(&path).map_err(at(&path))?;
        let target = meta.is_symlink().then(|| fs::read_link(&path)).transpose().map_err(at(&path))?;
        listed.push(Listed { name, meta, target });
    }
    Ok(listed)
}

/// The names in a folder, as many as are asked for.
///
/// # Errors
/// As [`fs::read_dir`], or [`Hangs`].
pub(crate) fn names_in(folder: &Path, most: usize) -> io::Result<Vec<OsString>> {
    access(folder, move |folder, access| {
        let entries = fs::read_dir(folder)?.take(most);
        entries
            .map(|entry| {
                access.touch();
                Ok(entry?.file_name())
            })
            .collect()
    })
}

/// What a path leads to.
///
/// # Errors
/// As [`fs::metadata`], or [`Hangs`].
pub(crate) fn metadata(path: &Path) -> io::Result<Metadata> {
    access(path, |path, _| fs::metadata(path))
}

/// What a path is, a link itself.
///
/// # Errors
/// As [`fs::symlink_metadata`], or [`Hangs`].
pub(crate) fn symlink_metadata(path: &Path) -> io::Result<Metadata> {
    access(path, |path, _| fs::symlink_metadata(path))
}

/// Where a link leads to, as it is written.
///
/// # Errors
/// As [`fs::read_link`], or [`Hangs`].
pub(crate) fn read_link(path: &Path) -> io::Result<PathBuf> {
    access(path, |path, _| fs::read_link(path))
}

/// A path without links.
///
/// # Errors
/// As [`fs::canonicalize`], or [`Hangs`].
pub(crate) fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    access(path, |path, _| fs::canonicalize(path))
}

/// Whether something is there. What does not answer is not known to be there.
pub(crate) fn exists(path: &Path) -> bool {
    metadata(path).is_ok()
}

/// Whether a folder is there.
pub(crate) fn is_dir(path: &Path) -> bool {
    metadata(path).is_ok_and(|found| found.is_dir())
}

/// Whether nothing is there for certain.
pub(crate) fn is_absent(path: &Path) -> bool {
    metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Any other access, within the limit.
///
/// # Errors
/// Those of the work, or [`Hangs`].
pub(crate) fn within_limit<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    access(path, |path, _| work(path))
}

/// One access: here where this is a thread for that already, else on one of its own.
fn access<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path, &accesses::Access) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    if workers::is_one() {
        return workers::access(path, Sharing::Alone, work);
    }
    let path = path.to_owned();
    look(move || workers::access(&path, Sharing::Alone, work)).unwrap_or_else(|hangs| Err(hangs.into()))
}
