//! Where a quotation ends in what programs print.

/// The place of the quote that closes, in what follows the one that opens; `None` where it goes on to the end. A program writes a
/// backslash before a quote that does not close, and YAML, SQL and shells double an apostrophe.
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
