use super::*;

/// The note of the specification, without its signature's key, which it does not give.
const SPECIFICATION: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
    — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

/// The note in the documentation of Go's `sumdb/note`, with both its signatures and one of its keys.
const GO: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n\
    — EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(name.parse().unwrap(), &[seed; 32]).unwrap()
}

fn parsed(text: &str) -> SignedNote {
    text.parse().unwrap()
}

#[test]
fn the_text_ends_at_the_last_empty_line() {
    let note = parsed(SPECIFICATION);
    assert!(note.text.ends_with("sole:\n\ned è subito sera.\n"), "{:?}", note.text);
    assert_eq!(note.signatures[0].name.as_str(), "quasimodo.example/salvatore");
    assert_eq!(note.signatures[0].id, KeyId([0x36, 0x7b, 0xa0, 0x4b]));
    assert_eq!(note.to_string(), SPECIFICATION);
}

#[test]
fn a_note_that_go_signed_is_verified_and_others_signatures_are_ignored() {
    let note = parsed(GO);
    let text = note.verify(&GO_KEY.parse().unwrap()).unwrap();
    assert!(text.starts_with("If you think") && text.ends_with("problem is.\n"));
    assert_eq!(note.signatures().len(), 2);
    let stranger = key("PeterNeumann", 1);
    assert_eq!(note.verify(stranger.verifier()), Err(NoteError::NotSigned("PeterNeumann".parse().unwrap())));
}

#[test]
fn a_note_is_verified_by_the_key_that_signed_it_alone() {
    let note = SignedNote::sign("a\n\nb\n", &key("k", 1)).unwrap();
    assert_eq!(parsed(&note.to_string()), note);
    assert_eq!(note.verify(key("k", 1).verifier()), Ok("a\n\nb\n"));
    for other in [key("k", 2), key("l", 1)] {
        let name = other.verifier().name().clone();
        assert_eq!(note.verify(other.verifier()), Err(NoteError::NotSigned(name)));
    }
}

#[test]
fn one_false_signature_of_the_key_spoils_the_note() {
    let of_another_text = SignedNote::sign("b\n", &key("k", 1)).unwrap().signatures;
    let mut note = SignedNote::sign("a\n", &key("k", 1)).unwrap();
    note.signatures.extend(of_another_text);
    for _ in 0..2 {
        assert_eq!(note.verify(key("k", 1).verifier()), Err(NoteError::Forged("k".parse().unwrap())));
        note.signatures.reverse();
    }
    note.signatures.truncate(1);
    assert_eq!(note.verify(key("k", 1).verifier()), Ok("a\n"));
}

#[test]
fn only_texts_that_can_be_read_back_are_signed() {
    for text in ["", "a", "a\n\nb"] {
        assert_eq!(SignedNote::sign(text, &key("k", 1)), Err(NoteError::NoLineBreak), "{text:?}");
    }
    assert_eq!(SignedNote::sign("a\r\n", &key("k", 1)), Err(NoteError::ControlCharacter));
}

#[test]
fn what_is_no_note_is_refused() {
    let good = SignedNote::sign("a\n", &key("k", 1)).unwrap().to_string();
    let line = good.lines().last().unwrap();
    let cases = [
        (String::new(), NoteError::NoSignatures),
        ("a\n".into(), NoteError::NoSignatures),
        ("a\n\n".into(), NoteError::NoSignatures),
        (good.trim_end().into(), NoteError::NoSignatures),
        (good.replace('\n', "\r\n"), NoteError::ControlCharacter),
        (format!("{good}\n"), NoteError::NoSignatures),
        (format!("{good}x\n"), NoteError::Signature(2)),
        (good.replace('\u{2014}', "\u{2013}"), NoteError::Signature(1)),
        (good.replace(" k ", "  "), NoteError::Signature(1)),
        (good.replace(" k ", " k  "), NoteError::Signature(1)),
        (good.replace("=\n", "\n"), NoteError::Signature(1)),
        ("a\n\n— k AAAAAA==\n".into(), NoteError::Signature(1)),
        (format!("{good}{}", format!("{line}\n").repeat(64)), NoteError::TooManySignatures),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<SignedNote>(), Err(expected), "{text:?}");
    }
    assert!(format!("{good}{}", format!("{line}\n").repeat(63)).parse::<SignedNote>().is_ok());
}
