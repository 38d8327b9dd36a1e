//! The kernel's watches on the folders of all objects.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use notify::{ErrorKind, Event, RecursiveMode, Watcher};

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
    #[error("it is on a file system that other hosts write, too")]
    Shared,
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
            Self::Shared | Self::NotWhole | Self::Kernel(_) => "",
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

/// The watched folders.
pub(super) struct Kernel {
    connect: Connect,
    watcher: Option<Box<dyn Watcher + Send>>,
    watched: BTreeSet<PathBuf>,
    most: usize,
}

impl Kernel {
    pub(super) fn new(connect: Connect) -> Self {
        Self { connect, watcher: None, watched: BTreeSet::new(), most: MOST_FOLDERS }
    }

    /// The same with another bound.
    #[cfg(test)]
    pub(super) fn with_most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// The folders that are watched.
    pub(super) const fn folders(&self) -> &BTreeSet<PathBuf> {
        &self.watched
    }

    /// Watches these folders, too; returns whether one of them was not watched before. Also tells the kernel of those that it
    /// knows: of a folder that was made again it knows only the old one, and telling it twice does nothing.
    ///
    /// # Errors
    /// Then none of those that were not watched before is.
    pub(super) fn watch<'a>(
        &mut self,
        folders: impl Iterator<Item = &'a PathBuf>,
        handler: impl FnOnce() -> Handler,
    ) -> Result<bool, NotWatched> {
        let mut added = Vec::new();
        let told = self.try_watch(folders, &mut added, handler);
        if told.is_err() {
            self.unwatch_all(&added);
        }
        told.map(|()| !added.is_empty())
    }

    fn try_watch<'a>(
        &mut self,
        folders: impl Iterator<Item = &'a PathBuf>,
        added: &mut Vec<PathBuf>,
        handler: impl FnOnce() -> Handler,
    ) -> Result<(), NotWatched> {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            none => none.insert((self.connect)(handler())?),
        };
        for folder in folders {
            let is_new = !self.watched.contains(folder);
            if is_new && self.watched.len() >= self.most {
                return Err(NotWatched::TooMany);
            }
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                // Removed since it was found, which the next look sees.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => {}
            }
            if is_new {
                self.watched.insert(folder.clone());
                added.push(folder.clone());
            }
        }
        Ok(())
    }

    /// Watches these folders no more.
    pub(super) fn unwatch_all(&mut self, folders: &[PathBuf]) {
        for folder in folders {
            self.unwatch(folder);
        }
    }

    fn unwatch(&mut self, folder: &Path) {
        self.watched.remove(folder);
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
