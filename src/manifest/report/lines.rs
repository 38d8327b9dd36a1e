//! A text with its lines, and places in it.

/// A place in a file: line and column from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// In characters; may reach over the end of the line.
    pub(crate) len: u32,
}

impl Spot {
    /// The first character of a file.
    pub(crate) const START: Self = Self { line: 1, column: 1, len: 1 };

    /// Larger numbers than any file has become the largest.
    pub(crate) fn new(line: impl TryInto<u32>, column: impl TryInto<u32>, len: impl TryInto<u32>) -> Self {
        let [line, column, len] = [line.try_into().ok(), column.try_into().ok(), len.try_into().ok()]
            .map(|number| number.unwrap_or(u32::MAX));
        Self { line, column, len }
    }
}

/// A text with its lines, as YAML counts them: ended by `\n`, `\r\n` or `\r`.
pub(crate) struct LineIndex<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> LineIndex<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(at, byte)| match **byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// How many there are; an empty text has one.
    pub(crate) fn count(&self) -> usize {
        self.starts.len()
    }

    /// The line of this index (from 0) without its end; empty where there is none.
    pub(crate) fn get(&self, index: usize) -> &'t str {
        let Some(start) = self.starts.get(index) else { return "" };
        let end = self.starts.get(index + 1).copied().unwrap_or(self.text.len());
        self.text[*start..end].trim_end_matches(['\n', '\r'])
    }

    /// The text from the line of this index on.
    pub(crate) fn text_from(&self, index: usize) -> &'t str {
        self.starts.get(index).map_or("", |start| &self.text[*start..])
    }

    /// What stands at a spot, up to the end of its line.
    pub(crate) fn at(&self, spot: Spot) -> String {
        let line = self.get((spot.line as usize).saturating_sub(1));
        line.chars().skip((spot.column as usize).saturating_sub(1)).take(spot.len as usize).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_in_yaml() {
        let lines = LineIndex::new("a\nb\r\nc\rd\n");
        let all: Vec<_> = (0..lines.count()).map(|index| lines.get(index)).collect();
        assert_eq!(all, ["a", "b", "c", "d", ""]);
        assert_eq!(lines.text_from(2), "c\rd\n");
    }
}
