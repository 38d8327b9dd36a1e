//! Text without terminal control sequences. undrift keeps and shows the output of commands and the content of files, which must
//! not move a cursor, clear a screen, begin a line or change the direction of writing when somebody reads it.
//!
//! By hand and not by anstyle-parse: to a terminal's parser a sequence without an end hides all that follows.

use std::{borrow::Cow, fmt::Write as _};

/// A terminal's state within a text: ECMA-48, as the state machine of the DEC terminals reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EscapeState {
    Text,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte: a charset or the like.
    Intermediate,
    /// CSI: parameters up to a final byte.
    Control,
    /// OSC, DCS, SOS, PM, APC: a string up to BEL or ST.
    String,
    /// After ESC in such a string.
    StringEscape,
}

impl EscapeState {
    /// The state after this character, and whether it belongs to the text.
    #[expect(clippy::match_same_arms, reason = "what stands above is stronger")]
    fn next(self, c: char) -> (Self, bool) {
        match (self, c) {
            // CAN and SUB end everything.
            (_, '\u{18}' | '\u{1a}') | (Self::StringEscape, '\\') => (Self::Text, false),
            (Self::StringEscape, c) => Self::Escape.next(c),
            (Self::String, '\u{1b}') => (Self::StringEscape, false),
            (Self::String, '\u{7}' | '\u{9c}') => (Self::Text, false),
            // No terminal ends a string here, but an unterminated one must not hide the rest of the text.
            (Self::String, '\n') => (Self::Text, true),
            (Self::String, _) => (Self::String, false),
            (_, '\u{1b}') => (Self::Escape, false),
            (_, '\u{9b}') => (Self::Control, false),
            (_, '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}') => (Self::String, false),
            // Within a sequence a terminal executes a control character, and continues the sequence.
            (state, c) if c.is_control() => (state, true),
            (state, c) => state.printable(c),
        }
    }

    #[expect(clippy::match_same_arms, reason = "one state after the other")]
    fn printable(self, c: char) -> (Self, bool) {
        match (self, c) {
            (Self::Escape, '[') => (Self::Control, false),
            (Self::Escape, ']' | 'P' | 'X' | '^' | '_') => (Self::String, false),
            (Self::Escape | Self::Intermediate, ' '..='/') => (Self::Intermediate, false),
            (Self::Control, ' '..='?') => (Self::Control, false),
            (Self::Escape | Self::Intermediate, '0'..='~') | (Self::Control, '@'..='~') => {
                (Self::Text, false)
            }
            // Anything else is in no sequence.
            _ => (Self::Text, true),
        }
    }
}

/// The characters of the text that belong to no escape sequence. They still include other control characters.
pub(crate) fn without_escapes(text: &str) -> impl Iterator<Item = char> {
    let mut state = EscapeState::Text;
    text.chars().filter(move |c| {
        let (next, shown) = state.next(*c);
        state = next;
        shown
    })
}

/// Characters that reorder the text around them: a line could look different from its content.
pub(crate) const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// Characters that some programs treat as the end of a line, besides the control characters.
const fn breaks(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a character has any effect beyond its own glyph.
pub(crate) fn steers(c: char) -> bool {
    c.is_control() || is_bidi_control(c) || breaks(c)
}

/// The text on one line and without terminal control: escape sequences, control characters (C0, C1, DEL) and those that
/// change the direction of writing. White space of other kinds becomes a space.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return text.into();
    }
    without_escapes(text)
        .filter_map(|c| match c {
            '\n' | '\t' | '\r' => Some(' '),
            c if breaks(c) => Some(' '),
            c if steers(c) => None,
            c => Some(c),
        })
        .collect::<String>()
        .into()
}

/// An equivalent JSON text without terminal control. JSON itself requires escapes for fewer characters: U+0000 to U+001F
/// within strings.
#[must_use]
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    // Characters up to the space occur only between strings, as white space.
    let is_raw = |c: char| c > ' ' && steers(c);
    if !text.chars().any(is_raw) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_raw(c) {
            // None of them is above U+FFFF. Writing to a `String` never fails.
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        without_escapes(text).collect()
    }

    #[test]
    fn whole_sequences_go() {
        for (text, left) in [
            ("a\u{1b}[2Jb", "ab"),
            ("a\u{1b}[1;31mred\u{1b}[0mb", "aredb"),
            ("\u{1b}]0;title\u{7}on", "on"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}Pq#0\u{1b}\\x\u{1b}_y\u{1b}\\z", "xz"),
            ("\u{1b}(B\u{1b}7\u{1b}=x", "x"),
            // The same with one character of eight bits.
            ("a\u{9b}2Jb\u{9d}0;t\u{9c}c", "abc"),
        ] {
            assert_eq!(plain(text), left, "{text:?}");
        }
    }

    #[test]
    fn a_sequence_within_a_sequence_leaves_no_letters() {
        for text in
            ["\u{1b}\u{1b}[2J", "\u{1b}[\u{1b}[2J", "\u{1b}[3\u{9b}2J", "\u{1b}]0;t\u{1b}[2J", "\u{1b}["]
        {
            assert_eq!(plain(text), "", "{text:?}");
        }
        assert_eq!(plain("\u{1b}[3\u{18}1m"), "1m", "CAN ends it");
        assert_eq!(plain("\u{1b}[2\rJx"), "\rx", "a control character does not");
    }

    #[test]
    fn a_clean_text_is_one_line_that_steers_nothing() {
        assert_eq!(
            clean("a\u{1b}[31mb\u{7}\u{9b}2J\u{7f}\nc\td\u{202e}e\u{0}\u{2028}f\u{85}g"),
            "ab c de fg"
        );
        assert!(matches!(clean("é 漢 😀"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_cleaned_json_text_has_the_same_value_and_steers_nothing() {
        let hostile = "a\u{1b}[2J\u{9b}2J\u{7f}\n\u{202e}\u{2028}\u{85}\u{61c} é 漢 😀 \" \\";
        let value = serde_json::json!({ hostile: [hostile, 1, null] });
        for text in [value.to_string(), format!("{value:#}")] {
            let safe = json(&text);
            assert!(safe.chars().all(|c| c == '\n' || !steers(c)), "{safe}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
        }
        assert!(matches!(json("{\n  \"é\": 1\n}"), Cow::Borrowed(_)));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_cleaned_steers_nothing(text in "(\\PC|[\u{0}-\u{1f}\u{7f}-\u{9f}\u{200e}-\u{202e}\u{2066}-\u{2069}\u{61c}]){0,40}") {
            proptest::prop_assert!(!clean(&text).chars().any(steers));
            let value = serde_json::Value::String(text);
            let safe = json(&value.to_string()).into_owned();
            proptest::prop_assert!(!safe.chars().any(steers));
            proptest::prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
        }
    }

    #[test]
    fn nothing_else_goes() {
        assert_eq!(plain("a[2J é 漢\t\r\n"), "a[2J é 漢\t\r\n");
        assert_eq!(plain("\u{1b}[é"), "é", "no sequence has such a character");
        assert_eq!(plain("\u{1b}]0;no end\nnext"), "\nnext");
    }
}
