//! Encodings of a value as a whole, together with the text around it: base64, digits of bytes. Each run of characters that may
//! be one is decoded into a text of its own.

use std::ops::Range;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// The least characters of base64 that count: those of four bytes, the shortest value to search for.
const SHORTEST_BASE64: usize = 6;

/// The least bytes of a list of numbers that counts.
const SHORTEST_LIST: usize = 4;

/// The most characters between two numbers of a list: Node aligns them in columns.
const WIDEST_GAP: usize = 5;

/// A part of an output may be a part of base64: it ends anywhere, and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A possible meaning of a run of characters.
pub(super) struct EncodedRun {
    /// Decoded.
    pub(super) bytes: Vec<u8>,
    /// The position of the whole run.
    pub(super) place: Range<usize>,
}

/// All possible meanings of the runs in a text.
pub(super) fn runs(text: &[u8]) -> Vec<EncodedRun> {
    let mut all = base64(text);
    all.extend(lists(text, decimal));
    all.extend(lists(text, hexadecimal));
    all
}

/// Base64 of both alphabets. Four characters are three bytes, and the phase in which a run begins is unknown: it may be the
/// rest of a line, or follow a slash.
fn base64(text: &[u8]) -> Vec<EncodedRun> {
    let mut all = Vec::new();
    for range in stretches(text, is_base64).into_iter().filter(|range| range.len() >= SHORTEST_BASE64) {
        let standard: Vec<u8> = text[range.clone()].iter().copied().map(standard).collect();
        let padding = text[range.end..].iter().take(2).take_while(|byte| **byte == b'=').count();
        let place = range.start..range.end + padding;
        for skipped in 0..4 {
            let part = &standard[skipped..];
            // One character alone is no byte.
            let part = if part.len() % 4 == 1 { &part[..part.len() - 1] } else { part };
            all.extend(BASE64.decode(part).ok().map(|bytes| EncodedRun { bytes, place: place.clone() }));
        }
    }
    all
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

const fn standard(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => byte,
    }
}

/// Lists of numbers, each of which is a byte or some: `[104 117]` as Go prints bytes, `104, 117`, `0x68, 0x75`, `68:75`,
/// `6875 6e74`, and one number alone, `\x6875`.
fn lists(text: &[u8], parse: fn(&[u8]) -> Option<Vec<u8>>) -> Vec<EncodedRun> {
    let mut all: Vec<EncodedRun> = Vec::new();
    for range in stretches(text, |byte| byte.is_ascii_alphanumeric()) {
        let Some(bytes) = parse(&text[range.clone()]) else { continue };
        match all.last_mut() {
            Some(last) if is_gap(&text[last.place.end..range.start]) => {
                last.bytes.extend(bytes);
                last.place.end = range.end;
            }
            _ => all.push(EncodedRun { bytes, place: range }),
        }
    }
    all.retain(|run| run.bytes.len() >= SHORTEST_LIST);
    all
}

fn is_gap(text: &[u8]) -> bool {
    (1..=WIDEST_GAP).contains(&text.len()) && text.iter().all(|byte| matches!(byte, b' ' | b',' | b':'))
}

/// A byte in decimal digits.
fn decimal(word: &[u8]) -> Option<Vec<u8>> {
    let digits = std::str::from_utf8(word).ok().filter(|_| word.iter().all(u8::is_ascii_digit))?;
    Some(vec![digits.parse().ok()?])
}

/// Bytes in hexadecimal digits.
fn hexadecimal(word: &[u8]) -> Option<Vec<u8>> {
    // PostgreSQL has `\x` before them.
    let digits = word.strip_prefix(b"0x").or_else(|| word.strip_prefix(b"x")).unwrap_or(word);
    (!digits.is_empty()).then(|| hex::decode(digits).ok()).flatten()
}

/// The longest parts of a text that consist of such bytes only.
fn stretches(text: &[u8], is_of_it: impl Fn(u8) -> bool) -> Vec<Range<usize>> {
    let (mut all, mut start) = (Vec::new(), None);
    for at in 0..=text.len() {
        match (start, text.get(at).is_some_and(|byte| is_of_it(*byte))) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                all.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_encoded_is_decoded_with_its_place() {
        for (text, run) in [
            ("x aHVudGVyMg== y", "aHVudGVyMg=="),
            ("Basic/b3BzOmh1bnRlcjI", "Basic/b3BzOmh1bnRlcjI"),
            ("[104 117 110 116 101 114 50]", "104 117 110 116 101 114 50"),
            ("[ 104, 117,   110, 116, 101, 114,  50 ]", "104, 117,   110, 116, 101, 114,  50"),
            ("{0x68, 0x75, 0x6e, 0x74, 0x65, 0x72, 0x32}", "0x68, 0x75, 0x6e, 0x74, 0x65, 0x72, 0x32"),
            ("<Buffer 68 75 6e 74 65 72 32>", "68 75 6e 74 65 72 32"),
            ("00: 6875 6e74 6572 32  x", "00: 6875 6e74 6572 32"),
            (r"\x68756e74657232", "x68756e74657232"),
            ("68:75:6E:74:65:72:32", "68:75:6E:74:65:72:32"),
        ] {
            let found = runs(text.as_bytes());
            let one = found.iter().find(|run| run.bytes.windows(7).any(|part| part == b"hunter2"));
            let one = one.unwrap_or_else(|| panic!("{text}"));
            assert_eq!(&text[one.place.clone()], run);
        }
        assert!(runs(b"a b 1 2 300 xyz").is_empty());
    }
}
