//! Hides secrets in a line that is about to be shown: those that a person wrote into a manifest by mistake, and those that
//! another program printed.
//!
//! This looks at the text, not at the tree: a manifest that is no YAML is shown too.

use std::ops::Range;

use super::{STARS, names, quotation::closing, remarks::is_remark, url};
use crate::nearest::nearest;

/// A line in which the secrets are stars.
pub(crate) struct Masked {
    pub(crate) text: Vec<char>,
    ranges: Vec<Range<usize>>,
}

impl Masked {
    /// Where a position of the line is now.
    pub(crate) fn position(&self, at: usize) -> usize {
        let mut moved = at;
        for range in self.ranges.iter().filter(|range| range.start < at) {
            if at < range.end {
                return moved - (at - range.start);
            }
            moved = moved - range.len() + STARS.len();
        }
        moved
    }
}

/// Masks a line: values of fields and of parameters that are named like secrets, `user:password@` in URLs, the part that
/// is to be hidden, and what goes on in it of a secret above it.
pub(crate) fn line(line: &[char], continued: Option<Range<usize>>, hide: Option<Range<usize>>) -> Masked {
    let mut ranges: Vec<Range<usize>> = hide.into_iter().chain(continued).collect();
    let secret = || colons(line).filter(|colon| is_secret_key(&key_before(line, *colon)));
    ranges.extend(secret().filter_map(|colon| value_behind(line, colon, last_quote)));
    ranges.extend(secret().flat_map(|colon| values_in_flow(line, colon)));
    without(line, ranges)
}

pub(crate) fn colons(line: &[char]) -> impl Iterator<Item = usize> {
    (0..line.len()).filter(|at| line[*at] == ':')
}

/// The line without these parts, and without what is secret in a URL.
fn without(line: &[char], mut ranges: Vec<Range<usize>>) -> Masked {
    ranges.extend(secrets_of_urls(line));
    ranges.extend(url::in_query(line).into_iter().map(|(_, value)| value));
    ranges.retain(|range| range.start < range.end && range.end <= line.len());
    ranges.sort_by_key(|range| range.start);
    let ranges = ranges.into_iter().fold(Vec::<Range<usize>>::new(), |mut merged, range| {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
        merged
    });
    let mut text = Vec::with_capacity(line.len());
    let mut from = 0;
    for range in &ranges {
        text.extend(&line[from..range.start]);
        text.extend(STARS.chars());
        from = range.end;
    }
    text.extend(&line[from..]);
    Masked { text, ranges }
}

/// A line that another program printed, with the same parts of it masked, but for what is no assignment: a sentence behind a
/// sentence (`failed to fetch a token: the server says no`), and a reason (`open /run/secrets/token: permission denied`).
pub(crate) fn masked_output(text: &str) -> String {
    let line: Vec<char> = text.chars().collect();
    let ranges = colons(&line).filter_map(|colon| value_in_output(&line, colon)).collect();
    without(&line, ranges).text.into_iter().collect()
}

/// The secret behind this colon in an output.
fn value_in_output(line: &[char], colon: usize) -> Option<Range<usize>> {
    let key = key_before(line, colon);
    if !names::may_be_secret(&key) || names::is_open(&key) || names::of_error(&key) {
        return None;
    }
    let value = value_behind(line, colon, own_quote)?;
    let text: String = line[value.clone()].iter().collect();
    // One word behind a path may be what is listed of it: `prod/db/password: hunter2`.
    if is_path(line, colon, &key) && text.contains(' ') {
        return None;
    }
    let is_count = text.bytes().all(|byte| byte.is_ascii_digit()) && names::is_of_several(&key);
    (!is_count && !is_remark(&text) && !is_a_sentence(line, colon, &value)).then_some(value)
}

/// Whether the key before this colon is the last part of a path.
fn is_path(line: &[char], colon: usize, key: &str) -> bool {
    let end = colon - line[..colon].iter().rev().take_while(|c| is_beside_key(**c)).count();
    line[..end - key.chars().count()].last() == Some(&'/')
}

/// Whether words stand before the key, and more than two behind it.
fn is_a_sentence(line: &[char], colon: usize, value: &Range<usize>) -> bool {
    let words = |part: &[char]| {
        part.split(|c| c.is_whitespace()).filter(|word| word.iter().any(|c| c.is_alphabetic())).count()
    };
    words(&line[..colon]) > 1 && words(&line[value.clone()]) > 2
}

/// The value behind the colon of a key.
///
/// `close` finds where a quotation ends, in what is behind the quote that opens it.
fn value_behind(
    line: &[char],
    colon: usize,
    close: fn(&[char], char) -> Option<usize>,
) -> Option<Range<usize>> {
    let start = colon + 1 + line[colon + 1..].iter().take_while(|c| c.is_whitespace()).count();
    let first = *line.get(start)?;
    if first == '{' || first == '#' || (start == colon + 1 && first != '"' && first != '\'') {
        return None;
    }
    let is_in_flow = line[..colon].iter().filter(|c| **c == '{').count()
        > line[..colon].iter().filter(|c| **c == '}').count();
    Some(match first {
        '"' | '\'' => {
            let close = close(&line[start + 1..], first);
            start..close.map_or(line.len(), |at| start + 1 + at + 1)
        }
        _ if is_in_flow => value_in_flow(line, start),
        _ => start..line.len(),
    })
}

/// The last quote of a line: what a person wrote by mistake may have quotes within.
fn last_quote(text: &[char], quote: char) -> Option<usize> {
    text.iter().rposition(|c| *c == quote)
}

/// The quote that closes, as a program writes it.
fn own_quote(text: &[char], quote: char) -> Option<usize> {
    closing(text.iter().copied().enumerate(), quote)
}

/// What stands within `{…}` or `[…]` behind the colon of a secret's key, where no such thing belongs there:
/// `passwordFrom: { value: hunter2 }`, `bearerFrom: [hunter2]`.
fn values_in_flow(line: &[char], colon: usize) -> impl Iterator<Item = Range<usize>> {
    let start = colon + 1 + line[colon + 1..].iter().take_while(|c| c.is_whitespace()).count();
    let opens = line.get(start).copied();
    let end_at = |closes| line[start..].iter().position(|c| *c == closes).map_or(line.len(), |at| start + at);
    let list = (opens == Some('[')).then(|| start + 1..end_at(']'));
    let end = if opens == Some('{') { end_at('}') } else { start };
    let fields = (start..end).filter(|at| line[*at] == ':' && !belongs_there(&key_before(line, *at)));
    list.into_iter().chain(fields.map(|at| value_in_flow(line, at + 1)))
}

/// The value in a flow that begins here: up to a comma or the end of the mapping, without the space around it.
fn value_in_flow(line: &[char], from: usize) -> Range<usize> {
    let blank = |part: &[char]| part.iter().take_while(|c| c.is_whitespace()).count();
    let start = from + blank(&line[from..]);
    let end = line[start..].iter().position(|c| matches!(c, ',' | '}')).map_or(line.len(), |at| start + at);
    start..end - line[start..end].iter().rev().take_while(|c| c.is_whitespace()).count()
}

/// Whether a field belongs below one that is named like a secret, and holds none itself: `auth` in the manifest's schema.
pub(crate) fn belongs_there(key: &str) -> bool {
    matches!(key, "env" | "file" | "username" | "passwordFrom" | "basic" | "bearerFrom" | "expect" | "absent")
}

/// Whether a key of a manifest is named like a secret. It may be misspelt, for such a line is shown most.
pub(crate) fn is_secret_key(key: &str) -> bool {
    let plain: String = key.chars().filter(|c| c.is_alphanumeric()).collect();
    names::may_be_secret(key) || nearest(&plain, names::all_words()).is_some()
}

/// The word before a colon.
pub(crate) fn key_before(line: &[char], colon: usize) -> String {
    let word: String = line[..colon]
        .iter()
        .rev()
        .skip_while(|c| is_beside_key(**c))
        .take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(64)
        .collect();
    word.chars().rev().collect()
}

/// What may stand between a key and its colon.
const fn is_beside_key(c: char) -> bool {
    matches!(c, '"' | '\'' | ' ')
}

/// What is secret of the URLs in a line, in characters.
fn secrets_of_urls(line: &[char]) -> Vec<Range<usize>> {
    let text: String = line.iter().collect();
    let chars = |bytes: usize| text[..bytes].chars().count();
    url::secrets_in(&text).into_iter().map(|range| chars(range.start)..chars(range.end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        line(&text.chars().collect::<Vec<_>>(), None, None).text.into_iter().collect()
    }

    #[test]
    fn values_of_secrets_are_hidden() {
        for (text, shown) in [
            ("  password: hunter2", "  password: ********"),
            ("  pasword: hunter2", "  pasword: ********"),
            ("  password: hunter2 # old", "  password: ********"),
            (
                "basic: { username: ops, password: hunter2, x: y }",
                "basic: { username: ops, password: ********, x: ******** }",
            ),
            ("\"API-Key\": 'hun, ter'", "\"API-Key\": ********"),
            ("{ token: \"a } b\" }", "{ token: ******** }"),
            ("Authorization: Basic b3Bz", "Authorization: ********"),
            ("password: @hunter2: x", "password: ********"),
            ("passwordFrom: hunter2", "passwordFrom: ********"),
            ("basic: ops:hunter2", "basic: ********"),
            ("url: http://ops:hunter2@host/x", "url: http://********@host/x"),
            ("url: \"https://ops:hun/ter2@host/x\"", "url: \"https://********@host/x\""),
            ("url: http://token@host", "url: http://********@host"),
            ("url: http://ops:hun ter2@host", "url: http://********@host"),
            ("{ password: hunter2 }", "{ password: ******** }"),
            ("path: /a?page=2&token=hunter2&x=1", "path: /a?page=2&token=********&x=1"),
            ("{ path: '/a?api-key=hunter2', port: 1 }", "{ path: '/a?api-key=********', port: 1 }"),
        ] {
            assert_eq!(masked(text), shown);
        }
        for (text, shown) in [
            ("passwordFrom: { value: hunter2 }", "passwordFrom: { value: ******** }"),
            ("passwordFrom: { file: x, text: hunter2 }", "passwordFrom: { file: x, text: ******** }"),
            ("basic: [ops, hunter2]", "basic: ********"),
            ("{ basic: [ops, hunter2] }", "{ basic: ********] }"),
        ] {
            assert_eq!(masked(text), shown);
        }
        for text in ["passwordFrom: { env: NAME }", "basic: { username: ops, passwordFrom: { file: x } }"] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for text in [
            "passwordFrom: { env: BACKOFFICE_PASSWORD }",
            "path: /api/workflow",
            "url: http://host/a@b",
            "basic:",
            "expect: [401]",
            "name: a:b",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn a_value_in_a_flow_ends_alike_wherever_it_stands() {
        for (text, shown) in [
            ("{ password: a b , x: 1 }", "{ password: ******** , x: 1 }"),
            ("{ token: a}", "{ token: ********}"),
            ("passwordFrom: { value: a b , file: x }", "passwordFrom: { value: ******** , file: x }"),
            ("passwordFrom: { value: a}", "passwordFrom: { value: ********}"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

    #[test]
    fn a_misspelt_key_counts_in_a_manifest_and_not_in_what_others_print() {
        assert_eq!(masked("tokn: hunter2"), "tokn: ********");
        for text in ["pid: 4711", "header: x", "secure: true", "passenger: 4", "max_tokens: 4096"] {
            assert_eq!(masked_output(text), text);
        }
        assert_eq!(masked_output("pasword: hunter2"), "pasword: ********");
    }

    #[test]
    fn nothing_of_a_right_manifest_is_hidden() {
        for text in include_str!("../../tests/manifest/good/contract.yaml").lines() {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn positions_move_with_the_text() {
        let text: Vec<char> = "{ password: a, expct: 1 }".chars().collect();
        let masked = line(&text, None, None);
        let at = masked.position(15);
        assert_eq!(masked.text[at..at + 5].iter().collect::<String>(), "expct");
    }
}
