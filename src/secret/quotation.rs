//! Where a quotation ends in the output of programs.

/// The position of the closing quote in the text after the opening one; `None` if the quotation continues to the end. A program
/// writes a backslash before a quote that does not close, and YAML, SQL and shells double an apostrophe.
pub(crate) fn closing(text: impl IntoIterator<Item = (usize, char)>, quote: char) -> Option<usize> {
    let mut characters = text.into_iter().peekable();
    while let Some((at, c)) = characters.next() {
        let is_doubled = quote == '\'' && characters.peek().is_some_and(|(_, next)| *next == quote);
        if c == quote && !is_doubled {
            return Some(at);
        }
        if c == '\\' || c == quote {
            characters.next();
        }
    }
    None
}
