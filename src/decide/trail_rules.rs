//! undrift's own rules for an intact trail: they find a record that was written, and should never have been.
//!
//! A chain of hashes shows that nobody altered the records. It does not show that undrift acted correctly. These rules hold for
//! every record that an undrift writes, whatever the manifest is:
//!
//! | rule | a record breaks it that |
//! | --- | --- |
//! | an intent has one outcome | ends a step that was not intended, or was ended before |
//! | one step at a time | intends a step of an object while another one is open |
//! | a suspension holds | intends a step more than two seconds after the object was suspended |
//! | a step has its incident | intends a step outside an incident, or in a closed one |
//! | reconciled is verified | ends an incident as reconciled, while a service that drifted in it was not verified since |
//!
//! A record that cannot be parsed is a breach, too: see [`EventError`]. The length of the stability window and the budget are
//! in the spec, which the trail does not hold: see [`beyond`].

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::api::{AuditKind, AuditRecord, Event, EventError, RecordReader, RecordedEvent, Step, Time};

/// How long after a person's instruction a step that was already decided may still begin: both are written at the same moment,
/// and neither waits for the other.
const NOTICE: TimeDelta = TimeDelta::seconds(2);

/// A record that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Breach {
    /// The record's number.
    pub seq: u64,
    /// The broken rule, in words.
    pub problem: String,
}

/// The records of an intact trail, oldest first, that break a rule.
pub fn breaches<'r>(records: impl IntoIterator<Item = &'r AuditRecord>) -> Vec<Breach> {
    let mut rules = RuleCheck::default();
    records.into_iter().for_each(|record| rules.take(record));
    rules.into_breaches()
}

/// The same for a trail that does not fit into memory.
#[derive(Debug, Default)]
pub struct RuleCheck {
    objects: BTreeMap<String, ObjectTrail>,
    found: Vec<Breach>,
}

impl RuleCheck {
    /// Takes the next record.
    pub fn take(&mut self, record: &AuditRecord) {
        let problem = match RecordedEvent::try_from(record) {
            Err(EventError { what, .. }) => Some(what),
            Ok(recorded) => record.object.as_ref().and_then(|object| {
                self.objects.entry(object.clone()).or_default().take(recorded, record.incident.as_deref())
            }),
        };
        self.found.extend(problem.map(|problem| Breach { seq: record.seq, problem }));
    }

    /// The records that broke a rule.
    #[must_use]
    pub fn into_breaches(self) -> Vec<Breach> {
        self.found
    }
}

/// The limits of a spec that a record may exceed.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The length of the stability window, in milliseconds.
    pub stable_for_ms: i64,
    /// How many attempts one drift of one service gets.
    pub attempts: u64,
}

/// The records that exceed the limits of the spec. The trail holds the digest of a spec and not the spec, so only a caller that
/// knows which one was in effect can check this.
pub fn beyond<'r>(records: impl IntoIterator<Item = &'r AuditRecord>, limits: Limits) -> Vec<Breach> {
    let found = records.into_iter().filter_map(|record| {
        Some(Breach { seq: record.seq, problem: beyond_limits(RecordReader::new(record), limits)? })
    });
    found.collect()
}

fn beyond_limits(read: RecordReader<'_>, limits: Limits) -> Option<String> {
    match read.kind().ok()? {
        AuditKind::Verified => {
            let held_ms = read.verified_by().map_or(0, |by| by.held_ms);
            let whole = limits.stable_for_ms;
            (held_ms < whole).then(|| format!("it verifies after {held_ms} ms of a window of {whole} ms"))
        }
        // A start of what is down and a rollback are no attempts at the drift.
        AuditKind::StepIntended if !matches!(read.step(), Ok(Step::Start | Step::Rollback)) => {
            let (attempt, most) = (read.attempt()?, limits.attempts);
            (attempt > most).then(|| format!("it begins attempt {attempt} of {most}"))
        }
        _ => None,
    }
}

/// The state of one object after its records so far.
#[derive(Debug, Default)]
struct ObjectTrail {
    suspended_at: Option<Time>,
    /// The intents without an outcome.
    open_steps: BTreeSet<u64>,
    /// The open incident.
    incident: Option<String>,
    /// Its services that drifted and were not verified since.
    unverified: BTreeSet<String>,
}

impl ObjectTrail {
    /// Takes the next record; returns the rule that it breaks, if any.
    fn take(&mut self, recorded: RecordedEvent, incident: Option<&str>) -> Option<String> {
        let RecordedEvent { seq, time, event, .. } = recorded;
        match event {
            Event::DriftDetected { service, .. } => {
                if self.incident.as_deref() != incident {
                    self.unverified.clear();
                }
                self.incident = incident.map(str::to_owned);
                self.unverified.insert(service);
                None
            }
            Event::StepIntended { .. } => {
                let problem = self.problem_of_step(time, incident);
                self.open_steps.insert(seq);
                problem
            }
            // The first versions did not name the intent.
            Event::StepEnded(ended) => match ended.intent {
                None => {
                    self.open_steps.clear();
                    None
                }
                Some(intent) if self.open_steps.remove(&intent) => None,
                Some(intent) => Some(format!("it ends the step of record {intent}, which is not open")),
            },
            Event::Verified { service, .. } => {
                self.unverified.remove(&service);
                None
            }
            Event::Reconciled { .. } => self.end(true),
            Event::Stalled { .. } => self.end(false),
            // If it is suspended again, it has been since the first time.
            Event::Suspended(_) => {
                self.suspended_at.get_or_insert(time);
                None
            }
            Event::Resumed(_) => {
                self.suspended_at = None;
                None
            }
            // A service may no longer be declared.
            Event::ManifestChanged(_) => {
                self.unverified.clear();
                None
            }
            _ => None,
        }
    }

    fn problem_of_step(&self, time: Time, incident: Option<&str>) -> Option<String> {
        if let Some(open) = self.open_steps.first() {
            return Some(format!("it intends a step while that of record {open} is open"));
        }
        if self.suspended_at.is_some_and(|at| time - at > NOTICE) {
            return Some("it intends a step of an object that is suspended".into());
        }
        match incident {
            None => Some("it intends a step outside an incident".into()),
            Some(id) if self.incident.as_deref() != Some(id) => {
                Some(format!("it intends a step in the incident {id}, which is not open"))
            }
            Some(_) => None,
        }
    }

    fn end(&mut self, reconciled: bool) -> Option<String> {
        self.incident = None;
        let left = std::mem::take(&mut self.unverified);
        let names: Vec<String> = left.into_iter().collect();
        (reconciled && !names.is_empty())
            .then(|| format!("it is reconciled, and was not verified since it drifted: {}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::fixtures::at;

    struct Trail(Vec<AuditRecord>);

    impl Trail {
        fn new() -> Self {
            Self(Vec::new())
        }

        /// A record of `shop`, ten seconds after the one before.
        fn add(mut self, kind: AuditKind, incident: Option<&str>, evidence: Value) -> Self {
            let seq = self.0.len() as u64 + 1;
            let is_step = matches!(
                kind,
                AuditKind::StepIntended | AuditKind::StepFinished | AuditKind::StepInterrupted
            );
            self.0.push(AuditRecord {
                seq,
                time: at(10 * i64::try_from(seq).unwrap()).to_rfc3339(),
                object: Some("shop".into()),
                service: evidence["service"].as_str().map(str::to_owned),
                incident: incident.map(str::to_owned),
                actor: String::new(),
                kind: kind.as_str().into(),
                step: is_step.then(|| "Up".into()),
                outcome: (kind == AuditKind::StepFinished).then(|| "Succeeded".into()),
                evidence,
                prev_hash: String::new(),
                hash: String::new(),
            });
            self
        }

        fn drift(self, incident: &str, service: &str) -> Self {
            let evidence =
                json!({ "service": service, "layer": "container", "reason": "NotRunning", "message": "" });
            self.add(AuditKind::DriftDetected, Some(incident), evidence)
        }

        fn intent(self, incident: Option<&str>) -> Self {
            self.add(AuditKind::StepIntended, incident, json!({ "services": ["api"] }))
        }

        fn ended(self, intent: u64) -> Self {
            let evidence = json!({ "services": ["api"], "intent": intent });
            self.add(AuditKind::StepFinished, Some("01"), evidence)
        }

        fn verified(self, service: &str) -> Self {
            self.add(AuditKind::Verified, Some("01"), json!({ "service": service, "image": null }))
        }

        fn of(self, kind: AuditKind) -> Self {
            self.add(kind, Some("01"), json!({ "reason": "x", "message": "y" }))
        }

        fn problems(&self) -> Vec<(u64, String)> {
            breaches(&self.0).into_iter().map(|breach| (breach.seq, breach.problem)).collect()
        }
    }

    fn healed() -> Trail {
        let repair = Trail::new().drift("01", "api").intent(Some("01")).ended(2).verified("api");
        repair.of(AuditKind::Reconciled)
    }

    #[test]
    fn a_trail_as_undrift_writes_it_breaks_no_rule() {
        let twice = healed().drift("01", "api").intent(Some("01")).ended(7).of(AuditKind::Stalled);
        let word = twice.of(AuditKind::Suspended).of(AuditKind::Resumed).drift("02", "api");
        let killed = word.intent(Some("02")).add(
            AuditKind::StepInterrupted,
            Some("02"),
            json!({ "services": ["api"], "intent": 13 }),
        );
        assert_eq!(killed.problems(), []);
        // A step may be open at the end: it is running.
        assert_eq!(killed.intent(Some("02")).problems(), []);
    }

    #[test]
    fn each_rule_finds_its_breach() {
        let begun = || Trail::new().drift("01", "api").intent(Some("01"));
        for (trail, seq, problem) in [
            (begun().ended(2).ended(2), 4, "it ends the step of record 2, which is not open"),
            (begun().ended(7), 3, "it ends the step of record 7, which is not open"),
            (begun().intent(Some("01")), 3, "it intends a step while that of record 2 is open"),
            (
                Trail::new().drift("01", "api").of(AuditKind::Suspended).intent(Some("01")),
                3,
                "it intends a step of an object that is suspended",
            ),
            (Trail::new().intent(None), 1, "it intends a step outside an incident"),
            (healed().intent(Some("01")), 6, "it intends a step in the incident 01, which is not open"),
            (
                begun().ended(2).of(AuditKind::Reconciled),
                4,
                "it is reconciled, and was not verified since it drifted: api",
            ),
            (
                begun().ended(2).verified("api").drift("01", "api").of(AuditKind::Reconciled),
                6,
                "it is reconciled, and was not verified since it drifted: api",
            ),
        ] {
            assert_eq!(trail.problems(), [(seq, problem.to_owned())]);
        }
        let mut damaged = healed();
        damaged.0[2].outcome = Some("Sideways".into());
        assert_eq!(damaged.problems()[0].0, 3);
    }

    #[test]
    fn a_verification_without_its_whole_window_and_an_attempt_too_many_are_beyond_the_spec() {
        let limits = Limits { stable_for_ms: 3_000, attempts: 3 };
        let verified = |held| json!({ "service": "api", "image": null, "looks": 2, "heldMs": held });
        let intent = |attempt, more: &str| json!({ "services": ["api"], "attempt": attempt, more: true });
        let trail = Trail::new()
            .add(AuditKind::Verified, Some("01"), verified(3_000))
            .add(AuditKind::Verified, Some("01"), verified(2_999))
            .add(AuditKind::StepIntended, Some("01"), intent(3, "forceRecreate"))
            .add(AuditKind::StepIntended, Some("01"), intent(4, "forceRecreate"))
            .add(AuditKind::StepIntended, Some("01"), intent(4, "noRecreate"));
        let found: Vec<u64> = beyond(&trail.0, limits).into_iter().map(|breach| breach.seq).collect();
        assert_eq!(found, [2, 4]);
    }
}
