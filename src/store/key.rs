//! The key of the state folder: undrift remembers values that may be secrets as digests under it, so that a reader of the
//! database alone cannot test guesses against the digests.

use std::{
    fs::Permissions,
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};

use crate::files;

/// The key's file in the state folder.
pub(super) const FILE: &str = "digest.key";

/// How long a key is: as long as a digest.
const LENGTH: usize = 32;

/// A key for digests: HMAC-SHA-256. No `Debug`.
#[derive(Clone)]
pub struct DigestKey(hmac::Key);

impl DigestKey {
    /// The digest of a value, in hexadecimal. It includes the name, so that equal values do not look equal.
    #[must_use]
    pub fn digest(&self, name: &str, value: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&name.len().to_le_bytes());
        context.update(name.as_bytes());
        context.update(value);
        hex::encode(context.sign())
    }

    /// The seed of the key that signs the trail's checkpoints: 32 bytes that nobody can tell from random ones without this key.
    pub(super) fn signing_seed(&self) -> [u8; LENGTH] {
        let tag = hmac::sign(&self.0, b"undrift: seed of the key that signs checkpoints, 1");
        let mut seed = [0; LENGTH];
        seed.copy_from_slice(tag.as_ref());
        seed
    }

    /// The folder's key; created (0600) if it is missing or invalid.
    ///
    /// # Errors
    /// If it cannot be read or created.
    pub fn of(dir: &Path) -> io::Result<Self> {
        if let Some(key) = Self::read(dir)? {
            return Ok(key);
        }
        let mut bytes = [0; LENGTH];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| io::Error::other("the system gives no random bytes"))?;
        // Written atomically: of two processes that start at once, one creates it.
        let mut file = tempfile::Builder::new()
            .prefix(".digest-key-")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(dir)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        let path = dir.join(FILE);
        if path.exists() {
            // The existing file is not a key.
            file.persist(&path)?;
        } else if let Err(error) = file.persist_noclobber(&path)
            && error.error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error.error);
        }
        Self::read(dir)?.ok_or_else(|| io::Error::other("the key that was just made is none"))
    }

    /// The folder's key, if there is one that this user may read.
    pub(super) fn read(dir: &Path) -> io::Result<Option<Self>> {
        let path = dir.join(FILE);
        let file = match files::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let meta = file.metadata()?;
        if meta.mode() & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "others may read the key of the digests: chmod 600 it");
        }
        let mut bytes = Vec::new();
        file.take(LENGTH as u64 + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() == LENGTH).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes))))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_has_one_key_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        assert!(DigestKey::read(home.path()).unwrap().is_none());
        let digest = |key: &DigestKey| key.digest("SHOP_PASSWORD", b"hunter2");
        let first = digest(&DigestKey::of(home.path()).unwrap());
        assert_eq!(digest(&DigestKey::of(home.path()).unwrap()), first);
        assert_eq!(digest(&DigestKey::read(home.path()).unwrap().unwrap()), first);
        let file = home.path().join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing else is left");
        let other = tempfile::tempdir().unwrap();
        assert_ne!(digest(&DigestKey::of(other.path()).unwrap()), first, "and no other folder has it");
        fs::write(&file, "cut").unwrap();
        assert!(DigestKey::read(home.path()).unwrap().is_none());
        assert_ne!(digest(&DigestKey::of(home.path()).unwrap()), first, "what is no key is made anew");
    }

    #[test]
    fn a_digest_is_of_its_name_and_its_value() {
        let home = tempfile::tempdir().unwrap();
        let key = DigestKey::of(home.path()).unwrap();
        assert_eq!(key.digest("A", b"1"), key.digest("A", b"1"));
        for (name, value) in [("A", "2"), ("B", "1"), ("A1", ""), ("", "A1")] {
            assert_ne!(key.digest("A", b"1"), key.digest(name, value.as_bytes()), "{name} {value}");
        }
    }
}
