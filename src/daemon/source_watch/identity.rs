//! Which folder a path leads to, and on which mounts.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::roots::Interest;
use crate::files::{
    self, Hangs,
    mounts::{self, Mount},
};

/// What tells a folder from another one that takes its path: inotify watches the folder, and not the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// The device and the inode. The kernel keeps one watch for both paths where two lead to the same.
    pub(super) inode: (u64, u64),
    /// A removed folder's inode is often that of the next one. `None` where the file system does not keep it.
    born: Option<SystemTime>,
}

impl Identity {
    /// That of the folder which is there now. Reads metadata.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let found = files::metadata(path).ok()?;
        Some(Self { inode: (found.dev(), found.ino()), born: found.created().ok() })
    }

    /// Each of these folders with its own, in one look. It fails if one does not answer.
    pub(super) fn of_all(paths: Vec<PathBuf>) -> Result<Vec<(PathBuf, Option<Self>)>, Hangs> {
        let of = |path: PathBuf| {
            let own = Self::of(&path);
            (path, own)
        };
        files::look(move || paths.into_iter().map(of).collect())
    }
}

/// The mounts that one of these paths lies on, or that lie at or above one of these folders. Another one in their place may
/// have the same devices and inodes, and the kernel has forgotten the watches.
pub(super) fn concerned_mounts<'a>(
    all: &[Mount],
    paths: &(impl Iterator<Item = &'a PathBuf> + Clone),
    folders: &BTreeMap<PathBuf, Interest>,
) -> Vec<Mount> {
    let concerns = |mount: &&Mount| {
        let mut below = folders.range(mount.point.clone()..);
        below.next().is_some_and(|(folder, _)| folder.starts_with(&mount.point))
            || paths.clone().any(|path| path.starts_with(&mount.point))
    };
    all.iter().filter(|mount| concerns(mount)).cloned().collect()
}

/// What of a root lies on file systems that other hosts write, too.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SharedParts {
    /// The folders on them.
    pub(super) folders: BTreeSet<PathBuf>,
    /// Whether there is any such part: a folder, or a file that is mounted by itself.
    pub(super) is_any: bool,
}

impl SharedParts {
    pub(super) fn of(all: &[Mount], folders: &BTreeMap<PathBuf, Interest>) -> Self {
        let mut parts = Self::default();
        for point in all.iter().filter(|mount| mount.is_shared()).map(|mount| &mount.point) {
            let below = folders.range(point.clone()..).map(|(folder, _)| folder);
            let below = below.take_while(|folder| folder.starts_with(point));
            // Another mount may lie on top.
            let is_shared = |path: &Path| mounts::find(all, path).is_some_and(Mount::is_shared);
            parts.folders.extend(below.filter(|folder| is_shared(folder)).cloned());
            let counts =
                |folder: &Path, name| folders.get(folder).is_some_and(|interest| interest.counts(name));
            let is_entry =
                point.parent().zip(point.file_name()).is_some_and(|(folder, name)| counts(folder, name));
            parts.is_any |= is_entry && is_shared(point);
        }
        parts.is_any |= !parts.folders.is_empty();
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(paths: &[(&str, &[&str])]) -> BTreeMap<PathBuf, Interest> {
        let interest = |names: &[&str]| Interest::named(names.iter().copied());
        paths.iter().map(|(path, names)| (PathBuf::from(path), interest(names))).collect()
    }

    const TABLE: &str = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        30 21 0:50 / /srv/app/data rw - nfs4 host:/data rw\n\
        31 21 0:51 / /srv/application rw - nfs4 host:/app rw\n\
        32 30 0:52 / /srv/app/data/local rw - tmpfs tmpfs rw\n\
        33 21 0:50 /x /etc/app/one.conf rw - cifs //host/x rw\n";

    #[test]
    fn what_lies_on_a_shared_mount_below_is_found_and_what_lies_on_top_of_it_is_not() {
        let all = mounts::read(TABLE);
        let parts = |paths: &[(&str, &[&str])]| SharedParts::of(&all, &folders(paths));
        let found = parts(&[
            ("/srv/app", &[]),
            ("/srv/app/data", &[]),
            ("/srv/app/data/deep/er", &[]),
            ("/srv/app/data/local/x", &[]),
            ("/srv/app/database", &[]),
        ]);
        let shared = ["/srv/app/data", "/srv/app/data/deep/er"].map(PathBuf::from);
        assert_eq!(found, SharedParts { folders: shared.into(), is_any: true });
        assert_eq!(
            parts(&[("/srv/app", &[]), ("/srv/app/src", &[])]),
            SharedParts::default(),
            "it is ignored"
        );
        let file = parts(&[("/etc/app", &["one.conf"])]);
        assert_eq!(file, SharedParts { folders: BTreeSet::new(), is_any: true }, "a file that is mounted");
        assert_eq!(parts(&[("/etc/app", &["two.conf"])]), SharedParts::default());
        let own = mounts::read("1 0 8:1 / / rw - nfs4 host:/ rw\n2 1 8:2 / / rw - ext4 /dev/sda rw");
        assert_eq!(
            SharedParts::of(&own, &folders(&[("/srv", &[])])),
            SharedParts::default(),
            "it is covered"
        );
    }

    #[test]
    fn mounts_at_and_above_what_is_watched_concern_it_and_others_do_not() {
        let all = mounts::read(TABLE);
        let points = |paths: &[&str], watched: &[(&str, &[&str])]| {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            let found = concerned_mounts(&all, &paths.iter(), &folders(watched));
            found.into_iter().map(|mount| mount.point.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(points(&["/srv/app"], &[("/srv/app", &[])]), ["/"]);
        assert_eq!(
            points(&[], &[("/srv/app/data/local/x", &[])]),
            ["/", "/srv/app/data", "/srv/app/data/local"]
        );
        assert_eq!(
            points(&["/srv/application/x"], &[]),
            ["/", "/srv/application"],
            "where nothing is watched"
        );
        let mut other = all.clone();
        other[0] = mounts::read("99 1 8:1 / / rw - ext4 /dev/sda1 rw").remove(0);
        let of = |all: &[Mount]| concerned_mounts(all, &std::iter::empty(), &folders(&[("/srv", &[])]));
        assert_ne!(of(&all), of(&other), "mounted again, from the same device");
    }
}
