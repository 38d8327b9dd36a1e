//! The digests of files, remembered by what the kernel says of a file: one that is unchanged is not read again, whoever asks.
//!
//! A path is no part of it. Device and inode name the file, and the time of its last change (`ctime`), which nobody can set, its
//! state. So the memory of the process is one for all projects.

use std::{
    collections::HashMap,
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use sha2::{Digest as _, Sha256};

use super::digest::SETTLED;
use crate::files;

/// How many digests each of the two halves of the memory holds: some 15 MB.
const HALF: usize = 100_000;

/// Everything that changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::host) struct Stamp([u64; 7]);

impl Stamp {
    /// How many bytes [`bytes`](Self::bytes) gives.
    pub(in crate::host) const LENGTH: usize = 56;

    pub(in crate::host) fn of(meta: &Metadata) -> Self {
        let time = i64::cast_unsigned;
        Self([
            meta.dev(),
            meta.ino(),
            meta.size(),
            time(meta.mtime()),
            time(meta.mtime_nsec()),
            time(meta.ctime()),
            time(meta.ctime_nsec()),
        ])
    }

    /// The stamp as it is kept between processes.
    pub(in crate::host) fn bytes(&self) -> impl Iterator<Item = u8> {
        self.0.into_iter().flat_map(u64::to_le_bytes)
    }

    /// The stamp that was kept so.
    pub(in crate::host) fn read(bytes: &[u8; Self::LENGTH]) -> Self {
        let mut numbers = [0; 7];
        for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
            *number = bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        }
        Self(numbers)
    }

    /// Whether a later change would change the stamp: times are coarse.
    pub(in crate::host) fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let newest = self.0[3].cast_signed().max(self.0[5].cast_signed());
        u64::try_from(newest).is_ok_and(|newest| newest < now.saturating_sub(SETTLED).as_secs())
    }
}

/// A file's digest, and whether that was remembered or may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) struct FileRead {
    pub(in crate::host) digest: [u8; 32],
    pub(in crate::host) stamp: Stamp,
    /// Whether the bytes were read now.
    pub(in crate::host) is_fresh: bool,
    /// Whether the digest holds while the stamp is the same.
    pub(in crate::host) is_settled: bool,
}

/// The SHA-256 of a regular file, whose metadata was read just now. Call it within a [`files::look`].
///
/// # Errors
/// If it cannot be read.
pub(in crate::host) fn digest(path: &Path, meta: &Metadata) -> io::Result<FileRead> {
    let stamp = Stamp::of(meta);
    if let Some(digest) = memory().get(&stamp) {
        return Ok(FileRead { digest, stamp, is_fresh: false, is_settled: true });
    }
    // Asked before it is read: a file that changes meanwhile has another stamp next time.
    let is_settled = stamp.is_settled();
    let mut hash = Sha256::new();
    files::read_in_pieces(path, |piece| hash.update(piece))?;
    let digest = hash.finalize().into();
    if is_settled {
        memory().put(stamp, digest);
    }
    Ok(FileRead { digest, stamp, is_fresh: true, is_settled })
}

/// Adds what an earlier process has read.
pub(in crate::host) fn remember(known: impl IntoIterator<Item = (Stamp, [u8; 32])>) {
    let mut memory = memory();
    known.into_iter().for_each(|(stamp, digest)| memory.put(stamp, digest));
}

/// What the memory has for a stamp.
#[cfg(test)]
pub(in crate::host) fn remembered(stamp: &Stamp) -> Option<[u8; 32]> {
    memory().get(stamp)
}

/// What was used last is in the newer half; when that is full, the older one is forgotten.
#[derive(Default)]
struct DigestMemory {
    newer: HashMap<Stamp, [u8; 32]>,
    older: HashMap<Stamp, [u8; 32]>,
}

impl DigestMemory {
    fn get(&mut self, stamp: &Stamp) -> Option<[u8; 32]> {
        if let Some(digest) = self.newer.get(stamp) {
            return Some(*digest);
        }
        let digest = self.older.remove(stamp)?;
        self.put(*stamp, digest);
        Some(digest)
    }

    fn put(&mut self, stamp: Stamp, digest: [u8; 32]) {
        if self.newer.len() >= HALF {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(stamp, digest);
    }
}

fn memory() -> MutexGuard<'static, DigestMemory> {
    static MEMORY: LazyLock<Mutex<DigestMemory>> = LazyLock::new(Mutex::default);
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{fs, fs::File, time::Duration};

    use super::*;

    fn read(path: &Path) -> FileRead {
        digest(path, &fs::metadata(path).unwrap()).unwrap()
    }

    #[test]
    fn a_stamp_is_read_back_as_it_was_kept() {
        let stamp = Stamp([1, u64::MAX, 2, i64::cast_unsigned(-3), 0, 4, 999_999_999]);
        let bytes: Vec<u8> = stamp.bytes().collect();
        assert_eq!(Stamp::read(&bytes.try_into().unwrap()), stamp);
        assert!(!stamp.is_settled() || stamp.0[3].cast_signed() < 0);
    }

    #[test]
    fn a_young_file_is_read_each_time_and_an_old_one_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "1").unwrap();
        assert!(read(&path).is_fresh && read(&path).is_fresh, "its next change may have the same times");
        let meta = fs::metadata(&path).unwrap();
        let mut old = Stamp::of(&meta);
        assert!(!old.is_settled());
        (old.0[3], old.0[5]) = (1, 1);
        assert!(old.is_settled());
        // Somebody sets the time back: the time of the change tells it.
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(UNIX_EPOCH + Duration::from_secs(1))
            .unwrap();
        assert!(!Stamp::of(&fs::metadata(&path).unwrap()).is_settled());
    }

    #[test]
    fn what_was_remembered_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "1").unwrap();
        remember([(Stamp::of(&fs::metadata(&path).unwrap()), [7; 32])]);
        assert_eq!((read(&path).digest, read(&path).is_fresh), ([7; 32], false));
        fs::write(&path, "2").unwrap();
        assert_ne!(read(&path).digest, [7; 32], "a change is another stamp");
    }

    #[test]
    fn a_full_memory_forgets_what_was_not_used() {
        let mut memory = DigestMemory::default();
        let stamp = |n: usize| Stamp([n as u64; 7]);
        for n in 0..HALF {
            memory.put(stamp(n), [0; 32]);
        }
        memory.put(stamp(HALF), [0; 32]);
        assert!(memory.get(&stamp(0)).is_some(), "it is used, and moves on");
        for n in HALF + 1..2 * HALF {
            memory.put(stamp(n), [0; 32]);
        }
        assert!(memory.get(&stamp(0)).is_some() && memory.get(&stamp(1)).is_none());
        assert!(memory.newer.len() + memory.older.len() <= 2 * HALF);
    }
}
