//! Values next to the name of a secret: `NAME=value`, `NAME => value`, `--name value`.

use std::ops::Range;

use super::{known::SETTINGS, replaced};
use crate::secret::{names, quotation::closing, remarks::is_remark, url};

/// Characters before the equals sign of a mark: `:=`, `?=`, `+=`, and `!=`, which quotes a value as well.
const BEFORE_EQUALS: [char; 4] = [':', '?', '+', '!'];

/// Characters that close a key of a list or a mapping before a mark: `"password" =>`, `env["TOKEN"] =`.
const CLOSES: [char; 5] = ['"', '\'', '`', ']', ')'];

/// A line with these values hidden.
pub(super) fn without(line: &str) -> String {
    replaced(line, places(line))
}

/// The values themselves, from a text that is a setting and not output, such as a command.
pub(in crate::host) fn assigned_secrets(text: &str) -> impl Iterator<Item = String> {
    text.lines().flat_map(|line| places(line).into_iter().map(|place| line[place].to_owned()))
}

/// Their positions, each on its own; a later one may be within an earlier one.
fn places(line: &str) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = marks(line).filter_map(|mark| assigned(line, &mark)).collect();
    all.extend(options(line));
    all.sort_by_key(|place| place.start);
    all.dedup_by_key(|place| place.start);
    all
}

/// The marks of assignments and comparisons: `=`, `==`, `===`, `=>`, `:=` and the like.
fn marks(line: &str) -> impl Iterator<Item = Range<usize>> {
    let begins = line.match_indices('=').filter(|(at, _)| !line[..*at].ends_with('='));
    begins.map(|(at, _)| {
        let start = at - usize::from(line[..at].ends_with(BEFORE_EQUALS));
        let end = at + line[at..].find(|c| c != '=').unwrap_or(line.len() - at);
        start..end + usize::from(line[end..].starts_with('>'))
    })
}

/// The value after this mark, if the name before it is a secret's.
fn assigned(line: &str, mark: &Range<usize>) -> Option<Range<usize>> {
    let before = &line[..mark.start];
    let spaced = before.trim_end();
    let name = name_at_the_end(spaced.trim_end_matches(CLOSES));
    if name.is_empty() || names::is_open(name) || !names::may_be_secret(name) && !names::of_webhook(name) {
        return None;
    }
    // In a shell, a space after `NAME=` starts a command.
    let is_apart = mark.len() > 1 || spaced.len() < before.len();
    let gap = if is_apart { line[mark.end..].len() - line[mark.end..].trim_start().len() } else { 0 };
    let place = value_at(line, mark.end + gap)?;
    let value = &line[place.clone()];
    if is_remark(value) || names::of_error(name) {
        return None;
    }
    let is_secret = names::may_be_secret(name) || url::behind_the_host(value).is_some();
    (is_secret && !is_count(name, value) && !SETTINGS.contains(&value.to_lowercase().as_str()))
        .then_some(place)
}

fn name_at_the_end(text: &str) -> &str {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let start = text.rfind(|c| !is_of_name(c));
    &text[start.map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8))..]
}

/// Whether this is a count and no secret: `max_tokens=4096`.
fn is_count(name: &str, value: &str) -> bool {
    names::is_of_several(name) && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// The values of options that are named like secrets and take the next word: `--password hunter2`, `"--password", "hunter2"`.
fn options(line: &str) -> impl Iterator<Item = Range<usize>> {
    line.match_indices('-').filter_map(|(at, _)| {
        let before = &line[..at];
        let begins = before.chars().next_back().is_none_or(|c| c.is_whitespace() || "\"'[(".contains(c));
        let name = line[at..].trim_start_matches('-');
        let start = line.len() - name.len();
        let len = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')?;
        let value = start + len + gap_at(&name[len..], before.chars().next_back())?;
        let is_option = line[value..].trim_start_matches(['"', '\'']).starts_with('-');
        let is_one = begins && start - at <= 2 && !is_option && len > 0 && names::may_be_secret(&name[..len]);
        let is_remark = is_remark(&line[value..]);
        (is_one && !is_remark).then(|| value_at(line, value))?
    })
}

/// The length of the gap between an option and its value: space, and in a list of words a quote and a comma.
fn gap_at(text: &str, opening: Option<char>) -> Option<usize> {
    let rest = match opening.filter(|quote| matches!(quote, '"' | '\'')) {
        Some(quote) => {
            let rest = text.strip_prefix(quote)?.trim_start();
            rest.strip_prefix(',').or_else(|| rest.starts_with(quote).then_some(rest))?
        }
        None => text,
    };
    let value = rest.trim_start();
    (value.len() < rest.len() || rest.len() < text.len()).then(|| text.len() - value.len())
}

/// The value that starts here: between quotes, or up to a terminator.
fn value_at(line: &str, start: usize) -> Option<Range<usize>> {
    let value = &line[start..];
    let (from, to) = match value.chars().next()? {
        quote @ ('"' | '\'') => (1, closing(value.char_indices().skip(1), quote).unwrap_or(value.len())),
        _ => (
            0,
            value
                .find(|c: char| c.is_whitespace() || matches!(c, '&' | ';' | ',' | '"' | '\''))
                .unwrap_or(value.len()),
        ),
    };
    (from < to).then_some(start + from..start + to)
}
