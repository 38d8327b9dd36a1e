//! The kernel's watches on the folders of all objects.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use notify::{ErrorKind, Event, RecursiveMode, Watcher};

use super::identity::Identity;
use crate::files::mounts::{self, Mount};

/// What is done with each event.
pub(super) type Handler = Box<dyn FnMut(notify::Result<Event>) + Send>;

/// Makes the kernel's watcher.
pub(super) type Connect = fn(Handler) -> notify::Result<Box<dyn Watcher + Send>>;

/// The most folders that are watched. The kernel keeps about 1 KiB of its memory for each, which it never swaps.
const MOST_FOLDERS: usize = 32_768;

/// Why a root is not watched.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotWatched {
    /// The kernel has no more watches, or no more watchers, for this user.
    #[error("the kernel has no watch left for this user")]
    Exhausted,
    /// undrift takes no more of them.
    #[error("undrift watches no more than {MOST_FOLDERS} folders")]
    TooMany,
    /// The kernel does not know of changes that other hosts make.
    #[error("it is, in parts at least, on a file system that other hosts write, too")]
    Shared,
    /// Another path leads to the same folder, as a bind mount does: the kernel has one watch for both, and reports one path.
    #[error("a folder in it is watched by another path already")]
    Twice,
    /// It did not hold still, or parts of it cannot be read.
    #[error("not all of it can be read")]
    NotWhole,
    /// Another error.
    #[error(transparent)]
    Kernel(notify::Error),
}

impl NotWatched {
    /// What to do about it, if anything helps.
    pub(super) const fn help(&self) -> &'static str {
        match self {
            Self::Exhausted => {
                "sudo sysctl fs.inotify.max_user_watches=65536 fs.inotify.max_user_instances=128, and restart undrift"
            }
            Self::TooMany => "leave out with .dockerignore what no build needs",
            Self::Shared | Self::Twice | Self::NotWhole | Self::Kernel(_) => "",
        }
    }
}

impl From<notify::Error> for NotWatched {
    fn from(error: notify::Error) -> Self {
        const TOO_MANY_OPEN: i32 = 24;
        match &error.kind {
            ErrorKind::MaxFilesWatch => Self::Exhausted,
            ErrorKind::Io(io) if io.raw_os_error() == Some(TOO_MANY_OPEN) => Self::Exhausted,
            _ => Self::Kernel(error),
        }
    }
}

/// Reads the mounts of this process.
type ReadMounts = Box<dyn Fn() -> Vec<Mount> + Send>;

/// The watched folders.
pub(super) struct Kernel {
    connect: Connect,
    watcher: Option<Box<dyn Watcher + Send>>,
    /// Each with what was there when it was watched; `None` if nothing was.
    watched: BTreeMap<PathBuf, Option<Identity>>,
    /// The path of `watched` that the kernel reports for a device and inode.
    by_inode: HashMap<(u64, u64), PathBuf>,
    most: usize,
    mounts: ReadMounts,
}

/// How folders came to be watched.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Watching {
    /// One of them was not watched before, or is another one than before.
    pub(super) is_new: bool,
    /// One of them is not watched, because another path leads to it that is.
    pub(super) has_twice: bool,
}

impl Kernel {
    pub(super) fn new(connect: Connect) -> Self {
        let (watched, by_inode) = (BTreeMap::new(), HashMap::new());
        Self { connect, watcher: None, watched, by_inode, most: MOST_FOLDERS, mounts: Box::new(mounts::all) }
    }

    /// The same with another bound.
    #[cfg(test)]
    pub(super) fn with_most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// The same with other mounts.
    #[cfg(test)]
    pub(super) fn with_mounts(mut self, mounts: impl Fn() -> Vec<Mount> + Send + 'static) -> Self {
        self.mounts = Box::new(mounts);
        self
    }

    /// The mounts as they are now.
    pub(super) fn mounts(&self) -> Vec<Mount> {
        (self.mounts)()
    }

    /// The folders that are watched.
    pub(super) const fn folders(&self) -> &BTreeMap<PathBuf, Option<Identity>> {
        &self.watched
    }

    /// Watches these folders, too. Also tells the kernel of those that it knows: of a folder that was made again it knows only
    /// the old one, and telling it twice does nothing.
    ///
    /// # Errors
    /// Then none of those that were not watched before is.
    pub(super) fn watch<'a>(
        &mut self,
        folders: impl IntoIterator<Item = &'a (PathBuf, Option<Identity>)>,
        handler: impl FnOnce() -> Handler,
    ) -> Result<Watching, NotWatched> {
        if self.watcher.is_none() {
            self.watcher = Some((self.connect)(handler())?);
        }
        let (mut added, mut all) = (Vec::new(), Watching::default());
        for (folder, identity) in folders {
            let is_added = !self.watched.contains_key(folder);
            match self.watch_one(folder, *identity) {
                Ok(one) => {
                    all.is_new |= one.is_new;
                    all.has_twice |= one.has_twice;
                    added.extend((is_added && !one.has_twice).then(|| folder.clone()));
                }
                Err(error) => {
                    self.unwatch_all(&added);
                    return Err(error);
                }
            }
        }
        Ok(all)
    }

    fn watch_one(&mut self, folder: &Path, identity: Option<Identity>) -> Result<Watching, NotWatched> {
        let known = self.watched.get(folder);
        let is_new = known.is_none_or(|known| *known != identity);
        if known.is_none() && self.watched.len() >= self.most {
            return Err(NotWatched::TooMany);
        }
        if is_new {
            // Otherwise the watch of what was here stays, and reports what happens there as if it happened here.
            self.unwatch(folder);
            if self.is_watched_elsewhere(identity) {
                return Ok(Watching { is_new: false, has_twice: true });
            }
        }
        let Some(watcher) = &mut self.watcher else { return Ok(Watching::default()) };
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            // Removed since it was found, which the next look sees.
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error.into()),
            Ok(()) => {}
        }
        if let Some(identity) = identity {
            self.by_inode.insert(identity.inode, folder.to_owned());
        }
        self.watched.insert(folder.to_owned(), identity);
        Ok(Watching { is_new, has_twice: false })
    }

    /// Whether another path leads there, too, and is watched. One that led there before is watched no more: whoever needs it
    /// watches what is there now.
    fn is_watched_elsewhere(&mut self, identity: Option<Identity>) -> bool {
        let Some(identity) = identity else { return false };
        let Some(other) = self.by_inode.get(&identity.inode).cloned() else { return false };
        if Identity::of(&other) == Some(identity) {
            return true;
        }
        // Before the new path is watched: the kernel has one watch for both, which would go with the old path.
        self.unwatch(&other);
        false
    }

    /// Watches these folders no more.
    pub(super) fn unwatch_all<'a>(&mut self, folders: impl IntoIterator<Item = &'a PathBuf>) {
        for folder in folders {
            self.unwatch(folder);
        }
    }

    fn unwatch(&mut self, folder: &Path) {
        let Some(identity) = self.watched.remove(folder) else { return };
        if let Some(identity) = identity
            && self.by_inode.get(&identity.inode).is_some_and(|path| path == folder)
        {
            self.by_inode.remove(&identity.inode);
        }
        if let Some(watcher) = &mut self.watcher {
            // The kernel forgets a removed folder by itself.
            let _ = watcher.unwatch(folder);
        }
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(io) => {
            matches!(io.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
        }
        _ => false,
    }
}
