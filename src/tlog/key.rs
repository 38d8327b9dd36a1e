//! Ed25519 keys of notes and envelopes, and the texts in which a public key is handed on.

use std::{fmt, str::FromStr};

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use super::encoding::{from_base64, to_base64};

/// The length of a seed, and of a public key, in bytes.
pub const LENGTH: usize = 32;

/// The length of a signature in bytes.
pub const SIGNATURE_LENGTH: usize = 64;

/// The signature type of plain Ed25519 signatures, by [signed-note](https://c2sp.org/signed-note).
const TYPE_ED25519: u8 = 1;

/// What precedes the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410, section 4), in DER.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A text that is no key, or no name of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A name is empty, or has a space, a control character or a `+` in it.
    #[error("a key's name is not empty and has no space, no control character and no +")]
    Name,
    /// It has not the form `NAME+ID+BASE64`.
    #[error("a verifier key is NAME+ID+KEY, with an ID of eight hexadecimal digits and a key in base64")]
    Form,
    /// It is a key of another kind.
    #[error("the key is not an Ed25519 key (type 0x01)")]
    Kind,
    /// Its ID is that of another key.
    #[error("the ID does not belong to this name and key")]
    Id,
    /// The seed is refused by the cryptographic library.
    #[error("the seed makes no key")]
    Seed,
}

/// The name of a key. That of a log's key is the log's origin.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(String);

impl KeyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let is_barred = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if text.is_empty() || text.contains(is_barred) {
            return Err(KeyError::Name);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The short ID of a key in a note: it selects a key, and proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 4]);

/// In lower-case hexadecimal.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A key that signs. No `Debug`.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: VerifierKey,
}

impl SigningKey {
    /// The key that a seed of random bytes makes (RFC 8032, section 5.1.5). The seed is the secret.
    ///
    /// # Errors
    /// [`KeyError::Seed`].
    pub fn from_seed(name: KeyName, seed: &[u8; LENGTH]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Seed)?;
        let key = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Seed)?;
        Ok(Self { pair, public: VerifierKey { name, key } })
    }

    /// Its public half.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.public
    }

    /// The Ed25519 signature of a message: 64 bytes, the same each time.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

/// A public key: whoever has it verifies what its other half signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    key: [u8; LENGTH],
}

impl VerifierKey {
    /// A key as its 32 bytes (RFC 8032, section 5.1.5).
    #[must_use]
    pub const fn new(name: KeyName, key: [u8; LENGTH]) -> Self {
        Self { name, key }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// Its ID in notes: the first four bytes of a hash over name, signature type and key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let name = self.name.as_str().as_bytes();
        let hash =
            Sha256::new().chain_update(name).chain_update(*b"\n").chain_update(self.typed()).finalize();
        KeyId([hash[0], hash[1], hash[2], hash[3]])
    }

    /// Its `SubjectPublicKeyInfo` in PEM, as OpenSSL and cosign read it. Ends in a line break.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let key = to_base64(&self.to_der());
        format!("-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n")
    }

    /// Its ID in envelopes: SHA-256 in lower-case hexadecimal over the `SubjectPublicKeyInfo` in DER.
    /// `openssl pkey -pubin -outform DER <key.pem | sha256sum` prints the same.
    #[must_use]
    pub fn envelope_id(&self) -> String {
        hex::encode(Sha256::digest(self.to_der()))
    }

    /// Whether this is the key's signature of the message.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.key).verify(message, signature).is_ok()
    }

    fn to_der(&self) -> Vec<u8> {
        [SPKI_PREFIX.as_slice(), &self.key].concat()
    }

    fn typed(&self) -> Vec<u8> {
        [[TYPE_ED25519].as_slice(), &self.key].concat()
    }
}

/// `NAME+ID+KEY`, as Go's `sumdb/note` writes it.
impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, self.id(), to_base64(&self.typed()))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let name = name.parse()?;
        let typed = from_base64(key).ok_or(KeyError::Form)?;
        let (&kind, key) = typed.split_first().ok_or(KeyError::Form)?;
        if kind != TYPE_ED25519 {
            return Err(KeyError::Kind);
        }
        let key = Self { name, key: key.try_into().map_err(|_| KeyError::Form)? };
        if key.id().to_string() == id { Ok(key) } else { Err(KeyError::Id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key pair in the documentation of Go's `sumdb/note`: its public half, and its seed.
    const GO: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_SEED: &str = "gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM=";

    fn go() -> SigningKey {
        let seed = from_base64(GO_SEED).unwrap();
        SigningKey::from_seed("PeterNeumann".parse().unwrap(), &seed.try_into().unwrap()).unwrap()
    }

    #[test]
    fn a_seed_makes_the_key_that_go_makes_of_it() {
        assert_eq!(go().verifier().to_string(), GO);
        assert_eq!(GO.parse(), Ok(go().verifier().clone()));
    }

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn signs_as_the_rfc_does() {
        let bytes = |hex: &str| hex::decode(hex).unwrap();
        let seed = bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let public = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = bytes(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        let name: KeyName = "rfc".parse().unwrap();
        let key = SigningKey::from_seed(name.clone(), &seed.try_into().unwrap()).unwrap();
        assert_eq!(*key.verifier(), VerifierKey::new(name, public.try_into().unwrap()));
        assert_eq!(key.sign(&[0x72]), signature);
        assert!(key.verifier().has_signed(&[0x72], &signature));
        assert!(!key.verifier().has_signed(&[0x73], &signature));
        assert!(!key.verifier().has_signed(&[0x72], &signature[1..]));
    }

    /// RFC 8410, section 10.1.
    #[test]
    fn the_pem_is_that_of_the_rfc() {
        let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                   -----END PUBLIC KEY-----\n";
        let key = from_base64("Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=").unwrap();
        let key = VerifierKey::new("rfc".parse().unwrap(), key.try_into().unwrap());
        assert_eq!(key.to_pem(), pem);
        assert_eq!(key.envelope_id(), hex::encode(Sha256::digest(key.to_der())));
    }

    #[test]
    fn a_name_has_no_space_no_control_character_and_no_plus() {
        for name in ["undrift/host/01KJM0K6G0ZZZZZZZZZZZZZZZZ", "a", "é", "—"] {
            assert_eq!(name.parse::<KeyName>().map(|key| key.to_string()), Ok(name.to_owned()));
        }
        for name in ["", " ", "a b", "a+b", "a\n", "a\u{a0}b", "a\u{2003}b", "a\u{7f}b", "a\0"] {
            assert_eq!(name.parse::<KeyName>(), Err(KeyError::Name), "{name:?}");
        }
    }

    #[test]
    fn a_key_of_another_form_kind_or_id_is_refused() {
        let of_type = |typed: &[u8]| {
            let hash = Sha256::digest([b"a\n", typed].concat());
            format!("a+{}+{}", hex::encode(&hash[..4]), to_base64(typed))
        };
        assert!(of_type(&[&[1][..], &[7; 32]].concat()).parse::<VerifierKey>().is_ok());
        assert_eq!(of_type(&[&[4][..], &[7; 32]].concat()).parse::<VerifierKey>(), Err(KeyError::Kind));
        assert_eq!(of_type(&[&[1][..], &[7; 33]].concat()).parse::<VerifierKey>(), Err(KeyError::Form));
        assert_eq!(of_type(&[]).parse::<VerifierKey>(), Err(KeyError::Form));
        assert_eq!("a+00000000".parse::<VerifierKey>(), Err(KeyError::Form));
        assert_eq!(GO.replace("c74f", "C74F").parse::<VerifierKey>(), Err(KeyError::Id));
        assert_eq!(GO.replace("Peter", "Paul").parse::<VerifierKey>(), Err(KeyError::Id));
    }
}
