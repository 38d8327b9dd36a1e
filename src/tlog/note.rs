//! Signed notes, by [signed-note](https://c2sp.org/signed-note): a text, an empty line, and a line per signature.

use std::{fmt, str::FromStr};

use super::{
    encoding::{from_base64, to_base64},
    key::{KeyId, KeyName, SigningKey, VerifierKey},
};

/// How many signatures a note may have here. The specification asks for at least 16.
pub const MOST_SIGNATURES: usize = 64;

/// What a line of a signature begins with: an em dash and a space.
pub(super) const DASH: &str = "\u{2014} ";

/// Why a note counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It has a control character other than a line break.
    #[error("the note has control characters")]
    ControlCharacter,
    /// A text to sign does not end in a line break, or is empty.
    #[error("the text of a note ends in a line break")]
    NoLineBreak,
    /// No empty line is followed by signatures.
    #[error("the note has no signatures")]
    NoSignatures,
    /// There are more than [`MOST_SIGNATURES`].
    #[error("the note has more than {MOST_SIGNATURES} signatures")]
    TooManySignatures,
    /// A line among the signatures is none.
    #[error("line {0} of the signatures is no signature")]
    Signature(usize),
    /// No signature is by the given key.
    #[error("the note is not signed by {0}")]
    NotSigned(KeyName),
    /// A signature that names the given key is not by that key, or not of this text.
    #[error("the signature of {0} is not one of this text")]
    Forged(KeyName),
}

/// A line of a note: a signature, and which key is said to have made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key.
    pub name: KeyName,
    /// The ID of the key.
    pub id: KeyId,
    /// What the key made of the text, in the form of its kind: 64 bytes of an Ed25519 key.
    pub bytes: Vec<u8>,
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, blob) = line.strip_prefix(DASH)?.split_once(' ')?;
        let blob = from_base64(blob)?;
        let (id, bytes) = blob.split_first_chunk()?;
        if bytes.is_empty() {
            return None;
        }
        Some(Self { name: name.parse().ok()?, id: KeyId(*id), bytes: bytes.to_vec() })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DASH}{} {}", self.name, to_base64(&[self.id.0.as_slice(), &self.bytes].concat()))
    }
}

/// A note that was read, and whose text nobody may trust before [`verify`](Self::verify) has returned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<Signature>,
}

impl SignedNote {
    /// Signs a text, which ends in a line break.
    ///
    /// # Errors
    /// [`NoteError::ControlCharacter`], [`NoteError::NoLineBreak`].
    pub fn sign(text: &str, key: &SigningKey) -> Result<Self, NoteError> {
        refuse_control_characters(text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::NoLineBreak);
        }
        Ok(Self::sign_lines(text.to_owned(), key))
    }

    /// Signs a text that is known to be lines without control characters.
    pub(super) fn sign_lines(text: String, key: &SigningKey) -> Self {
        let public = key.verifier();
        let bytes = key.sign(text.as_bytes());
        let signature = Signature { name: public.name().clone(), id: public.id(), bytes };
        Self { text, signatures: vec![signature] }
    }

    /// The text, if this key signed it. Signatures of other keys are ignored, as the specification demands.
    ///
    /// # Errors
    /// [`NoteError::NotSigned`], [`NoteError::Forged`].
    pub fn verify(&self, key: &VerifierKey) -> Result<&str, NoteError> {
        let id = key.id();
        let mut by_key =
            self.signatures.iter().filter(|one| one.name == *key.name() && one.id == id).peekable();
        if by_key.peek().is_none() {
            return Err(NoteError::NotSigned(key.name().clone()));
        }
        if by_key.all(|one| key.has_signed(self.text.as_bytes(), &one.bytes)) {
            Ok(&self.text)
        } else {
            Err(NoteError::Forged(key.name().clone()))
        }
    }

    /// The text, which nobody has verified here.
    pub(super) fn unverified(&self) -> &str {
        &self.text
    }

    /// The signatures, verified or not.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }
}

impl FromStr for SignedNote {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        refuse_control_characters(note)?;
        // The text may have empty lines of its own: the last one ends it.
        let (before, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::NoSignatures)?;
        let lines = signatures.strip_suffix('\n').ok_or(NoteError::NoSignatures)?;
        if lines.split('\n').count() > MOST_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let parse = |(n, line)| Signature::parse(line).ok_or(NoteError::Signature(n + 1));
        let signatures = lines.split('\n').enumerate().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { text: format!("{before}\n"), signatures })
    }
}

/// The note as it was read or signed, to the byte.
impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// Those below U+0020, as the specification demands.
fn refuse_control_characters(text: &str) -> Result<(), NoteError> {
    let is_barred = |c: char| c < ' ' && c != '\n';
    if text.contains(is_barred) { Err(NoteError::ControlCharacter) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
