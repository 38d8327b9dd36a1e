//! One pattern of a `.dockerignore`, by the rules of moby's patternmatcher (v0.6), which BuildKit's clients use.
//! They are not git's, and not quite a shell's: `**` at the start is compared as a suffix, at the end as a prefix.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// `!`: takes back in what an earlier pattern took out.
    pub(super) exception: bool,
    text: String,
    kind: Kind,
}

/// The pattern is not valid: Docker would refuse the whole build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{0}` is not valid")]
pub(super) struct BadPattern(String);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// The path itself.
    Exact,
    /// `text**`: every path that begins with `text`.
    Prefix,
    /// `**text`: every path that ends with it, and `**/text` the path `text` too.
    Suffix,
    /// Anything else.
    Tokens(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`: one character, not a slash.
    One,
    /// `*`: any number of characters, no slash.
    Run,
    /// `**/` or `**` inside: nothing, or anything up to and with a slash.
    Deep,
    /// `**` at the end: anything.
    Rest,
    /// `[a-z]`, `[^a-z]`.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// Compiles a line that is neither blank nor a comment.
    pub(super) fn parse(line: &str) -> Result<Self, BadPattern> {
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
    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.kind {
            Kind::Exact => path == self.text,
            Kind::Prefix => path.starts_with(&self.text[..self.text.len() - 2]),
            Kind::Suffix => {
                let suffix = &self.text[2..];
                path.ends_with(suffix) || suffix.strip_prefix('/').is_some_and(|suffix| path == suffix)
            }
            Kind::Tokens(tokens) => matches(tokens, path),
        }
    }

    /// Whether the pattern could match something below this folder. May say yes too often, never no.
    pub(super) fn could_match_below(&self, folder: &str) -> bool {
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

/// Reads a pattern into the way it is compared. `None` where it is not valid.
fn compile(text: &str) -> Option<Kind> {
    let mut chars = text.chars().peekable();
    let mut tokens = Vec::new();
    let mut kind = Kind::Exact;
    let mut first = true;
    // What a kind becomes once something needs the tokens; they are put in at the end.
    let by_tokens = || Kind::Tokens(Vec::new());
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                let _ = chars.next_if_eq(&'/');
                if chars.peek().is_none() {
                    kind = if kind == Kind::Exact { Kind::Prefix } else { by_tokens() };
                    tokens.push(Token::Rest);
                } else {
                    kind = by_tokens();
                    tokens.push(Token::Deep);
                }
                if first {
                    kind = Kind::Suffix;
                }
            }
            '*' | '?' | '[' | ']' | '\\' => {
                kind = by_tokens();
                tokens.push(match c {
                    '*' => Token::Run,
                    '?' => Token::One,
                    '[' => class(&mut chars)?,
                    '\\' => Token::Char(chars.next()?),
                    _ => Token::Char(c),
                });
            }
            _ => tokens.push(Token::Char(c)),
        }
        first = false;
    }
    Some(if matches!(kind, Kind::Tokens(_)) { Kind::Tokens(tokens) } else { kind })
}

/// A character class, whose `[` is read already.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let low = match chars.next()? {
            // An empty class is not valid.
            ']' if ranges.is_empty() => return None,
            ']' => return Some(Token::Class { negated, ranges }),
            '-' => return None,
            '\\' => chars.next()?,
            c => c,
        };
        let mut high = low;
        if chars.next_if_eq(&'-').is_some() {
            high = match chars.next()? {
                ']' | '-' => return None,
                '\\' => chars.next()?,
                c => c,
            };
        }
        if high < low {
            return None;
        }
        ranges.push((low, high));
    }
}

/// Matches by the set of positions that each token can end at: no pattern makes this slow.
fn matches(tokens: &[Token], path: &str) -> bool {
    let path: Vec<char> = path.chars().collect();
    let mut ends = vec![false; path.len() + 1];
    ends[0] = true;
    for token in tokens {
        ends = step(token, &ends, &path);
    }
    ends[path.len()]
}

fn step(token: &Token, ends: &[bool], path: &[char]) -> Vec<bool> {
    let mut next = vec![false; ends.len()];
    // Whether a run that began earlier reaches this position.
    let mut running = false;
    for at in 0..ends.len() {
        let before = at.checked_sub(1).map(|before| (ends[before], path[before]));
        let one = |fits: &dyn Fn(char) -> bool| before.is_some_and(|(end, c)| end && fits(c));
        next[at] = match token {
            Token::Char(wanted) => one(&|c| c == *wanted),
            Token::One => one(&|c| c != '/'),
            Token::Class { negated, ranges } => {
                one(&|c| ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated)
            }
            Token::Run => {
                running = ends[at] || (running && before.is_some_and(|(_, c)| c != '/'));
                running
            }
            Token::Rest => {
                running |= ends[at];
                running
            }
            Token::Deep => {
                let after_slash = running && before.is_some_and(|(_, c)| c == '/');
                running |= ends[at];
                ends[at] || after_slash
            }
        };
    }
    next
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
    fn says_where_it_could_match() {
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
