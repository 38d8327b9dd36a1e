//! What a killed undrift leaves of a gate: a folder with a socket that nobody listens at.

use std::{
    fs, io,
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::Path,
    sync::Once,
};

use super::{PREFIX, SOCKET};

/// At the first gate of this process: removes this user's gates that are dead.
pub(super) fn once(parents: &[&Path]) {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| parents.iter().for_each(|parent| sweep(parent)));
}

/// A folder that cannot be read or removed costs a little space, and no look.
pub(super) fn sweep(parent: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // Of the entry itself: a link is nobody's gate.
        let of_this_user = entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == own);
        if named && of_this_user && is_dead(&entry.path().join(SOCKET)) {
            let _ = fs::remove_file(entry.path().join(SOCKET)).and_then(|()| fs::remove_dir(entry.path()));
        }
    }
}

/// One that is being opened has no socket yet, and is not dead.
fn is_dead(socket: &Path) -> bool {
    matches!(UnixStream::connect(socket), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}
