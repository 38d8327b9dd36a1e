//! The readings of a text once the encodings of other programs are undone, with the position of every part in the text.
//!
//! [`SPELLINGS`] is the one table of encodings of single characters. Two of them may be combined: JSON within JSON, HTML within
//! a query. Encodings of a value as a whole are in [`runs`](mod@super::runs).

use std::{iter, ops::Range};

/// The maximum number of nested forms.
const DEPTH: usize = 2;

/// The most bytes of one encoded character: two `\u0026` for one beyond the first plane.
pub(super) const LONGEST_FORM: usize = 12;

/// A form in which programs write a character.
struct Spelling {
    /// A text without this does not use the form.
    mark: &'static str,
    means: Means,
}

enum Means {
    /// The mark stands for this.
    Literal(&'static str),
    /// The meaning of the start of a text that begins with the mark, and its length.
    Decoded(fn(&[u8]) -> Option<Meaning>),
}

/// Some bytes, and the length of their written form.
type Meaning = (Vec<u8>, usize);

/// The forms of characters.
const SPELLINGS: [Spelling; 11] = [
    // JSON, strings of Go, Rust, C and Python (`b'…'` among them), `printf %q`, quotes of a shell.
    Spelling { mark: "\\", means: Means::Decoded(escape) },
    // The same for JavaScript and Python, where `\xe9` is a character and no byte.
    Spelling { mark: "\\x", means: Means::Decoded(escaped_character) },
    // URLs.
    Spelling { mark: "%", means: Means::Decoded(percent) },
    // Queries and forms.
    Spelling { mark: "+", means: Means::Literal(" ") },
    // HTML and XML.
    Spelling { mark: "&", means: Means::Decoded(entity) },
    // An apostrophe within the apostrophes of a shell.
    Spelling { mark: "'\\''", means: Means::Literal("'") },
    Spelling { mark: "'\"'\"'", means: Means::Literal("'") },
    // Compose's own output.
    Spelling { mark: "$$", means: Means::Literal("$") },
    // YAML and SQL; CSV.
    Spelling { mark: "''", means: Means::Literal("'") },
    Spelling { mark: "\"\"", means: Means::Literal("\"") },
    // `printf`, `date`, systemd.
    Spelling { mark: "%%", means: Means::Literal("%") },
];

/// A reading of a text.
pub(super) struct LineReading {
    text: Vec<u8>,
    /// For each byte of the reading, and for its end, the start of its origin in the text.
    at: Vec<usize>,
}

impl LineReading {
    /// The text as it is, and its other possible meanings.
    pub(super) fn all(text: &[u8]) -> Vec<Self> {
        let mut all = vec![Self { text: text.to_vec(), at: (0..=text.len()).collect() }];
        let mut from = 0;
        for _ in 0..DEPTH {
            let to = all.len();
            for index in from..to {
                for form in &SPELLINGS {
                    let decoded = all[index].decoded(form);
                    all.extend(decoded.filter(|decoded| all.iter().all(|known| known.text != decoded.text)));
                }
            }
            from = to;
        }
        all
    }

    /// The text of the reading.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The position in the text of a part of the reading.
    pub(super) fn place(&self, part: &Range<usize>) -> Range<usize> {
        self.at[part.start]..self.at[part.end]
    }

    /// Whether a part of the reading is unchanged in the text.
    pub(super) fn is_plain(&self, part: &Range<usize>) -> bool {
        self.place(part).len() == part.len()
    }

    /// This reading with one form undone; `None` if nothing in it uses the form.
    fn decoded(&self, form: &Spelling) -> Option<Self> {
        let mark = form.mark.as_bytes();
        let mut from = find(&self.text, mark)?;
        let (mut text, mut at) = (self.text[..from].to_vec(), self.at[..from].to_vec());
        while from < self.text.len() {
            let rest = &self.text[from..];
            let meaning = rest.starts_with(mark).then(|| form.means.of(rest, mark.len())).flatten();
            if let Some((means, len)) = meaning {
                at.extend(iter::repeat_n(self.at[from], means.len()));
                text.extend(means);
                from += len;
            } else {
                at.push(self.at[from]);
                text.push(rest[0]);
                from += 1;
            }
        }
        at.push(self.at[self.text.len()]);
        Some(Self { text, at })
    }
}

impl Means {
    fn of(&self, text: &[u8], mark: usize) -> Option<Meaning> {
        match self {
            Self::Literal(means) => Some((means.as_bytes().to_vec(), mark)),
            Self::Decoded(decode) => decode(text),
        }
    }
}

/// Whether a text begins like some form of a character.
pub(super) fn begins_form(text: &[u8]) -> bool {
    SPELLINGS.iter().any(|form| text.first() == form.mark.as_bytes().first())
}

/// A text with its percent-encoding decoded.
pub(in crate::host) fn percent_decoded(text: &str) -> String {
    let plain = LineReading { text: text.as_bytes().to_vec(), at: (0..=text.len()).collect() };
    let percent = Spelling { mark: "%", means: Means::Decoded(percent) };
    let decoded = plain.decoded(&percent).and_then(|decoded| String::from_utf8(decoded.text).ok());
    decoded.unwrap_or_else(|| text.to_owned())
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// A byte in the form of cleaned output: a space for the end of a line or a column, and nothing for other control characters.
fn shown(byte: u8) -> Vec<u8> {
    match byte {
        b'\t' | b'\n' | b'\r' => vec![b' '],
        byte if byte.is_ascii_control() => Vec::new(),
        byte => vec![byte],
    }
}

/// A character in the form of cleaned output.
fn shown_character(code: u32) -> Option<Vec<u8>> {
    let c = char::from_u32(code)?;
    Some(match u8::try_from(code) {
        Ok(byte) if byte.is_ascii() => shown(byte),
        _ if c.is_control() => Vec::new(),
        _ => c.to_string().into_bytes(),
    })
}

/// The number in this many digits at the beginning of a text.
fn number(text: &[u8], digits: Range<usize>, radix: u32) -> Option<u32> {
    let digits = std::str::from_utf8(text.get(digits)?).ok().filter(|digits| !digits.starts_with('+'))?;
    u32::from_str_radix(digits, radix).ok()
}

/// The character after a backslash.
fn escape(text: &[u8]) -> Option<Meaning> {
    match text.get(1)? {
        b'u' if text.get(2) == Some(&b'{') => braced(text),
        b'u' => utf16(text),
        b'U' => Some((shown_character(number(text, 2..10, 16)?)?, 10)),
        b'x' => Some((shown(u8::try_from(number(text, 2..4, 16)?).ok()?), 4)),
        b'0'..=b'7' => octal(text),
        // Cleaned output has a space for each, and a value has them at the end of a line.
        b'n' | b'r' | b't' => Some((b" ".to_vec(), 2)),
        b'a' | b'b' | b'e' | b'f' | b'v' => Some((Vec::new(), 2)),
        c if c.is_ascii_punctuation() || *c == b' ' => Some((vec![*c], 2)),
        _ => None,
    }
}

/// `\u{e9}`.
fn braced(text: &[u8]) -> Option<Meaning> {
    let close = text.iter().take(10).position(|byte| *byte == b'}')?;
    Some((shown_character(number(text, 3..close, 16)?)?, close + 1))
}

/// `\u00e9`, and two of them for a character beyond the first plane.
fn utf16(text: &[u8]) -> Option<Meaning> {
    let unit = |from: usize| {
        let is_one = text.get(from) == Some(&b'\\') && text.get(from + 1) == Some(&b'u');
        is_one.then(|| number(text, from + 2..from + 6, 16)).flatten()
    };
    let first = unit(0)?;
    if let Some(meaning) = shown_character(first) {
        return Some((meaning, 6));
    }
    let units = [u16::try_from(first).ok()?, u16::try_from(unit(6)?).ok()?];
    Some((String::from_utf16(&units).ok()?.into_bytes(), 12))
}

/// `\303`: one byte in at most three digits.
fn octal(text: &[u8]) -> Option<Meaning> {
    let digits = text[1..].iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    // Three digits may exceed a byte.
    (1..=digits).rev().find_map(|digits| {
        let byte = u8::try_from(number(text, 1..1 + digits, 8)?).ok()?;
        Some((shown(byte), 1 + digits))
    })
}

/// `\xe9` as the character of that number; all else as in [`escape`].
fn escaped_character(text: &[u8]) -> Option<Meaning> {
    match number(text, 2..4, 16) {
        Some(code) => Some((shown_character(code)?, 4)),
        None => escape(text),
    }
}

/// One percent-encoded byte.
fn percent(text: &[u8]) -> Option<Meaning> {
    Some((shown(u8::try_from(number(text, 1..3, 16)?).ok()?), 3))
}

/// `&amp;`, `&#39;`, `&#x27;`.
fn entity(text: &[u8]) -> Option<Meaning> {
    let end = text.iter().take(12).position(|byte| *byte == b';')?;
    let means = match &text[1..end] {
        b"amp" => b"&".to_vec(),
        b"lt" => b"<".to_vec(),
        b"gt" => b">".to_vec(),
        b"quot" => b"\"".to_vec(),
        b"apos" => b"'".to_vec(),
        b"nbsp" => b" ".to_vec(),
        [b'#', b'x' | b'X', ..] => shown_character(number(text, 3..end, 16)?)?,
        [b'#', ..] => shown_character(number(text, 2..end, 10)?)?,
        _ => return None,
    };
    Some((means, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(text: &str) -> Vec<String> {
        let all = LineReading::all(text.as_bytes());
        all.iter().map(|reading| String::from_utf8_lossy(reading.text()).into_owned()).collect()
    }

    #[test]
    fn each_form_is_undone() {
        for (text, means) in [
            (r#"a\"b\\c\/d\u00e9\u0026"#, "a\"b\\c/dé&"),
            (r"\ud83d\ude00!", "😀!"),
            (r"\303\251", "é"),
            (r"\xc3\xa9", "é"),
            (r"\xe9", "é"),
            (r"\u{e9}\U0001f600", "é😀"),
            (r"a\ b\&\$c\'", "a b&$c'"),
            ("%C3%a9%26", "é&"),
            ("a+b%2B", "a b+"),
            ("a%2526b", "a&b"),
            ("&amp;&lt;&gt;&quot;&apos;&#39;&#x27;&#233;", "&<>\"'''é"),
            ("&amp;amp;", "&"),
            (r"it'\''s", "it's"),
            ("it'\"'\"'s", "it's"),
            ("a$$b''c", "a$b'c"),
            ("a\"\"b", "a\"b"),
            (r#"\\\"a\\\""#, "\"a\""),
            (r"tab\there\a", "tab here"),
        ] {
            assert!(readings(text).contains(&means.to_owned()), "{text}: {:?}", readings(text));
        }
        for text in ["plain", r"\", r"\q", "%", "%zz", "&", "&;", "&nope;", r"\u12", r"\xz", "&#;"] {
            assert_eq!(readings(text).first().map(String::as_str), Some(text));
        }
    }

    #[test]
    fn a_part_of_a_reading_has_its_place_in_the_text() {
        let text = r"x\u0026y\u0026z";
        let reading = LineReading::all(text.as_bytes()).into_iter().find(|r| r.text() == b"x&y&z").unwrap();
        assert_eq!(&text[reading.place(&(1..3))], r"\u0026y");
        assert_eq!(&text[reading.place(&(3..5))], r"\u0026z");
        assert_eq!(percent_decoded("a%20b%"), "a b%");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\PC|[\\\\%&+$'\"#x0-9a-fu;{}]){0,40}") {
            for reading in LineReading::all(text.as_bytes()) {
                let whole = reading.place(&(0..reading.text().len()));
                proptest::prop_assert!(whole.end == text.len());
            }
        }
    }
}
