//! Notes that were appended to one file, one after the other.
//!
//! An empty line is before each note but the first. A writer that was killed, or whose disk was full, leaves a torn note; the
//! next note begins a paragraph of its own after it, so that the two never become one.

use super::{
    key::SIGNATURE_LENGTH,
    note::{DASH, SignedNote},
};

/// The notes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectedNotes {
    /// Those that are whole, in their order; nobody has verified them.
    pub notes: Vec<SignedNote>,
    /// How many pieces are none, such as a note that was torn when it was written.
    pub torn: usize,
}

impl CollectedNotes {
    /// Splits the text of a file. The text of each note is one paragraph, as that of every checkpoint is.
    #[must_use]
    pub fn of(file: &str) -> Self {
        let (mut collected, mut text) = (Self { notes: Vec::new(), torn: 0 }, None);
        for paragraph in file.split("\n\n").map(|one| one.trim_matches('\n')).filter(|one| !one.is_empty()) {
            if !paragraph.starts_with(DASH) {
                collected.torn += usize::from(text.replace(paragraph).is_some());
                continue;
            }
            let note = text.take().and_then(|text| format!("{text}\n\n{paragraph}\n").parse().ok());
            match note.filter(has_whole_signatures) {
                Some(note) => collected.notes.push(note),
                None => collected.torn += 1,
            }
        }
        collected.torn += usize::from(text.is_some());
        collected
    }
}

/// The beginning of a signature in base64 may be the text of a shorter one.
fn has_whole_signatures(note: &SignedNote) -> bool {
    note.signatures().iter().all(|signature| signature.bytes.len() >= SIGNATURE_LENGTH)
}

/// What to write between the end of a file and a further note, by the last byte of the file; `None` for an empty one.
#[must_use]
pub const fn separator(last: Option<u8>) -> &'static str {
    match last {
        None => "",
        Some(b'\n') => "\n",
        Some(_) => "\n\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlog::{checkpoint::Checkpoint, hash::Hash, tampering::signing_key, tree::TreeHead};

    fn note(size: u64) -> SignedNote {
        Checkpoint::sign(TreeHead { size, root: Hash::of_leaf(b"") }, &signing_key())
    }

    fn append(file: &mut String, note: &str) {
        file.push_str(separator(file.bytes().last()));
        file.push_str(note);
    }

    #[test]
    fn what_was_appended_is_read_back_in_its_order() {
        let mut file = String::new();
        for size in 1..=3 {
            append(&mut file, &note(size).to_string());
        }
        assert_eq!(CollectedNotes::of(&file), CollectedNotes { notes: [1, 2, 3].map(note).into(), torn: 0 });
        let one = note(7).to_string();
        assert_eq!(CollectedNotes::of(&one), CollectedNotes { notes: vec![note(7)], torn: 0 });
        // `journalctl -o cat` prints each with a line break of its own, and others may add more.
        let spaced = format!("\n\n{one}\n\n\n{one}\n\n");
        assert_eq!(CollectedNotes::of(&spaced), CollectedNotes { notes: vec![note(7), note(7)], torn: 0 });
    }

    #[test]
    fn a_note_that_is_torn_at_any_byte_takes_nothing_from_the_ones_around_it() {
        let torn = note(2).to_string();
        for end in 1..torn.len() {
            let mut file = note(1).to_string().into_bytes();
            for part in [&torn.as_bytes()[..end], note(3).to_string().as_bytes()] {
                file.extend_from_slice(separator(file.last().copied()).as_bytes());
                file.extend_from_slice(part);
            }
            let file = String::from_utf8_lossy(&file);
            let read = CollectedNotes::of(&file);
            // Only its last line break is missing: that is the separator's then.
            let is_whole = end + 1 == torn.len();
            let expected = if is_whole { vec![note(1), note(2), note(3)] } else { vec![note(1), note(3)] };
            assert_eq!(read.notes, expected, "torn at {end}: {file}");
            assert_eq!(read.torn == 0, is_whole, "torn at {end}: {file}");
        }
    }

    #[test]
    fn what_is_no_note_is_counted() {
        for (text, torn) in [("", 0), ("x", 1), ("x\n\ny", 2), ("— a b\n", 1), ("a\n1\nx\n\n— a b\n", 1)]
        {
            assert_eq!(CollectedNotes::of(text), CollectedNotes { notes: Vec::new(), torn }, "{text}");
        }
    }
}
