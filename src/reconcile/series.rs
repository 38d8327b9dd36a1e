//! The looks of a stability window, and which services they are to prove.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    api::ProjectObservation,
    decide::{Diagnosis, LEAST_LOOKS, Proof, judge},
};

/// The looks within one window, besides the first. More would only load the host.
const LOOKS_PER_WINDOW: u32 = 6;

/// A service on the way to its proof.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) service: String,
    /// When the look that first saw it as declared had ended.
    since: Instant,
    first_look: usize,
    /// Whether the looks are taken for its sake. Otherwise it became as declared meanwhile, and its window goes on when
    /// that of the others is over.
    is_awaited: bool,
    /// Whether it was awaited, and was not as declared in the last look.
    fell: bool,
}

/// Looks one after the other, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    looks: Vec<(ProjectObservation, Vec<Diagnosis>)>,
    candidates: Vec<Candidate>,
    /// When the last look began.
    looked: Option<Instant>,
}

impl Series {
    /// The series that an earlier turn has left, where a look that began then may be its next one: no gap between two looks
    /// is longer than half of the window.
    pub(super) fn go_on(begun: Option<Self>, looked: Instant, window: Duration) -> Self {
        let is_close = |series: &Self| series.looked.is_some_and(|last| looked - last <= window / 2);
        begun.filter(is_close).unwrap_or_default()
    }

    /// Adds a look that began then. Who is not as declared in it is no candidate any more.
    pub(super) fn add(&mut self, look: (ProjectObservation, Vec<Diagnosis>), looked: Instant) {
        for candidate in &mut self.candidates {
            candidate.fell = !look.1.iter().any(|d| d.service == candidate.service && d.as_declared());
        }
        self.candidates.retain(|candidate| candidate.is_awaited || !candidate.fell);
        self.looks.push(look);
        self.looked = Some(looked);
    }

    /// Has these services, as declared in the last look, proven too. Returns those whose window begins now.
    pub(super) fn join(&mut self, services: &[String], is_awaited: bool) -> Vec<String> {
        let (since, first_look) = (Instant::now(), self.looks.len() - 1);
        let mut new = Vec::new();
        for service in services {
            if let Some(known) = self.candidates.iter_mut().find(|c| c.service == *service) {
                known.is_awaited |= is_awaited;
                continue;
            }
            new.push(service.clone());
            let service = service.clone();
            self.candidates.push(Candidate { service, since, first_look, is_awaited, fell: false });
        }
        new
    }

    /// For how long, up to the beginning of the last look, the service was seen as declared.
    pub(super) fn held(&self, candidate: &Candidate) -> Duration {
        self.looked.map_or(Duration::ZERO, |looked| looked.saturating_duration_since(candidate.since))
    }

    pub(super) fn looks_of(&self, candidate: &Candidate) -> usize {
        self.looks.len() - candidate.first_look
    }

    fn is_through(&self, candidate: &Candidate, window: Duration) -> bool {
        self.held(candidate) >= window && self.looks_of(candidate) >= LEAST_LOOKS
    }

    /// Whether no further look is needed: all that are awaited are through, or one of them is not as declared.
    pub(super) fn is_over(&self, window: Duration) -> bool {
        let mut awaited = self.candidates.iter().filter(|candidate| candidate.is_awaited);
        self.candidates.iter().any(|c| c.fell) || awaited.all(|c| self.is_through(c, window))
    }

    /// How long to wait before the next look: a part of the window, and no longer than until the next one may be through.
    pub(super) fn pause(&self, window: Duration) -> Duration {
        let left =
            self.candidates.iter().filter(|c| c.is_awaited).map(|c| window.saturating_sub(c.since.elapsed()));
        left.filter(|left| !left.is_zero()).min().unwrap_or_default().min(window / LOOKS_PER_WINDOW)
    }

    /// Those of whom something can be said: whose window is whole, or who fell.
    pub(super) fn verdicts(&self, window: Duration) -> impl Iterator<Item = (&Candidate, Proof)> {
        let told = self.candidates.iter().filter(move |c| c.fell || self.is_through(c, window));
        told.map(|c| (c, judge(&c.service, &self.looks[c.first_look..])))
    }

    /// What is left once these verdicts are given: who joined meanwhile and is not through yet.
    pub(super) fn rest(mut self, window: Duration) -> Option<Self> {
        let candidates = std::mem::take(&mut self.candidates).into_iter();
        let mut left: Vec<Candidate> =
            candidates.filter(|c| !c.is_awaited && !self.is_through(c, window)).collect();
        let first = left.iter().map(|candidate| candidate.first_look).min()?;
        left.iter_mut().for_each(|candidate| candidate.first_look -= first);
        self.looks.drain(..first);
        self.candidates = left;
        Some(self)
    }
}
