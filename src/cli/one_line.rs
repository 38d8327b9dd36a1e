//! One event, one line, whatever is in it: what Compose says of a project that it refuses has many.

use std::io::{self, Write};

/// What stands for the end of a line within an event.
const JOINT: &str = " | ";

/// Standard error, for events.
pub(super) fn stderr() -> OneLine<io::Stderr> {
    OneLine(io::stderr())
}

/// Writes what it is given at once as one line: the log gives it an event at a time.
#[derive(Debug)]
pub(super) struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let lines: Vec<&str> =
            text.trim_end().lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.len() > 1 {
            self.0.write_all(format!("{}\n", lines.join(JOINT)).as_bytes())?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event: &str) -> String {
        let mut line = OneLine(Vec::new());
        line.write_all(event.as_bytes()).unwrap();
        String::from_utf8(line.0).unwrap()
    }

    #[test]
    fn an_event_of_many_lines_is_one() {
        let event =
            "WARN refused: validating compose.yaml:\n\n  services.api must be a mapping\r\n reason=x\n";
        let expected = "WARN refused: validating compose.yaml: | services.api must be a mapping | reason=x\n";
        assert_eq!(written(event), expected);
    }

    #[test]
    fn an_event_of_one_line_is_left_as_it_is() {
        for event in ["INFO  started\n", "  an indent, and a space at the end \n", ""] {
            assert_eq!(written(event), event);
        }
    }
}
