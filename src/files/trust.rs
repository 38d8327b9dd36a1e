//! Which users, besides this one and root, could change the file or folder at a path.
//!
//! undrift acts on the content of its state folder, and as root it writes there. Anyone who can put another folder, a link or
//! a file at its place decides what that is. So each component of the path is checked, including its links and their targets,
//! as sshd does for `authorized_keys` (`sshd_config(5)`, `StrictModes`) and sudo for its plugins.

use std::{
    cell::OnceCell,
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use rustix::process::geteuid;

use super::{
    accounts::Accounts,
    acl::{self, Writer},
};

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
    /// Another user owns it.
    Owner(u32),
    /// Others may write to it, or in it: its mode.
    Mode(u32),
    /// Others may, by its access control list.
    Listed(Writer),
    /// It is a link where none is allowed.
    Link,
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, accounts) = (self.path.display(), Accounts::of_this_host());
        match self.how {
            How::Owner(uid) => {
                write!(f, "{path} is owned by {}, which is neither this user nor root", accounts.user(uid))
            }
            How::Listed(writer) => {
                let who = match writer {
                    Writer::User(uid) => accounts.user(uid),
                    Writer::Group(gid) => accounts.group(gid),
                    Writer::OwnGroup => "its group".to_owned(),
                };
                write!(f, "others can write {path}: its access control list lets {who}")
            }
            How::Mode(mode) => write!(f, "others can write {path}: it has mode {:03o}", mode & 0o7777),
            How::Link => write!(f, "{path} is a symbolic link, which undrift does not make there"),
        }
    }
}

/// Which writers count as others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// The world, everyone in an access control list, and a group that is neither root's nor of this user and root alone:
    /// undrift's own files are nobody else's.
    WorldAndGroup,
    /// The world alone: people who write manifests share a group.
    World,
}

/// Checks a folder or file and everything above it; returns the first that a stranger could change. A missing path belongs
/// to nobody.
///
/// A folder in which anybody may create files, and nobody may change another's (its sticky bit is set), is accepted above
/// the last component: `/tmp`. A link is as trustworthy as its owner, who decides its target.
///
/// # Errors
/// The operating system's error for an existing component.
pub(crate) fn exposed(path: &Path, others: Others) -> io::Result<Option<Exposed>> {
    let mut walk = PathWalk::of(others);
    let path = std::path::absolute(path)?;
    walk.along(&path, true).map(Result::err)
}

/// Checks one file, which must be no link: undrift creates none in its own folder.
///
/// # Errors
/// As [`exposed`].
pub(crate) fn exposed_file(path: &Path) -> io::Result<Option<Exposed>> {
    let Some(found) = metadata(path)? else { return Ok(None) };
    if found.is_symlink() {
        return Ok(Some(Exposed { path: path.to_owned(), how: How::Link }));
    }
    PathWalk::of(Others::WorldAndGroup).judge(path, &found, true)
}

/// This user, root, and the owner of the root folder: root's number is another one in a user namespace that does not have it.
/// For files that people write, also the caller of `sudo`, who may become root anyway.
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

struct PathWalk {
    others: Others,
    trusted: Vec<u32>,
    /// Read only if a group may write.
    accounts: OnceCell<Accounts>,
    links: usize,
}

impl PathWalk {
    fn of(others: Others) -> Self {
        Self { others, trusted: trusted(others), accounts: OnceCell::new(), links: 0 }
    }

    /// Walks a path from the root; returns its target, with links followed. `is_whole` if nothing follows it.
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
            if let Some(exposed) = self.judge(&at, &found, is_last)? {
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

    /// The fault of one component; `is_last` for the target itself.
    fn judge(&self, path: &Path, found: &fs::Metadata, is_last: bool) -> io::Result<Option<Exposed>> {
        let exposed = |how| Some(Exposed { path: path.to_owned(), how });
        if !self.trusted.contains(&found.uid()) {
            return Ok(exposed(How::Owner(found.uid())));
        }
        // A link has no mode. In a folder with a sticky bit nobody can change another user's files.
        let mode = found.mode();
        if found.is_symlink() || found.is_dir() && !is_last && mode & STICKY != 0 {
            return Ok(None);
        }
        if mode & WORLD_WRITES != 0 {
            return Ok(exposed(How::Mode(mode)));
        }
        if self.others == Others::World || mode & GROUP_WRITES == 0 {
            return Ok(None);
        }
        let Some(listed) = super::within_limit(path, acl::writers)? else {
            return Ok(if self.is_of_others(found.gid(), found) { exposed(How::Mode(mode)) } else { None });
        };
        let mut others = listed.into_iter().filter(|writer| match *writer {
            Writer::User(uid) => !self.trusted.contains(&uid),
            Writer::Group(gid) => self.is_of_others(gid, found),
            Writer::OwnGroup => self.is_of_others(found.gid(), found),
        });
        Ok(others.next().and_then(|writer| exposed(How::Listed(writer))))
    }

    /// Whether others may be in a group. Root's group counts as root. A group that this host does not know, as in a container, is
    /// its owner's own if it has the owner's number: distributions give each user such a group.
    fn is_of_others(&self, gid: u32, found: &fs::Metadata) -> bool {
        let accounts = || self.accounts.get_or_init(Accounts::of_this_host);
        let is_own = || accounts().is_of_these_alone(gid, &self.trusted).unwrap_or(gid == found.uid());
        gid != 0 && !is_own()
    }
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
