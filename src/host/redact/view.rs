//! What a line reads as once an encoding is undone, with the place in the line of all of it.

use std::ops::Range;

/// A reading of a line.
pub(super) struct View {
    text: String,
    /// For each byte of the text, and for its end, where in the line what it was made of begins.
    at: Vec<usize>,
}

impl View {
    /// The line as it stands there, and what else it may mean.
    pub(super) fn all(line: &str) -> Vec<Self> {
        let plain = Self { text: line.to_owned(), at: (0..=line.len()).collect() };
        let mut all = vec![plain];
        if line.contains('\\') {
            // JSON within JSON is escaped twice.
            let once = all[0].decoded(escape);
            all.extend(once.text.contains('\\').then(|| once.decoded(escape)));
            all.push(once);
        }
        if line.contains('%') {
            all.push(all[0].decoded(percent));
        }
        if line.contains('+') {
            all.push(all[0].decoded(query));
        }
        if line.contains("$$") {
            all.push(all[0].decoded(dollar));
        }
        all
    }

    /// Where in the line a value stands in this reading.
    pub(super) fn places_of(&self, value: &str) -> impl Iterator<Item = Range<usize>> {
        self.text.match_indices(value).map(|(at, found)| self.at[at]..self.at[at + found.len()])
    }

    /// This reading with one encoding undone: `decode` says what the beginning of a text stands for, and how long it is.
    fn decoded(&self, decode: fn(&str) -> Option<(String, usize)>) -> Self {
        let (mut text, mut at, mut from) = (String::new(), Vec::new(), 0);
        while let Some(c) = self.text[from..].chars().next() {
            let (means, len) = decode(&self.text[from..]).unwrap_or_else(|| (c.to_string(), c.len_utf8()));
            at.extend(std::iter::repeat_n(self.at[from], means.len()));
            text.push_str(&means);
            from += len;
        }
        at.push(self.at[self.text.len()]);
        Self { text, at }
    }
}

/// A text in which what is percent-encoded is decoded.
pub(in crate::host) fn percent_decoded(text: &str) -> String {
    View { text: text.to_owned(), at: (0..=text.len()).collect() }.decoded(percent).text
}

/// What follows a backslash in JSON, in a string of Go, in quotes of a shell.
fn escape(text: &str) -> Option<(String, usize)> {
    let rest = text.strip_prefix('\\')?;
    let code = |digits: usize| {
        let code = u32::from_str_radix(rest.get(1..=digits)?, 16).ok()?;
        Some((char::from_u32(code)?.to_string(), 2 + digits))
    };
    match rest.chars().next()? {
        'u' => code(4),
        'x' => code(2),
        // A cleaned output has a space for each, and a value has them at the end of a line.
        'n' | 'r' | 't' => Some((" ".to_owned(), 2)),
        c @ ('"' | '\'' | '\\' | '/' | '`' | '$' | '!') => Some((c.to_string(), 2)),
        _ => None,
    }
}

/// One character that is percent-encoded.
fn percent(text: &str) -> Option<(String, usize)> {
    // UTF-8 has at most four bytes.
    (1..=4).map(|bytes| 3 * bytes).find_map(|len| Some((character(text.get(..len)?)?, len)))
}

/// The one character that these codes are.
fn character(codes: &str) -> Option<String> {
    let byte = |code: &[u8]| match code {
        [b'%', hex @ ..] => u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok(),
        _ => None,
    };
    let bytes = codes.as_bytes().chunks(3).map(byte).collect::<Option<Vec<u8>>>()?;
    String::from_utf8(bytes).ok().filter(|text| text.chars().count() == 1)
}

/// The same in a query, where a plus is a space.
fn query(text: &str) -> Option<(String, usize)> {
    if text.starts_with('+') { Some((" ".to_owned(), 1)) } else { percent(text) }
}

/// A dollar sign as Compose prints it.
fn dollar(text: &str) -> Option<(String, usize)> {
    text.starts_with("$$").then(|| ("$".to_owned(), 2))
}
