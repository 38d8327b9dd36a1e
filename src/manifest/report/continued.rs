//! Secrets that go on in the lines below the one that names them.

use std::ops::Range;

use super::LineIndex;
use crate::secret::mask::{belongs_there, colons, is_secret_key, key_before};

/// Where the line of this index goes on with a secret that starts in a line above it: a block text, a value in a line of its
/// own, or a field that does not belong below `passwordFrom:`.
pub(crate) fn continued_secret(lines: &LineIndex<'_>, index: usize) -> Option<Range<usize>> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let this = lines.get(index);
    if this.trim_start().starts_with('#') {
        return None;
    }
    // A block of more than 100 lines is no password.
    let above = (index.saturating_sub(100)..index).rev().map(|index| lines.get(index));
    let parent = above.into_iter().find(|line| !line.trim().is_empty() && indent(line) < indent(this))?;
    let chars: Vec<char> = parent.chars().collect();
    let colon = chars.iter().position(|c| *c == ':')?;
    let rest = chars[colon + 1..].iter().collect::<String>();
    let rest = rest.trim();
    let opens = rest.is_empty() || rest.starts_with(['|', '>', '"', '\'']);
    if !opens || !is_secret_key(&key_before(&chars, colon)) {
        return None;
    }
    let this: Vec<char> = this.chars().collect();
    let begins = |from: usize| from + this[from..].iter().take_while(|c| c.is_whitespace()).count();
    // As YAML has it: a colon within a word ends no key.
    let ends_key = |colon: &usize| this.get(colon + 1).is_none_or(|c| c.is_whitespace());
    let field = colons(&this).find(ends_key).filter(|_| rest.is_empty());
    match field {
        // `passwordFrom:` above `env: NAME` is how it should be.
        Some(colon) if belongs_there(&key_before(&this, colon)) => None,
        Some(colon) => Some(begins(colon + 1)..this.len()),
        None => Some(begins(0)..this.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_goes_on_is_hidden() {
        let lines = LineIndex::new(
            "password: |\n  hunter2\n  more\ntimeout: 5s\npasswordFrom:\n  env: NAME\n  value: x\n  hun:ter2\n",
        );
        let hidden: Vec<bool> = (0..8).map(|index| continued_secret(&lines, index).is_some()).collect();
        assert_eq!(hidden, [false, true, true, false, false, false, true, true]);
        assert_eq!(continued_secret(&lines, 7), Some(2..10), "all of it");
    }
}
