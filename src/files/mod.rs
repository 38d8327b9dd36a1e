//! Files at paths that somebody else chose: a manifest, a Compose project, an option, a variable.
//!
//! Such a path may lead to a named pipe without a writer, to a device that never ends, or to a file system whose server is
//! gone. A plain `open` waits there for ever, and a time limit around it frees the caller, but not the thread. So all of
//! them are accessed through this room, whose functions are named like those of [`std::fs`] that they replace:
//!
//! - Only regular files are opened, without blocking. Anything else is an error that names its type.
//! - Reads have a limit of size, and a file that is larger according to the kernel is not read at all.
//! - Every access has a limit of time ([`Limits`]): after it the caller gets an error, and the path is not accessed again
//!   before the kernel has returned. So a path costs one blocked thread, and a file system eight.
//! - If too many threads are blocked, [`spent`] returns: only a new process has new ones.
//!
//! A caller with many accesses makes them within one [`look`] or [`looked`], which has one thread for all.
//!
//! | file | holds |
//! | --- | --- |
//! | `accesses` | which accesses are in progress, and which are not begun |
//! | `workers` | the threads that make them |
//! | `regular` | how a file is opened and read |
//! | `append` | how a file is appended to |
//! | `inside` | files as a process in a container sees them |
//! | `named` | how a path is named in an error |
//! | `mounts` | on which file system a path lies |
//! | `trust` | who could change what lies at a path |
//! | `trace` | where a change of what a path leads to shows |
//! | `kernel_watch` | the kernel's watcher, which wakes |
//! | `acl` | who may write by its access control list |
//! | `accounts` | which users are in which groups |

mod accesses;
mod accounts;
mod acl;
mod append;
mod inside;
pub(crate) mod kernel_watch;
pub(crate) mod mounts;
mod named;
mod regular;
#[cfg(test)]
mod tests;
mod trace;
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
pub(crate) use inside::{metadata_inside, read_inside};
pub(crate) use regular::Odd;
pub(crate) use trace::trace;

/// The accesses of this process.
static ACCESSES: Accesses = Accesses::new(Limits::OF_A_PROCESS);

/// The maximum size of a text for Compose or the docker CLI, written by a person or a program, in bytes. Real ones have some
/// thousands.
pub(crate) const LARGEST_TEXT: u64 = 16 * 1024 * 1024;

/// The name of a user of this host; `uid N` for one that its files do not have.
pub(crate) fn user_name(uid: u32) -> String {
    accounts::Accounts::of_this_host().name(uid)
}

/// Runs work that makes accesses, on a thread of its own. It fails if one of them takes longer than its limit; together they
/// may take any time.
///
/// # Errors
/// [`Hangs`]: the access that timed out.
pub(crate) fn look<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Hangs> {
    workers::run(&ACCESSES, work)
}

/// The same for many files that each matter alone. It restarts if it hangs: the path that hung is then refused at once, as
/// an error of that path only.
///
/// # Errors
/// [`Hangs`]: too many paths hang.
pub(crate) fn look_past<T: Send + 'static>(
    work: impl FnOnce() -> T + Clone + Send + 'static,
) -> Result<T, Hangs> {
    workers::run_past(&ACCESSES, work)
}

/// The same as [`look`] for callers that may not block.
///
/// # Errors
/// [`Hangs`]: the access that timed out.
pub(crate) async fn looked<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Hangs> {
    workers::run_beside(&ACCESSES, work).await
}

/// Returns once so many accesses hang that no more are begun; then only a new process helps. For one waiter.
pub(crate) async fn spent() {
    ACCESSES.spent().await;
}

/// The same as [`look_past`] for callers that may not block.
///
/// # Errors
/// [`Hangs`]: too many paths hang.
pub(crate) async fn looked_past<T: Send + 'static>(
    work: impl FnOnce() -> T + Clone + Send + 'static,
) -> Result<T, Hangs> {
    workers::run_past_beside(&ACCESSES, work).await
}

/// The files that hang right now, in the order in which they were requested.
pub(crate) fn hanging() -> Vec<PathBuf> {
    ACCESSES.hanging()
}

/// Makes [`spent`] return: threads are lost at files in a way that only its caller can count.
pub(crate) fn declare_spent() {
    ACCESSES.declare_spent();
}

/// Whether a path leads to a regular file, or to nothing.
///
/// # Errors
/// If something else is there, or it cannot be inspected.
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
/// If something else is there, or it cannot be inspected.
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
/// Why it would not be read: [`Odd`], [`Hangs`], or that it cannot be inspected.
pub(crate) fn is_readable(path: &Path, most: u64) -> io::Result<()> {
    access(path, move |path, _| {
        let found = fs::metadata(path)?;
        regular::refuse_odd(path, &found)?;
        regular::refuse_large(path, &found, most)
    })
}

/// Whether the file at a path is regular, for callers without a limit of time.
///
/// # Errors
/// [`Odd::NotRegular`].
pub(crate) fn refuse_irregular(path: &Path, found: &Metadata) -> io::Result<()> {
    regular::refuse_irregular(path, found)
}

/// Opens a regular file to read it.
///
/// # Errors
/// If it cannot be opened, is [not regular](Odd::NotRegular), or [`Hangs`].
pub(crate) fn open(path: &Path) -> io::Result<File> {
    access(path, |path, _| regular::open(path))
}

/// All bytes of a regular file, at most `most`.
///
/// # Errors
/// As [`open`]; [`Odd::TooLarge`] if it has more, of the kind [`io::ErrorKind::FileTooLarge`].
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    access(path, move |path, _| regular::read(path, most))
}

/// The text of a regular file.
///
/// # Errors
/// As [`read`]; [`io::ErrorKind::InvalidData`] if it is not UTF-8.
pub(crate) fn read_to_string(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Reads a regular file of any size, piece by piece, each within the limit. Call it within a [`look`].
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

/// Appends to a regular file, which is made (0644) if nothing is there; the data is on the disk when this returns. `content` gets
/// the last byte of the file, if it has one. A link is refused.
///
/// # Errors
/// If the file cannot be opened or written, is [not regular](Odd::NotRegular), or [`Hangs`]. A part may have been written.
pub(crate) fn append(
    path: &Path,
    content: impl FnOnce(Option<u8>) -> Vec<u8> + Send + 'static,
) -> io::Result<()> {
    access(path, |path, _| append::append(path, content))
}

/// Whether another program that opens the same path would block there as well, or read without end or gigabytes.
pub(crate) fn is_trap(error: &io::Error) -> bool {
    Hangs::is_why(error) || Odd::is_trap(error)
}

/// One entry of a folder.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: OsString,
    /// Its own: a link is not followed.
    pub(crate) meta: Metadata,
    /// The target of a link, as written.
    pub(crate) target: Option<PathBuf>,
}

/// Every entry of a folder, each within the limit. Call it within a [`look`].
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

/// The names in a folder, up to the requested number.
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

/// The metadata of a path's target.
///
/// # Errors
/// As [`fs::metadata`], or [`Hangs`].
pub(crate) fn metadata(path: &Path) -> io::Result<Metadata> {
    access(path, |path, _| fs::metadata(path))
}

/// The metadata of a path; of a link itself.
///
/// # Errors
/// As [`fs::symlink_metadata`], or [`Hangs`].
pub(crate) fn symlink_metadata(path: &Path) -> io::Result<Metadata> {
    access(path, |path, _| fs::symlink_metadata(path))
}

/// The target of a link, as written.
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

/// Whether something is there. A path that does not answer counts as missing.
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

/// One access: on this thread if it is a worker already, otherwise on one of its own.
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
