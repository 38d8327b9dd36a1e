//! The entries of a module at one place, and the comparison of two places.

use std::{cmp::Ordering, iter::Peekable};

use sha2::{Digest as _, Sha256};

use super::NoListing;
use crate::api::{ContentComparison, LONGEST_NAME, MOST_BYTES, MOST_FILES, MOST_NAMED};

/// How the module itself is named among its entries.
pub(in crate::host) const MODULE_ITSELF: &str = "the module itself";

/// A SHA-256.
pub(super) type FileDigest = [u8; 32];

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Folder,
    File(FileDigest),
    /// A symbolic link, with its target as written.
    Link(Box<[u8]>),
    /// A pipe, a device, or whatever else a tar archive has.
    Other,
}

impl Entry {
    /// A letter for its kind, and what its kind has: a digest, or a target.
    pub(super) fn parts(&self) -> (u8, &[u8]) {
        match self {
            Self::Folder => (b'd', &[]),
            Self::File(digest) => (b'f', digest),
            Self::Link(target) => (b'l', target),
            Self::Other => (b'o', &[]),
        }
    }
}

/// The path of an entry below the module, as bytes; empty for the module itself.
pub(super) type EntryPath = Box<[u8]>;

/// All entries that are compared, sorted by path, each path once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) struct Listing {
    entries: Vec<(EntryPath, Entry)>,
    /// Of the entries: two listings with one digest are the same.
    digest: FileDigest,
}

impl Listing {
    /// Of entries in any order. Of one path the last counts, as for who unpacks an archive.
    pub(super) fn of(mut entries: Vec<(EntryPath, Entry)>) -> Self {
        // Reversed first: the sort is stable, and of equal paths the first one stays.
        entries.reverse();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.dedup_by(|(later, _), (kept, _)| later == kept);
        let digest = digest(&entries);
        Self { entries, digest }
    }

    /// The entries in their order.
    pub(super) fn entries(&self) -> &[(EntryPath, Entry)] {
        &self.entries
    }

    /// How another place compares with this one, the source. Entries at or below the paths in `except` do not count.
    pub(in crate::host) fn compare(&self, other: &Self, except: &[String]) -> ContentComparison {
        if self.digest == other.digest {
            return ContentComparison::default();
        }
        let counts = |path: &[u8]| !except.iter().any(|mount| lies_in(path, mount.as_bytes()));
        let mut ours = self.entries.iter().filter(|(path, _)| counts(path)).peekable();
        let mut theirs = other.entries.iter().filter(|(path, _)| counts(path)).peekable();
        let mut compared = ContentComparison::default();
        while let Some(ordering) = next(&mut ours, &mut theirs) {
            match ordering {
                Ordering::Less => {
                    compared.missing += 1;
                    name(&mut compared.named, ours.next());
                }
                Ordering::Greater => {
                    compared.added += 1;
                    name(&mut compared.named_added, theirs.next());
                }
                Ordering::Equal => {
                    let (ours, theirs) = (ours.next(), theirs.next());
                    if ours.map(|(_, entry)| entry) != theirs.map(|(_, entry)| entry) {
                        compared.differing += 1;
                        name(&mut compared.named, ours);
                    }
                }
            }
        }
        compared
    }
}

/// A digest of the entries, each with its length, so that no two lists look alike.
fn digest(entries: &[(EntryPath, Entry)]) -> FileDigest {
    let mut hash = Sha256::new();
    for (path, entry) in entries {
        let (kind, of_kind) = entry.parts();
        for part in [path, of_kind] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update([kind]);
    }
    hash.finalize().into()
}

/// Which of the two lists has the next path; `None` at the end of both.
fn next<'a>(
    ours: &mut Peekable<impl Iterator<Item = &'a (EntryPath, Entry)>>,
    theirs: &mut Peekable<impl Iterator<Item = &'a (EntryPath, Entry)>>,
) -> Option<Ordering> {
    match (ours.peek(), theirs.peek()) {
        (None, None) => None,
        (Some(_), None) => Some(Ordering::Less),
        (None, Some(_)) => Some(Ordering::Greater),
        (Some((ours, _)), Some((theirs, _))) => Some(ours.cmp(theirs)),
    }
}

fn name(named: &mut Vec<String>, entry: Option<&(EntryPath, Entry)>) {
    if let Some((path, _)) = entry.filter(|_| named.len() < MOST_NAMED) {
        let shown = String::from_utf8_lossy(path);
        let shown = if shown.is_empty() { MODULE_ITSELF } else { &shown };
        named.push(shown.chars().flat_map(char::escape_debug).take(LONGEST_NAME).collect());
    }
}

/// Whether a path is that one, or lies below it.
fn lies_in(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Counts what is listed, up to what is compared.
#[derive(Debug, Default)]
pub(super) struct Count {
    files: usize,
    folders: usize,
    bytes: u64,
}

impl Count {
    /// Counts an entry of this many bytes.
    pub(super) fn add(&mut self, is_folder: bool, bytes: u64, place: &str) -> Result<(), NoListing> {
        if is_folder {
            self.folders += 1;
        } else {
            self.files += 1;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        if self.files > MOST_FILES || self.folders > MOST_FILES {
            return Err(NoListing::too_many_files(place));
        }
        if self.bytes > MOST_BYTES { Err(NoListing::too_many_bytes(place)) } else { Ok(()) }
    }
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
