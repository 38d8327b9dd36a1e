//! Shared parts of the verbs that read the recorded state.

use std::io::{self, Write};

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::Value;

use super::{
    safe,
    style::{Style, clean},
};
use crate::{
    api::{AuditKind, AuditRecord, Duration, GitState, RecordReader, Time, VerifiedBy},
    store::StoreError,
};

/// How to print an answer.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// As JSON, or for a person.
    pub json: bool,
    /// For a person: with colours or without.
    pub style: Style,
    /// Now, for ages.
    pub now: Time,
}

/// Why a verb has no answer. Each is exit code 2.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerbError {
    /// The state cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing with this name was ever recorded.
    #[error("no object {name} is recorded{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    NoSuchObject {
        /// The name.
        name: String,
        /// The most similar recorded one.
        nearest: Option<String>,
    },
    /// No incident has this ID, or this prefix.
    #[error("no incident {0} is recorded: see `undrift incident list`")]
    NoSuchIncident(String),
    /// The answer cannot be printed.
    #[error("cannot print the answer")]
    Write(#[from] io::Error),
}

/// The given text is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time: write how long ago, as in 30m or 2h, or a date and time such as 2026-01-31T12:00:00Z")]
pub struct ParseWhenError;

/// A point in time as a person writes it: how long before `now` (`2h`), or RFC 3339.
///
/// # Errors
/// [`ParseWhenError`] if it is neither.
pub fn parse_when(text: &str, now: Time) -> Result<Time, ParseWhenError> {
    if let Ok(ago) = text.parse::<Duration>() {
        return Ok(now - ago.delta());
    }
    text.parse::<Time>().map_err(|_| ParseWhenError)
}

/// Prints one JSON document, indented, with a line end.
pub(super) fn print_json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), VerbError> {
    Ok(write_json(out, value)?)
}

/// The same if nothing else can fail.
pub(super) fn write_json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    safe::document(out, value)
}

/// The error for a name without a record, with the nearest recorded one.
pub(super) fn no_such_object<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> VerbError {
    let nearest = known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        // A name further away than this was not meant.
        .filter(|(distance, _)| *distance <= 1 + name.len() / 3)
        .min()
        .map(|(_, known)| known.to_owned());
    VerbError::NoSuchObject { name: name.to_owned(), nearest }
}

/// A time for a person: UTC, whole seconds.
pub(super) fn moment(time: Time) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A time of the trail for a person; unchanged if it cannot be parsed.
pub(super) fn moment_of(record: &AuditRecord) -> String {
    record.time.parse().map_or_else(|_| clean(&record.time).into_owned(), moment)
}

/// How long ago, in its largest unit: `5s`, `3m`, `2h`, `40d`.
pub(super) fn age(since: Time, now: Time) -> String {
    let seconds = (now - since).num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long something took: `0.4s`, `2m05s`, `3h07m`. A duration is never negative.
pub(super) fn span(span: TimeDelta) -> String {
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
pub(super) fn elapsed(from: Time, to: Time) -> Option<TimeDelta> {
    let passed = to - from;
    (passed >= -ALMOST_THE_SAME).then(|| passed.max(TimeDelta::zero()))
}

/// Replaces a duration that is unknown.
pub(super) const CLOCK_SET_BACK: &str = "clock set back";

/// The same in words.
pub(super) fn between(from: Time, to: Time) -> String {
    elapsed(from, to).map_or_else(|| CLOCK_SET_BACK.into(), span)
}

/// The service or services that a record is about.
pub(super) fn services_of(record: &AuditRecord) -> String {
    if let Some(service) = &record.service {
        return service.clone();
    }
    RecordReader::new(record).services().unwrap_or_default().join(", ")
}

/// The git states of the source in the records, each once for as long as it lasted: `1a2b3c4d5e6f, with changes that are not
/// committed → 6f5e4d3c2b1a`; `None` if no record has one.
pub(super) fn git_of(records: &[AuditRecord]) -> Option<String> {
    let mut work_trees: Vec<String> =
        records.iter().filter_map(|record| RecordReader::new(record).git()).map(in_words).collect();
    work_trees.dedup();
    (!work_trees.is_empty()).then(|| work_trees.join(" → "))
}

fn in_words(GitState { revision, dirty }: GitState) -> String {
    let revision = revision.as_deref().map(|revision| revision.get(..12).unwrap_or(revision));
    let changes = if dirty { ", with changes that are not committed" } else { "" };
    format!("{}{changes}", revision.unwrap_or("before the first commit"))
}

/// The evidence of a record in a few words: how a command ended, otherwise its `layer`, `reason` and `message`, otherwise
/// the beginning of the evidence itself.
pub(super) fn summary(record: &AuditRecord) -> String {
    let read = RecordReader::new(record);
    if let Some((ms, code)) = read.command_end() {
        let took = span(TimeDelta::milliseconds(ms));
        return code.map_or_else(|| format!("after {took}"), |code| format!("exit {code} after {took}"));
    }
    if let Some(by) = read.verified_by() {
        return verification(by);
    }
    if let Some((by, steps)) = read.healed_by() {
        return format!("healed by {by} in {}", crate::manifest::count(steps, "step"));
    }
    let words: Vec<String> = [read.layer(), read.reason()].into_iter().flatten().collect();
    match (read.message(), words.is_empty()) {
        (None, _) if record.kind == AuditKind::StepIntended.as_str() => {
            let attempt = read.attempt().map(|attempt| format!("attempt {attempt}: "));
            cut(&format!("{}{}", attempt.unwrap_or_default(), words.join(" ")))
        }
        (Some(message), true) => message,
        (Some(message), false) => format!("{}: {message}", words.join(" ")),
        (None, false) => words.join(" "),
        (None, true) => shortened(&read.rest()),
    }
}

/// The basis of a `Verified` record.
fn verification(by: VerifiedBy) -> String {
    let held = span(TimeDelta::milliseconds(by.held_ms));
    let how = if by.changed_by_repair { "started anew by the repair" } else { "running as before" };
    format!("as declared in {} looks over {held}, {how}", by.looks)
}

fn shortened(evidence: &Value) -> String {
    match evidence {
        Value::Null => String::new(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        evidence => cut(&evidence.to_string()),
    }
}

/// Enough to recognise it; `-o json` prints it whole.
fn cut(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => {
            // Between two words, if one ends nearby.
            let whole = text[..end].rfind(' ').filter(|space| end - space < LONGEST / 4);
            whole.map_or_else(|| format!("{}…", &text[..end]), |space| format!("{} …", &text[..space]))
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Time {
        "2026-03-01T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_time_is_given_as_an_age_or_in_full() {
        let at = |text: &str| text.parse::<Time>().unwrap();
        assert_eq!(parse_when("2h", now()), Ok(at("2026-03-01T08:00:00Z")));
        assert_eq!(parse_when("2026-02-28T12:00:00+02:00", now()), Ok(at("2026-02-28T10:00:00Z")));
        for text in ["", "yesterday", "-2h", "2026-02-30T00:00:00Z", "2", "9999999h"] {
            assert_eq!(parse_when(text, now()), Err(ParseWhenError), "{text}");
        }
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

    #[test]
    fn a_long_text_is_cut_between_two_words_where_one_ends_near() {
        assert_eq!(cut(&format!("{} no /app/x", "x".repeat(74))), format!("{} no …", "x".repeat(74)));
        assert_eq!(cut(&"x".repeat(90)), format!("{}…", "x".repeat(80)));
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn the_work_tree_is_told_once_for_as_long_as_it_is_the_same() {
        let record = |git: Value| {
            AuditRecord {
            evidence: serde_json::json!({ "git": git }),
            ..serde_json::from_str(
                r#"{"seq":1,"time":"","object":null,"service":null,"incident":null,"actor":"","kind":"","step":null,
                    "outcome":null,"evidence":null,"prevHash":"","hash":""}"#,
            )
            .unwrap()
        }
        };
        let at = |revision: &str, dirty| record(serde_json::json!({ "revision": revision, "dirty": dirty }));
        let (first, second) = ("1a2b3c4d5e6f7a8b", "6f5e4d3c2b1a0f9e");
        assert_eq!(git_of(&[]), None);
        assert_eq!(git_of(&[record(Value::Null)]), None);
        let none = record(serde_json::json!({ "revision": null, "dirty": false }));
        assert_eq!(git_of(&[none]).as_deref(), Some("before the first commit"));
        let records = [at(first, true), record(Value::Null), at(first, true), at(second, false)];
        let work_trees = "1a2b3c4d5e6f, with changes that are not committed → 6f5e4d3c2b1a";
        assert_eq!(git_of(&records).as_deref(), Some(work_trees));
    }

    #[test]
    fn the_nearest_name_is_offered_where_one_is_near() {
        let known = ["ai-backoffice", "shop"];
        let text = |name| no_such_object(name, known.into_iter()).to_string();
        assert_eq!(text("ai-backofice"), "no object ai-backofice is recorded; did you mean ai-backoffice?");
        assert_eq!(text("bank"), "no object bank is recorded");
    }
}
