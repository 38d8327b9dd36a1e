//! The revisions of several places in one cell.

use std::collections::BTreeSet;

use super::style::{Cell, Paint, cell};
use crate::api::{is_same_revision, short_revision};

/// Each revision once, in its short form; a dash for one that is not known, and if there is none.
pub(super) fn revisions(expected: Option<&str>, found: &[Option<String>]) -> Cell {
    let shown: BTreeSet<&str> =
        found.iter().map(|found| found.as_deref().map_or("–", short_revision)).collect();
    let is_expected = |found: &Option<String>| {
        expected.zip(found.as_deref()).map(|(expected, found)| is_same_revision(expected, found))
    };
    let verdicts: BTreeSet<Option<bool>> = found.iter().map(is_expected).collect();
    let paint = if verdicts.contains(&Some(false)) {
        Paint::Red
    } else if verdicts.contains(&None) {
        Paint::Yellow
    } else if verdicts.is_empty() {
        return cell("–", Paint::Dim);
    } else {
        Paint::Green
    };
    cell(shown.into_iter().collect::<Vec<_>>().join(" "), paint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_revision_is_shown_once_and_the_worst_sets_the_colour() {
        let commit = "4f6d1c0b9a8e7d6c5b4a39281706f5e4d3c2b1a0";
        let of = |found: &[Option<&str>]| {
            let found: Vec<_> = found.iter().map(|found| found.map(str::to_owned)).collect();
            revisions(Some(commit), &found)
        };
        for (found, shown) in [
            (&[Some(commit), Some(commit)][..], cell("4f6d1c0b9a8e", Paint::Green)),
            (&[Some("4f6d1c0"), Some("1.4.2")], cell("1.4.2 4f6d1c0", Paint::Red)),
            (&[Some(commit), None], cell("4f6d1c0b9a8e –", Paint::Yellow)),
            (&[], cell("–", Paint::Dim)),
        ] {
            assert_eq!(of(found), shown);
        }
        assert_eq!(revisions(None, &[Some("1.4.2".into())]), cell("1.4.2", Paint::Yellow));
    }
}
