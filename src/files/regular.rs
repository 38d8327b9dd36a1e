//! How a file is opened and read that somebody else names.

use std::{
    fmt,
    fs::{File, FileType, Metadata},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags, makedev};

/// What a file is opened with: neither a pipe nor a device is waited for, and no terminal becomes undrift's own.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// How much is read at once of a file of any size.
const PIECE: usize = 256 * 1024;

const FOLDER: &str = "a folder";

/// What is no regular file, with what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotRegular {
    path: PathBuf,
    what: &'static str,
}

impl fmt::Display for NotRegular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} and not a regular file", self.path.display(), self.what)
    }
}

impl std::error::Error for NotRegular {}

impl NotRegular {
    /// Whether this is why an access failed.
    pub(crate) fn is_why(error: &io::Error) -> bool {
        Self::of(error).is_some()
    }

    /// Whether whoever opens it as a file waits there, or reads without end. Of a folder that is not so.
    pub(super) fn is_trap(error: &io::Error) -> bool {
        Self::of(error).is_some_and(|odd| odd.what != FOLDER)
    }

    fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

pub(super) fn open(path: &Path) -> io::Result<File> {
    // A device may do something when it is opened: it is asked before, and what was opened once more.
    refuse_odd(path, &path.metadata()?)?;
    let file = match rustix::fs::open(path, FLAGS, Mode::empty()) {
        // Another program has a lease on it (fcntl(2), F_SETLEASE), which the kernel takes away within 45 s.
        Err(rustix::io::Errno::WOULDBLOCK) => {
            rustix::fs::open(path, FLAGS.difference(OFlags::NONBLOCK), Mode::empty())
        }
        opened => opened,
    };
    let file = File::from(file?);
    refuse_odd(path, &file.metadata()?)?;
    Ok(file)
}

/// `/dev/null` alone is taken for a file: it is how an empty one is written, and ends at once.
pub(super) fn refuse_odd(path: &Path, found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    let is_null = kind.is_char_device() && found.rdev() == makedev(1, 3);
    if kind.is_file() || is_null {
        return Ok(());
    }
    let what = NotRegular { path: path.to_owned(), what: in_words(kind) };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

fn in_words(kind: FileType) -> &'static str {
    if kind.is_dir() {
        FOLDER
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    if open(path)?.take(most.saturating_add(1)).read_to_end(&mut content)? as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {}", size(most))));
    }
    Ok(content)
}

fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    match bytes {
        _ if bytes >= MIB && bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        _ if bytes >= KIB && bytes.is_multiple_of(KIB) => format!("{} KiB", bytes / KIB),
        _ => format!("{bytes} bytes"),
    }
}

/// Tells of each piece, the last and empty one, too.
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
            Err(error) => return Err(error),
        }
    }
}
