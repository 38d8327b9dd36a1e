//! Values that are known to be secret, prepared for one common search.
//!
//! A private key has a thousand lines, and a build prints ten thousand: the search reads a text once, however many values there
//! are (Aho-Corasick). The end of a line may tear a value in an encoded text; so there the search also knows the beginning and
//! the end of a value, and any piece of a long one.

use std::{collections::HashSet, ops::Range};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::{
    LONG, SHORT, ordinary,
    reading::{self, LONGEST_FORM},
    whole,
};
use crate::plain::is_bidi_control;

/// Values of a variable with a secret's name that are no secrets.
pub(super) const SETTINGS: [&str; 12] = [
    "true", "false", "none", "null", "auto", "always", "never", "default", "disabled", "enabled", "optional",
    "required",
];

/// The most bytes of values to search for. Each costs some thirty bytes of memory during construction.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// The least bytes of a value at the end or the beginning of a line that count as a part of it: of a value of [`LONG`] bytes,
/// one part or the other has as many.
const TORN: usize = LONG / 2;

/// Why the search for values is impossible.
#[derive(Debug, thiserror::Error)]
pub(super) enum TooMany {
    /// They would take too much memory.
    #[error("the secrets have more than {} MiB together", MOST_BYTES >> 20)]
    Bytes,
    /// The automaton cannot be built.
    #[error(transparent)]
    Automaton(#[from] aho_corasick::BuildError),
}

/// Some values. No `Debug`.
pub(super) struct Known {
    /// Sorted, each once.
    values: Vec<String>,
    /// Over the values, in their order.
    automaton: AhoCorasick,
    /// The long values reversed, sorted.
    turned: Vec<Vec<u8>>,
    /// The beginnings of the long values, and their ends.
    heads: HashSet<[u8; TORN]>,
    ends: HashSet<[u8; TORN]>,
    /// All pieces of this length in the long values.
    pieces: HashSet<[u8; LONG]>,
    /// The length of the longest one in bytes.
    longest: usize,
}

/// The kind of text to search.
#[derive(Clone, Copy)]
pub(super) enum SearchedText<'a> {
    /// The output of another program.
    Output(&'a ordinary::Words),
    /// A name or a message of undrift's own; as a whole it is never the value of a short secret, because it is the name of
    /// something.
    Own(&'a ordinary::Words),
}

impl Known {
    /// From these secrets, each line by itself: a secret of several lines, such as a key, is printed in several lines. `None`
    /// if there is none to search for.
    ///
    /// # Errors
    /// If there are too many.
    pub(super) fn of(secrets: impl IntoIterator<Item = String>) -> Result<Option<Self>, TooMany> {
        let mut values = Vec::new();
        let mut bytes = 0;
        for secret in secrets {
            for line in secret.lines().map(as_printed) {
                if line.chars().count() < SHORT || SETTINGS.contains(&line.as_str()) {
                    continue;
                }
                bytes += line.len();
                values.push(line);
            }
            if bytes > MOST_BYTES {
                return Err(TooMany::Bytes);
            }
        }
        values.sort();
        values.dedup();
        Ok(if values.is_empty() { None } else { Some(Self::made_of(values)?) })
    }

    fn made_of(values: Vec<String>) -> Result<Self, TooMany> {
        counted::made();
        // Other kinds take more memory or more time for many values.
        let automaton = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&values)?;
        let long = || values.iter().filter(|value| is_long(value)).map(String::as_bytes);
        let mut turned: Vec<Vec<u8>> = long().map(|value| value.iter().rev().copied().collect()).collect();
        turned.sort();
        Ok(Self {
            automaton,
            turned,
            heads: long().filter_map(|value| value.first_chunk().copied()).collect(),
            ends: long().filter_map(|value| value.last_chunk().copied()).collect(),
            pieces: long()
                .flat_map(|value| value.windows(LONG))
                .filter_map(|piece| piece.try_into().ok())
                .collect(),
            longest: values.iter().map(String::len).max().unwrap_or_default(),
            values,
        })
    }

    /// The start of a value that the end of a cut text has torn. An encoded character may be torn with it. One byte counts:
    /// hiding the end of a cut line is no loss.
    pub(super) fn torn_at_the_end(&self, text: &[u8]) -> Option<usize> {
        let from = text.len().saturating_sub(self.longest + LONGEST_FORM);
        (from..text.len()).find(|at| {
            let head = common_head(&self.values, &text[*at..]);
            let rest = &text[at + head..];
            rest.is_empty() || rest.len() < LONGEST_FORM && reading::begins_form(rest)
        })
    }

    /// The positions of values in a text. Of two overlapping ones, both are returned.
    pub(super) fn places_in(&self, text: &[u8], kind: SearchedText<'_>) -> Vec<Range<usize>> {
        counted::read(text.len());
        let all = self.automaton.find_overlapping_iter(text);
        let counts = |value: &str, at: &Range<usize>| match kind {
            SearchedText::Output(words) => {
                is_long(value) && !words.are_of(value) || whole::is_value(text, at) || whole::is_all(text, at)
            }
            SearchedText::Own(words) => !words.are_of(value) && (is_long(value) || whole::is_value(text, at)),
        };
        all.map(|found| (&self.values[found.pattern().as_usize()], found.range()))
            .filter(|(value, at)| counts(value, at))
            .map(|(_, at)| at)
            .collect()
    }

    /// Whether a decoded text has a part of a long value that the end or the beginning of a line has torn.
    pub(super) fn has_torn(&self, text: &[u8]) -> bool {
        let most = self.longest.min(text.len());
        let ends_torn = (text.len() - most..text.len()).any(|at| {
            let head = text[at..].first_chunk().is_some_and(|head| self.heads.contains(head));
            head && begins_one(&self.values, &text[at..])
        });
        ends_torn
            || (0..=most).any(|len| {
                let end = text[..len].last_chunk().is_some_and(|end| self.ends.contains(end));
                let turned = || text[..len].iter().rev().copied().collect::<Vec<u8>>();
                end && begins_one(&self.turned, &turned())
            })
            || text.windows(LONG).any(|piece| self.pieces.contains(piece))
    }
}

/// Whether one of these sorted values begins with this.
fn begins_one<T: AsRef<[u8]>>(values: &[T], head: &[u8]) -> bool {
    let at = values.partition_point(|value| value.as_ref() < head);
    values.get(at).is_some_and(|value| value.as_ref().starts_with(head))
}

/// How many bytes of a text are the head of one of these sorted values.
fn common_head<T: AsRef<[u8]>>(values: &[T], text: &[u8]) -> usize {
    let common = |value: &T| value.as_ref().iter().zip(text).take_while(|(one, other)| one == other).count();
    // The two neighbours of the text in the order share the longest head with it.
    let at = values.partition_point(|value| value.as_ref() < text);
    values[at.saturating_sub(1)..values.len().min(at + 1)].iter().map(common).max().unwrap_or_default()
}

/// Whether the search for a value includes the inside of words.
fn is_long(value: &str) -> bool {
    value.chars().count() >= LONG
}

/// A line of a value in the form of cleaned output.
fn as_printed(line: &str) -> String {
    let shown = line.chars().filter_map(|c| match c {
        '\t' => Some(' '),
        c if c.is_control() || is_bidi_control(c) => None,
        c => Some(c),
    });
    shown.collect::<String>().trim().to_owned()
}

/// Counts the work, so that a test can compare it with the number of values.
#[cfg(test)]
pub(super) mod counted {
    use std::cell::Cell;

    thread_local! {
        static READ: Cell<usize> = const { Cell::new(0) };
        static MADE: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn read(bytes: usize) {
        READ.set(READ.get() + bytes);
    }

    pub(super) fn made() {
        MADE.set(MADE.get() + 1);
    }

    /// The bytes read in searches, and the number of sets built, since the last call.
    pub(in crate::host::redact) fn so_far() -> (usize, usize) {
        (READ.take(), MADE.take())
    }
}

#[cfg(not(test))]
mod counted {
    pub(super) const fn read(_: usize) {}
    pub(super) const fn made() {}
}
