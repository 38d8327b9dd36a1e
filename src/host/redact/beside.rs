//! Values that stand beside the name of a secret: `NAME=value`, `--name value`.

use std::ops::Range;

use super::{STARS, variable::is_open};
use crate::manifest::may_name_a_secret;

/// A line in which these values are hidden.
pub(super) fn without(line: &str) -> String {
    let mut ranges: Vec<Range<usize>> = places(line);
    ranges.reverse();
    let mut line = line.to_owned();
    let mut hidden_from = line.len();
    for range in ranges {
        // A value that holds another assignment is hidden whole.
        let end = if range.end > hidden_from { hidden_from } else { range.end };
        line.replace_range(range.start..end, STARS);
        hidden_from = range.start;
    }
    line
}

/// The values themselves, of a text that is no output but a setting, such as a command.
pub(in crate::host) fn assigned_secrets(text: &str) -> impl Iterator<Item = String> {
    text.lines().flat_map(|line| places(line).into_iter().map(|place| line[place].to_owned()))
}

/// Where they stand, each from its own place on; a later one may be within an earlier one.
fn places(line: &str) -> Vec<Range<usize>> {
    let assigned = line.match_indices('=').filter_map(|(at, _)| assigned(line, at));
    let mut all: Vec<Range<usize>> = assigned.chain(options(line)).collect();
    all.sort_by_key(|place| place.start);
    all.dedup_by_key(|place| place.start);
    all
}

/// The value behind this equals sign, where the name before it is a secret's.
fn assigned(line: &str, equals: usize) -> Option<Range<usize>> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name_starts = line[..equals]
        .rfind(|c| !is_of_name(c))
        .map_or(0, |at| at + line[at..].chars().next().map_or(1, char::len_utf8));
    let name = &line[name_starts..equals];
    if name.is_empty() || is_open(name) || !may_name_a_secret(name) {
        return None;
    }
    value_at(line, equals + 1).filter(|value| !is_count(name, &line[value.clone()]))
}

/// Whether this is a number of things and no secret: `passed=12`, `max_tokens=4096`.
fn is_count(name: &str, value: &str) -> bool {
    let is_of_several = ["s", "passed"].iter().any(|end| name.to_ascii_lowercase().ends_with(end));
    is_of_several
        && !name.to_ascii_lowercase().ends_with("pass")
        && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// The values of options that are named like secrets and take the next word: `--password hunter2`.
fn options(line: &str) -> impl Iterator<Item = Range<usize>> {
    line.match_indices("--").filter_map(|(at, dashes)| {
        let begins = line[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || "\"'[(".contains(c));
        let name = &line[at + dashes.len()..];
        let len = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')?;
        let space = name[len..].chars().next().filter(|c| c.is_whitespace())?;
        let value = at + dashes.len() + len + space.len_utf8();
        let is_option = line[value..].starts_with('-');
        (begins && !is_option && len > 0 && may_name_a_secret(&name[..len])).then(|| value_at(line, value))?
    })
}

/// The value that begins here: between quotes, or up to what ends one.
fn value_at(line: &str, start: usize) -> Option<Range<usize>> {
    let value = &line[start..];
    let (from, to) = match value.chars().next()? {
        quote @ ('"' | '\'') => (1, value[1..].find(quote).map_or(value.len(), |at| at + 1)),
        _ => (
            0,
            value
                .find(|c: char| c.is_whitespace() || matches!(c, '&' | ';' | ',' | '"' | '\''))
                .unwrap_or(value.len()),
        ),
    };
    (from < to).then_some(start + from..start + to)
}
