//! How the manifests look from outside: which files they are, when each was last changed, and where a change shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::{files, manifest::read};

/// A file that was changed this shortly before it was looked at may be changed again without a new time: the kernel's
/// clock for files advances in ticks of at most 10 ms.
const TICK: Duration = Duration::from_millis(100);

/// What tells two states of a file apart without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    /// A folder's own times say nothing: they change with every file in it, of whatever kind.
    Folder { device: u64, inode: u64 },
    /// Seconds and nanoseconds are those of the last change of content or metadata: unlike the time of the last
    /// change of content they cannot be set back by a tool that copies.
    File { device: u64, inode: u64, size: u64, seconds: i64, nanoseconds: i64 },
}

/// One look at everything that is named.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    files: BTreeMap<PathBuf, Option<Stamp>>,
    folders: BTreeSet<PathBuf>,
    /// When the youngest of the files was changed, in time since 1970.
    youngest: Duration,
    taken: Duration,
}

impl Stamps {
    /// Looks at these absolute paths.
    pub(super) fn take(paths: &[PathBuf]) -> Self {
        let named = paths.to_vec();
        // Of what does not answer nothing is seen, and it is another look once it does.
        files::look_past(move || Self::take_here(&named)).unwrap_or_default()
    }

    fn take_here(paths: &[PathBuf]) -> Self {
        let taken = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let mut stamps = Self { taken, ..Self::default() };
        for path in paths {
            stamps.add(path);
            if files::is_dir(path) {
                stamps.folders.insert(path.clone());
                for file in read::files_of(path).unwrap_or_default() {
                    stamps.add(&file);
                }
            }
        }
        stamps
    }

    /// The folders in which a change of the manifests shows: all exist, as far as is known.
    pub(super) const fn folders(&self) -> &BTreeSet<PathBuf> {
        &self.folders
    }

    /// Whether the manifests may be others now than they were at that look.
    pub(super) fn differs_from(&self, before: &Self) -> bool {
        self.files != before.files || before.is_too_early()
    }

    /// Whether a file changed so shortly before the look that a change right after it may not show.
    fn is_too_early(&self) -> bool {
        self.taken.abs_diff(self.youngest) < TICK
    }

    fn add(&mut self, path: &Path) {
        files::trace(path, |folder, _| {
            if !self.folders.contains(folder) {
                self.folders.insert(folder.to_path_buf());
            }
        });
        let stamp = files::metadata(path).ok().as_ref().map(stamp);
        if let Some(Stamp::File { seconds, nanoseconds, .. }) = stamp {
            let changed = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok());
            let changed = changed.map(|(seconds, nanoseconds)| Duration::new(seconds, nanoseconds));
            self.youngest = self.youngest.max(changed.unwrap_or_default());
        }
        self.files.insert(path.to_path_buf(), stamp);
    }
}

fn stamp(found: &Metadata) -> Stamp {
    let (device, inode) = (found.dev(), found.ino());
    if found.is_dir() {
        return Stamp::Folder { device, inode };
    }
    Stamp::File { device, inode, size: found.size(), seconds: found.ctime(), nanoseconds: found.ctime_nsec() }
}
