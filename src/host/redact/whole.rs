//! The places at which a short value counts: any line may contain a word of seven characters, and hiding it everywhere would
//! remove the word `demo` from every name. So the search accepts it as a whole value only.

use std::ops::Range;

/// Characters that may follow a value.
const ENDS: &[u8] = b"\"'`,;&@)]}\\<";

/// Whether the text there follows a mark of an assignment (`=`, `:`, `=>`), or is between quotes.
///
/// An element of a list with only commas or spaces around it is not a value: sentences and names look like that, too.
pub(super) fn is_value(text: &[u8], at: &Range<usize>) -> bool {
    let (before, after) = (&text[..at.start], &text[at.end..]);
    let is_quoted = |quote: &u8| before.last() == Some(quote) && after.first() == Some(quote);
    let is_ended = after.first().is_none_or(|byte| byte.is_ascii_whitespace() || ENDS.contains(byte));
    b"\"'`".iter().any(is_quoted) || is_ended && is_behind_a_mark(before)
}

/// Whether a text ends with a mark of an assignment. A lone arrow at the beginning of a line is BuildKit's.
fn is_behind_a_mark(text: &[u8]) -> bool {
    let text = text.trim_ascii_end();
    let arrow = text.strip_suffix(b"=>").map(<[u8]>::trim_ascii_end);
    text.ends_with(b"=")
        || text.ends_with(b":")
        || arrow.is_some_and(|name| !name.is_empty() && !name.ends_with(b"=>"))
}

/// Whether it is the whole text, or a whole element of a YAML list.
pub(super) fn is_all(text: &[u8], at: &Range<usize>) -> bool {
    let before = text[..at.start].trim_ascii_start();
    let is_mark = before.strip_prefix(b"-").is_some_and(|gap| !gap.is_empty() && gap.trim_ascii().is_empty());
    (before.is_empty() || is_mark) && text[at.end..].trim_ascii().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str) -> bool {
        let at = text.find("demo").unwrap();
        let at = at..at + 4;
        is_value(text.as_bytes(), &at) || is_all(text.as_bytes(), &at)
    }

    #[test]
    fn a_whole_value_is_distinguished_from_a_word() {
        for text in [
            "x=demo",
            "x = demo",
            "x := demo",
            "x == demo",
            "S7 => demo",
            "x: demo",
            "u:demo@h",
            "'demo'",
            "\"demo\"",
            "demo",
            "  demo ",
            "- demo",
            "x=demo&y",
            "{\"a\":\"demo\"}",
            "`demo`",
            "<a b=\"demo\">",
            "[x=demo]",
        ] {
            assert!(counts(text), "{text}");
        }
        for text in [
            "x=demonstration",
            "demo: x",
            "a demo of it",
            "undrift-demo-api",
            "=> demo x",
            "=> => demo",
            "[a demo b]",
            "a,demo,b",
            "/demo/x",
            "x:demo/y",
            "demo=x",
            "\"a demo\"",
            "-demo",
            "[demo 1/3] RUN",
        ] {
            assert!(!counts(text), "{text}");
        }
    }
}
