//! The incident that is open: what was done and verified in it, from its events.

use std::collections::BTreeMap;

use crate::api::{EndedStep, Event, ObjectStatus, RecordedEvent, Step, StepOutcome, Time};

/// An incident that is open, as far as decisions need it.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenIncident {
    /// Its ID.
    pub id: String,
    /// When it opened.
    pub opened_at: Time,
    /// The evidence from before the first step.
    pub before: ObjectStatus,
    /// The steps so far that ended, oldest first.
    pub steps: Vec<DoneStep>,
    /// What was verified in it.
    pub verified: Vec<Verified>,
}

/// A service that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The service.
    pub service: String,
    /// When.
    pub at: Time,
    /// The image behind its reference, which is the one that its containers run.
    pub image: String,
}

/// A step that ended.
#[derive(Debug, Clone, PartialEq)]
pub struct DoneStep {
    /// The step.
    pub step: Step,
    /// For which services.
    pub services: Vec<String>,
    /// When it ended.
    pub at: Time,
    /// How its command did. A success verifies nothing.
    pub outcome: StepOutcome,
}

impl DoneStep {
    /// The step of these intents that ended so; `None` where it never began, for then nothing follows from it: neither a wait nor a
    /// rollback.
    #[must_use]
    pub fn of(ended: &EndedStep, intended: &BTreeMap<u64, Step>) -> Option<Self> {
        let step = ended.intent.and_then(|intent| intended.get(&intent)).copied();
        let EndedStep { kind, services, outcome, at, .. } = ended;
        let step = step.unwrap_or_else(|| kind.plain());
        let done = || Self { step, services: services.clone(), at: *at, outcome: *outcome };
        (*outcome != StepOutcome::NotBegun).then(done)
    }

    pub(super) const fn is_up(&self) -> bool {
        matches!(self.step, Step::Up { .. })
    }

    /// Whether its command came to an end of its own. One that was interrupted says nothing against what it was
    /// to make: a new container may never have been started.
    pub(super) const fn has_ended_by_itself(&self) -> bool {
        matches!(self.outcome, StepOutcome::Succeeded | StepOutcome::Failed | StepOutcome::TimedOut)
    }
}

impl OpenIncident {
    /// What the events of the occurrence that is open, oldest first, have come to.
    #[must_use]
    pub fn fold<'e>(
        id: String,
        opened_at: Time,
        before: ObjectStatus,
        events: impl IntoIterator<Item = &'e RecordedEvent>,
    ) -> Self {
        let mut incident = Self { id, opened_at, before, steps: Vec::new(), verified: Vec::new() };
        let mut intended = BTreeMap::new();
        for RecordedEvent { seq, time, event, .. } in events {
            match event {
                Event::StepIntended { step, .. } => drop(intended.insert(*seq, *step)),
                Event::StepEnded(ended) => incident.steps.extend(DoneStep::of(ended, &intended)),
                Event::Verified { service, image } => incident.verified.push(Verified {
                    service: service.clone(),
                    at: *time,
                    image: image.clone().unwrap_or_default(),
                }),
                _ => {}
            }
        }
        incident
    }

    /// Whether a step of a kind that `which` selects has been taken for the service.
    #[must_use]
    pub fn has_done(&self, service: &str, which: impl Fn(Step) -> bool) -> bool {
        self.of(service).any(|done| which(done.step))
    }

    /// When the last step for the service ended.
    #[must_use]
    pub fn last_step_at(&self, service: &str) -> Option<Time> {
        self.of(service).last().map(|done| done.at)
    }

    /// The last `Up` of the service.
    #[must_use]
    pub fn last_up(&self, service: &str) -> Option<&DoneStep> {
        self.of(service).filter(|done| done.is_up()).last()
    }

    /// How many times the service was brought up.
    #[must_use]
    pub fn ups(&self, service: &str) -> usize {
        self.of(service).filter(|done| done.is_up()).count()
    }

    /// Whether an image of the service was built, and nothing was made of it yet.
    #[must_use]
    pub fn has_built_since_up(&self, service: &str) -> bool {
        let built = |done: &&DoneStep| {
            matches!(done.step, Step::Build { .. }) && done.outcome == StepOutcome::Succeeded
        };
        let steps = self.of(service).collect::<Vec<_>>();
        steps.iter().rev().take_while(|done| !done.is_up()).any(built)
    }

    /// The image of the service's containers when it was verified last, if that was at that time or later.
    #[must_use]
    pub fn verified_since(&self, service: &str, time: Time) -> Option<&str> {
        let verifications = self
            .verified
            .iter()
            .rev()
            .filter(|verification| verification.service == service && verification.at >= time);
        verifications.map(|verification| verification.image.as_str()).next()
    }

    /// Whether the service was rolled back.
    #[must_use]
    pub fn is_rolled_back(&self, service: &str) -> bool {
        self.of(service).any(|done| done.step == Step::Rollback && done.outcome == StepOutcome::Succeeded)
    }

    /// Whether a rollback of the service was begun and did not succeed.
    #[must_use]
    pub fn is_half_rolled_back(&self, service: &str) -> bool {
        self.of(service)
            .filter(|done| done.step == Step::Rollback)
            .last()
            .is_some_and(|done| done.outcome != StepOutcome::Succeeded)
    }

    /// Whether the last rollback of the service came to an end of its own that was no success. One that was
    /// interrupted says nothing of the image that it was to put back.
    #[must_use]
    pub fn has_failed_to_roll_back(&self, service: &str) -> bool {
        self.of(service)
            .filter(|done| done.step == Step::Rollback)
            .last()
            .is_some_and(|done| done.has_ended_by_itself() && done.outcome != StepOutcome::Succeeded)
    }

    /// Whether the service was started as it is, and not brought up since.
    #[must_use]
    pub fn has_started_since_up(&self, service: &str) -> bool {
        let steps = self.of(service).collect::<Vec<_>>();
        steps.iter().rev().take_while(|done| !done.is_up()).any(|done| done.step == Step::Start)
    }

    fn of(&self, service: &str) -> impl Iterator<Item = &DoneStep> {
        self.steps.iter().filter(move |done| done.services.iter().any(|s| s == service))
    }
}
