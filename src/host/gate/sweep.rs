//! A killed undrift's leftovers of a gate: a folder with a socket that no process listens on, with none yet, or with files of
//! an observation.

use std::{
    fs, io,
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::Path,
    sync::Once,
    time::Duration,
};

use super::{PREFIX, SOCKET};

/// At the first gate of this process: removes this user's gates that are dead.
pub(super) fn once(parents: &[&Path]) {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| parents.iter().for_each(|parent| sweep(parent)));
}

/// A folder that cannot be read or removed costs a little space, and no observation.
pub(super) fn sweep(parent: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // Metadata of the entry itself: a link is no gate.
        let of_this_user = entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == own);
        if named && of_this_user && is_dead(&entry.path()) {
            // This removes a link in it, and does not follow it.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// How long a gate may take to open. It takes less than a millisecond.
const OPENS_WITHIN: Duration = Duration::from_secs(10);

/// One that is being opened has no socket yet, and is not dead.
fn is_dead(folder: &Path) -> bool {
    match UnixStream::connect(folder.join(SOCKET)) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let changed = folder.metadata().and_then(|found| found.modified()).ok();
            // A time in the future allows no conclusion.
            changed.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > OPENS_WITHIN)
        }
        _ => false,
    }
}
