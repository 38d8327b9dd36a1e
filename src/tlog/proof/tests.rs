use super::*;
use crate::tlog::tampering::{RECORD, record_proof, signing_key};

fn verified(text: &str) -> Result<TreeHead, RecordProofError> {
    text.parse::<RecordProof>()?.verify(RECORD, 4, signing_key().verifier())
}

#[test]
fn a_proof_is_version_index_hashes_and_checkpoint() {
    let proof = record_proof();
    let text = proof.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["c2sp.org/tlog-proof@v1", "index 4"]);
    assert_eq!(lines[2..5], *proof.path.iter().map(Hash::to_base64).collect::<Vec<_>>());
    assert_eq!(lines[5..8], ["", "undrift/host/01KJM0K6G0ZZZZZZZZZZZZZZZZ", "7"]);
    assert_eq!(text.parse(), Ok(proof.clone()));
    assert_eq!(
        verified(&text),
        Checkpoint::open(&proof.checkpoint, signing_key().verifier()).map_err(Into::into)
    );
}

#[test]
fn a_proof_of_the_only_record_has_no_hashes() {
    let head = TreeHead { size: 1, root: Hash::of_leaf(RECORD) };
    let proof =
        RecordProof { index: 0, path: Vec::new(), checkpoint: Checkpoint::sign(head, &signing_key()) };
    assert!(proof.to_string().starts_with("c2sp.org/tlog-proof@v1\nindex 0\n\nundrift/"));
    let read: RecordProof = proof.to_string().parse().unwrap();
    assert_eq!(read.verify(RECORD, 0, signing_key().verifier()), Ok(head));
}

#[test]
fn extra_data_are_read_over_if_they_are_any() {
    let with = |extra: &str| record_proof().to_string().replacen("index", &format!("{extra}index"), 1);
    assert!(verified(&with("extra AAAA\n")).is_ok());
    for bad in ["extra \n", "extra A\n", "extra AA=\n"] {
        assert_eq!(verified(&with(bad)), Err(RecordProofError::Extra), "{bad:?}");
    }
    assert_eq!(verified(&with("extra AAAA\nextra AAAA\n")), Err(RecordProofError::Index));
}

#[test]
fn another_record_index_or_key_is_refused() {
    let (proof, key) = (record_proof(), signing_key());
    let other = crate::tlog::key::SigningKey::from_seed(key.verifier().name().clone(), &[9; 32]).unwrap();
    assert!(matches!(proof.verify(b"x", 4, key.verifier()), Err(RecordProofError::Path(_))));
    let wrong = RecordProofError::OtherIndex { wanted: 3, found: 4 };
    assert_eq!(proof.verify(RECORD, 3, key.verifier()), Err(wrong));
    assert!(matches!(proof.verify(RECORD, 4, other.verifier()), Err(RecordProofError::Checkpoint(_))));
    let beyond = RecordProof { index: 7, ..proof };
    let expected = RecordProofError::BeyondTheTree { index: 7, size: 7 };
    assert_eq!(beyond.verify(RECORD, 7, key.verifier()), Err(expected));
}

#[test]
fn what_is_no_proof_is_refused() {
    let good = record_proof().to_string();
    let hash = record_proof().path[0].to_base64();
    let cases = [
        (String::new(), RecordProofError::Version),
        (good.replacen("@v1", "@v2", 1), RecordProofError::Version),
        (good.replacen("index 4", "index 04", 1), RecordProofError::Index),
        (good.replacen("index 4", "index  4", 1), RecordProofError::Index),
        (good.replacen("index 4\n", "", 1), RecordProofError::Index),
        (good.replacen(&hash, &hash[1..], 1), RecordProofError::Hash(1)),
        (good.replacen(&hash, &format!(" {hash}"), 1), RecordProofError::Hash(1)),
        (good.replacen(&hash, &[&*hash; 70].join("\n"), 1), RecordProofError::Hash(65)),
        (good.split("\n\n").next().unwrap().to_owned(), RecordProofError::Note(NoteError::NoSignatures)),
        (
            good.split_inclusive("\n\n").next().unwrap().to_owned(),
            RecordProofError::Note(NoteError::NoSignatures),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(verified(&text), Err(expected), "{text:?}");
    }
}
