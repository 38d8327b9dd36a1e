//! The references of a Compose file or an env file: other files, and environment variables.
//!
//! This does not interpret Compose files: every word that could be a variable counts, wherever it is. Most of these words are
//! none, and some are passwords, so those that are written as a variable are kept apart ([`Variables`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use serde_json::Value;

use crate::{
    files::{self, LARGEST_TEXT},
    secret::names,
};

/// A file that a Compose file refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reference {
    /// `include:` and `extends: file:`.
    Compose,
    /// `env_file:` and `label_file:`.
    EnvFile,
}

/// The environment variables that a file uses, or may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Variables {
    /// Words that are written as a variable: these names may be shown and stored.
    pub(super) named: BTreeSet<String>,
    /// All other words that Compose could take for one. They may be passwords, and are never shown, nor stored in plain text.
    pub(super) words: BTreeSet<String>,
}

/// The references of a Compose file; paths as they are written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ComposeReferences {
    pub(super) variables: Variables,
    pub(super) references: BTreeSet<(Reference, String)>,
    /// The `project_directory` of includes: more folders that relative paths may start at.
    pub(super) directories: BTreeSet<String>,
    /// Whether a service of it may belong to a profile.
    pub(super) profiles: bool,
}

/// The references and assignments of an env file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct EnvReferences {
    pub(super) variables: Variables,
    /// Plain assignments by name.
    pub(super) assigned: BTreeMap<String, String>,
}

/// A `$NAME` or `${NAME…}` in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use<'t> {
    pub(super) name: &'t str,
    /// Its line number, from 1.
    pub(super) line: usize,
    /// Whether it is written as a variable, and not part of a text that happens to contain a dollar sign.
    pub(super) is_named: bool,
}

/// An assignment of an env file, or a line of a Compose file that looks like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment<'t> {
    pub(super) name: &'t str,
    /// Without its quotes; a quoted value may span several lines.
    pub(super) value: String,
}

impl Variables {
    fn of(text: &str) -> Self {
        let (named, words): (Vec<_>, Vec<_>) = uses(text).into_iter().partition(|found| found.is_named);
        let owned = |found: Vec<Use<'_>>| found.into_iter().map(|found| found.name.to_owned()).collect();
        Self { named: owned(named), words: owned(words) }
    }

    /// A word at a place where Compose takes it for the name of a variable. In lower case it may also be half of a text that
    /// was meant to be one line.
    fn passed_through(&mut self, text: &str) {
        if is_name(text) {
            let is_named = is_in_capitals(text);
            if is_named { &mut self.named } else { &mut self.words }.insert(text.to_owned());
        }
    }

    fn word(&mut self, text: &str) {
        if is_name(text) {
            self.words.insert(text.to_owned());
        }
    }
}

/// Reads a Compose file; `None` if it cannot be parsed.
pub(super) fn compose_file(text: &str) -> Option<ComposeReferences> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).ok()?;
    let mut found = ComposeReferences { variables: Variables::of(text), ..ComposeReferences::default() };
    for document in &documents {
        walk(document, &mut found)?;
    }
    Some(found)
}

fn walk(value: &Value, found: &mut ComposeReferences) -> Option<()> {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("env_file" | "label_file", _) => paths(value, Reference::EnvFile, found)?,
                    ("profiles", _) => found.profiles = true,
                    ("include", _) => paths(value, Reference::Compose, found)?,
                    ("environment" | "args", _) => found.variables.all_passed_through(value),
                    ("extends", Value::Object(extends)) => {
                        if let Some(file) = extends.get("file") {
                            paths(file, Reference::Compose, found)?;
                        }
                    }
                    // `x-env: { NAME: }`, merged into an environment.
                    (name, Value::Null) => found.variables.passed_through(name),
                    _ => {}
                }
                walk(value, found)?;
            }
            Some(())
        }
        Value::Array(list) => list.iter().try_for_each(|value| walk(value, found)),
        // Any lone word may be a variable.
        Value::String(text) => {
            found.variables.word(text);
            Some(())
        }
        _ => Some(()),
    }
}

impl Variables {
    /// `environment: [NAME]`, `environment: { NAME: }`, `secrets: { x: { environment: NAME } }`.
    fn all_passed_through(&mut self, value: &Value) {
        match value {
            Value::String(name) => self.passed_through(name),
            Value::Array(list) => {
                list.iter().filter_map(Value::as_str).for_each(|name| self.passed_through(name));
            }
            Value::Object(map) => {
                let unset = map.iter().filter(|(_, value)| value.is_null());
                unset.for_each(|(name, _)| self.passed_through(name));
            }
            _ => {}
        }
    }
}

/// A path, a list of them, or mappings with `path`, `env_file` and `project_directory`.
fn paths(value: &Value, kind: Reference, found: &mut ComposeReferences) -> Option<()> {
    match value {
        Value::Null => Some(()),
        Value::String(path) => {
            found.references.insert((kind, path.clone()));
            Some(())
        }
        Value::Array(list) => list.iter().try_for_each(|value| paths(value, kind, found)),
        Value::Object(map) => {
            if let Some(directory) = map.get("project_directory") {
                found.directories.insert(directory.as_str()?.to_owned());
            }
            // The walk finds an include's own `env_file`.
            map.get("path").map_or(Some(()), |path| paths(path, kind, found))
        }
        _ => None,
    }
}

/// Reads an env file; `None` if an assignment that steers Compose itself is not plain.
pub(super) fn env_file(text: &str) -> Option<EnvReferences> {
    let mut found = EnvReferences { variables: Variables::of(text), ..EnvReferences::default() };
    let mut quotation = None;
    for line in text.lines() {
        let is_quoted = quotation.is_some();
        quotation = still_quoted(line, quotation);
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        // Compose takes `NAME: value` too.
        let (name, value) =
            line.split_once(['=', ':']).map_or((line, None), |(n, v)| (n.trim_end(), Some(v)));
        if !is_name(name) {
            continue;
        }
        match value.map(str::trim) {
            // A line of a multi-line value: usually a key.
            None if is_quoted => found.variables.word(name),
            // A name alone is passed through.
            None => found.variables.passed_through(name),
            Some(value) => {
                let is_plain = !value.contains(['$', '"', '\'', '#', '\\']);
                if !is_plain && name.starts_with("COMPOSE_") {
                    return None;
                }
                found.assigned.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    Some(found)
}

/// The assignments of an env file, as far as they can be read: an unclosed quote ends with its line.
pub(super) fn entries(text: &str) -> Vec<Assignment<'_>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let end_of_line = |from: usize| text[from..].find('\n').map_or(text.len(), |len| from + len);
        let mut end = end_of_line(at);
        if let Some((name, from)) = assignment(&text[at..end]) {
            let (value, length) = value_at(&text[at + from..]);
            found.push(Assignment { name, value });
            // A quotation may span more lines.
            end = end_of_line(end.max(at + from + length));
        }
        at = end + 1;
    }
    found
}

/// The name that a line assigns, and the start of its value.
fn assignment(line: &str) -> Option<(&str, usize)> {
    let separator = line.find(['=', ':'])?;
    let name = line[..separator].trim().trim_start_matches("- ").trim_start_matches("export ");
    let name = name.trim().trim_matches(['"', '\'']);
    let value = &line[separator + 1..];
    let is_one = !name.is_empty() && !name.starts_with('#') && !name.contains(char::is_whitespace);
    is_one.then(|| (name, line.len() - value.trim_start().len()))
}

/// The quote that is still open after a line.
fn still_quoted(line: &str, quotation: Option<char>) -> Option<char> {
    if let Some(quote) = quotation {
        return (!line.contains(quote)).then_some(quote);
    }
    let (_, from) = assignment(line)?;
    let value = &line[from..];
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    (!value[1..].contains(quote)).then_some(quote)
}

/// The value at the beginning of a text, and its length in the text.
fn value_at(text: &str) -> (String, usize) {
    let line = text.lines().next().unwrap_or_default();
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let value = line.split_once(" #").map_or(line, |(value, _)| value);
        return (value.trim_end().to_owned(), line.len());
    };
    let mut escaped = false;
    let close = text[1..].char_indices().find(|(_, c)| {
        let closes = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped;
        closes
    });
    match close {
        Some((at, _)) => (text[1..=at].to_owned(), at + 2),
        None => (line[1..].trim_end().to_owned(), line.len()),
    }
}

/// The names after each `$` and `${`, also inside a default of another. `$$` is a dollar sign.
pub(super) fn uses(text: &str) -> Vec<Use<'_>> {
    let lines = text.split('\n').enumerate();
    lines
        .flat_map(|(index, line)| {
            uses_in(line).into_iter().map(move |found| Use { line: index + 1, ..found })
        })
        .collect()
}

fn uses_in(line: &str) -> Vec<Use<'_>> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(at) = line[from..].find('$').map(|at| from + at) {
        from = at + 1;
        if line[from..].starts_with('$') {
            from += 1;
            continue;
        }
        let is_braced = line[from..].starts_with('{');
        let name = &line[from + usize::from(is_braced)..];
        let name = &name[..name.find(|c: char| !is_name_char(c)).unwrap_or(name.len())];
        if is_name(name) {
            found.push(Use {
                name,
                line: 1,
                is_named: is_written_as_one(&line[..at], name, is_braced, line),
            });
        }
    }
    found
}

/// Whether a `$NAME` after `before` is meant as a variable. `${NAME}` is, and so is one without a letter before it. But at a
/// place that may hold a secret, only capitals count: a password may contain a dollar sign anywhere.
fn is_written_as_one(before: &str, name: &str, is_braced: bool, line: &str) -> bool {
    let stands_alone = is_braced || !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
    stands_alone && (is_in_capitals(name) || !may_hold_a_secret(before, line))
}

/// Whether the value that starts in `before` may be a secret: because of its key, an option, or a password in a URL.
fn may_hold_a_secret(before: &str, line: &str) -> bool {
    let words = before.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.'));
    words.filter(|word| !word.is_empty()).any(names::may_be_secret)
        || line.contains("://") && line.contains('@')
}

/// The text of a Compose file, an env file or a secret, with invalid UTF-8 replaced.
///
/// # Errors
/// As [`files::read`], also if it has more than [`LARGEST_TEXT`].
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    let text = files::read(path, LARGEST_TEXT)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

pub(super) fn is_in_capitals(name: &str) -> bool {
    name.chars().any(|c| c.is_ascii_uppercase()) && !name.chars().any(|c| c.is_ascii_lowercase())
}

const fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_name(text: &str) -> bool {
    text.len() <= 256
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(is_name_char)
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
