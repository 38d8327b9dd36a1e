//! The kernel's watcher (inotify), which wakes whoever looks at files.

use notify::{
    Config, Event, EventKind, RecommendedWatcher, Watcher,
    event::{AccessKind, AccessMode},
};

/// Makes a watcher that passes its events to this handler, on a thread of its own.
///
/// # Errors
/// If the kernel has no instance left.
pub(crate) fn inotify(
    handler: impl FnMut(notify::Result<Event>) + Send + 'static,
) -> notify::Result<Box<dyn Watcher + Send>> {
    Ok(Box::new(RecommendedWatcher::new(handler, Config::default())?))
}

/// Whether nothing has changed: undrift's own reading must not wake it.
pub(crate) const fn only_reads(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if !matches!(access, AccessKind::Close(AccessMode::Write)))
}
