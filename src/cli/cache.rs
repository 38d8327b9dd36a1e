//! The cache in which a read-only verb remembers its look-ups.

use std::{env, ffi::OsString, path::PathBuf, sync::Arc};

use super::context;
use crate::{
    files,
    host::{Cache, CacheFolder, KeyedDigest, NoCache, TwoCaches},
    store::{DigestKey, Store},
};

/// The cache of an observation: the state's, and beside it a folder of its own, for users who have no state or may not write it.
/// Without either an observation is slower, with the same result. Its entries are sealed under the state's key if this user may
/// read it, otherwise under the folder's own.
pub(super) fn of_look(store: Option<&Arc<Store>>) -> (Arc<dyn Cache>, Option<KeyedDigest>) {
    let (folder, own_key) = folder().unzip();
    let key = store.and_then(context::digests).or_else(|| own_key.flatten().map(context::keyed_digest));
    (in_order(store, folder), key)
}

fn in_order(store: Option<&Arc<Store>>, folder: Option<CacheFolder>) -> Arc<dyn Cache> {
    match (store, folder) {
        (Some(store), Some(folder)) => {
            let (first, writes_first) = (StoreCache(Arc::clone(store)), store.remembers());
            Arc::new(TwoCaches { first, writes_first, second: folder })
        }
        (Some(store), None) => Arc::clone(store) as Arc<dyn Cache>,
        (None, Some(folder)) => Arc::new(folder),
        (None, None) => Arc::new(NoCache),
    }
}

struct StoreCache(Arc<Store>);

impl Cache for StoreCache {
    fn get(&self, space: &str, key: &str) -> Option<String> {
        self.0.get(space, key)
    }

    fn put(&self, space: &str, key: &str, value: &str) {
        self.0.put(space, key, value);
    }
}

/// The folder, and its key.
fn folder() -> Option<(CacheFolder, Option<DigestKey>)> {
    let path = path(rustix::process::geteuid().is_root(), |name| env::var_os(name))?;
    let opened = files::within_limit(&path, CacheFolder::open);
    let with_key = |folder| {
        let key =
            DigestKey::of(&path).inspect_err(|error| tracing::debug!(%error, "the cache folder has no key"));
        (folder, key.ok())
    };
    opened
        .map(with_key)
        .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "the cache folder is not used"))
        .ok()
}

/// The folder: the service manager's, else the one below `$XDG_CACHE_HOME`, else root's own, else the one below the user's
/// home. A path that is not absolute counts as unset, as in the XDG base directory specification.
fn path(is_root: bool, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // systemd sets a list, with one path for each `CacheDirectory=`.
    let managed = variable("CACHE_DIRECTORY").and_then(|list| env::split_paths(&list).next());
    let managed = managed.filter(|path| path.is_absolute());
    let of_root = || is_root.then(|| PathBuf::from("/var/cache"));
    let below = |path: PathBuf| path.join("undrift");
    managed.or_else(|| {
        set("XDG_CACHE_HOME")
            .or_else(of_root)
            .or_else(|| set("HOME").map(|home| home.join(".cache")))
            .map(below)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_folder_is_the_service_managers_then_the_users_own() {
        let all =
            &[("CACHE_DIRECTORY", "/c/one:/c/two"), ("XDG_CACHE_HOME", "/xdg"), ("HOME", "/home/ops")][..];
        for (is_root, environment, expected) in [
            (false, all, Some("/c/one")),
            (true, &all[1..], Some("/xdg/undrift")),
            (true, &all[2..], Some("/var/cache/undrift")),
            (false, &all[2..], Some("/home/ops/.cache/undrift")),
            (false, &[("XDG_CACHE_HOME", "relative"), ("CACHE_DIRECTORY", "")], None),
            (false, &[], None),
        ] {
            let variable = |name: &str| {
                environment.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            assert_eq!(
                path(is_root, variable).as_deref(),
                expected.map(Path::new),
                "{is_root} {environment:?}"
            );
        }
    }
}
