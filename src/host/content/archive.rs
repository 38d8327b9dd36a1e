//! The listing of a tar stream. Nothing of it is kept but digests, and nothing is unpacked.
//!
//! The stream is the engine's, and its content an image's: neither is trusted. `tar` reads the headers one by one; it would
//! collect a long name of any length in memory, and undrift reads these itself, within limits. An archive that ends without its
//! end mark was cut off: what follows would look missing.

use std::{
    collections::HashMap,
    io::{self, Read},
};

use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType};
use tokio::sync::mpsc;

use super::{
    Listing, NoListing, Scope,
    listing::{Count, Entry, EntryPath, FileDigest},
    scope::Judge,
};
use crate::api::MOST_BYTES;

/// The longest path or link target: the kernel's `PATH_MAX`.
const LONGEST_PATH: usize = 4096;

/// The longest header that extends the next one. A real one has a path, a link target and some attributes.
const LONGEST_EXTENSION: u64 = 256 * 1024;

/// How much of a stream is read, with what is not compared.
const LONGEST_STREAM: u64 = 4 * MOST_BYTES;

/// How much is read of a file at once.
const PIECE: usize = 128 * 1024;

/// Reads the archive of one path, as the engine sends it: the first part of each name is that of the path itself. Blocks.
///
/// # Errors
/// If there is more than is compared, or if it is no archive, or not all of one.
pub(in crate::host) fn read(stream: impl Read, scope: &Scope, place: &str) -> Result<Listing, NoListing> {
    let reader = ArchiveReader {
        judge: scope.judge()?,
        count: Count::default(),
        entries: Vec::new(),
        files: HashMap::new(),
        place,
    };
    reader.read(stream, LONGEST_STREAM)
}

struct ArchiveReader<'a> {
    judge: Judge<'a>,
    count: Count,
    entries: Vec<(EntryPath, Entry)>,
    /// The files by their whole names, for hard links to them.
    files: HashMap<Vec<u8>, FileDigest>,
    place: &'a str,
}

/// What headers have said of the next member.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl ArchiveReader<'_> {
    fn read(mut self, stream: impl Read, longest: u64) -> Result<Listing, NoListing> {
        let mut archive = Archive::new(WatchedStream { stream, left: longest, is_over: false });
        let read = self.members(&mut archive);
        let stream = archive.into_inner();
        if stream.left == 0 {
            return Err(NoListing::too_many_bytes(self.place));
        }
        read?;
        if stream.is_over {
            return Err(self.broken(&"it ends without its end mark"));
        }
        Ok(Listing::of(self.entries))
    }

    fn members(&mut self, archive: &mut Archive<impl Read>) -> Result<(), NoListing> {
        let mut extension = Extension::default();
        let members = archive.entries().map_err(|error| self.broken(&error))?.raw(true);
        for member in members {
            let mut member = member.map_err(|error| self.broken(&error))?;
            match member.header().entry_type() {
                EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink => {
                    self.extend(&mut member, &mut extension)?;
                }
                // It speaks of the whole archive: a comment.
                EntryType::XGlobalHeader => {}
                kind => self.member(kind, &mut member, std::mem::take(&mut extension))?,
            }
        }
        Ok(())
    }

    /// A header that extends the next one.
    fn extend(
        &self,
        member: &mut tar::Entry<'_, impl Read>,
        extension: &mut Extension,
    ) -> Result<(), NoListing> {
        let kind = member.header().entry_type();
        let mut text = Vec::new();
        let read = member.take(LONGEST_EXTENSION + 1).read_to_end(&mut text);
        read.map_err(|error| self.broken(&error))?;
        if text.len() as u64 > LONGEST_EXTENSION {
            return Err(self.broken(&"a header in it is too long"));
        }
        match kind {
            EntryType::XHeader => {
                for (key, value) in records(&text).ok_or_else(|| self.broken(&"a header in it is damaged"))? {
                    match key {
                        b"path" => extension.path = Some(value.to_vec()),
                        b"linkpath" => extension.link = Some(value.to_vec()),
                        // Eight GiB or more, or a sparse file, which no engine sends.
                        b"size" => return Err(NoListing::too_many_bytes(self.place)),
                        key if key.starts_with(b"GNU.sparse") => {
                            return Err(self.broken(&"it has sparse files"));
                        }
                        _ => {}
                    }
                }
            }
            EntryType::GNULongName => extension.path = Some(without_nul(text)),
            _ => extension.link = Some(without_nul(text)),
        }
        Ok(())
    }

    fn member(
        &mut self,
        kind: EntryType,
        member: &mut tar::Entry<'_, impl Read>,
        extension: Extension,
    ) -> Result<(), NoListing> {
        let header = member.header();
        let name = extension.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extension.link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let link = link.unwrap_or_default();
        if name.len() > LONGEST_PATH || link.len() > LONGEST_PATH {
            return Err(self.broken(&"a path in it is too long"));
        }
        let (name, path) = self.split(&name)?;
        let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous);
        if self.judge.leaves_out(&String::from_utf8_lossy(&path)) {
            return Ok(());
        }
        let size = if is_file { member.size() } else { 0 };
        self.count.add(kind == EntryType::Directory, size, self.place)?;
        let entry = match kind {
            EntryType::Directory => Entry::Folder,
            EntryType::Symlink => Entry::Link(link.into()),
            EntryType::Link => Entry::File(self.linked(&link)?),
            _ if is_file => Entry::File(self.file(member)?),
            EntryType::Fifo | EntryType::Char | EntryType::Block => Entry::Other,
            _ => return Err(self.broken(&"it has a member of a kind that undrift does not know")),
        };
        if let Entry::File(digest) = &entry {
            self.files.insert(name, *digest);
        }
        self.entries.push((path, entry));
        Ok(())
    }

    /// The file that a hard link is another name of. It comes first, as everything in such an archive.
    fn linked(&self, link: &[u8]) -> Result<FileDigest, NoListing> {
        let (name, _) = self.split(link)?;
        self.files
            .get(&name)
            .copied()
            .ok_or_else(|| self.broken(&"a hard link in it leads to nothing that is compared"))
    }

    /// A name without slashes at its ends, and the path below the module: the name without its first part.
    fn split(&self, name: &[u8]) -> Result<(Vec<u8>, EntryPath), NoListing> {
        let is_absolute = name.first() == Some(&b'/');
        let parts: Vec<&[u8]> =
            name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
        if parts.contains(&&b".."[..]) {
            return Err(self.broken(&"a path in it leads out of it"));
        }
        // The root's own name is a slash.
        let below = if is_absolute { &parts[..] } else { parts.get(1..).unwrap_or_default() };
        Ok((parts.join(&b'/'), below.join(&b'/').into()))
    }

    fn file(&self, member: &mut impl Read) -> Result<FileDigest, NoListing> {
        let mut hash = Sha256::new();
        let mut piece = vec![0; PIECE];
        loop {
            match member.read(&mut piece) {
                Ok(0) => return Ok(hash.finalize().into()),
                Ok(read) => hash.update(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    fn broken(&self, why: &dyn std::fmt::Display) -> NoListing {
        NoListing::Unknown(format!("the engine's archive of {} cannot be read: {why}", self.place))
    }
}

/// The records of an extended header (POSIX.1-2001): `LENGTH KEY=VALUE` and a line break, the length of all of it. `tar` splits
/// them at line breaks, which a value may have.
fn records(mut text: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !text.is_empty() {
        let space = text.iter().take(20).position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&text[..space]).ok()?.parse().ok()?;
        let record = text.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        records.push((&record[..equals], &record[equals + 1..]));
        text = &text[length..];
    }
    Some(records)
}

fn without_nul(mut text: Vec<u8>) -> Vec<u8> {
    while text.last() == Some(&0) {
        text.pop();
    }
    text
}

/// A stream with an end: the limit of what is read, or its own, which is then noted.
struct WatchedStream<R> {
    stream: R,
    left: u64,
    is_over: bool,
}

impl<R: Read> Read for WatchedStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.stream.read(&mut buffer[..most])?;
        self.left -= read as u64;
        self.is_over |= read == 0;
        Ok(read)
    }
}

/// Reads the pieces that a task receives from the engine. A piece that is an error ends it.
pub(in crate::host) struct PieceReader<B> {
    pieces: mpsc::Receiver<Result<B, String>>,
    piece: Option<B>,
    at: usize,
}

impl<B: AsRef<[u8]>> PieceReader<B> {
    pub(in crate::host) const fn new(pieces: mpsc::Receiver<Result<B, String>>) -> Self {
        Self { pieces, piece: None, at: 0 }
    }
}

impl<B: AsRef<[u8]>> Read for PieceReader<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.piece.as_ref().map(|piece| &piece.as_ref()[self.at..]).unwrap_or_default();
            if !left.is_empty() || buffer.is_empty() {
                let read = left.len().min(buffer.len());
                buffer[..read].copy_from_slice(&left[..read]);
                self.at += read;
                return Ok(read);
            }
            match self.pieces.blocking_recv() {
                None => return Ok(0),
                Some(Err(why)) => return Err(io::Error::other(why)),
                Some(Ok(piece)) => (self.piece, self.at) = (Some(piece), 0),
            }
        }
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
