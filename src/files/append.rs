//! Appends to a file at a path that somebody else chose.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::Path,
};

use rustix::fs::{Mode, OFlags};

use super::regular::refuse_irregular;

/// The flags for opening a file: as for reading, at its end, and no link.
const FLAGS: OFlags = OFlags::RDWR
    .union(OFlags::APPEND)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY)
    .union(OFlags::NOFOLLOW);

/// What has no secret in it: everybody may read it.
const MODE: u32 = 0o644;

pub(super) fn append(path: &Path, content: impl FnOnce(Option<u8>) -> Vec<u8>) -> io::Result<()> {
    let mut file = open(path)?;
    let length = file.metadata()?.len();
    let mut last = [0];
    let last = match length.checked_sub(1) {
        None => None,
        Some(at) => file.read_exact_at(&mut last, at).map(|()| Some(last[0]))?,
    };
    file.write_all(&content(last))?;
    file.sync_all()
}

fn open(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        // A device may have side effects when it is opened: it is checked before, and again after opening.
        Ok(found) => refuse_irregular(path, &found)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return create(path),
        Err(error) => return Err(error),
    }
    let file = File::from(rustix::fs::open(path, FLAGS, Mode::empty())?);
    refuse_irregular(path, &file.metadata()?)?;
    Ok(file)
}

fn create(path: &Path) -> io::Result<File> {
    let flags = FLAGS.union(OFlags::CREATE).union(OFlags::EXCL);
    let file = File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(MODE))?);
    // Whatever the umask is.
    file.set_permissions(Permissions::from_mode(MODE))?;
    if let Some(folder) = path.parent() {
        // The name of the new file is on the disk, too.
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    fn appended(path: &Path, text: &str) -> io::Result<Option<u8>> {
        let mut seen = None;
        append(path, |last| {
            seen = last;
            text.as_bytes().to_vec()
        })?;
        Ok(seen)
    }

    #[test]
    fn a_file_is_made_for_everybody_to_read_and_then_only_grows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        assert_eq!(appended(&path, "one").unwrap(), None);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(appended(&path, "\n").unwrap(), Some(b'e'));
        assert_eq!(appended(&path, "two").unwrap(), Some(b'\n'));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "it stays as it is");
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        fs::write(at("real"), "").unwrap();
        symlink(at("real"), at("link")).unwrap();
        symlink(at("gone"), at("dangling")).unwrap();
        for (name, what) in [
            ("pipe", "is a named pipe and not a regular file"),
            ("", "is a folder and not a regular file"),
            ("link", "is a symbolic link and not a regular file"),
            ("dangling", "is a symbolic link and not a regular file"),
            ("none/file", "No such file"),
        ] {
            let error = appended(&at(name), "text").unwrap_err().to_string();
            assert!(error.contains(what), "{name}: {error}");
        }
        assert_eq!(fs::read_to_string(at("real")).unwrap(), "");
        assert!(!at("gone").exists());
    }
}
