//! One pattern of a `.dockerignore`, or of what a manifest leaves out of a comparison, by the rules of moby's patternmatcher (v0.6), which BuildKit's clients use.
//! They are not git's, and not quite a shell's: `**` at the start is compared as a suffix, at the end as a prefix.

use regex::Regex;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// `!`: includes again what an earlier pattern excluded.
    pub(crate) exception: bool,
    text: String,
    kind: Kind,
}

/// The pattern is not valid: Docker would refuse the whole build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{0}` is not valid")]
pub(crate) struct BadPattern(String);

#[derive(Debug, Clone)]
enum Kind {
    /// The path itself.
    Exact,
    /// `text**`: every path that begins with `text`.
    Prefix,
    /// `**text`: every path that ends with it, and `**/text` the path `text` too.
    Suffix,
    /// Anything else, as moby writes it: a regular expression.
    Regex(Regex),
}

impl Pattern {
    /// Compiles a line that is neither blank nor a comment.
    pub(crate) fn parse(line: &str) -> Result<Self, BadPattern> {
        let line = line.trim();
        let (exception, text) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
        if text.is_empty() {
            return Err(BadPattern(line.to_owned()));
        }
        let text = clean(text);
        let text = if text.len() > 1 { text.strip_prefix('/').unwrap_or(&text) } else { &text }.to_owned();
        let kind = compile(&text).ok_or_else(|| BadPattern(line.to_owned()))?;
        Ok(Self { exception, text, kind })
    }

    /// Whether the pattern matches this very path: relative, with slashes, without a leading one.
    pub(crate) fn matches(&self, path: &str) -> bool {
        match &self.kind {
            Kind::Exact => path == self.text,
            Kind::Prefix => path.starts_with(&self.text[..self.text.len() - 2]),
            Kind::Suffix => {
                let suffix = &self.text[2..];
                path.ends_with(suffix) || suffix.strip_prefix('/').is_some_and(|suffix| path == suffix)
            }
            Kind::Regex(regex) => regex.is_match(path),
        }
    }

    /// Whether the pattern could match something below this folder. May wrongly return true, but never wrongly false.
    pub(crate) fn could_match_below(&self, folder: &str) -> bool {
        for (pattern, part) in self.text.split('/').zip(folder.split('/')) {
            if pattern.contains(['*', '?', '[', '\\']) {
                return true;
            }
            if pattern != part {
                return false;
            }
        }
        true
    }
}

/// Compiles a pattern into its kind of comparison. `None` if it is not valid.
fn compile(text: &str) -> Option<Kind> {
    let mut chars = text.chars().peekable();
    // A line break is a character of a name like any other.
    let mut regex = String::from("(?s)^");
    let mut kind = Some(Kind::Exact);
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                let _ = chars.next_if_eq(&'/');
                if chars.peek().is_none() {
                    kind = kind.filter(|kind| matches!(kind, Kind::Exact)).map(|_| Kind::Prefix);
                    regex.push_str(".*");
                } else {
                    kind = None;
                    regex.push_str("(.*/)?");
                }
                if first {
                    kind = Some(Kind::Suffix);
                }
            }
            '*' | '?' | '[' | ']' | '\\' => {
                kind = None;
                match c {
                    '*' => regex.push_str("[^/]*"),
                    '?' => regex.push_str("[^/]"),
                    '[' => regex.push_str(&class(&mut chars)?),
                    '\\' => regex.push_str(&literal(chars.next()?)),
                    _ => regex.push_str(&literal(c)),
                }
            }
            _ => regex.push_str(&literal(c)),
        }
        first = false;
    }
    regex.push('$');
    kind.map_or_else(|| Regex::new(&regex).ok().map(Kind::Regex), Some)
}

fn literal(c: char) -> String {
    regex::escape(c.encode_utf8(&mut [0; 4]))
}

/// A character class, whose `[` is already read, as a regular expression. Go's `filepath.Match` defines which ones are valid.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut class = String::from(if chars.next_if_eq(&'^').is_some() { "[^" } else { "[" });
    let mut is_empty = true;
    loop {
        let low = match chars.next()? {
            ']' if is_empty => return None,
            ']' => return Some(class + "]"),
            '-' => return None,
            '\\' => chars.next()?,
            c => c,
        };
        class.push_str(&literal(low));
        if chars.next_if_eq(&'-').is_some() {
            let high = match chars.next()? {
                ']' | '-' => return None,
                '\\' => chars.next()?,
                c => c,
            };
            if high < low {
                return None;
            }
            class.push('-');
            class.push_str(&literal(high));
        }
        is_empty = false;
    }
}

/// Go's `filepath.Clean`.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_docker_does() {
        for (pattern, yes, no) in [
            ("a", &["a"][..], &["b", "a/b", "ba"][..]),
            ("/a/", &["a"], &["b/a"]),
            ("./a/../b", &["b"], &["a"]),
            ("*", &["a", ".a"], &["a/b"]),
            ("*.go", &["x.go", ".go"], &["a/x.go", "x.goo"]),
            ("a?c", &["abc", "a.c"], &["ac", "a/c"]),
            ("a/*/c", &["a/b/c"], &["a/c", "a/b/b/c"]),
            ("**", &["a", "a/b/c"], &[]),
            ("**/", &["a", "a/b"], &[]),
            ("**/a", &["a", "b/a", "b/c/a"], &["ba", "a/b"]),
            ("**a", &["a", "ba", "b/ca"], &["ab"]),
            ("a**", &["a", "ab", "ab/c"], &["ba"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
            ("a/**/c", &["a/c", "a/b/c", "a/b/b/c"], &["ac", "a/bc"]),
            ("a**/c", &["ac", "ab/c", "a/b/c"], &["abc"]),
            ("**/*.md", &["x.md", "a/b/x.md"], &["x.mdx"]),
            ("**/a/**", &["a/x", "b/a/x"], &["a", "ba/x"]),
            ("**foo*", &["foo", "a/foox"], &["barfoo"]),
            ("a[b-d]e", &["abe", "ace"], &["aee", "ae"]),
            ("a[^b-d]e", &["aae", "a/e"], &["ace"]),
            (r"a\*c", &["a*c"], &["abc"]),
            ("a.b", &["a.b"], &["axb"]),
            ("(a|b){1}$", &["(a|b){1}$"], &["a"]),
            ("ä?", &["äö"], &["ä"]),
            ("../a", &["../a"], &["a"]),
        ] {
            let compiled = Pattern::parse(pattern).unwrap();
            for path in yes {
                assert!(compiled.matches(path), "{pattern} matches {path}");
            }
            for path in no {
                assert!(!compiled.matches(path), "{pattern} does not match {path}");
            }
        }
    }

    #[test]
    fn reads_exceptions() {
        for line in ["!a", "! a", "!/a", " !a/ "] {
            let pattern = Pattern::parse(line).unwrap();
            assert!(pattern.exception && pattern.matches("a"), "{line}");
        }
    }

    #[test]
    fn refuses_what_docker_refuses() {
        for line in ["!", "[", "a[", "[]a]", "[-x]", "[a-]", "[z-a]", r"a\"] {
            assert!(Pattern::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn folders_below_which_a_pattern_could_match_are_found() {
        let could = |pattern: &str, folder| Pattern::parse(pattern).unwrap().could_match_below(folder);
        assert!(could("a/b/c", "a") && could("a/b/c", "a/b") && could("a", "a/b"));
        assert!(could("**/x", "a") && could("a/*/c", "a/b") && could("a*", "q/r") && could("*", "q"));
        assert!(!could("a/b", "b") && !could("a/b/c", "a/c"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics_nor_takes_long(line in "[ab*?!/\\[\\]\\\\^.-]{0,40}", path in "[ab/]{0,60}") {
            if let Ok(pattern) = Pattern::parse(&line) {
                pattern.matches(&path);
            }
        }
    }
}
