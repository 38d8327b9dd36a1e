//! Opens and reads files at paths that somebody else chose.

use std::{
    fs::{File, FileType, Metadata},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use rustix::fs::{Mode, OFlags, makedev};

use super::named::Named;

/// The flags for opening a file: it does not block on a pipe or a device, and no terminal becomes undrift's own.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// How much to read at once of a file of any size.
const PIECE: usize = 256 * 1024;

const FOLDER: &str = "a folder";

/// Why a file is not read: its type or size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Odd {
    /// Not a regular file.
    #[error("{file} is {what} and not a regular file")]
    NotRegular {
        /// The file.
        file: Named,
        /// Its type, in words.
        what: &'static str,
    },
    /// Not a folder.
    #[error("{file} is {what} and not a folder")]
    NoFolder {
        /// The path.
        file: Named,
        /// Its type, in words.
        what: &'static str,
    },
    /// It is larger than the limit.
    #[error("{file} has {}, and {} at most are read", size.map_or_else(|| "more".to_owned(), in_units), in_units(*most))]
    TooLarge {
        /// The file.
        file: Named,
        /// Its size in bytes; `None` if only reading it shows that, as for a file in `/proc`.
        size: Option<u64>,
        /// The limit in bytes.
        most: u64,
    },
    /// It is regular by its type, but reading it blocks, such as `/proc/kmsg`.
    #[error("{file} has nothing to read yet, and whoever reads it waits")]
    Blocks {
        /// The file.
        file: Named,
    },
}

impl Odd {
    /// Whether this is why an access failed: there is no regular file.
    pub(crate) fn is_not_regular(error: &io::Error) -> bool {
        matches!(Self::of(error), Some(Self::NotRegular { .. }))
    }

    /// Whether opening it as a file blocks, or reading it is endless or takes gigabytes. A folder does neither.
    pub(super) fn is_trap(error: &io::Error) -> bool {
        match Self::of(error) {
            Some(Self::NotRegular { what, .. }) => *what != FOLDER,
            Some(Self::TooLarge { .. } | Self::Blocks { .. }) => true,
            Some(Self::NoFolder { .. }) | None => false,
        }
    }

    fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Odd> for io::Error {
    fn from(odd: Odd) -> Self {
        let kind = match &odd {
            Odd::NotRegular { .. } => io::ErrorKind::InvalidInput,
            Odd::NoFolder { .. } => io::ErrorKind::NotADirectory,
            Odd::TooLarge { .. } => io::ErrorKind::FileTooLarge,
            Odd::Blocks { .. } => io::ErrorKind::WouldBlock,
        };
        Self::new(kind, odd)
    }
}

pub(super) fn open(path: &Path) -> io::Result<File> {
    // A device may have side effects when it is opened: it is checked before, and again after opening.
    refuse_odd(path, &path.metadata()?)?;
    let file = match rustix::fs::open(path, FLAGS, Mode::empty()) {
        // Another program has a lease on it (fcntl(2), F_SETLEASE), which the kernel revokes within 45 s.
        Err(rustix::io::Errno::WOULDBLOCK) => {
            rustix::fs::open(path, FLAGS.difference(OFlags::NONBLOCK), Mode::empty())
        }
        opened => opened,
    };
    let file = File::from(file?);
    refuse_odd(path, &file.metadata()?)?;
    Ok(file)
}

/// Only `/dev/null` counts as a file: people use it for an empty one, and it ends at once.
pub(super) fn refuse_odd(path: &Path, found: &Metadata) -> io::Result<()> {
    if is_null(found) { Ok(()) } else { refuse_irregular(path, found) }
}

fn is_null(found: &Metadata) -> bool {
    found.file_type().is_char_device() && found.rdev() == makedev(1, 3)
}

/// The same without an exception.
pub(super) fn refuse_irregular(path: &Path, found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    if kind.is_file() {
        return Ok(());
    }
    Err(Odd::NotRegular { file: Named::of(path), what: in_words(kind) }.into())
}

pub(super) fn refuse_no_folder(path: &Path, found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    if kind.is_dir() || is_null(found) {
        return Ok(());
    }
    Err(Odd::NoFolder { file: Named::of(path), what: in_words(kind) }.into())
}

pub(super) fn refuse_large(path: &Path, found: &Metadata, most: u64) -> io::Result<()> {
    let size = found.len();
    if size <= most {
        return Ok(());
    }
    Err(Odd::TooLarge { file: Named::of(path), size: Some(size), most }.into())
}

fn in_words(kind: FileType) -> &'static str {
    if kind.is_dir() {
        FOLDER
    } else if kind.is_file() {
        "a file"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    refuse_large(path, &file.metadata()?, most)?;
    let mut content = Vec::new();
    // It may grow meanwhile, and one in `/proc` has no size.
    let read = file.take(most.saturating_add(1)).read_to_end(&mut content).map_err(blocking(path))?;
    if read as u64 > most {
        return Err(Odd::TooLarge { file: Named::of(path), size: None, most }.into());
    }
    Ok(content)
}

/// It was opened without blocking.
fn blocking(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| match error.kind() {
        io::ErrorKind::WouldBlock => Odd::Blocks { file: Named::of(path) }.into(),
        _ => error,
    }
}

/// A size for people.
fn in_units(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}

/// Passes each piece on, including the last and empty one.
pub(super) fn read_in_pieces(path: &Path, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut file = open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(PIECE);
    let mut piece = vec![0; length.saturating_add(1).min(PIECE)];
    loop {
        match file.read(&mut piece) {
            Ok(read) => {
                take(&piece[..read]);
                if read == 0 {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(blocking(path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_file_that_others_would_wait_at_is_a_trap() {
        let error = blocking(Path::new("/proc/kmsg"))(io::ErrorKind::WouldBlock.into());
        assert_eq!(error.to_string(), "/proc/kmsg has nothing to read yet, and whoever reads it waits");
        assert!(Odd::is_trap(&error) && !Odd::is_not_regular(&error));
        let other = blocking(Path::new("/x"))(io::ErrorKind::PermissionDenied.into());
        assert_eq!(other.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_size_is_printed_in_the_largest_unit_without_a_remainder() {
        let all = [0, 1, 1023, 1 << 10, 1025, 1 << 24, 3 << 30, (3 << 30) + 1].map(in_units);
        let expected = [
            "0 bytes",
            "1 bytes",
            "1023 bytes",
            "1 KiB",
            "1025 bytes",
            "16 MiB",
            "3 GiB",
            "3221225473 bytes",
        ];
        assert_eq!(all, expected);
    }
}
