//! Whether a mounted file has other bytes now than at the start of its container.

use std::{fs::Metadata, io, os::unix::fs::MetadataExt as _, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    api::{Fact, MountedFile, Time},
    files::{self, LARGEST_TEXT},
    host::{KeyedDigest, engine::Bind, source::Stamp},
};

/// The file system and the number of a file on it. A mounted file keeps its number: no other one gets that meanwhile.
type Inode = (u64, u64);

/// What undrift remembers of a mounted file for one start of its container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// What the container's processes could read at their start, or when they were last told to reload; `None` if undrift
    /// came later.
    pub(super) read: Option<ReadThen>,
    /// The file at the host's path when undrift last read it.
    pub(super) seen: Option<SeenFile>,
}

/// What was mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReadThen {
    pub(super) inode: Inode,
    /// The digest of its bytes; `None` for a file that the container may write.
    pub(super) digest: Option<String>,
}

/// A file and the digest of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenFile {
    /// What the kernel said of it; empty if it was young, and may change again without saying more.
    stamp: String,
    pub(super) inode: Inode,
    digest: String,
}

/// What is known of the time before this look.
#[derive(Clone, Copy)]
pub(super) struct MountedBefore<'a> {
    /// The root folder of the container's process, if undrift sees that.
    pub(super) root: Option<&'a Path>,
    pub(super) started_at: Time,
    pub(super) memory: &'a Memory,
}

/// One look at a mounted file, and what is to be remembered of it.
pub(super) struct Look {
    pub(super) file: MountedFile,
    pub(super) memory: Memory,
}

/// Looks at what a container mounts; `None` if that is not a single file. Call it within a [`files::look`].
pub(super) fn look(bind: &Bind, before: MountedBefore<'_>, digest: &KeyedDigest) -> Option<Look> {
    let MountedBefore { memory, .. } = before;
    let (found, why) = match files::metadata(Path::new(&bind.source)) {
        Ok(found) if found.is_file() => (Some(found), String::new()),
        Ok(_) => (None, "it is no regular file any more".to_owned()),
        Err(error) => (None, error.to_string()),
    };
    let mut file = MountedFile {
        source: bind.source.clone(),
        target: bind.target.clone(),
        writable: bind.writable,
        changed: Fact::unknown(&why),
        replaced: Fact::unknown(&why),
        changed_at: None,
        digest: None,
    };
    let Some(found) = found else {
        // What was never seen as a file may have been a folder, whose content is not judged.
        return (*memory != Memory::default()).then(|| Look { file, memory: memory.clone() });
    };
    file.changed_at = time(found.ctime(), found.ctime_nsec());
    let judged = Judged { bind, before, digest, found };
    let mounted = judged.mounted();
    file.replaced = judged.replaced(mounted);
    let mut memory = memory.clone();
    let changed = if bind.writable {
        judged.writable(mounted, &file.replaced, &mut memory)
    } else {
        judged.read_only(mounted, &file.replaced, &mut memory)
    };
    file.changed = changed.into();
    file.digest = memory.seen.as_ref().map(|seen| seen.digest.clone());
    Some(Look { file, memory })
}

/// A file that the next start of a container mounts: nothing of it has changed for a process yet. `None` if there is no file.
/// Call it within a [`files::look`].
pub(super) fn for_next_start(bind: &Bind) -> Option<MountedFile> {
    let found = files::metadata(Path::new(&bind.source)).ok().filter(Metadata::is_file)?;
    Some(MountedFile {
        source: bind.source.clone(),
        target: bind.target.clone(),
        writable: bind.writable,
        changed: Fact::Known(false),
        replaced: Fact::Known(false),
        changed_at: time(found.ctime(), found.ctime_nsec()),
        digest: None,
    })
}

/// A regular file at the host's path.
struct Judged<'a> {
    bind: &'a Bind,
    before: MountedBefore<'a>,
    digest: &'a KeyedDigest,
    found: Metadata,
}

impl Judged<'_> {
    /// The file that the container has, as its own process sees it.
    fn mounted(&self) -> Option<Inode> {
        files::metadata_inside(self.before.root?, &self.bind.target).ok().as_ref().map(inode)
    }

    fn replaced(&self, mounted: Option<Inode>) -> Fact<bool> {
        let remembered = self.before.memory.read.as_ref().map(|read| read.inode);
        match mounted.or(remembered) {
            Some(then) => Fact::Known(then != inode(&self.found)),
            None => Fact::unknown("which file the container has cannot be seen from here"),
        }
    }

    /// Whether a file changed that the container cannot write.
    fn read_only(
        &self,
        mounted: Option<Inode>,
        replaced: &Fact<bool>,
        memory: &mut Memory,
    ) -> io::Result<bool> {
        let now = self.now(memory)?;
        if let Some(ReadThen { digest: Some(then), .. }) = &memory.read {
            return Ok(*then != now);
        }
        if *replaced == Fact::Known(true) {
            return self.differs_from_mounted(mounted, &now, memory);
        }
        let is_older = |time: Option<Time>| time.is_some_and(|time| time <= self.before.started_at);
        let is_untouched = is_older(time(self.found.ctime(), self.found.ctime_nsec()));
        // A new owner, mode or link changes no byte. A copy may set the time of the content back, but not in the same file.
        let has_old_content = is_older(time(self.found.mtime(), self.found.mtime_nsec()));
        if is_untouched || has_old_content && *replaced == Fact::Known(false) {
            memory.read = Some(ReadThen { inode: inode(&self.found), digest: Some(now) });
            return Ok(false);
        }
        Ok(true)
    }

    /// Whether another file has taken the place of one that the container may write. Nothing else is judged of such a file: a
    /// database or a log changes all the time, and is not configuration. The container itself cannot replace what is mounted.
    fn writable(
        &self,
        mounted: Option<Inode>,
        replaced: &Fact<bool>,
        memory: &mut Memory,
    ) -> io::Result<bool> {
        if *replaced == Fact::Known(true) {
            let now = self.now(memory)?;
            return self.differs_from_mounted(mounted, &now, memory);
        }
        let inode = mounted.unwrap_or_else(|| inode(&self.found));
        memory.read.get_or_insert(ReadThen { inode, digest: None });
        Ok(false)
    }

    /// Whether the file that took its place has other bytes than the mounted one.
    fn differs_from_mounted(
        &self,
        mounted: Option<Inode>,
        now: &str,
        memory: &mut Memory,
    ) -> io::Result<bool> {
        let (Some(root), Some(inode)) = (self.before.root, mounted) else { return Ok(true) };
        let bytes = files::read_inside(root, &self.bind.target, LARGEST_TEXT)?;
        let then = self.digest_of(&bytes);
        let differs = then != now;
        memory.read = Some(ReadThen { inode, digest: Some(then).filter(|_| !self.bind.writable) });
        Ok(differs)
    }

    /// The digest of the bytes at the host's path. They are read only if the file was touched since.
    fn now(&self, memory: &mut Memory) -> io::Result<String> {
        let stamp = Stamp::of(&self.found);
        let kept = hex::encode(stamp.bytes().collect::<Vec<_>>());
        if let Some(seen) = memory.seen.as_ref().filter(|seen| seen.stamp == kept) {
            return Ok(seen.digest.clone());
        }
        memory.seen = None;
        let path = Path::new(&self.bind.source);
        let digest = self.digest_of(&files::read(path, LARGEST_TEXT)?);
        if Stamp::of(&files::metadata(path)?) != stamp {
            return Err(io::Error::other("it was written while it was read"));
        }
        let stamp = if stamp.is_settled() { kept } else { String::new() };
        memory.seen = Some(SeenFile { stamp, inode: inode(&self.found), digest: digest.clone() });
        Ok(digest)
    }

    /// With the path in it: equal secrets have unlike digests.
    fn digest_of(&self, bytes: &[u8]) -> String {
        (self.digest)(&format!("the mounted file {}", self.bind.target), bytes)
    }
}

fn inode(found: &Metadata) -> Inode {
    (found.dev(), found.ino())
}

fn time(seconds: i64, nanoseconds: i64) -> Option<Time> {
    chrono::DateTime::from_timestamp(seconds, u32::try_from(nanoseconds).ok()?)
}

#[cfg(test)]
mod tests;
