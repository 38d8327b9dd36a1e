//! Cache entries that may hold secrets, sealed under a key that is not in the cache.
//!
//! The inputs of a project include names that may be passwords (any word of a Compose file could be a variable), and digests of
//! values that a person may have chosen, which could be guessed. So an entry is encrypted, with its space and key bound to it;
//! an entry that was sealed with another key, or changed, is ignored.

use std::sync::{Arc, LazyLock};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};

use super::Cache;

/// Computes the digest of a value under a key, with the value's name in it.
pub type KeyedDigest = Arc<dyn Fn(&str, &[u8]) -> String + Send + Sync>;

/// The input of the digest that is the sealing key.
const PURPOSE: &str = "the key that entries of the cache are sealed under";

/// The input of the digest that is a key's name.
const NAME: &str = "the name of the key";

/// The length of a key's name: it distinguishes keys, and is no secret.
const NAME_LENGTH: usize = 8;

/// Digests under a key that ends with this process: they are useless later.
#[must_use]
pub fn of_this_process() -> KeyedDigest {
    static KEY: LazyLock<Option<hmac::Key>> =
        LazyLock::new(|| hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok());
    Arc::new(|name, value| {
        // Without random bytes, the system has no digests that could be compared.
        let Some(key) = KEY.as_ref() else { return String::new() };
        let mut context = hmac::Context::with_key(key);
        context.update(&name.len().to_le_bytes());
        context.update(name.as_bytes());
        context.update(value);
        hex::encode(context.sign())
    })
}

/// The name that distinguishes this key from others.
pub(super) fn name_of(digest: &KeyedDigest) -> String {
    let mut name = digest(NAME, b"");
    name.truncate(NAME_LENGTH);
    name
}

/// A cache for possible secrets, with its sealing key.
#[derive(Clone, Copy)]
pub struct Sealed<'a> {
    /// The store of the sealed entries; values without secrets may go there in plain text.
    pub cache: &'a dyn Cache,
    /// The key.
    pub digest: &'a KeyedDigest,
}

impl Sealed<'_> {
    /// The value last stored under this key of this space, if it was sealed under the same key.
    pub(super) fn get(self, space: &str, key: &str) -> Option<String> {
        let mut bytes = STANDARD_NO_PAD.decode(self.cache.get(space, key)?).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.key()?.open_in_place(nonce, aad(space, key), sealed).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }

    /// Stores a value. Without a key, or random bytes, nothing is stored.
    pub(super) fn put(self, space: &str, key: &str, value: &str) {
        if let Some(sealed) = self.seal(space, key, value) {
            self.cache.put(space, key, &sealed);
        }
    }

    fn seal(self, space: &str, key: &str, value: &str) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = value.as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.key()?.seal_in_place_append_tag(unique, aad(space, key), &mut sealed).ok()?;
        Some(STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    fn key(self) -> Option<LessSafeKey> {
        let bytes = hex::decode((self.digest)(PURPOSE, b"")).ok()?;
        Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).ok()?))
    }
}

fn aad(space: &str, key: &str) -> Aad<Vec<u8>> {
    Aad::from([space.as_bytes(), b"\0", key.as_bytes()].concat())
}

#[cfg(test)]
pub(super) mod tests {
    use std::{collections::HashMap, sync::Mutex};

    use super::*;

    #[derive(Default)]
    pub(in crate::host) struct PlainCache(Mutex<HashMap<String, String>>);

    impl Cache for PlainCache {
        fn get(&self, space: &str, key: &str) -> Option<String> {
            self.0.lock().unwrap().get(&format!("{space}/{key}")).cloned()
        }

        fn put(&self, space: &str, key: &str, value: &str) {
            self.0.lock().unwrap().insert(format!("{space}/{key}"), value.into());
        }
    }

    #[test]
    fn an_entry_is_read_with_its_key_alone_and_nothing_of_it_stands_in_the_cache() {
        let (cache, one) = (PlainCache::default(), of_this_process());
        let other: KeyedDigest = Arc::new(|_, _| "00".repeat(32));
        let (sealed, foreign) =
            (Sealed { cache: &cache, digest: &one }, Sealed { cache: &cache, digest: &other });
        sealed.put("compose", "a", "hunter2hunter2");
        let kept = cache.get("compose", "a").unwrap();
        assert!(!kept.contains("hunter2"), "{kept}");
        assert_eq!(sealed.get("compose", "a").as_deref(), Some("hunter2hunter2"));
        assert_eq!((foreign.get("compose", "a"), sealed.get("compose", "b")), (None, None));
        cache.put("compose", "b", &kept);
        assert_eq!(sealed.get("compose", "b"), None, "it is another's");
        for damaged in ["", "AAAA", "not base64!", &kept[..kept.len() - 2]] {
            cache.put("compose", "a", damaged);
            assert_eq!(sealed.get("compose", "a"), None, "{damaged}");
        }
        assert_ne!(name_of(&one), name_of(&other));
        assert_eq!(name_of(&one), name_of(&of_this_process()));
    }
}
