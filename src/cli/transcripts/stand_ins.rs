//! Stable names for what is another at every run: IDs of incidents, hashes, and the folder that the scenario is played in.

use std::path::{Path, PathBuf};

/// How long a ULID is. The first ten characters are its time, which is simulated; the rest is random.
const ULID: usize = 26;
const RANDOM: usize = 16;

/// How long a SHA-256 is in hexadecimal.
const SHA256: usize = 64;

/// What was replaced so far, in the order of its appearance.
#[derive(Debug)]
pub(super) struct StandIns {
    root: PathBuf,
    incidents: Vec<String>,
    hashes: Vec<String>,
}

impl StandIns {
    /// The scenario is played below this folder, as if that were the root.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), incidents: Vec::new(), hashes: Vec::new() }
    }

    /// What was printed, with stable names. Each is as long as what it stands for, so that columns stay aligned.
    pub(super) fn put(&mut self, printed: &str) -> String {
        let printed = printed.replace(&self.root.display().to_string(), "");
        let mut shown = String::new();
        let mut rest = printed.as_str();
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            shown.push_str(&self.stand_in(word));
            let next = after.chars().next().map_or(0, char::len_utf8);
            shown.push_str(&after[..next]);
            rest = &after[next..];
        }
        shown
    }

    fn stand_in(&mut self, word: &str) -> String {
        if word.len() == ULID && word.starts_with("01") {
            let number = number(&mut self.incidents, word);
            return format!("{}INCIDENT{number:08}", &word[..ULID - RANDOM]);
        }
        let is_hash = word.len() == SHA256 && word.chars().all(|c| c.is_ascii_hexdigit());
        // The images of the fake have small numbers, and are the same at every run.
        if is_hash && !word.starts_with("000000") {
            return format!("hash{:060}", number(&mut self.hashes, word));
        }
        word.to_owned()
    }

    /// What was typed, with what the names stand for.
    pub(super) fn resolve(&self, typed: &str) -> String {
        let below = |path: &str| format!("{}{path}", self.root.display());
        let is_path = typed.starts_with("/etc/") || typed.starts_with("/srv/") || typed.starts_with("/var/");
        if is_path {
            return below(typed);
        }
        let mut incidents = self.incidents.iter().enumerate();
        let named = incidents.find(|(index, _)| typed == format!("INCIDENT-{}", index + 1));
        named.map_or_else(|| typed.to_owned(), |(_, id)| id.clone())
    }
}

/// The number of a word, from 1.
fn number(seen: &mut Vec<String>, word: &str) -> usize {
    if let Some(index) = seen.iter().position(|known| known == word) {
        return index + 1;
    }
    seen.push(word.to_owned());
    seen.len()
}
