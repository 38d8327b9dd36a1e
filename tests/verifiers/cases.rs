//! One question to a verifier, and every way to tamper with it.

use std::{collections::BTreeMap, fmt, str};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_STANDARD,
};
use serde_json::{Value, json};
use undrift::tlog::{
    checkpoint::Checkpoint,
    dsse::Envelope,
    hash::Hash,
    key::VerifierKey,
    note::SignedNote,
    proof::RecordProof,
    statement::Verification,
    tree::{TreeHead, verify_consistency},
};

use crate::samples::good_key;

/// What a verifier reads more loosely than the specification writes it. None of it changes what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looseness {
    /// The bits at the end of a base64 text that carry nothing may be set.
    UnusedBits,
    /// The last line break of a note may be missing.
    LastLineBreak,
    /// What an envelope does not sign: the ID of the key, further fields, and how the names of fields are spelt.
    Unsigned,
}

/// A question. Texts are bytes, because a tampered one need be no UTF-8.
#[derive(Clone)]
pub(crate) enum Case {
    /// Is this a checkpoint of the key's trail?
    Checkpoint { note: Vec<u8> },
    /// Does this prove that the key's trail has the record in this place?
    Record { proof: Vec<u8>, record: Vec<u8>, index: u64 },
    /// Did the trail of the newer checkpoint begin with that of the older one?
    Consistency { older: Vec<u8>, newer: Vec<u8>, hashes: Vec<String> },
    /// Did the key sign this statement?
    Statement { envelope: Vec<u8> },
}

impl Case {
    pub(crate) fn checkpoint(note: &str) -> Self {
        Self::Checkpoint { note: note.into() }
    }

    pub(crate) fn record(proof: &str, record: &[u8], index: u64) -> Self {
        Self::Record { proof: proof.into(), record: record.into(), index }
    }

    pub(crate) fn statement(envelope: &Envelope) -> Self {
        Self::Statement { envelope: envelope.to_json().unwrap().into() }
    }

    /// As a line for a verifier, under this key.
    pub(crate) fn to_json(&self, key: &VerifierKey) -> Value {
        let base64 = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let name = key.to_string();
        match self {
            Self::Checkpoint { note } => {
                json!({"kind": "checkpoint", "key": name, "checkpoint": base64(note)})
            }
            Self::Record { proof, record, index } => json!({
                "kind": "record", "key": name, "proof": base64(proof), "record": base64(record), "index": index,
            }),
            Self::Consistency { older, newer, hashes } => json!({
                "kind": "consistency", "key": name, "older": base64(older), "checkpoint": base64(newer),
                "hashes": hashes,
            }),
            Self::Statement { envelope } => json!({
                "kind": "statement", "key": key.to_pem(), "keyid": key.envelope_id(), "envelope": base64(envelope),
            }),
        }
    }

    /// undrift's own answer.
    pub(crate) fn is_accepted(&self) -> bool {
        let key = good_key();
        self.verified(key.verifier()).is_some()
    }

    pub(crate) fn verified(&self, key: &VerifierKey) -> Option<()> {
        match self {
            Self::Checkpoint { note } => opened(note, key).map(drop),
            Self::Record { proof, record, index } => {
                let proof: RecordProof = str::from_utf8(proof).ok()?.parse().ok()?;
                proof.verify(record, *index, key).ok().map(drop)
            }
            Self::Consistency { older, newer, hashes } => {
                let hashes: Option<Vec<Hash>> = hashes.iter().map(|text| Hash::from_base64(text)).collect();
                verify_consistency(opened(older, key)?, opened(newer, key)?, &hashes?).ok()
            }
            Self::Statement { envelope } => {
                let envelope = Envelope::from_json(str::from_utf8(envelope).ok()?).ok()?;
                Verification::open(&envelope, key).ok().map(drop)
            }
        }
    }

    /// The case with each bit of its text flipped, with its text cut at each place, and with something after it. For a record
    /// also with each bit of the record flipped.
    pub(crate) fn every_change(&self) -> Vec<Self> {
        match self {
            Self::Checkpoint { note } => {
                let more = [&b"\n"[..], b" ", b"x", b"\0", note];
                changes(note, &more).map(|note| Self::Checkpoint { note }).collect()
            }
            Self::Record { proof, record, index } => {
                let of = |proof: &[u8], record: &[u8]| Self::Record {
                    proof: proof.into(),
                    record: record.into(),
                    index: *index,
                };
                let more = [&b"\n"[..], b" ", b"x", b"\0", proof];
                let of_proof = changes(proof, &more).map(|proof| of(&proof, record));
                of_proof.chain(changes(record, &[b"\n", b" "]).map(|record| of(proof, &record))).collect()
            }
            Self::Statement { envelope } => changes(envelope, &[b"x", b"\0", envelope])
                .map(|envelope| Self::Statement { envelope })
                .collect(),
            Self::Consistency { .. } => self.every_forged_hash(),
        }
    }

    /// A statement with one bit of each byte flipped, another one from byte to byte, and cut at every sixteenth place.
    pub(crate) fn a_change_of_each_byte(&self) -> Vec<Self> {
        let text = self.text();
        let flipped = (0..text.len()).map(|at| {
            let mut text = text.to_vec();
            text[at] ^= 1 << (at % 8);
            text
        });
        let cut = (0..text.len()).step_by(16).map(|at| text[..at].to_vec());
        flipped.chain(cut).map(|envelope| Self::Statement { envelope }).collect()
    }

    /// A consistency proof with each hash altered, removed and doubled.
    pub(crate) fn every_forged_hash(&self) -> Vec<Self> {
        let Self::Consistency { older, newer, hashes } = self else { return Vec::new() };
        let with = |at: usize, replaced: &[String]| {
            let hashes = [&hashes[..at], replaced, &hashes[at + 1..]].concat();
            Self::Consistency { older: older.clone(), newer: newer.clone(), hashes }
        };
        let altered = |hash: &str| Hash::of_leaf(hash.as_bytes()).to_base64();
        let every = hashes.iter().enumerate();
        every
            .flat_map(|(at, hash)| {
                [with(at, &[altered(hash)]), with(at, &[]), with(at, &[hash.clone(), hash.clone()])]
            })
            .collect()
    }

    /// What it says to a loose reader: two cases that differ only in what that one ignores have the same.
    pub(crate) fn meaning(&self, looseness: &[Looseness]) -> Vec<u8> {
        let mut text = self.text().to_vec();
        for one in looseness {
            text = match one {
                Looseness::UnusedBits => without_unused_bits(&text),
                Looseness::LastLineBreak => text.strip_suffix(b"\n").unwrap_or(&text).to_vec(),
                Looseness::Unsigned => signed_part(&text).unwrap_or(text),
            };
        }
        // What is not text is compared as it is.
        match self {
            Self::Record { record, index, .. } => {
                [text, record.clone(), index.to_be_bytes().to_vec()].concat()
            }
            Self::Consistency { older, hashes, .. } => {
                [text, older.clone(), hashes.concat().into_bytes()].concat()
            }
            Self::Checkpoint { .. } | Self::Statement { .. } => text,
        }
    }

    /// What somebody hands on: a note, a proof, an envelope, the newer checkpoint.
    pub(crate) fn text(&self) -> &[u8] {
        match self {
            Self::Checkpoint { note: text }
            | Self::Record { proof: text, .. }
            | Self::Consistency { newer: text, .. }
            | Self::Statement { envelope: text } => text,
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a case of {:?}", String::from_utf8_lossy(self.text()))?;
        match self {
            Self::Record { record, index, .. } => {
                write!(f, " with record {index} {:?}", String::from_utf8_lossy(record))
            }
            Self::Consistency { older, hashes, .. } => {
                write!(f, " after {:?} by {hashes:?}", String::from_utf8_lossy(older))
            }
            Self::Checkpoint { .. } | Self::Statement { .. } => Ok(()),
        }
    }
}

fn opened(note: &[u8], key: &VerifierKey) -> Option<TreeHead> {
    let note: SignedNote = str::from_utf8(note).ok()?.parse().ok()?;
    Checkpoint::open(&note, key).ok()
}

fn changes(text: &[u8], more: &[&[u8]]) -> impl Iterator<Item = Vec<u8>> {
    let flipped = (0..text.len() * 8).map(|bit| {
        let mut text = text.to_vec();
        text[bit / 8] ^= 1 << (bit % 8);
        text
    });
    let cut = (0..text.len()).flat_map(|at| [text[..at].to_vec(), text[at + 1..].to_vec()]);
    flipped.chain(cut).chain(more.iter().map(move |more| [text, more].concat()))
}

/// What an envelope signs, and the signatures, as one text. It reads as Go does: names of fields are the same in either case, and
/// bytes that are no text become the sign for that.
fn signed_part(text: &[u8]) -> Option<Vec<u8>> {
    let lower = |value: &Value| -> Option<BTreeMap<String, Value>> {
        Some(value.as_object()?.iter().map(|(name, it)| (name.to_lowercase(), it.clone())).collect())
    };
    let envelope = lower(&serde_json::from_str(&String::from_utf8_lossy(text)).ok()?)?;
    let signatures: Option<Vec<_>> = envelope.get("signatures")?.as_array()?.iter().map(lower).collect();
    let signatures: Option<Vec<_>> = signatures?.iter().map(|one| one.get("sig").cloned()).collect();
    let signed = json!([envelope.get("payload")?, envelope.get("payloadtype")?, signatures?]);
    Some(signed.to_string().into_bytes())
}

/// The text with each base64 in it in its one canonical form.
fn without_unused_bits(text: &[u8]) -> Vec<u8> {
    let loose =
        GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
    let ends_a_word = |byte: &u8| matches!(byte, b'\n' | b' ' | b'"');
    let words = text.split_inclusive(ends_a_word).flat_map(|word| {
        let (word, end) = match word.split_last() {
            Some((end, before)) if ends_a_word(end) => (before, &word[before.len()..]),
            _ => (word, &[][..]),
        };
        let canonical = loose.decode(word).map(|bytes| BASE64_STANDARD.encode(bytes).into_bytes());
        [canonical.unwrap_or_else(|_| word.to_vec()), end.to_vec()].concat()
    });
    words.collect()
}
