//! Hides secrets in what other programs print, before it is kept.
//!
//! Three ways together, because each misses what the others find: values that are known to be secret, wherever they stand;
//! `NAME=value` where the name is a secret's; and what a manifest's excerpt hides: `password: …`, `user:password@` in a URL,
//! parameters of a query.

use std::ops::Range;

use crate::manifest::{masked, may_name_a_secret};

/// What stands in for a secret; as long for each, so that it does not tell the length.
const STARS: &str = "********";

/// The shortest value of a variable that is looked for: shorter ones are words that stand in any line.
const SHORTEST: usize = 8;

/// The shortest declared credential that is looked for. Of it it is known that it is one.
const SHORTEST_DECLARED: usize = 4;

/// Secrets that are known by their values. No `Debug`.
#[derive(Clone, Default)]
pub(super) struct Redactor(Vec<String>);

impl Redactor {
    /// For the credentials that a manifest declares.
    pub(super) fn of_declared(credentials: impl IntoIterator<Item = String>) -> Self {
        let mut redactor = Self::default();
        redactor.add(credentials, SHORTEST_DECLARED);
        redactor
    }

    /// The same, and for the variables that are named like secrets: of a container, or of undrift itself.
    pub(super) fn with_variables<'a>(
        mut self,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let secret = variables.into_iter().filter_map(|(name, value)| {
            if may_name_a_secret(name) { Some(value.to_owned()) } else { password_in_url(value) }
        });
        self.add(secret, SHORTEST);
        self
    }

    /// A secret of several lines, such as a key, is printed in several lines.
    fn add(&mut self, values: impl IntoIterator<Item = String>, shortest: usize) {
        let lines = |value: String| value.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
        let values = values.into_iter().flat_map(lines);
        self.0.extend(values.filter(|value| value.len() >= shortest));
        // The longest first: one may be the beginning of another.
        self.0.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.0.dedup();
    }

    /// A line without what is secret in it.
    pub(super) fn line(&self, line: &str) -> String {
        let known = self.0.iter().fold(line.to_owned(), |line, value| line.replace(value, STARS));
        masked(&without_assigned(&known))
    }
}

/// The password in `scheme://user:password@host`.
fn password_in_url(value: &str) -> Option<String> {
    let (_, rest) = value.split_once("://")?;
    let (user_info, _) = rest.split_once('@')?;
    user_info.split_once(':').map(|(_, password)| password.to_owned())
}

/// A line in which the value of each `NAME=value` of a secret's name is hidden.
fn without_assigned(line: &str) -> String {
    let mut ranges: Vec<Range<usize>> =
        line.match_indices('=').filter_map(|(at, _)| assigned(line, at)).collect();
    ranges.reverse();
    let mut line = line.to_owned();
    let mut hidden_from = line.len();
    for range in ranges {
        // A value that holds another assignment is hidden whole.
        let end = if range.end > hidden_from { hidden_from } else { range.end };
        line.replace_range(range.start..end, STARS);
        hidden_from = range.start;
    }
    line
}

/// The value behind this equals sign, where the name before it is a secret's.
fn assigned(line: &str, equals: usize) -> Option<Range<usize>> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name_starts = line[..equals]
        .rfind(|c| !is_of_name(c))
        .map_or(0, |at| at + line[at..].chars().next().map_or(1, char::len_utf8));
    if !may_name_a_secret(&line[name_starts..equals]) || name_starts == equals {
        return None;
    }
    let value = &line[equals + 1..];
    let (start, end) = match value.chars().next()? {
        quote @ ('"' | '\'') => (1, value[1..].find(quote).map_or(value.len(), |at| at + 1)),
        _ => (
            0,
            value
                .find(|c: char| c.is_whitespace() || matches!(c, '&' | ';' | ',' | '"' | '\''))
                .unwrap_or(value.len()),
        ),
    };
    (start < end).then_some(equals + 1 + start..equals + 1 + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let variables = [
            ("DB_PASSWORD", "correct horse battery"),
            ("SHORT_TOKEN", "abc"),
            ("PRIVATE_KEY", "-----BEGIN KEY-----\nMIIEvQIBADANBg\n"),
            ("DATABASE_URL", "postgres://shop:in-the-url-1@db/shop"),
            ("GREETING", "good morning to you"),
        ];
        Redactor::of_declared(["hunter2".to_owned(), "abc".to_owned()]).with_variables(variables)
    }

    #[test]
    fn what_is_known_to_be_secret_is_hidden_wherever_it_stands() {
        for (line, shown) in [
            ("login with correct horse battery failed", "login with ******** failed"),
            ("[hunter2]", "[********]"),
            ("key MIIEvQIBADANBg", "key ********"),
            ("connect in-the-url-1", "connect ********"),
            ("good morning to you, abc", "good morning to you, abc"),
        ] {
            assert_eq!(redactor().line(line), shown);
        }
    }

    #[test]
    fn what_stands_beside_a_secrets_name_is_hidden_whatever_it_is() {
        let unknown = Redactor::default();
        for (line, shown) in [
            ("start with API_TOKEN=x1 PORT=80", "start with API_TOKEN=******** PORT=80"),
            ("PGPASSWORD=\"a b\" psql", "PGPASSWORD=\"********\" psql"),
            ("DB_PASSWORD='a=b'", "DB_PASSWORD='********'"),
            ("password=a=b&x=1", "password=********&x=1"),
            ("password: opensesame", "password: ********"),
            ("GET http://ops:opensesame@db/", "GET http://********@db/"),
            ("é TOKEN=x", "é TOKEN=********"),
        ] {
            assert_eq!(unknown.line(line), shown);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for line in ["FATAL: cannot bind db", "a=b", "=", "listening on 0.0.0.0:3000", "PORT=", "PASSWORD="] {
            assert_eq!(redactor().line(line), line);
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(line in ".{0,60}") {
            let _ = redactor().line(&format!("TOKEN={line}"));
            let _ = redactor().line(&line);
        }
    }
}
