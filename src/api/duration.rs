//! Durations as people write them: `500ms`, `5s`, `2m`, `1h30m`, `2d`.
//!
//! By hand, because libraries such as humantime also take months, years and spaces, which the manifest does not have.

use std::{
    borrow::Cow,
    fmt::{self, Write},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span of time, written as one or more numbers with a unit each: `ms`, `s`, `m`, `h`, `d` (24 h).
///
/// Units stand in falling order and at most once each: `1h30m` is one and a half hours, `30m1h` is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(std::time::Duration);

/// The longest duration that is accepted: one year. Longer ones are typing errors, and would overflow dates.
const LONGEST_MS: u64 = 366 * DAY_MS;

const DAY_MS: u64 = 24 * 3_600_000;

/// The units, falling, with their milliseconds.
const UNITS: [(&str, u64); 5] = [("d", DAY_MS), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// What a person wrote is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a duration: write it as 500ms, 5s, 2m, 1h30m or 2d, at most one year")]
pub struct ParseDurationError;

impl Duration {
    /// `n` milliseconds.
    #[must_use]
    pub const fn from_millis(n: u64) -> Self {
        Self(std::time::Duration::from_millis(n))
    }

    /// `n` seconds.
    #[must_use]
    pub const fn from_secs(n: u64) -> Self {
        Self(std::time::Duration::from_secs(n))
    }

    /// Whether it is no time at all.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// The standard library's duration.
    #[must_use]
    pub const fn get(self) -> std::time::Duration {
        self.0
    }

    /// The same as a difference of two times.
    #[must_use]
    pub fn delta(self) -> chrono::TimeDelta {
        // The parser's limit of one year is far below the limit of `TimeDelta`.
        chrono::TimeDelta::from_std(self.0).unwrap_or(chrono::TimeDelta::MAX)
    }
}

impl FromStr for Duration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rest = text;
        let mut total: u64 = 0;
        let mut units = UNITS.iter();
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest[..digits].parse().map_err(|_| ParseDurationError)?;
            rest = &rest[digits..];
            let letters = rest.bytes().take_while(u8::is_ascii_lowercase).count();
            let (unit, after) = rest.split_at(letters);
            let (_, ms) = units.by_ref().find(|(name, _)| *name == unit).ok_or(ParseDurationError)?;
            let part = number.checked_mul(*ms).ok_or(ParseDurationError)?;
            total = total.checked_add(part).filter(|t| *t <= LONGEST_MS).ok_or(ParseDurationError)?;
            rest = after;
        }
        if text.is_empty() { Err(ParseDurationError) } else { Ok(Self::from_millis(total)) }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.pad("0s");
        }
        let mut text = String::new();
        // Not in days: the digest of a spec is made over this text, and `48h` was written so before there were days.
        for (name, ms) in &UNITS[1..] {
            if rest >= *ms {
                write!(text, "{}{name}", rest / ms)?;
                rest %= ms;
            }
        }
        f.pad(&text)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, ms) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1d1h", 90_000_000),
            ("0s", 0),
        ] {
            assert_eq!(text.parse(), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    /// A digest is made over it: see [`Display`](fmt::Display).
    #[test]
    fn days_are_printed_as_hours() {
        assert_eq!("2d".parse::<Duration>().unwrap().to_string(), "48h");
    }

    #[test]
    fn refuses_what_is_not_a_duration() {
        for text in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "1.5h",
            "30m1h",
            "5s5s",
            "5w",
            "1h1d",
            "367d",
            "99999999999999999999s",
            "9000h9000h",
            "8785h",
            "٣s",
        ] {
            assert_eq!(text.parse::<Duration>(), Err(ParseDurationError), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn prints_what_it_reads(ms in 0..=LONGEST_MS) {
            let duration = Duration::from_millis(ms);
            proptest::prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn never_panics(text in "\\PC{0,12}") {
            let _ = text.parse::<Duration>();
        }
    }
}
