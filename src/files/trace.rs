//! The folders in which a change of what a path leads to shows.

use std::{
    ffi::{OsStr, OsString},
    fs::Metadata,
    path::{Component, Path, PathBuf},
};

/// Symbolic links in one path; as many as the kernel follows (`path_resolution(7)`).
const MOST_LINKS: u32 = 40;

/// Follows an absolute path as the kernel does. It passes on, as a folder without links and the name in it, each link on the
/// way, the path's end, and, where it leads nowhere, the first name that is not there.
pub(crate) fn trace(path: &Path, mut note: impl FnMut(&Path, &OsStr)) {
    let mut at = PathBuf::from("/");
    let mut ahead = parts(path);
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        let found = super::symlink_metadata(&next);
        if !found.as_ref().is_ok_and(Metadata::is_dir) || ahead.is_empty() {
            note(&at, &part);
        }
        match found {
            Ok(found) if found.is_symlink() && links < MOST_LINKS => {
                links += 1;
                let target = super::read_link(&next).unwrap_or_default();
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                ahead.extend(parts(&target));
            }
            Ok(found) if found.is_dir() => at = next,
            _ => return,
        }
    }
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    parts.collect()
}
