//! Values that are known to be secret, made ready to be looked for all at once.
//!
//! A private key has a thousand lines, and a build prints ten thousand: a text is read once, however many values there are
//! (Aho and Corasick). What stands in an encoded text may be torn by the end of a line; so the beginning and the end of a value,
//! and any piece of a long one, are known there, too.

use std::{collections::HashSet, ops::Range};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::{
    LONG, SHORT, ordinary,
    reading::{self, LONGEST_FORM},
    whole,
};
use crate::plain::is_bidi_control;

/// What a variable of a secret's name says that is no secret.
pub(super) const SETTINGS: [&str; 12] = [
    "true", "false", "none", "null", "auto", "always", "never", "default", "disabled", "enabled", "optional",
    "required",
];

/// The most bytes of values that are looked for. Each costs some thirty bytes of memory while this is made.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// The least bytes of a value at the end or the beginning of a line that count as a part of it: of a value of [`LONG`] bytes the
/// one part or the other has as many.
const TORN: usize = LONG / 2;

/// Why values cannot be looked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum TooMany {
    /// They would take too much memory.
    #[error("the secrets have more than {} MiB together", MOST_BYTES >> 20)]
    Bytes,
    /// The automaton cannot be made.
    #[error(transparent)]
    Automaton(#[from] aho_corasick::BuildError),
}

/// Some values. No `Debug`.
pub(super) struct Known {
    /// Sorted, each once.
    values: Vec<String>,
    /// Of the values, in their order.
    automaton: AhoCorasick,
    /// The long values turned round, sorted.
    turned: Vec<Vec<u8>>,
    /// How the long values begin, and how they end.
    heads: HashSet<[u8; TORN]>,
    ends: HashSet<[u8; TORN]>,
    /// All that is so long in the long values.
    pieces: HashSet<[u8; LONG]>,
    /// The bytes of the longest one.
    longest: usize,
}

/// What the search is for.
#[derive(Clone, Copy)]
pub(super) enum SearchedText<'a> {
    /// What another program has printed.
    Output(&'a ordinary::Words),
    /// A name or a message of undrift's own, of which the whole is no value of a short secret: it is the name of something.
    Own(&'a ordinary::Words),
}

impl Known {
    /// Of these secrets, each line by itself: a secret of several lines, such as a key, is printed in several lines. `None` where
    /// none of them is to be looked for.
    ///
    /// # Errors
    /// Where there are too many.
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

    /// Where the value begins that the end of a cut text has torn. A form of a character may be torn with it. One byte
    /// counts: what a cut line loses at its end is no loss.
    pub(super) fn torn_at_the_end(&self, text: &[u8]) -> Option<usize> {
        let from = text.len().saturating_sub(self.longest + LONGEST_FORM);
        (from..text.len()).find(|at| {
            let head = common_head(&self.values, &text[*at..]);
            let rest = &text[at + head..];
            rest.is_empty() || rest.len() < LONGEST_FORM && reading::begins_form(rest)
        })
    }

    /// Where values stand in a text. Of two that overlap both are given.
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

/// Whether one of these values, which are sorted, begins so.
fn begins_one<T: AsRef<[u8]>>(values: &[T], head: &[u8]) -> bool {
    let at = values.partition_point(|value| value.as_ref() < head);
    values.get(at).is_some_and(|value| value.as_ref().starts_with(head))
}

/// How many bytes of a text are the head of one of these values, which are sorted.
fn common_head<T: AsRef<[u8]>>(values: &[T], text: &[u8]) -> usize {
    let common = |value: &T| value.as_ref().iter().zip(text).take_while(|(one, other)| one == other).count();
    // The two between which the text belongs have most in common with it.
    let at = values.partition_point(|value| value.as_ref() < text);
    values[at.saturating_sub(1)..values.len().min(at + 1)].iter().map(common).max().unwrap_or_default()
}

/// Whether a value is looked for within words as well.
fn is_long(value: &str) -> bool {
    value.chars().count() >= LONG
}

/// A line of a value as a cleaned output has it.
fn as_printed(line: &str) -> String {
    let shown = line.chars().filter_map(|c| match c {
        '\t' => Some(' '),
        c if c.is_control() || is_bidi_control(c) => None,
        c => Some(c),
    });
    shown.collect::<String>().trim().to_owned()
}

/// Counts the work, so that a test can hold it against the values that there are.
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

    /// The bytes that were read for values, and how many sets of them were made, since this was asked last.
    pub(in crate::host::redact) fn so_far() -> (usize, usize) {
        (READ.take(), MADE.take())
    }
}

#[cfg(not(test))]
mod counted {
    pub(super) const fn read(_: usize) {}
    pub(super) const fn made() {}
}
