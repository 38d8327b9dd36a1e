//! Which of Compose's words may be shown.
//!
//! A refusal quotes what it refuses: the rest of an env file after an unclosed quote, a template, a value of the wrong type.
//! That may be a password, and its look does not give it away. So undrift shows only Compose's own words (`words.txt`: those of
//! its messages and of the libraries that it uses, as of 2.26 to 5.6), places (files that Compose is given, lines, keys), and
//! names from the files. Everything else is `…`. The object and place of the refusal stay readable.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use super::super::{inputs::ComposeInputs, scan};
use crate::{api::Desired, host::process::Environment, secret::names};

/// The replacement for omitted text.
const LEFT_OUT: &str = "…";

/// The words of Compose's messages, in lower case.
static WORDS: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| include_str!("words.txt").split_whitespace().collect());

/// The words before a number that is a place, or Compose's own.
const BEFORE_NUMBERS: [&str; 7] = ["line", "column", "code", "to", "than", "least", "most"];

/// The longest key that is shown as the name of a field; Compose's longest has 20 letters.
const LONGEST_FIELD: usize = 32;

/// The keys of a Compose file that hold named things, and how one is named in a message.
const NAMED: [&str; 6] = ["services", "networks", "volumes", "configs", "secrets", "models"];

/// The keys of a service that name other things.
const NAMING: [&str; 10] = [
    "depends_on",
    "networks",
    "volumes",
    "configs",
    "secrets",
    "profiles",
    "links",
    "volumes_from",
    "models",
    "service",
];

/// The words that may be shown in messages about one project.
pub(in crate::host::compose) struct Passed {
    files: BTreeSet<PathBuf>,
    directory: PathBuf,
    /// Every key of its Compose files.
    keys: BTreeSet<String>,
    /// Names of services and the like.
    names: BTreeSet<String>,
    /// Words of a secret, though they may be any of these as well.
    secret: BTreeSet<String>,
}

impl Passed {
    /// Reads the project's files, as far as possible.
    pub(in crate::host::compose) fn of(desired: &Desired, env: &Environment) -> Self {
        let files = ComposeInputs::known_files(desired, env);
        let mut passed = Self {
            directory: desired.directory.clone(),
            keys: BTreeSet::new(),
            names: desired.services().iter().map(|service| service.name.clone()).collect(),
            secret: BTreeSet::new(),
            files,
        };
        for (name, value) in env.iter() {
            let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
            passed.note_secret(&name, &value);
        }
        for path in passed.files.clone() {
            let Ok(text) = scan::read_text(&path) else { continue };
            for entry in scan::entries(&text) {
                passed.note_secret(entry.name, &entry.value);
            }
            passed.note_messages(&text);
            for document in serde_saphyr::from_multiple::<serde_json::Value>(&text).unwrap_or_default() {
                passed.note_keys(&document, 0);
            }
        }
        passed
    }

    /// Notes the words of a value whose name is a secret's.
    fn note_secret(&mut self, name: &str, value: &str) {
        if names::may_be_secret(name) {
            self.secret.extend(value.split_whitespace().map(|word| bare(word).to_lowercase()));
        }
    }

    /// Notes a required variable, and the project's message for it (`${NAME:?set it in .env}`): its author wrote that for
    /// readers of a refusal, and no password looks like that by chance.
    fn note_messages(&mut self, text: &str) {
        let uses = text.lines().flat_map(|line| line.split("${").skip(1));
        let closed = uses.filter_map(|after| Some(after.split_once('}')?.0));
        for (name, message) in closed.filter_map(|inner| inner.split_once('?')) {
            let name = name.strip_suffix(':').unwrap_or(name);
            if is_variable(name) {
                let words = message.split_whitespace().chain([name]);
                self.names.extend(words.map(|word| bare(word).to_owned()));
            }
        }
    }

    fn note_keys(&mut self, value: &serde_json::Value, depth: usize) {
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    self.keys.insert(key.clone());
                    if depth == 0 && NAMED.contains(&key.as_str()) {
                        self.names
                            .extend(value.as_object().into_iter().flat_map(|named| named.keys().cloned()));
                    }
                    if NAMING.contains(&key.as_str()) {
                        self.note_names(value);
                    }
                    self.note_keys(value, depth + 1);
                }
            }
            serde_json::Value::Array(list) => list.iter().for_each(|value| self.note_keys(value, depth + 1)),
            _ => {}
        }
    }

    /// Notes literal names, without the values of variables.
    fn note_names(&mut self, value: &serde_json::Value) {
        let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let texts = all.iter().filter_map(serde_json::Value::as_str);
        let names =
            texts.map(|text| text.split(':').next().unwrap_or(text)).filter(|text| is_plain_name(text));
        self.names.extend(names.map(str::to_owned));
    }

    /// A text without possible values. Empty if nothing is left of it.
    pub(in crate::host::compose) fn text(&self, output: &str) -> String {
        let mut lines = Vec::new();
        for line in output.lines() {
            let (line, is_open) = self.line(line);
            if line.chars().any(char::is_alphanumeric) {
                lines.push(line);
            }
            if is_open {
                // A quote that is not closed: all that follows may be the value.
                break;
            }
        }
        lines.join("\n")
    }

    /// The same for one line, and whether it ends within a quotation.
    pub(in crate::host::compose) fn line(&self, line: &str) -> (String, bool) {
        let (mut out, mut before) = (Vec::<String>::new(), String::new());
        let mut rest = line.trim();
        while let Some(first) = rest.chars().next() {
            let (part, shown, is_open) = match first {
                '"' | '\'' | '`' => self.quoted(rest, first),
                _ => self.unquoted(rest, &before),
            };
            match shown {
                Some(shown) => out.push(shown),
                None if out.last().is_some_and(|last| last.starts_with(LEFT_OUT)) => {}
                None => out.push(LEFT_OUT.to_owned()),
            }
            if is_open {
                return (out.join(" "), true);
            }
            before = bare(&rest[..part]).to_lowercase();
            rest = rest[part..].trim_start();
        }
        (out.join(" "), false)
    }

    /// A quotation at the beginning of a text: its length, the part that may be shown, and whether it is unclosed.
    fn quoted(&self, text: &str, quote: char) -> (usize, Option<String>, bool) {
        let mut escaped = false;
        let close = text[1..].char_indices().find(|(_, c)| {
            let closes = *c == quote && !escaped;
            escaped = *c == '\\' && !escaped;
            closes
        });
        let Some((close, _)) = close else { return (text.len(), None, true) };
        let (inner, end) = (&text[1..=close], close + 2);
        // Punctuation right after it belongs to the sentence.
        let after = text[end..].find(|c: char| !",.;:)]".contains(c)).unwrap_or(text.len() - end);
        // A single character that is not part of a word is one that a parser expected or rejected.
        let is_mark = inner.len() == 1 && inner.chars().all(|c| c.is_ascii_punctuation());
        let shown = (is_mark || self.is_passed(inner, "")).then(|| text[..end + after].to_owned());
        (end + after, shown.or_else(|| Some(format!("{LEFT_OUT}{}", &text[end..end + after]))), false)
    }

    /// A word at the beginning of a text.
    fn unquoted(&self, text: &str, before: &str) -> (usize, Option<String>, bool) {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        // `parsing "x":` and `msg="…"`: a quotation in the middle of a word. An apostrophe starts none.
        let quote = text[..end].char_indices().skip(1).find(|(at, c)| {
            matches!(c, '"' | '`') || *c == '\'' && !text[..*at].ends_with(char::is_alphanumeric)
        });
        let end = quote.map_or(end, |(at, _)| at);
        let word = &text[..end];
        (end, self.is_passed(word, before).then(|| word.to_owned()), false)
    }

    fn is_passed(&self, word: &str, before: &str) -> bool {
        if self.is_path(word) || self.is_key(word) {
            return true;
        }
        let bare = bare(word);
        let lower = bare.to_lowercase();
        if bare.is_empty() {
            return word.chars().all(|c| c.is_ascii_punctuation());
        }
        if is_spot(bare) {
            return true;
        }
        let is_number = bare.chars().all(|c| c.is_ascii_digit());
        let is_known = WORDS.contains(lower.as_str())
            || is_number && BEFORE_NUMBERS.contains(&before)
            || self.names.contains(bare)
            || is_field(bare) && self.keys.contains(bare);
        is_known && !self.secret.contains(&lower)
    }

    /// A file that Compose is given, or its folder.
    fn is_path(&self, word: &str) -> bool {
        let path = Path::new(word.trim_matches(|c: char| ",:;()".contains(c)));
        path.is_absolute() && (path == self.directory || self.files.contains(path))
    }

    /// `services.api.ports.[0]:`, `services[api].ports`: each part is a key of the files, or one of Compose's fields.
    fn is_key(&self, word: &str) -> bool {
        let key = word.trim_matches(|c: char| ",:;()".contains(c)).trim_end_matches('.');
        let mut parts = key.split(['.', '[', ']']).filter(|part| !part.is_empty());
        let begins = parts.next().is_some_and(|first| NAMED.contains(&first) && key.len() > first.len());
        let is_part = |part: &str| {
            self.keys.contains(part)
                || self.names.contains(part)
                || WORDS.contains(part)
                || part.chars().all(|c| c.is_ascii_digit())
        };
        begins && parts.all(is_part)
    }
}

/// `L5.C13-L6.C1`, as Compose 5 names a place.
fn is_spot(text: &str) -> bool {
    let is_number =
        |text: &str| !text.is_empty() && text.len() < 7 && text.chars().all(|c| c.is_ascii_digit());
    text.split('-').all(|spot| {
        let numbers = spot.strip_prefix('L').and_then(|numbers| numbers.split_once(".C"));
        numbers.is_some_and(|(line, column)| is_number(line) && is_number(column))
    })
}

/// A word without the punctuation around it.
fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| ",.:;()[]\"'`!?".contains(c))
}

/// The name of one of Compose's fields, or a misspelt one: a password in the place of a key has digits.
fn is_field(text: &str) -> bool {
    text.len() <= LONGEST_FIELD && text.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '-'))
}

fn is_variable(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A literal name: it contains no variable.
fn is_plain_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
#[path = "passed_tests.rs"]
mod tests;
