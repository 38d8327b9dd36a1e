//! Files as a process in a container sees them.
//!
//! `/proc/PID/root` leads into the mount namespace of that process, and to the very file that is mounted there, even if the
//! host's path leads to another one by now. A link in the container must not lead out of it: the kernel resolves the path as
//! if that folder were the root (openat2(2), Linux 5.6).

use std::{
    fs::{File, Metadata},
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::{access, regular};

/// The metadata of what is at `below` for a process whose root is this folder.
///
/// # Errors
/// If nothing is there, undrift may not look into that process, or the kernel cannot resolve such a path.
pub(crate) fn metadata_inside(root: &Path, below: &str) -> io::Result<Metadata> {
    let (root, below) = (root.to_owned(), below.to_owned());
    access(&at(&root, &below), move |_, _| File::from(open(&root, &below)?).metadata())
}

/// All bytes of a regular file there, at most `most`.
///
/// # Errors
/// As [`metadata_inside`] and [`read`](super::read).
pub(crate) fn read_inside(root: &Path, below: &str, most: u64) -> io::Result<Vec<u8>> {
    let (root, below) = (root.to_owned(), below.to_owned());
    access(&at(&root, &below), move |_, _| {
        let found = open(&root, &below)?;
        // The descriptor only names the file: this opens that very file for reading, if it is a regular one.
        regular::read(Path::new(&format!("/proc/self/fd/{}", found.as_raw_fd())), most)
    })
}

fn at(root: &Path, below: &str) -> PathBuf {
    root.join(below.trim_start_matches('/'))
}

fn open(root: &Path, below: &str) -> io::Result<OwnedFd> {
    let named = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, named | OFlags::DIRECTORY, Mode::empty())?;
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(&root, below, named, Mode::empty(), within)?)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::{
        super::{LARGEST_TEXT, look},
        *,
    };

    #[test]
    fn a_link_in_a_container_leads_to_a_file_of_the_container() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(root.path().join("run")).unwrap();
        fs::write(root.path().join("run/secret"), "inside").unwrap();
        fs::write(outside.path().join("secret"), "outside").unwrap();
        symlink("/run", root.path().join("absolute")).unwrap();
        symlink(outside.path(), root.path().join("out")).unwrap();
        symlink("../../../../run", root.path().join("above")).unwrap();
        let root = root.path().to_owned();
        let read = move |below: &str| {
            let (root, below) = (root.clone(), below.to_owned());
            look(move || read_inside(&root, &below, LARGEST_TEXT)).unwrap()
        };
        for below in ["/run/secret", "run/secret", "/absolute/secret", "/above/secret"] {
            assert_eq!(read(below).unwrap(), b"inside", "{below}");
        }
        assert_eq!(read("/out/secret").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(read("/run").is_err(), "a folder has no bytes");
    }
}
