//! Which names are those of secrets: of fields, of headers, of what stands in a query.

use std::ops::Range;

use super::nearest::nearest;

/// Words for a secret.
const WORDS: [&str; 13] = [
    "pass",
    "pwd",
    "jwt",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "credentials",
    "authorization",
    "cookie",
    "bearer",
];

/// Words that are one together.
pub(super) const PAIRS: [(&str, &str); 5] =
    [("api", "key"), ("access", "key"), ("auth", "key"), ("private", "key"), ("session", "id")];

/// Below this a word is one only where it stands alone: `bypass` and `compass` hold no secret.
const LONG: usize = 5;

/// The words that are one also at the end of another, as in `authtoken`.
pub(super) fn long_words() -> impl Iterator<Item = &'static str> {
    WORDS.into_iter().filter(|word| word.len() >= LONG)
}

/// Whether the name of a header, or of a parameter of a query, is that of a secret. What is refused must be right, so
/// the words of the name are looked at: `X-Api-Key`, `accessToken` and `user[password]` are; `max-tokens` and
/// `tokenizer` are not.
pub(super) fn names(name: &str) -> bool {
    let words = words(name);
    let is_word = |word: &String| {
        WORDS.contains(&word.as_str())
            || long_words().any(|long| word.ends_with(long))
            || PAIRS.iter().any(|(one, other)| word.ends_with(&format!("{one}{other}")))
    };
    let is_pair = |two: &[String]| PAIRS.iter().any(|(one, other)| two[0].ends_with(one) && two[1] == *other);
    words.iter().any(is_word) || words.windows(2).any(is_pair)
}

/// The words of a name in lower case: what stands between other characters, or begins with a capital.
fn words(name: &str) -> Vec<String> {
    let mut spaced = String::new();
    let mut before = ' ';
    for c in name.chars() {
        if before.is_lowercase() && c.is_uppercase() {
            spaced.push(' ');
        }
        spaced.push(if c.is_alphanumeric() { c } else { ' ' });
        before = c;
    }
    spaced.split_whitespace().map(str::to_lowercase).collect()
}

/// Whether something that is named so may hold a secret. What is shown is masked rather too often than too seldom.
pub(crate) fn may_be_named(name: &str) -> bool {
    let key: String = name.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let pair = |(one, other): &(&str, &str)| key.contains(&format!("{one}{other}"));
    // A misspelt field is what is shown most: `pasword` holds a secret as well.
    key == "basic"
        || WORDS.iter().any(|word| key.contains(word))
        || PAIRS.iter().any(pair)
        || nearest(&key, WORDS.iter().copied()).is_some()
}

/// The parameters of the query in a text that are named like secrets and have a value: each name, as it is meant, with
/// the place of its value.
pub(super) fn in_query(text: &[char]) -> Vec<(String, Range<usize>)> {
    let starts = text.iter().enumerate().filter(|(_, c)| matches!(c, '?' | '&' | ';')).map(|(at, _)| at + 1);
    let parameter = |start: usize| {
        let length = text[start..].iter().position(|c| matches!(c, '=' | '?' | '&' | ';' | '#'))?;
        let equals = start + length;
        let value = equals + 1;
        if text[equals] != '=' || length > 100 {
            return None;
        }
        let ends = |c: &char| c.is_whitespace() || matches!(c, '&' | ';' | '#' | '"' | '\'');
        let end = text[value..].iter().position(ends).map_or(text.len(), |at| value + at);
        let name = decoded(&text[start..equals].iter().collect::<String>());
        (end > value && names(&name)).then_some((name, value..end))
    };
    starts.filter_map(parameter).collect()
}

/// Percent-encoded ASCII, decoded: it is enough for the words above.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(u8::is_ascii);
        match byte {
            Some(byte) => decoded.extend([char::from(byte)].into_iter().chain(part[2..].chars())),
            None => decoded.extend(["%", part]),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_told_by_their_words() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "Set-Cookie",
            "X-Api-Key",
            "X-API-KEY",
            "apikey",
            "x_api_key",
            "X-Auth-Token",
            "accessToken",
            "access_token",
            "user[password]",
            "pass",
            "db.pass",
            "client_secret",
            "X-AuthToken",
            "sessionId",
            "X-Session-Id",
            "jwt",
            "credentials",
            "privateKey",
        ] {
            assert!(names(name), "{name}");
        }
        for name in [
            "",
            "Accept",
            "X-Bypass-Cache",
            "X-Compass",
            "max_tokens",
            "tokenizer",
            "key",
            "X-Request-Id",
            "author",
            "Host",
            "passenger",
            "session",
            "api",
            "X-Auth-Request-Redirect",
        ] {
            assert!(!names(name), "{name}");
        }
    }

    #[test]
    fn whatever_is_refused_is_masked() {
        for name in ["X-Api-Key", "sessionId", "X-Auth-Token", "jwt", "auth-key"] {
            assert!(names(name) && may_be_named(name), "{name}");
        }
    }

    #[test]
    fn secrets_in_a_query_are_found_with_their_places() {
        let found = |text: &str| {
            let chars: Vec<char> = text.chars().collect();
            let one = |(name, range): (String, Range<usize>)| (name, chars[range].iter().collect());
            in_query(&chars).into_iter().map(one).collect::<Vec<(String, String)>>()
        };
        let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(found("/a?token=hunter2"), one("token", "hunter2"));
        assert_eq!(found("/a?page=2&api_key=hun=ter2&x=1"), one("api_key", "hun=ter2"));
        assert_eq!(found("url: \"http://h/a?p%61ss=hunter2\" # old"), one("pass", "hunter2"));
        assert_eq!(found("/a?x=1;password=hunter2"), one("password", "hunter2"));
        for text in ["/a", "/a?token", "/a?token=", "/a?page=2", "/token=1", "/a?next=%zz", "/a?é=%"] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
