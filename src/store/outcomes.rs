//! How a step ended: written at once, or kept in memory until that is possible.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
};

use super::{
    Store,
    attempts::update_attempt_in,
    error::{Result, StoreError},
    recent_steps::forget_recent_steps_in,
    steps::{listing, open_step},
};
use crate::api::{Attempt, AuditKind, NewRecord, StepOutcome};

/// How a step ended, with everything that follows from that.
#[derive(Debug, Clone)]
pub struct FinishedStep {
    /// The number of its `StepIntended` record.
    pub intent: u64,
    /// Becomes its `StepFinished`.
    pub record: NewRecord,
    /// A further record of its end.
    pub more: Option<NewRecord>,
    /// Its attempts. One that was forgotten meanwhile stays so.
    pub rows: Vec<Attempt>,
}

impl Store {
    /// Writes how an intended step ended, and closes it; returns the number of the record.
    ///
    /// The record becomes a `StepFinished`. Object, incident and step default to the intent's, and its evidence gets
    /// `intent`, the intent's number, and the intent's `services`.
    ///
    /// # Errors
    /// As [`finish_with`](Self::finish_with).
    pub fn finish(&self, intent: u64, record: &NewRecord) -> Result<u64> {
        self.finish_with(FinishedStep { intent, record: record.clone(), more: None, rows: Vec::new() })
    }

    /// The same, with what follows from it, in one transaction. If it cannot be written, because the disk is full, it is
    /// kept in memory until the step is to be closed: the step was not interrupted.
    ///
    /// # Errors
    /// [`StoreError::NoSuchIntent`] if the step is not open, and as [`append`](Self::append).
    pub fn finish_with(&self, outcome: FinishedStep) -> Result<u64> {
        let written = self.write_outcome(&outcome);
        if !matches!(written, Ok(_) | Err(StoreError::NoSuchIntent(_))) {
            self.kept().insert(outcome.intent, outcome);
        }
        written
    }

    /// Writes the outcomes that could not be written before.
    ///
    /// # Errors
    /// As [`append`](Self::append). An outcome that still cannot be written is still kept.
    pub fn write_kept(&self) -> Result<()> {
        let intents: Vec<u64> = self.kept().keys().copied().collect();
        intents.into_iter().try_for_each(|intent| self.write_kept_of(intent).map(drop))
    }

    /// Writes the outcome of this step if it could not be written before; returns whether that was so.
    pub(super) fn write_kept_of(&self, intent: u64) -> Result<bool> {
        let Some(outcome) = self.kept().remove(&intent) else { return Ok(false) };
        self.finish_with(outcome)?;
        tracing::info!(intent, "the outcome that could not be recorded before is recorded");
        Ok(true)
    }

    fn write_outcome(&self, outcome: &FinishedStep) -> Result<u64> {
        let FinishedStep { intent, record, more, rows } = outcome;
        self.write("record the outcome of a step", |change| {
            let open = open_step(change, *intent)?.ok_or(StoreError::NoSuchIntent(*intent))?;
            rows.iter().try_for_each(|row| update_attempt_in(change, row))?;
            if record.outcome.as_deref() == Some(StepOutcome::NotBegun.as_str()) {
                forget_recent_steps_in(change, *intent)?;
            }
            let record = listing(record.clone(), "attempts", rows);
            let seq = self.close_in(change, &open, AuditKind::StepFinished, record)?;
            more.iter().try_for_each(|more| self.append_in(change, more).map(drop))?;
            Ok(seq)
        })
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<u64, FinishedStep>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::Step,
        store::{NewIntent, RecordFilter, testing},
    };

    fn services() -> Vec<String> {
        vec!["api".into()]
    }

    fn attempt(pending: Option<Step>) -> Attempt {
        Attempt { pending, ..testing::attempt(1) }
    }

    const STEP: Step = Step::Build { no_cache: false };

    fn try_to_intend(store: &Store) -> Result<u64> {
        let record = NewRecord { object: Some("shop".into()), ..NewRecord::of(AuditKind::StepIntended) };
        store.intend_with(NewIntent {
            record: &record,
            step: STEP,
            services: &services(),
            begun: &[attempt(Some(STEP))],
            recent: &[],
            before: None,
        })
    }

    fn intend(store: &Store) -> u64 {
        try_to_intend(store).unwrap()
    }

    fn failed(intent: u64) -> FinishedStep {
        let record = NewRecord { outcome: Some("Failed".into()), ..NewRecord::of(AuditKind::StepFinished) };
        FinishedStep { intent, record, more: None, rows: vec![attempt(None)] }
    }

    fn recorded(store: &Store) -> Vec<(String, Option<String>)> {
        let records = store.records(&RecordFilter::default()).unwrap().into_iter();
        records.map(|record| (record.kind, record.outcome)).collect()
    }

    #[test]
    fn a_step_ends_once() {
        let (_home, store) = testing::store();
        let outcome = NewRecord::of(AuditKind::StepFinished);
        assert!(matches!(store.finish(1, &outcome), Err(StoreError::NoSuchIntent(1))));
        let intent = intend(&store);
        store.finish(intent, &outcome).unwrap();
        assert!(matches!(store.finish(intent, &outcome), Err(StoreError::NoSuchIntent(_))));
        store.write_kept().unwrap();
        assert_eq!(recorded(&store).len(), 2);
    }

    #[test]
    fn an_intent_and_its_attempts_are_written_together_and_so_is_their_end() {
        let (home, store) = testing::store();
        let other = testing::raw(home.path());
        let full = |when: &str| {
            let full = format!(
                "CREATE TRIGGER full BEFORE {when} ON attempts BEGIN SELECT RAISE(FAIL, 'full'); END"
            );
            other.execute_batch(&full).unwrap();
        };
        full("INSERT");
        try_to_intend(&store).unwrap_err();
        assert_eq!((recorded(&store), store.open_intents().unwrap()), (vec![], vec![]));
        other.execute_batch("DROP TRIGGER full").unwrap();

        intend(&store);
        full("UPDATE");
        store.close_interrupted().unwrap_err();
        assert_eq!((recorded(&store).len(), store.open_intents().unwrap().len()), (1, 1));
        assert_eq!(store.attempts("shop").unwrap(), [attempt(Some(STEP))]);
        other.execute_batch("DROP TRIGGER full").unwrap();
        assert_eq!(store.close_interrupted().unwrap().len(), 1);
        assert_eq!(store.attempts("shop").unwrap(), [attempt(None)]);
    }

    #[test]
    fn an_outcome_that_cannot_be_written_is_kept_and_its_step_is_not_called_interrupted() {
        let (home, store) = testing::store();
        let other = testing::raw(home.path());
        other
            .execute_batch(
                "CREATE TRIGGER full BEFORE INSERT ON trail WHEN NEW.kind = 'StepFinished'
                 BEGIN SELECT RAISE(FAIL, 'the disk is full'); END",
            )
            .unwrap();
        let intent = intend(&store);
        store.finish_with(failed(intent)).unwrap_err();
        assert_eq!(store.attempts("shop").unwrap(), [attempt(Some(STEP))], "all of it or nothing");
        store.close_interrupted_of("shop").unwrap_err();
        store.write_kept().unwrap_err();
        other.execute_batch("DROP TRIGGER full").unwrap();
        assert_eq!(store.close_interrupted_of("shop").unwrap(), []);
        let last = recorded(&store).pop().unwrap();
        assert_eq!(last, ("StepFinished".into(), Some("Failed".into())));
        assert_eq!(store.attempts("shop").unwrap(), [attempt(None)]);
        store.write_kept().unwrap();
        assert_eq!(recorded(&store).len(), 2, "once");
    }
}
