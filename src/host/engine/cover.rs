//! Which mount of a container covers a path.

use crate::api::MountCover;

/// A path as the engine normalizes it before use: absolute, without `.`, `..`, doubled and trailing slashes.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The mount whose destination is the longest one that the (clean) path lies in or is.
pub(super) fn find<'a>(mounts: &'a [MountCover], path: &str) -> Option<&'a MountCover> {
    mounts
        .iter()
        .filter(|mount| lies_in(path, &mount.destination))
        .max_by_key(|mount| clean(&mount.destination).len())
}

fn lies_in(path: &str, folder: &str) -> bool {
    let folder = clean(folder);
    folder == "/" || path.strip_prefix(&folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The folders above a clean path, the nearest first, without the root.
pub(super) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.char_indices().rev().filter(|(at, c)| *c == '/' && *at > 0).map(|(at, _)| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(destination: &str) -> MountCover {
        MountCover { kind: "volume".into(), destination: destination.into(), source: "v".into() }
    }

    #[test]
    fn cleans_as_the_engine_does() {
        for (path, clean_path) in
            [("/app/", "/app"), ("app//x", "/app/x"), ("/a/./b/../c", "/a/c"), ("/../..", "/"), ("", "/")]
        {
            assert_eq!(clean(path), clean_path, "{path}");
        }
    }

    #[test]
    fn the_longest_destination_covers() {
        let mounts = [mount("/app"), mount("/app/dist/"), mount("/app/dist/modules/workflow/data")];
        let covering = |path| find(&mounts, path).map(|m| m.destination.as_str());
        assert_eq!(covering("/app/dist/modules/workflow"), Some("/app/dist/"));
        assert_eq!(covering("/app/dist"), Some("/app/dist/"));
        assert_eq!(covering("/app/other"), Some("/app"));
    }

    #[test]
    fn a_name_that_only_begins_alike_does_not_cover() {
        assert_eq!(find(&[mount("/app/dist")], "/app/distribution/x"), None);
        assert_eq!(find(&[mount("/app/dist")], "/app"), None);
        assert_eq!(find(&[], "/app"), None);
    }

    #[test]
    fn ancestors_come_nearest_first() {
        assert_eq!(ancestors("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a"]);
        assert_eq!(ancestors("/a").count(), 0);
        assert_eq!(ancestors("/").count(), 0);
    }
}
