//! Who could change what lies at a path, beside this user and root.
//!
//! undrift acts by what is written in its state folder, and as root it writes there. Whoever can put another folder, a link or
//! a file at its place decides what that is. So each component of the path is looked at, the links in it and what they lead to
//! as well, as sshd does for `authorized_keys` (`sshd_config(5)`, `StrictModes`) and sudo for its plugins.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use rustix::process::geteuid;

/// As many links as the kernel follows (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

const WORLD_WRITES: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
const STICKY: u32 = 0o1000;

/// Something at or above a path that a stranger could change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exposed {
    path: PathBuf,
    how: How,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum How {
    /// It is of another user.
    Owner(u32),
    /// Others may write it, or in it: its mode.
    Mode(u32),
    /// It is a link where none may be.
    Link,
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.how {
            How::Owner(uid) => {
                write!(f, "{path} is owned by {}, which is neither this user nor root", user(uid))
            }
            How::Mode(mode) => write!(f, "others can write {path}: it has mode {:03o}", mode & 0o7777),
            How::Link => write!(f, "{path} is a symbolic link, which undrift does not make there"),
        }
    }
}

/// The user's name, with the number where that has one.
fn user(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.map_or_else(|| format!("the user {uid}"), |name| format!("{name} (user {uid})"))
}

/// Which writers count as others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// The world, and a group that is neither root's nor one user's own: what undrift writes is nobody else's.
    WorldAndGroup,
    /// The world alone: people who write manifests share a group.
    World,
}

/// Looks at a folder or file and at everything above it; the first that a stranger could change. What does not exist yet is
/// nobody's.
///
/// A folder in which anybody may make files, and nobody may change another's (its sticky bit is set), is fine above the last
/// component: `/tmp`. A link is as good as its owner, for it leads where that one wants.
///
/// # Errors
/// What the operating system says to looking at a component that is there.
pub(crate) fn exposed(path: &Path, others: Others) -> io::Result<Option<Exposed>> {
    let mut walk = Walk { others, trusted: trusted(others), links: 0 };
    let path = std::path::absolute(path)?;
    walk.along(&path, true).map(Result::err)
}

/// Looks at one file, which must be no link: what undrift makes in its own folder is none.
///
/// # Errors
/// As [`exposed`].
pub(crate) fn exposed_file(path: &Path) -> io::Result<Option<Exposed>> {
    let Some(found) = metadata(path)? else { return Ok(None) };
    if found.is_symlink() {
        return Ok(Some(Exposed { path: path.to_owned(), how: How::Link }));
    }
    let others = Others::WorldAndGroup;
    let walk = Walk { others, trusted: trusted(others), links: 0 };
    Ok(walk.judge(path, &found, true))
}

/// This user, root, and whoever owns the root folder: root's number is another one in a user namespace that does not have it.
/// Of what people write, also who has called `sudo`, and may become root anyway.
fn trusted(others: Others) -> Vec<u32> {
    let root = fs::symlink_metadata("/").map_or(0, |root| root.uid());
    let caller = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    let caller = caller.filter(|_| others == Others::World && geteuid().is_root());
    [geteuid().as_raw(), 0, root].into_iter().chain(caller).collect()
}

/// Within the limit of an access: a folder above may be on a file system that hangs.
fn metadata(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match super::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

struct Walk {
    others: Others,
    trusted: Vec<u32>,
    links: usize,
}

impl Walk {
    /// Goes along a path from the root on; the folder or file that it leads to, links followed. `is_whole` where nothing comes
    /// behind it.
    fn along(&mut self, path: &Path, is_whole: bool) -> io::Result<Result<PathBuf, Exposed>> {
        let mut at = PathBuf::from("/");
        let mut components = path.components().peekable();
        while let Some(component) = components.next() {
            match component {
                Component::Normal(name) => at.push(name),
                Component::ParentDir => {
                    at.pop();
                }
                Component::RootDir => at = PathBuf::from("/"),
                Component::CurDir | Component::Prefix(_) => continue,
            }
            let Some(found) = metadata(&at)? else { return Ok(Ok(at)) };
            let is_last = is_whole && components.peek().is_none();
            if let Some(exposed) = self.judge(&at, &found, is_last) {
                return Ok(Err(exposed));
            }
            if found.is_symlink() {
                self.links += 1;
                if self.links > MOST_LINKS {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                let to = super::read_link(&at)?;
                let from = at.parent().unwrap_or(&at).join(to);
                match self.along(&from, is_last)? {
                    Ok(led_to) => at = led_to,
                    exposed => return Ok(exposed),
                }
            }
        }
        Ok(Ok(at))
    }

    /// What is wrong with one component; `is_last` where it is the thing itself.
    fn judge(&self, path: &Path, found: &fs::Metadata, is_last: bool) -> Option<Exposed> {
        let exposed = |how| Some(Exposed { path: path.to_owned(), how });
        if !self.trusted.contains(&found.uid()) {
            return exposed(How::Owner(found.uid()));
        }
        // A link has no mode.
        if found.is_symlink() {
            return None;
        }
        let mode = found.mode();
        let is_shared = found.is_dir() && !is_last && mode & STICKY != 0;
        let group_counts = self.others == Others::WorldAndGroup && !is_own_group(found);
        let writes = mode & WORLD_WRITES != 0 || mode & GROUP_WRITES != 0 && group_counts;
        if writes && !is_shared { exposed(How::Mode(mode)) } else { None }
    }
}

/// Whether the group is root's, or its owner's own: distributions give each user a group of the same number.
fn is_own_group(found: &fs::Metadata) -> bool {
    found.gid() == 0 || found.gid() == found.uid()
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn words(path: &Path) -> String {
        exposed(path, Others::WorldAndGroup).unwrap().map(|found| found.to_string()).unwrap_or_default()
    }

    /// `home/a/b/state`, all of it this user's alone.
    fn folders() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("a/b/state");
        fs::create_dir_all(&state).unwrap();
        for folder in ["a", "a/b", "a/b/state"] {
            mode(&home.path().join(folder), 0o700);
        }
        (home, state)
    }

    #[test]
    fn what_is_this_users_alone_is_exposed_to_nobody_whether_it_exists_or_not() {
        let (home, state) = folders();
        assert_eq!(words(&state), "");
        assert_eq!(words(&state.join("not/yet")), "");
        // As distributions link /var/lib elsewhere.
        symlink(home.path().join("a/b"), home.path().join("link")).unwrap();
        symlink("link/state", home.path().join("relative")).unwrap();
        assert_eq!(
            (words(&home.path().join("link/state")), words(&home.path().join("relative"))),
            (String::new(), String::new())
        );
        symlink("loop", home.path().join("loop")).unwrap();
        assert!(exposed(&home.path().join("loop"), Others::World).is_err());
    }

    #[test]
    fn a_component_that_others_may_write_is_named_and_so_is_one_behind_a_link() {
        let (home, state) = folders();
        let above = home.path().join("a");
        for (bits, sticky_helps) in [(0o777, false), (0o702, false), (0o1777, true)] {
            mode(&above, bits);
            let expected = format!("others can write {}: it has mode {bits:03o}", above.display());
            assert_eq!(words(&state), if sticky_helps { String::new() } else { expected.clone() });
            symlink(&state, home.path().join("link")).unwrap();
            assert_eq!(words(&home.path().join("link")), if sticky_helps { String::new() } else { expected });
            fs::remove_file(home.path().join("link")).unwrap();
        }
        mode(&above, 0o700);
        mode(&state, 0o1777);
        assert!(words(&state).contains("it has mode 1777"), "in the folder itself no bit helps");
    }

    #[test]
    fn a_group_counts_for_the_state_and_not_for_a_manifest() {
        let (_home, state) = folders();
        mode(&state, 0o770);
        let own_group = fs::metadata(&state).is_ok_and(|found| is_own_group(&found));
        assert_eq!(words(&state).is_empty(), own_group);
        assert_eq!(exposed(&state, Others::World).unwrap(), None);
        if std::os::unix::fs::chown(&state, None, Some(12_345)).is_ok() {
            assert!(words(&state).contains("it has mode 770"));
            assert_eq!(exposed(&state, Others::World).unwrap(), None);
        }
    }

    #[test]
    fn another_users_folder_or_link_is_named_with_its_owner() {
        let (home, state) = folders();
        let above = home.path().join("a/b");
        // Only root can give a folder away.
        if std::os::unix::fs::chown(&above, Some(12_345), None).is_err() {
            return;
        }
        let expected =
            format!("{} is owned by the user 12345, which is neither this user nor root", above.display());
        assert_eq!(words(&state), expected);
        std::os::unix::fs::chown(&above, Some(0), None).unwrap();
        let link = home.path().join("link");
        symlink(&state, &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(12_345), None).unwrap();
        assert!(words(&link).starts_with(&link.display().to_string()), "{}", words(&link));
    }

    #[test]
    fn a_file_of_the_state_is_no_link_and_nobody_elses() {
        let (_home, state) = folders();
        let file = state.join("lock");
        let words = || exposed_file(&file).unwrap().map(|found| found.to_string()).unwrap_or_default();
        assert_eq!(words(), "");
        fs::write(&file, "").unwrap();
        mode(&file, 0o600);
        assert_eq!(words(), "");
        mode(&file, 0o666);
        assert!(words().contains("it has mode 666"), "{}", words());
        fs::remove_file(&file).unwrap();
        symlink("/nowhere", &file).unwrap();
        assert!(words().contains("is a symbolic link"), "{}", words());
    }
}
