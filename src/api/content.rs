//! How the files of a module at one location compare with those of its source.

use serde::{Deserialize, Serialize};

/// The highest number of files of a module that are compared; folders count apart, up to the same number.
pub const MOST_FILES: usize = 50_000;

/// The most bytes of a module that are compared.
pub const MOST_BYTES: u64 = 1 << 30;

/// How many entries a message names.
pub const MOST_NAMED: usize = 3;

/// How the files at one location compare with the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ContentObservation {
    /// They were compared.
    Compared(ContentComparison),
    /// There are more than [`MOST_FILES`] or [`MOST_BYTES`]; which, and where, in words.
    TooLarge(String),
    /// They could not be compared; why, as a sentence fragment in lower case.
    Unknown(String),
}

/// The result of a comparison. No content is in it, and no digest of any.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContentComparison {
    /// How many entries have other bytes, another type or another link target than in the source.
    pub differing: usize,
    /// How many entries of the source are not there.
    pub missing: usize,
    /// How many entries are there and not in the source.
    pub added: usize,
    /// The first [`MOST_NAMED`] of the differing and the missing ones: paths below the module, printable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<String>,
    /// The first [`MOST_NAMED`] of the added ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named_added: Vec<String>,
}

impl ContentComparison {
    /// Whether all of the source is there as it is in the source.
    #[must_use]
    pub const fn holds_the_source(&self) -> bool {
        self.differing == 0 && self.missing == 0
    }

    /// Whether nothing else is there either.
    #[must_use]
    pub const fn is_same(&self) -> bool {
        self.holds_the_source() && self.added == 0
    }

    /// The counts and the first names: `2 differ, 1 is missing, 1 is more (a.html, b.html, c.html)`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let is = |count| if count == 1 { "is" } else { "are" };
        let differ = if self.differing == 1 { "differs" } else { "differ" };
        let counts = [
            (self.differing, differ.to_owned()),
            (self.missing, format!("{} missing", is(self.missing))),
            (self.added, format!("{} more", is(self.added))),
        ];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(count, words)| format!("{count} {words}")).collect();
        let named: Vec<&str> =
            self.named.iter().chain(&self.named_added).take(MOST_NAMED).map(String::as_str).collect();
        format!("{} ({})", counts.join(", "), named.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_counts_all_and_names_three() {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let compared = ContentComparison {
            differing: 1,
            missing: 2,
            added: 4,
            named: names(&["a", "b"]),
            named_added: names(&["x", "y"]),
        };
        assert_eq!(compared.in_words(), "1 differs, 2 are missing, 4 are more (a, b, x)");
        let added = ContentComparison { added: 1, named_added: names(&["x"]), ..Default::default() };
        assert_eq!(added.in_words(), "1 is more (x)");
        assert!(added.holds_the_source() && !added.is_same() && ContentComparison::default().is_same());
        assert!(!ContentComparison { missing: 1, ..Default::default() }.holds_the_source());
    }
}
