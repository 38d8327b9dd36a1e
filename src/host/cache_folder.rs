//! A cache in a folder of its own, for an observer without a state folder, or without write access to it. It may be lost.
//!
//! Its content decides the result of an observation, so undrift trusts nothing that another user could have put there: the
//! folder and each file in it must belong to this user, and nobody else may write to them. Each file carries the digest of its
//! space, key and value, so a file that was cut short or has another's name is ignored.

use std::{
    fs::{DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt as _, MetadataExt as _},
    },
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, open, openat, renameat, statat, unlinkat},
    process::geteuid,
};
use sha2::{Digest as _, Sha256};

use crate::api::Cache;

/// The format of the files; files in another format are ignored.
const FORM: &[u8] = b"undrift-cache-v1\0";

/// How many files it may hold. One is about 4 KiB; a host has tens of projects and modules.
const MOST_FILES: usize = 4096;

/// The longest value that is kept or read.
const LONGEST: u64 = 16 * 1024 * 1024;

/// The prefix of files that are still being written.
const UNFINISHED: &str = ".new-";

/// The file with the key that seals the entries. It is no entry, and is never tidied away.
const KEY: &[u8] = b"digest.key";

/// A process that was killed left an unfinished file that is older than this.
const LEFT_AFTER: Duration = Duration::from_secs(3600);

/// The mode bits that let others write.
const OTHERS_MAY_WRITE: u32 = 0o022;

/// A folder that only this user can write into. Two processes may use it at once.
#[derive(Debug)]
pub struct CacheFolder(OwnedFd);

impl CacheFolder {
    /// Opens the folder, and creates it (0700) if it is missing, but never below a folder that is neither this user's nor
    /// root's, so that root leaves nothing in a user's home.
    ///
    /// # Errors
    /// If the folder cannot be created or opened, belongs to another user, or is writable by others.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !path.exists() {
            let above = path.ancestors().skip(1).find(|above| above.exists());
            let owner = above.and_then(|above| above.metadata().ok()).map(|above| above.uid());
            if owner.is_none_or(|owner| owner != geteuid().as_raw() && owner != 0) {
                return Err(refused("the folder above it is another user's"));
            }
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = open(path, flags, Mode::empty())?;
        is_ours(&fstat(&folder)?)?;
        Ok(Self(folder))
    }

    fn read(&self, space: &str, key: &str) -> io::Result<Option<String>> {
        // Does not block: the path may be a pipe.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.0, name(space, key), flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stat = fstat(&file)?;
        is_ours(&stat)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refused("it is no file"));
        }
        let mut text = Vec::new();
        File::from(file).take(LONGEST + 1).read_to_end(&mut text)?;
        Ok(value_of(&text, space, key))
    }

    fn write(&self, space: &str, key: &str, value: &str) -> io::Result<()> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let unfinished = format!("{UNFINISHED}{}-{number}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.0, &unfinished, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        let written =
            file.write_all(&seal(space, key, value)).and_then(|()| file.write_all(value.as_bytes()));
        let moved = written.and_then(|()| Ok(renameat(&self.0, &unfinished, &self.0, name(space, key))?));
        if moved.is_err() {
            let _ = unlinkat(&self.0, &unfinished, AtFlags::empty());
        }
        moved?;
        self.tidy()
    }

    /// Removes the leftovers of a killed process, and the older half of the files if there are too many.
    fn tidy(&self) -> io::Result<()> {
        let (mut files, mut names) = (Vec::new(), Vec::new());
        for entry in Dir::read_from(&self.0)? {
            names.push(entry?.file_name().to_owned());
        }
        names.retain(|name| name.to_bytes() != KEY);
        if names.len() <= MOST_FILES && !names.iter().any(|name| is_unfinished(name.to_bytes())) {
            return Ok(());
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        for name in names {
            let Ok(stat) = statat(&self.0, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let age =
                now.saturating_sub(Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or_default()));
            if is_unfinished(name.to_bytes()) {
                if age > LEFT_AFTER {
                    let _ = unlinkat(&self.0, &name, AtFlags::empty());
                }
            } else if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                files.push((age, name));
            }
        }
        files.sort();
        let too_many = if files.len() > MOST_FILES { files.len() / 2 } else { 0 };
        for (_, name) in files.iter().rev().take(too_many) {
            let _ = unlinkat(&self.0, name, AtFlags::empty());
        }
        Ok(())
    }
}

impl Cache for CacheFolder {
    fn get(&self, space: &str, key: &str) -> Option<String> {
        self.read(space, key).unwrap_or_else(|error| {
            tracing::info!(space, %error, "a file of the cache folder is not used");
            None
        })
    }

    fn put(&self, space: &str, key: &str, value: &str) {
        if value.len() as u64 > LONGEST || holds_credentials(value) {
            return;
        }
        if let Err(error) = self.write(space, key, value) {
            tracing::info!(space, %error, "the cache folder was not written");
        }
    }
}

/// A cache, and another one for when it cannot be written. The writable one is asked first: its entries are newer.
pub struct TwoCaches<A, B> {
    /// The one that is written if possible.
    pub first: A,
    /// Whether the first can be written.
    pub writes_first: bool,
    /// The other one.
    pub second: B,
}

impl<A: Cache, B: Cache> Cache for TwoCaches<A, B> {
    fn get(&self, space: &str, key: &str) -> Option<String> {
        if self.writes_first {
            self.first.get(space, key).or_else(|| self.second.get(space, key))
        } else {
            self.second.get(space, key).or_else(|| self.first.get(space, key))
        }
    }

    fn put(&self, space: &str, key: &str, value: &str) {
        if self.writes_first { self.first.put(space, key, value) } else { self.second.put(space, key, value) }
    }
}

/// The name of a file. It does not contain the key, which may hold paths.
fn name(space: &str, key: &str) -> String {
    hex::encode(Sha256::digest([space.as_bytes(), b"\0", key.as_bytes()].concat()))
}

/// The header of a file.
fn seal(space: &str, key: &str, value: &str) -> Vec<u8> {
    let parts = [FORM, space.as_bytes(), b"\0", key.as_bytes(), b"\0", value.as_bytes()];
    let digest = hex::encode(Sha256::digest(parts.concat()));
    format!("{digest}\n").into_bytes()
}

/// The value in a file, if the file is whole and belongs to this key.
fn value_of(file: &[u8], space: &str, key: &str) -> Option<String> {
    let end = file.iter().position(|byte| *byte == b'\n')? + 1;
    let (head, value) = file.split_at(end);
    let value = std::str::from_utf8(value).ok()?;
    (head == seal(space, key, value)).then(|| value.to_owned())
}

fn is_unfinished(name: &[u8]) -> bool {
    name.starts_with(UNFINISHED.as_bytes())
}

fn is_ours(stat: &Stat) -> io::Result<()> {
    if stat.st_uid != geteuid().as_raw() {
        return Err(refused("it is another user's"));
    }
    if stat.st_mode & OTHERS_MAY_WRITE != 0 {
        return Err(refused("others may write it"));
    }
    Ok(())
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why.to_owned())
}

/// Whether a URL in the text has a password or a token before its host: a build context may be one.
fn holds_credentials(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| {
        let scheme_is_web = text[..at].ends_with("http") || text[..at].ends_with("https");
        let rest = &text[at + 3..];
        let end = rest.find(|c: char| c == '/' || c == '"' || c.is_whitespace()).unwrap_or(rest.len());
        let user_info = rest[..end].rfind('@').map(|at| &rest[..at]);
        user_info.is_some_and(|user_info| scheme_is_web || user_info.contains(':'))
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
        path::PathBuf,
    };

    use super::*;

    struct TestFolder {
        home: tempfile::TempDir,
    }

    impl TestFolder {
        fn new() -> Self {
            Self { home: tempfile::tempdir().unwrap() }
        }

        fn path(&self) -> PathBuf {
            self.home.path().join("cache/undrift")
        }

        fn open(&self) -> CacheFolder {
            CacheFolder::open(&self.path()).unwrap()
        }

        fn file(&self) -> PathBuf {
            self.path().join(name("compose", "a"))
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn values_are_kept_by_space_and_key_and_for_the_owner_alone() {
        let folder = TestFolder::new();
        let cache = folder.open();
        assert_eq!(cache.get("compose", "a"), None);
        cache.put("compose", "a", "1");
        cache.put("compose", "a", "2\n3");
        let again = folder.open();
        assert_eq!(again.get("compose", "a").as_deref(), Some("2\n3"));
        assert_eq!((again.get("compose", "b"), again.get("module", "a")), (None, None));
        assert_eq!((mode(&folder.path()), mode(&folder.file())), (0o700, 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left");
    }

    #[test]
    fn what_is_damaged_or_lies_under_anothers_name_is_as_good_as_none() {
        let folder = TestFolder::new();
        let cache = folder.open();
        for damage in [
            |file: &Path| fs::write(file, "").unwrap(),
            |file: &Path| fs::write(file, b"\xff\n\xff").unwrap(),
            |file: &Path| {
                let whole = fs::read(file).unwrap();
                fs::write(file, &whole[..whole.len() - 1]).unwrap();
            },
            |file: &Path| fs::rename(file.with_file_name(name("compose", "b")), file).unwrap(),
            |file: &Path| fs::remove_file(file).unwrap(),
        ] {
            cache.put("compose", "a", "of a");
            cache.put("compose", "b", "of b");
            assert_eq!(cache.get("compose", "a").as_deref(), Some("of a"));
            damage(&folder.file());
            assert_eq!(cache.get("compose", "a"), None);
        }
    }

    #[test]
    fn a_cache_that_others_can_write_is_not_used() {
        let folder = TestFolder::new();
        let cache = folder.open();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o620, 0o602, 0o666] {
            cache.put("compose", "a", "1");
            set(&folder.file(), mode);
            assert_eq!(cache.get("compose", "a"), None, "{mode:o}");
        }
        cache.put("compose", "a", "1");
        set(&folder.file(), 0o644);
        assert_eq!(cache.get("compose", "a").as_deref(), Some("1"), "who may read it does no harm");
        let elsewhere = folder.home.path().join("elsewhere");
        fs::rename(folder.file(), &elsewhere).unwrap();
        symlink(&elsewhere, folder.file()).unwrap();
        assert_eq!(cache.get("compose", "a"), None, "a link");
        for mode in [0o770, 0o777] {
            set(&folder.path(), mode);
            let error = CacheFolder::open(&folder.path()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{mode:o}");
        }
        set(&folder.path(), 0o755);
        folder.open();
        let link = folder.home.path().join("link");
        symlink(folder.path(), &link).unwrap();
        CacheFolder::open(&link).unwrap_err();
    }

    #[test]
    fn a_folder_of_another_user_is_not_used() {
        if !geteuid().is_root() {
            // Only root can give a folder away.
            return;
        }
        let folder = TestFolder::new();
        let cache = folder.open();
        cache.put("compose", "a", "1");
        let give_away = |path: &Path| std::os::unix::fs::chown(path, Some(65534), None).unwrap();
        give_away(&folder.file());
        assert_eq!(cache.get("compose", "a"), None);
        give_away(&folder.path());
        CacheFolder::open(&folder.path()).unwrap_err();
        let above = folder.home.path().join("of-another");
        fs::create_dir(&above).unwrap();
        give_away(&above);
        CacheFolder::open(&above.join("cache/undrift")).unwrap_err();
        assert_eq!(fs::read_dir(&above).unwrap().count(), 0, "nothing is left in another's home");
    }

    #[test]
    fn too_many_files_lose_their_older_half() {
        let folder = TestFolder::new();
        let cache = folder.open();
        for n in 0..MOST_FILES {
            let file = folder.path().join(format!("{n:05}"));
            fs::write(&file, "").unwrap();
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + n as u64);
            File::options().write(true).open(&file).unwrap().set_modified(then).unwrap();
        }
        let left = folder.path().join(format!("{UNFINISHED}1-1"));
        fs::write(&left, "").unwrap();
        File::options().write(true).open(&left).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        cache.put("compose", "a", "1");
        assert_eq!(cache.get("compose", "a").as_deref(), Some("1"));
        assert!(!left.exists() && !folder.path().join("00000").exists());
        assert!(folder.path().join(format!("{:05}", MOST_FILES - 1)).exists());
    }

    #[test]
    fn what_names_a_password_is_not_kept() {
        let folder = TestFolder::new();
        let cache = folder.open();
        for value in [
            r#"{"context":"https://token@github.com/x.git"}"#,
            r#"{"context":"https://ops:hunter2@host/x"}"#,
            "ssh://git:hunter2@host/x",
        ] {
            cache.put("compose", "a", value);
            assert_eq!(cache.get("compose", "a"), None, "{value}");
        }
        for value in [r#"{"context":"https://github.com/x.git","image":"x@sha256:1"}"#, "ssh://git@host/x"] {
            cache.put("compose", "a", value);
            assert_eq!(cache.get("compose", "a").as_deref(), Some(value));
        }
    }

    #[test]
    fn of_two_caches_the_first_that_can_be_written_is() {
        let (one, other) = (TestFolder::new(), TestFolder::new());
        other.open().put("compose", "old", "1");
        let both = TwoCaches { first: one.open(), writes_first: true, second: other.open() };
        both.put("compose", "new", "2");
        assert_eq!(
            (both.get("compose", "old").as_deref(), both.get("compose", "new").as_deref()),
            (Some("1"), Some("2"))
        );
        assert_eq!(
            (one.open().get("compose", "new").as_deref(), other.open().get("compose", "new")),
            (Some("2"), None)
        );
        let both = TwoCaches { writes_first: false, ..both };
        both.put("compose", "new", "3");
        assert_eq!(other.open().get("compose", "new").as_deref(), Some("3"));
        assert_eq!(both.get("compose", "new").as_deref(), Some("3"), "what is older is not asked first");
    }
}
