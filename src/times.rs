//! Times and spans in the words that a person reads: on a screen, and in a sentence.

use chrono::TimeDelta;

use crate::{
    api::{AuditRecord, Time},
    plain::clean,
};

/// A time for a person: UTC, whole seconds.
pub(crate) fn moment(time: Time) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A time of the trail for a person; unchanged if it cannot be parsed.
pub(crate) fn moment_of(record: &AuditRecord) -> String {
    record.time.parse().map_or_else(|_| clean(&record.time).into_owned(), moment)
}

/// How long ago, in its largest unit: `5s`, `3m`, `2h`, `40d`.
pub(crate) fn age(since: Time, now: Time) -> String {
    let seconds = (now - since).num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A span in its largest unit, as [`age`].
pub(crate) fn ago(span: TimeDelta) -> String {
    age(Time::UNIX_EPOCH, Time::UNIX_EPOCH + span)
}

/// How long something took: `0.4s`, `2m05s`, `3h07m`. A duration is never negative.
pub(crate) fn span(span: TimeDelta) -> String {
    let ms = span.num_milliseconds().max(0);
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds}.{}s", ms % 1000 / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Two times taken at almost the same moment may be in either order.
const ALMOST_THE_SAME: TimeDelta = TimeDelta::seconds(1);

/// The time from one moment to a later one; `None` if that one is earlier by the clock: then it is unknown.
pub(crate) fn elapsed(from: Time, to: Time) -> Option<TimeDelta> {
    let passed = to - from;
    (passed >= -ALMOST_THE_SAME).then(|| passed.max(TimeDelta::zero()))
}

/// Replaces a duration that is unknown.
pub(crate) const CLOCK_SET_BACK: &str = "clock set back";

/// As [`elapsed`], in words.
pub(crate) fn between(from: Time, to: Time) -> String {
    elapsed(from, to).map_or_else(|| CLOCK_SET_BACK.into(), span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Time {
        "2026-03-01T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn spans_and_ages_are_short() {
        for (ms, text) in [
            (0, "0.0s"),
            (430, "0.4s"),
            (59_999, "59.9s"),
            (125_000, "2m05s"),
            (11_220_000, "3h07m"),
            (-430, "0.0s"),
        ] {
            assert_eq!(span(TimeDelta::milliseconds(ms)), text);
        }
        let later = |ms| between(now(), now() + TimeDelta::milliseconds(ms));
        assert_eq!(
            (later(430).as_str(), later(-430).as_str(), later(-7_200_000).as_str()),
            ("0.4s", "0.0s", "clock set back")
        );
        for (seconds, text) in [(-5, "0s"), (59, "59s"), (60, "1m"), (7_199, "1h"), (200_000, "2d")] {
            assert_eq!(age(now() - TimeDelta::seconds(seconds), now()), text);
        }
    }
}
