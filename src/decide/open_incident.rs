//! The open incident: its steps and verifications, from its events.

use std::collections::BTreeMap;

use crate::api::{EndedStep, Event, ObjectStatus, RecordedEvent, Step, StepOutcome, Time};

/// An open incident, reduced to what decisions need.
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
    /// The verifications in it.
    pub verified: Vec<Verified>,
}

/// A verified service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The service.
    pub service: String,
    /// When.
    pub at: Time,
    /// The image that its reference names, which is the one that its containers run.
    pub image: String,
}

/// A step that ended.
#[derive(Debug, Clone, PartialEq)]
pub struct DoneStep {
    /// The step.
    pub step: Step,
    /// Its services.
    pub services: Vec<String>,
    /// When it ended.
    pub at: Time,
    /// The outcome of its command. A success verifies nothing.
    pub outcome: StepOutcome,
}

impl DoneStep {
    /// The step of these intents that ended so; `None` if it never began, because then nothing follows from it: neither a wait
    /// nor a rollback.
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

    fn has_built(&self) -> bool {
        matches!(self.step, Step::Build { .. }) && self.outcome == StepOutcome::Succeeded
    }

    /// Whether its command ran to its own end. An interrupted one proves nothing against its result: a new container may
    /// never have been started.
    pub(super) const fn has_ended_by_itself(&self) -> bool {
        matches!(self.outcome, StepOutcome::Succeeded | StepOutcome::Failed | StepOutcome::TimedOut)
    }
}

impl OpenIncident {
    /// Folds the events of the open occurrence, oldest first.
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

    /// Whether a step that replaces or starts containers of the service ended well. A build alone changes none of them: somebody
    /// else may have brought its image up.
    #[must_use]
    pub fn has_brought_up(&self, service: &str) -> bool {
        let mut succeeded = self.of(service).filter(|done| done.outcome == StepOutcome::Succeeded);
        succeeded.any(|done| !matches!(done.step, Step::Build { .. } | Step::Reload))
    }

    /// Whether a reload of the service ended well. It replaces and starts no container, and repairs all the same.
    #[must_use]
    pub fn has_reloaded(&self, service: &str) -> bool {
        let mut succeeded = self.of(service).filter(|done| done.outcome == StepOutcome::Succeeded);
        succeeded.any(|done| done.step == Step::Reload)
    }

    /// How many steps ran to their own end: an interrupted one was begun, and nobody knows what came of it.
    #[must_use]
    pub fn completed_steps(&self) -> usize {
        self.steps.iter().filter(|done| done.has_ended_by_itself()).count()
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

    /// Whether an image of the service was built, and not brought up yet.
    #[must_use]
    pub fn has_built_since_up(&self, service: &str) -> bool {
        self.builds_since_up(service) > 0
    }

    /// How many images of the service were built since it was last brought up.
    #[must_use]
    pub fn builds_since_up(&self, service: &str) -> usize {
        let steps = self.of(service).collect::<Vec<_>>();
        steps.iter().rev().take_while(|done| !done.is_up()).filter(|done| done.has_built()).count()
    }

    /// The last verification of the service, if that was at that time or later.
    #[must_use]
    pub fn verified_since(&self, service: &str, time: Time) -> Option<&Verified> {
        let mut verifications = self.verified.iter().rev();
        verifications.find(|verification| verification.service == service && verification.at >= time)
    }

    /// Whether the service was rolled back.
    #[must_use]
    pub fn is_rolled_back(&self, service: &str) -> bool {
        self.of(service).any(|done| done.step == Step::Rollback && done.outcome == StepOutcome::Succeeded)
    }

    /// Whether a rollback of the service began and did not succeed.
    #[must_use]
    pub fn is_half_rolled_back(&self, service: &str) -> bool {
        self.of(service)
            .filter(|done| done.step == Step::Rollback)
            .last()
            .is_some_and(|done| done.outcome != StepOutcome::Succeeded)
    }

    /// Whether the last rollback of the service ran to its own end without success. An interrupted one proves nothing about
    /// the image that it was to restore.
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
