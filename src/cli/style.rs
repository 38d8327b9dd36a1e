//! Colours, and tables whose columns align. No text printed through here can control the terminal.
//!
//! By hand: four colours and one layout, and every cell goes through [`clean`].

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

pub use crate::plain::clean;

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// True on a terminal that wants them.
    pub colour: bool,
}

/// How a piece of text is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Paint {
    #[default]
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

impl Paint {
    /// The parameter of ANSI's `SGR`.
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Bold => Some("1"),
            Self::Dim => Some("2"),
            Self::Red => Some("31"),
            Self::Green => Some("32"),
            Self::Yellow => Some("33"),
        }
    }
}

impl Style {
    /// The text, cleaned as by [`clean`], in this paint.
    #[must_use]
    pub fn paint(self, paint: Paint, text: &str) -> String {
        let text = clean(text);
        match paint.code().filter(|_| self.colour) {
            Some(code) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            None => text.into_owned(),
        }
    }

    /// Bold.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint(Paint::Bold, text)
    }

    /// Of less weight.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint(Paint::Dim, text)
    }

    /// Broken.
    #[must_use]
    pub fn red(self, text: &str) -> String {
        self.paint(Paint::Red, text)
    }

    /// As declared.
    #[must_use]
    pub fn green(self, text: &str) -> String {
        self.paint(Paint::Green, text)
    }

    /// Unknown, or needs attention.
    #[must_use]
    pub fn yellow(self, text: &str) -> String {
        self.paint(Paint::Yellow, text)
    }
}

/// How many columns of a terminal the text occupies.
#[must_use]
pub fn width(text: &str) -> usize {
    clean(text).width()
}

/// One cell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    paint: Paint,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), paint: Paint::Plain }
    }
}

/// A cell of this text in this paint.
#[must_use]
pub fn cell(text: impl Into<String>, paint: Paint) -> Cell {
    Cell { text: text.into(), paint }
}

/// Prints rows so that their columns align, two spaces apart, each line indented by `indent` columns. The last
/// column is not padded.
///
/// # Errors
/// The error of `out`.
pub fn table(out: &mut dyn Write, style: Style, indent: usize, rows: &[Vec<Cell>]) -> io::Result<()> {
    Columns::default().print(out, style, indent, rows)
}

/// The columns of a table that goes on: later rows align with those before, and a wider one widens its column from there on.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns(Vec<usize>);

impl Columns {
    /// Prints the next rows, as [`table`] does.
    pub(super) fn print(
        &mut self,
        out: &mut dyn Write,
        style: Style,
        indent: usize,
        rows: &[Vec<Cell>],
    ) -> io::Result<()> {
        self.fit(rows);
        for row in rows {
            let mut line = " ".repeat(indent);
            // Spaces are held back until something follows: no line ends in them.
            let mut gap = 0;
            for (cell, column) in row.iter().zip(&self.0) {
                if !cell.text.is_empty() {
                    line.push_str(&" ".repeat(gap));
                    line.push_str(&style.paint(cell.paint, &cell.text));
                    gap = 0;
                }
                gap += column - width(&cell.text) + 2;
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn fit(&mut self, rows: &[Vec<Cell>]) {
        for row in rows {
            self.0.resize(self.0.len().max(row.len()), 0);
            for (column, cell) in row.iter().enumerate() {
                self.0[column] = self.0[column].max(width(&cell.text));
            }
        }
    }
}

/// The first row of a table: names of columns.
#[must_use]
pub fn heading(names: &[&str]) -> Vec<Cell> {
    names.iter().map(|name| cell(*name, Paint::Dim)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_painted_can_steer_the_terminal() {
        assert_eq!(Style { colour: true }.red("a\u{7}b"), "\u{1b}[31mab\u{1b}[0m");
        assert_eq!(Style { colour: false }.red("a"), "a");
    }

    #[test]
    fn columns_align_by_what_the_eye_sees() {
        let rows = vec![
            heading(&["NAME", "B", "C"]),
            vec!["漢字".into(), cell("✗\u{1b}", Paint::Red), "x".into()],
            vec!["é".into(), "".into(), "y".into()],
            vec!["last".into(), "".into()],
        ];
        for colour in [false, true] {
            let mut out = Vec::new();
            table(&mut out, Style { colour }, 2, &rows).unwrap();
            let text = String::from_utf8(out).unwrap();
            let plain = ["\u{1b}[31m", "\u{1b}[2m", "\u{1b}[0m"]
                .iter()
                .fold(text, |text, code| text.replace(code, ""));
            assert_eq!(plain, "  NAME  B  C\n  漢字  ✗  x\n  é        y\n  last\n");
        }
    }
}
