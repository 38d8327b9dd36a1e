//! How an error names a path: with the target of its symbolic links, because a file that hangs, or is not regular, is mostly
//! at their end.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fmt, fs,
    path::{Component, Path, PathBuf},
};

/// How many links one path may have: the kernel's own limit (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// A path, and the target of its links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    path: PathBuf,
    target: Option<PathBuf>,
}

impl Named {
    /// With the known target; `None` if the path has no link.
    pub(super) fn new(path: &Path, target: Option<PathBuf>) -> Self {
        Self { path: path.to_owned(), target }
    }

    /// Follows the links. It may take as long as an access to the path.
    pub(super) fn of(path: &Path) -> Self {
        let mut target = None;
        follow_links(path, |at| target = Some(at));
        Self { path: path.to_owned(), target }
    }
}

#[cfg(test)]
impl From<&str> for Named {
    fn from(path: &str) -> Self {
        Self::new(Path::new(path), None)
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.target {
            None => write!(f, "{path}"),
            Some(target) => write!(f, "{path} (a symbolic link to {})", target.display()),
        }
    }
}

/// Follows the links of a path as the kernel does, and reports the target after each. So the last reported one is where the
/// next step hangs. It ends silently at a path that is missing, or may not be read.
pub(super) fn follow_links(path: &Path, mut report: impl FnMut(PathBuf)) {
    let Ok(path) = std::path::absolute(path) else { return };
    let mut rest = components(&path);
    let (mut at, mut links) = (PathBuf::new(), 0);
    while let Some(next) = rest.pop_front() {
        if next == ".." {
            at.pop();
            continue;
        }
        let whole = at.join(&next);
        match fs::read_link(&whole) {
            Ok(target) if links < MOST_LINKS => {
                links += 1;
                let mut followed = components(&target);
                followed.append(&mut rest);
                rest = followed;
                if target.is_absolute() {
                    at = PathBuf::new();
                }
                report(rest.iter().fold(at.clone(), |path, next| path.join(next)));
            }
            // The kernel returns `EINVAL` if it is no link.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => at = whole,
            _ => return,
        }
    }
    if links > 0 {
        report(at);
    }
}

fn components(path: &Path) -> VecDeque<OsString> {
    let is_step = |component: &Component<'_>| !matches!(component, Component::CurDir);
    path.components().filter(is_step).map(|component| component.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_is_named_with_the_end_of_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        fs::create_dir_all(at("real/inner")).unwrap();
        fs::write(at("real/inner/file"), "").unwrap();
        for (target, link) in [("real", "folder"), ("../real/inner/file", "folder/up"), ("loop", "loop")] {
            symlink(target, at(link)).unwrap();
        }
        symlink(at("folder/up"), at("twice")).unwrap();
        symlink(at("gone/file"), at("dangling")).unwrap();
        let target = |name: &str| Named::of(&at(name)).target;
        assert_eq!(target("real/inner/file"), None);
        assert_eq!(target("real/inner/../inner/file"), None, "a path with `..` is no link");
        assert_eq!(target("folder/inner/file"), Some(at("real/inner/file")));
        assert_eq!(target("twice"), Some(at("real/inner/file")));
        assert_eq!(target("dangling"), Some(at("gone/file")), "as far as it leads");
        assert_eq!(target("loop"), Some(at("loop")), "and a circle ends");
        assert_eq!(target("none"), None);
        let shown = Named::of(&at("twice")).to_string();
        let expected =
            format!("{} (a symbolic link to {})", at("twice").display(), at("real/inner/file").display());
        assert_eq!(shown, expected);
    }
}
