//! Hides secrets in other programs' output before it is stored, and in undrift's own messages about a project.
//!
//! Three methods together, because each misses some that the others find: values that are known to be secret, anywhere and in
//! any form; values next to a name that is a secret's ([`beside`]); and the ones that a manifest's excerpt hides:
//! `password: …`, `user:password@` in a URL, parameters of a query, the path of a webhook.
//!
//! | file | contents |
//! | --- | --- |
//! | `mod` | a line, or a text, without its secrets |
//! | `known` | the known values, searched for all at once |
//! | `reading` | the forms in which a value's characters are written |
//! | `runs` | the forms in which a value is written as a whole |
//! | `whole` | the places at which a short value counts |
//! | `ordinary` | which long values count as short ones |
//! | `beside` | values next to the name of a secret |
//! | `variable` | the secrets in an environment variable |
//! | `own` | undrift's own messages about a project |

mod beside;
mod known;
mod ordinary;
mod own;
mod reading;
mod runs;
mod variable;
mod whole;

use std::{
    cell::Cell,
    iter,
    ops::Range,
    sync::{Arc, OnceLock},
};

use super::process::lines::CUT;
use crate::secret::{STARS, mask::masked_output};
pub(super) use beside::assigned_secrets;
use known::{Known, SearchedText};
pub(super) use ordinary::Words;
use reading::LineReading;
use runs::runs;
pub(super) use variable::{secrets_in_text, secrets_of_variable};

/// The least characters of a value to find within words. A shorter one is a word that any line may contain.
pub(super) const LONG: usize = 8;

/// The least characters of a value to search for at all.
const SHORT: usize = 4;

/// The maximum depth of encodings of a whole text: the credentials of a registry are base64 within base64.
const DEPTH: usize = 2;

/// The most bytes of readings of one line that are searched. A line of JSON with a stack trace and a body of JSON in it, of the
/// maximum length, has 34 KiB of them. A line with more than this limit is crafted to cost time, and is hidden whole.
const MOST_READ: usize = 512 * 1024;

/// Secrets that are known by their values. No `Debug`.
#[derive(Clone, Default)]
pub(super) struct Redactor {
    /// Each built once, however many share it.
    sets: Vec<Arc<Known>>,
    words: Words,
    /// Why no output may be shown, if so: not all secrets could be read.
    withheld: Option<Arc<str>>,
}

impl Redactor {
    /// The secrets among the variables of this process: it passes them to every command.
    pub(super) fn of_this_process() -> &'static Self {
        static OWN: OnceLock<Redactor> = OnceLock::new();
        OWN.get_or_init(|| {
            let own = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
            let own: Vec<(String, String)> =
                own.filter_map(|(name, value)| Some((name, value.into_string().ok()?))).collect();
            Self::default().with_variables(own.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        })
    }

    /// The same, plus values that are known to be secret.
    pub(super) fn with_secrets(mut self, secrets: impl IntoIterator<Item = String>) -> Self {
        match Known::of(secrets) {
            Ok(known) => self.sets.extend(known.map(Arc::new)),
            Err(too_many) => return self.withholding(&too_many.to_string()),
        }
        self
    }

    /// The same, plus the variables that are named like secrets, or hold a URL with a password.
    pub(super) fn with_variables<'a>(self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.with_secrets(variables.into_iter().flat_map(|(name, value)| secrets_of_variable(name, value)))
    }

    /// The same for a project with these words.
    pub(super) fn with_words(self, words: Words) -> Self {
        Self { words, ..self }
    }

    /// The same, but no output is shown, for this reason: an unknown secret may be in it.
    pub(super) fn withholding(mut self, why: &str) -> Self {
        let sentence =
            format!("what was printed is withheld, for there may be secrets in it that are not known: {why}");
        self.withheld.get_or_insert_with(|| sentence.into());
        self
    }

    /// The sentence that replaces all output, if output is withheld.
    pub(super) fn withheld(&self) -> Option<&str> {
        self.withheld.as_deref()
    }

    /// A line without its secrets.
    pub(super) fn line(&self, line: &str) -> String {
        self.withheld().map_or_else(|| self.masked(line), str::to_owned)
    }

    /// The same for each line of a text.
    pub(super) fn text(&self, text: &str) -> String {
        match self.withheld() {
            Some(withheld) => withheld.to_owned(),
            None => self.message(text),
        }
    }

    /// The same for undrift's own messages, which are never withheld: they may quote others.
    pub(super) fn message(&self, text: &str) -> String {
        text.lines().map(|line| self.masked(line)).collect::<Vec<_>>().join("\n")
    }

    fn masked(&self, line: &str) -> String {
        let (whole, is_cut) = match line.strip_suffix(CUT) {
            Some(whole) => (whole, true),
            None => (line, false),
        };
        let mut places = self.places_of(whole, SearchedText::Output(&self.words), DEPTH);
        if is_cut {
            // A character that the cut has torn is shown as this.
            let kept = whole.trim_end_matches('\u{fffd}');
            places.extend(self.torn_end(kept.as_bytes()).map(|place| place.start..whole.len()));
        }
        let shown = masked_output(&beside::without(&replaced(whole, places)));
        if is_cut { format!("{shown}{CUT}") } else { shown }
    }

    /// The positions of known values in a text, in any form. The text may be encoded up to this depth.
    fn places_of(&self, text: &str, kind: SearchedText<'_>, depth: usize) -> Vec<Range<usize>> {
        self.places_in(text.as_bytes(), &Search { kind, left: Cell::new(MOST_READ) }, depth)
    }

    /// The same as a part of this search.
    fn places_in(&self, text: &[u8], search: &Search<'_>, depth: usize) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if self.sets.is_empty() {
            return found;
        }
        for (index, reading) in LineReading::all(text).into_iter().enumerate() {
            let read = reading.text();
            if !search.may_read(read) {
                return iter::once(0..text.len()).collect();
            }
            let values = self.sets.iter().flat_map(|known| known.places_in(read, search.kind));
            found.extend(values.map(|part| reading.place(&part)));
            if depth > 0 {
                // A plain run was searched in the first reading, which is the text itself.
                let new = runs(read).into_iter().filter(|run| index == 0 || !reading.is_plain(&run.place));
                let secret = new.filter(|run| self.is_within(&run.bytes, search, depth - 1));
                found.extend(secret.map(|run| reading.place(&run.place)));
            }
        }
        found
    }

    /// Whether a decoded text contains a known value, or a part of one that the end of a line has torn.
    fn is_within(&self, text: &[u8], search: &Search<'_>, depth: usize) -> bool {
        if !search.may_read(text) || self.sets.iter().any(|known| known.has_torn(text)) {
            return true;
        }
        // Most text that could be base64 is a word, and meaningless once decoded.
        let is_text =
            std::str::from_utf8(text).is_ok_and(|text| !text.contains(|c: char| c.is_control() && c != '\n'));
        if is_text {
            return !self.places_in(text, search, depth).is_empty();
        }
        self.sets.iter().any(|known| !known.places_in(text, search.kind).is_empty())
    }

    /// The position of a value that the end of a cut line has torn.
    fn torn_end(&self, text: &[u8]) -> Option<Range<usize>> {
        let readings = LineReading::all(text);
        let torn = readings.iter().flat_map(|reading| {
            let begins = self.sets.iter().filter_map(|known| known.torn_at_the_end(reading.text()));
            begins.map(|at| reading.place(&(at..reading.text().len())))
        });
        torn.min_by_key(|place| place.start)
    }
}

/// A search through one line.
struct Search<'a> {
    kind: SearchedText<'a>,
    /// How many bytes may still be read.
    left: Cell<usize>,
}

impl Search<'_> {
    /// Whether the limit allows this text.
    fn may_read(&self, text: &[u8]) -> bool {
        let left = self.left.get().checked_sub(text.len());
        self.left.set(left.unwrap_or_default());
        left.is_some()
    }
}

/// The last character boundary up to here.
fn boundary_before(line: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| line.is_char_boundary(*at)).unwrap_or_default()
}

/// The line with stars at these positions.
fn replaced(line: &str, mut places: Vec<Range<usize>>) -> String {
    places.sort_by_key(|place| (place.start, place.end));
    let (mut out, mut from) = (String::with_capacity(line.len()), 0);
    for place in places {
        if place.start >= from {
            out.push_str(&line[from..boundary_before(line, place.start)]);
            out.push_str(STARS);
        }
        // Bytes are compared, and one of them may be a part of a character.
        from = from.max((place.end..line.len()).find(|at| line.is_char_boundary(*at)).unwrap_or(line.len()));
    }
    out.push_str(&line[from..]);
    out
}

#[cfg(test)]
mod form_tests;
#[cfg(test)]
mod tests;
