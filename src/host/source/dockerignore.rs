//! A `.dockerignore`, by Docker's rules: the last pattern that matches a path, or one of its parent folders, decides.
//!
//! By hand, because the crate `ignore` has git's rules, and Docker's differ from those.

use crate::pattern::{BadPattern, Pattern};

/// The patterns of a `.dockerignore`, in order.
#[derive(Debug, Clone, Default)]
pub(in crate::host) struct Dockerignore(Vec<Pattern>);

/// Which patterns matched a folder, directly or through a parent: its entries start from there.
pub(in crate::host) type Matched = Vec<bool>;

impl Dockerignore {
    /// Reads the file's text.
    pub(in crate::host) fn parse(text: &str) -> Result<Self, BadPattern> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // Only a `#` in the first column is a comment.
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        lines.map(Pattern::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a path is excluded, and which patterns matched it. `parent` is the result for its folder; empty at the top.
    ///
    /// This is moby's `MatchesUsingParentResults`, with its quirk: a pattern that could change nothing is not tried, and then
    /// does not count as matched for the paths below either.
    pub(in crate::host) fn excludes(&self, path: &str, parent: &[bool]) -> (bool, Matched) {
        let mut excluded = false;
        let mut matched = vec![false; self.0.len()];
        for (index, pattern) in self.0.iter().enumerate() {
            let through_parent = parent.get(index).copied().unwrap_or(false);
            if !through_parent && pattern.exception != excluded {
                continue;
            }
            matched[index] = through_parent || pattern.matches(path);
            if matched[index] {
                excluded = !pattern.exception;
            }
        }
        (excluded, matched)
    }

    /// Whether anything below an excluded folder could be included again.
    pub(in crate::host) fn could_include_below(&self, folder: &str) -> bool {
        self.0.iter().any(|pattern| pattern.exception && pattern.could_match_below(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a path is excluded, its folders first.
    fn excludes(ignore: &Dockerignore, path: &str) -> bool {
        let mut matched = Matched::new();
        let mut excluded = false;
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            (excluded, matched) = ignore.excludes(&path[..end], &matched);
        }
        excluded
    }

    #[test]
    fn the_last_match_wins() {
        for (text, out, kept) in [
            ("", &[][..], &["a"][..]),
            ("*\n!a", &["b", "b/a"], &["a", "a/b"]),
            ("!a\n*", &["a"], &[]),
            ("docs\n!docs/README.md", &["docs/x", "docs/sub/README.md"], &["docs/README.md"]),
            ("docs\n!docs/README.md\ndocs/README.md", &["docs/README.md"], &[]),
            ("**/node_modules", &["node_modules/x", "a/node_modules/b/c"], &["a/node_modules2"]),
            ("*.md\n!README*.md\nREADME-secret.md", &["x.md", "README-secret.md"], &["README.md", "a/x.md"]),
            ("**/*.log\n!**/keep.log", &["a/x.log"], &["a/b/keep.log", "keep.log"]),
            ("a/b\n!a", &["a/b/c"], &["a/c"]),
        ] {
            let ignore = Dockerignore::parse(text).unwrap();
            for path in out {
                assert!(excludes(&ignore, path), "{text:?} leaves out {path}");
            }
            for path in kept {
                assert!(!excludes(&ignore, path), "{text:?} keeps {path}");
            }
        }
    }

    #[test]
    fn reads_lines_as_docker_does() {
        let ignore = Dockerignore::parse("\u{feff}a\r\n\n  b  \n# c\n #d\n/e/\n").unwrap();
        for path in ["a", "b", "#d", "e"] {
            assert!(excludes(&ignore, path), "{path}");
        }
        assert!(!excludes(&ignore, "# c") && !excludes(&ignore, "c"));
        assert!(Dockerignore::parse("a\n!\n").is_err());
    }

    #[test]
    fn a_folder_is_skipped_where_no_exception_can_match_below() {
        let ignore = Dockerignore::parse("*\n!src/app").unwrap();
        assert!(ignore.could_include_below("src") && !ignore.could_include_below("node_modules"));
        assert!(!Dockerignore::parse("*").unwrap().could_include_below("src"));
    }
}
