//! Stable names for what is another at every run: IDs of incidents, hashes, and the folder that the scenario is played in.

use std::path::{Path, PathBuf};

/// How long a ULID is. The first ten characters are its time, which is simulated; the rest is random.
const ULID: usize = 26;
const RANDOM: usize = 16;

/// How long a SHA-256 is in hexadecimal; and the least that is left of one that is cut.
const SHA256: usize = 64;
const CUT: usize = 32;

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
            shown.push_str(&self.stand_in(word, after.starts_with('…')));
            let next = after.chars().next().map_or(0, char::len_utf8);
            shown.push_str(&after[..next]);
            rest = &after[next..];
        }
        shown
    }

    fn stand_in(&mut self, word: &str, is_cut: bool) -> String {
        if word.len() == ULID && word.starts_with("01") {
            let number = number(&mut self.incidents, word);
            return format!("{}INCIDENT{number:08}", &word[..ULID - RANDOM]);
        }
        let is_long = word.len() == SHA256 || is_cut && word.len() >= CUT;
        let is_hash = is_long && word.chars().all(|c| c.is_ascii_hexdigit());
        // The images of the fake are small numbers, and the same at every run.
        if is_hash && !word.starts_with("000000") {
            let (number, zeros) = (number(&mut self.hashes, word), word.len() - "hash".len());
            return format!("hash{number:0zeros$}");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_as_long_as_what_it_stands_for_and_the_same_for_the_same() {
        let mut stand_ins = StandIns::new(Path::new("/tmp/x"));
        let (id, hash) = ("01KES7AWG0ABCDEFGHJKMNPQRS", "ab".repeat(32));
        let printed = format!("/tmp/x/srv {id} {hash} {id} {}… 4f6d1c0b9a8e", &hash[..40]);
        let shown = stand_ins.put(&printed);
        let incident = "01KES7AWG0INCIDENT00000001";
        let (first, cut) = (format!("hash{:060}", 1), format!("hash{:036}", 2));
        assert_eq!(shown, format!("/srv {incident} {first} {incident} {cut}… 4f6d1c0b9a8e"));
        assert_eq!(stand_ins.resolve("INCIDENT-1"), id);
        assert_eq!(stand_ins.resolve("/etc/undrift"), "/tmp/x/etc/undrift");
    }
}
