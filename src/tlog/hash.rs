//! The hashes of a Merkle tree, as RFC 6962, section 2.1, makes them: SHA-256 with another first byte for a leaf than for a
//! node, so that no node passes for a leaf.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::encoding::{from_base64, to_base64};

/// The length of a hash in bytes.
pub const LENGTH: usize = 32;

/// A SHA-256 hash. Proofs and checkpoints write it in base64, statements in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; LENGTH]);

impl Hash {
    /// The root of a tree without leaves: the hash of nothing.
    pub const EMPTY_ROOT: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// The hash of a leaf with this content.
    #[must_use]
    pub fn of_leaf(content: &[u8]) -> Self {
        Self(Sha256::new().chain_update([0]).chain_update(content).finalize().into())
    }

    /// The hash of the node above these two.
    #[must_use]
    pub fn of_node(left: &Self, right: &Self) -> Self {
        Self(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// In base64, padded: 44 characters.
    #[must_use]
    pub fn to_base64(&self) -> String {
        to_base64(&self.0)
    }

    /// The hash of this text, if it is one that [`to_base64`](Self::to_base64) makes.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        from_base64(text).and_then(|bytes| Self::try_from(&*bytes).ok())
    }

    /// In lower-case hexadecimal: 64 characters.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The hash of this text, if it is one that [`to_hex`](Self::to_hex) makes.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = hex::decode(text).ok()?;
        Self::try_from(&*bytes).ok().filter(|hash| hash.to_hex() == text)
    }
}

impl From<[u8; LENGTH]> for Hash {
    fn from(bytes: [u8; LENGTH]) -> Self {
        Self(bytes)
    }
}

/// Bytes that are no hash, because there are more or fewer than 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash has 32 bytes, not {0}")]
pub struct NotAHash(usize);

impl TryFrom<&[u8]> for Hash {
    type Error = NotAHash;

    fn try_from(bytes: &[u8]) -> Result<Self, NotAHash> {
        bytes.try_into().map(Self).map_err(|_| NotAHash(bytes.len()))
    }
}

/// As in proofs and checkpoints: base64.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_root_is_the_hash_of_nothing() {
        assert_eq!(Hash::EMPTY_ROOT, Hash(Sha256::digest([]).into()));
    }

    #[test]
    fn a_leaf_and_a_node_of_the_same_bytes_differ() {
        let (left, right) = (Hash::of_leaf(b"1"), Hash::of_leaf(b"2"));
        let content = [left.0, right.0].concat();
        assert_ne!(Hash::of_node(&left, &right), Hash::of_leaf(&content));
        assert_ne!(Hash::of_node(&left, &right), Hash::of_node(&right, &left));
    }

    #[test]
    fn a_hash_is_read_from_its_own_texts_only() {
        let hash = Hash::of_leaf(b"");
        let (base64, hex) = (hash.to_base64(), hash.to_hex());
        assert_eq!(hex, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!((Hash::from_base64(&base64), Hash::from_hex(&hex)), (Some(hash), Some(hash)));
        for other in ["", &hex[2..], &format!("{hex}00"), &hex.to_uppercase(), &format!("sha256:{hex}")] {
            assert_eq!(Hash::from_hex(other), None, "{other}");
        }
        for other in ["", "AAAA", &base64[..43], &format!("{base64}\n"), &to_base64(&[0; 33])] {
            assert_eq!(Hash::from_base64(other), None, "{other}");
        }
    }
}
