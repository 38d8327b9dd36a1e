//! Every change of one bit, and every truncation, of every text that undrift signs or hands out is refused.

use std::{collections::BTreeSet, str};

use super::{
    checkpoint::Checkpoint,
    dsse::Envelope,
    hash::Hash,
    key::{KeyName, SigningKey, VerifierKey},
    note::SignedNote,
    proof::RecordProof,
    statement::{Policy, Property, Verification, VerifiedImage},
    tree::{self, LeafPosition, MemoryNodes, append},
};

/// The record that [`record_proof`] is of.
pub(super) const RECORD: &[u8] = b"record 4";

pub(super) fn signing_key() -> SigningKey {
    let name: KeyName = "undrift/host/01KJM0K6G0ZZZZZZZZZZZZZZZZ".parse().unwrap();
    SigningKey::from_seed(name, &[7; 32]).unwrap()
}

/// Of record 4 of seven.
pub(super) fn record_proof() -> RecordProof {
    let mut nodes = MemoryNodes::new();
    for n in 0..7 {
        nodes.extend(append(&nodes, n, Hash::of_leaf(format!("record {n}").as_bytes())).unwrap());
    }
    let path = tree::inclusion_proof(&nodes, LeafPosition::new(4, 7).unwrap()).unwrap();
    let checkpoint = Checkpoint::sign(tree::head(&nodes, 7).unwrap(), &signing_key());
    RecordProof { index: 4, path, checkpoint }
}

pub(super) fn verification() -> Verification {
    Verification {
        images: vec![VerifiedImage { reference: "shop-api:latest".into(), id: Hash::from([0x11; 32]) }],
        time: "2026-03-01T10:00:00Z".parse().unwrap(),
        properties: BTreeSet::from([Property::ModulePresent, Property::RouteVerified]),
        policy: Policy {
            uri: "file:///etc/undrift/manifests/shop.yaml".into(),
            digest: Hash::from([0x22; 32]),
        },
    }
}

/// Whether a text is accepted that is the given one but for one bit, or but for its end. What is no UTF-8 is refused by type.
fn refuses_each_change(good: &str, accepts: impl Fn(&str) -> bool) {
    refuses_each_change_within(good, &accepts);
    for more in ["\n", " "] {
        assert!(!accepts(&format!("{good}{more}")), "with {more:?} after it: {good}");
    }
}

/// The same, but white space may follow the text.
fn refuses_each_change_within(good: &str, accepts: impl Fn(&str) -> bool) {
    assert!(accepts(good), "{good}");
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let accepted = str::from_utf8(&bytes).is_ok_and(&accepts);
            assert!(!accepted, "bit {bit} of byte {at}: {}", String::from_utf8_lossy(&bytes));
        }
        assert!(!good.get(..at).is_some_and(&accepts), "the first {at} bytes of {good}");
        assert!(!good.get(at + 1..).is_some_and(&accepts), "all after byte {at} of {good}");
    }
    for more in ["\0", "x", good] {
        assert!(!accepts(&format!("{good}{more}")), "with {more:?} after it: {good}");
    }
}

#[test]
fn a_note_is_refused_after_each_change() {
    let note = SignedNote::sign("a text\n\nwith an empty line\n", &signing_key()).unwrap();
    refuses_each_change(&note.to_string(), |text| {
        text.parse::<SignedNote>().is_ok_and(|note| note.verify(signing_key().verifier()).is_ok())
    });
}

#[test]
fn a_checkpoint_is_refused_after_each_change() {
    refuses_each_change(&record_proof().checkpoint.to_string(), |text| {
        text.parse().is_ok_and(|note| Checkpoint::open(&note, signing_key().verifier()).is_ok())
    });
}

#[test]
fn a_proof_is_refused_after_each_change() {
    refuses_each_change(&record_proof().to_string(), |text| {
        let proof = text.parse::<RecordProof>();
        proof.is_ok_and(|proof| proof.verify(RECORD, 4, signing_key().verifier()).is_ok())
    });
}

#[test]
fn a_record_is_refused_after_each_change() {
    refuses_each_change(str::from_utf8(RECORD).unwrap(), |record| {
        record_proof().verify(record.as_bytes(), 4, signing_key().verifier()).is_ok()
    });
}

#[test]
fn a_statement_is_refused_after_each_change() {
    let envelope = verification().sign(&signing_key()).unwrap();
    refuses_each_change_within(&envelope.to_json().unwrap(), |text| {
        let envelope = Envelope::from_json(text);
        envelope.is_ok_and(|envelope| Verification::open(&envelope, signing_key().verifier()).is_ok())
    });
}

#[test]
fn a_verifier_key_is_refused_after_each_change() {
    refuses_each_change(&signing_key().verifier().to_string(), |text| text.parse::<VerifierKey>().is_ok());
}
