//! The observations of a stability window, and which services they verify.

use std::time::Duration;

use tokio::time::Instant;

use super::{Diagnosis, Identity, LEAST_LOOKS, Weight, identities_of, weigh};
use crate::api::ProjectObservation;

/// The observations within one window, besides the first. More would only load the host.
const LOOKS_PER_WINDOW: u32 = 6;

/// The longest pause before the next observation: in a window of an hour another service may need a step.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A service on the way to its verification.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) service: String,
    /// When the observation ended that first found it as declared.
    since: Instant,
    /// Its containers then, and ever since.
    first: Vec<Identity>,
    /// When the last observation began that found it as declared.
    last: Instant,
    /// How many observations found it as declared, including the first.
    pub(crate) looks: usize,
    /// Whether the observations are made for it. Otherwise it became as declared meanwhile, and its window continues when
    /// that of the others is over.
    is_awaited: bool,
    /// Why it is not verified, if it was awaited and the last observation disproves it.
    failed: Option<String>,
}

/// The result of a series of observations for a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WindowVerdict<'a> {
    /// As declared over the whole window.
    Verified,
    /// Not, and why.
    Failed(&'a str),
}

/// Consecutive observations. Of each it keeps only what concerns the candidates: a window may last for days.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct StabilityWindow {
    candidates: Vec<Candidate>,
    /// When the last observation began.
    looked: Option<Instant>,
}

impl StabilityWindow {
    /// The window that an earlier reconcile left, if an observation that began then can continue it: no gap between two
    /// observations is longer than half of the window.
    pub(crate) fn resume(begun: Option<Self>, looked: Instant, window: Duration) -> Self {
        let is_close = |stability: &Self| stability.looked.is_some_and(|last| looked - last <= window / 2);
        begun.filter(is_close).unwrap_or_default()
    }

    /// The services whose window has begun.
    pub(crate) fn services(&self) -> Vec<String> {
        self.candidates.iter().map(|candidate| candidate.service.clone()).collect()
    }

    /// Adds an observation that began then. Drops each candidate that is not as declared in it, or has other containers, or
    /// could not be probed for longer than `tolerance` because of too many requests.
    pub(crate) fn add(
        &mut self,
        seen: &ProjectObservation,
        diagnoses: &[Diagnosis],
        looked: Instant,
        tolerance: Duration,
    ) {
        for candidate in &mut self.candidates {
            candidate.failed = match weigh(&candidate.service, &candidate.first, seen, diagnoses) {
                Weight::Supports => {
                    candidate.looks += 1;
                    candidate.last = looked.max(candidate.last);
                    None
                }
                Weight::Inconclusive(why) => {
                    (looked.saturating_duration_since(candidate.last) > tolerance).then_some(why)
                }
                Weight::Contradicts(why) => Some(why),
            };
        }
        self.candidates.retain(|candidate| candidate.is_awaited || candidate.failed.is_none());
        self.looked = Some(looked);
    }

    /// Adds these services, which are as declared in the last added observation that ended at `since`. Returns those whose window
    /// begins with it.
    pub(crate) fn join(
        &mut self,
        services: &[String],
        seen: &ProjectObservation,
        is_awaited: bool,
        since: Instant,
    ) -> Vec<String> {
        let mut new = Vec::new();
        for service in services {
            if let Some(known) = self.candidates.iter_mut().find(|c| c.service == *service) {
                known.is_awaited |= is_awaited;
                continue;
            }
            new.push(service.clone());
            let (service, first) = (service.clone(), identities_of(service, seen));
            let last = since;
            self.candidates.push(Candidate {
                service,
                since,
                first,
                last,
                looks: 1,
                is_awaited,
                failed: None,
            });
        }
        new
    }

    /// For how long, up to the start of the last matching observation, the service was as declared.
    pub(crate) fn held(candidate: &Candidate) -> Duration {
        candidate.last.saturating_duration_since(candidate.since)
    }

    fn is_complete(candidate: &Candidate, window: Duration) -> bool {
        Self::held(candidate) >= window && candidate.looks >= LEAST_LOOKS
    }

    /// Whether no further observation is needed: all awaited services are complete, or one of them failed.
    pub(crate) fn is_over(&self, window: Duration) -> bool {
        let mut awaited = self.candidates.iter().filter(|candidate| candidate.is_awaited);
        self.candidates.iter().any(|c| c.failed.is_some()) || awaited.all(|c| Self::is_complete(c, window))
    }

    /// How long to wait before the next observation: a part of the window, and no longer than until the next window may be
    /// complete.
    pub(crate) fn pause(&self, window: Duration, now: Instant) -> Duration {
        let awaited = self.candidates.iter().filter(|candidate| candidate.is_awaited);
        let left =
            awaited.map(|candidate| window.saturating_sub(now.saturating_duration_since(candidate.since)));
        let next = left.filter(|left| !left.is_zero()).min().unwrap_or_default();
        next.min(window / LOOKS_PER_WINDOW).min(LONGEST_PAUSE)
    }

    /// Those with a verdict: the window is complete, or the service failed.
    pub(crate) fn verdicts(&self, window: Duration) -> impl Iterator<Item = (&Candidate, WindowVerdict<'_>)> {
        self.candidates.iter().filter_map(move |candidate| match &candidate.failed {
            Some(why) => Some((candidate, WindowVerdict::Failed(why))),
            None => Self::is_complete(candidate, window).then_some((candidate, WindowVerdict::Verified)),
        })
    }

    /// What remains after these verdicts: services that joined meanwhile and are not complete yet.
    pub(crate) fn rest(mut self, window: Duration) -> Option<Self> {
        let candidates = std::mem::take(&mut self.candidates).into_iter();
        self.candidates = candidates.filter(|c| !c.is_awaited && !Self::is_complete(c, window)).collect();
        (!self.candidates.is_empty()).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::{self, History, Inputs},
        testing::fixtures::{at, container_mut, desired, healthy},
    };

    const WINDOW: Duration = Duration::from_secs(6);

    /// An observation with these services as declared and the others stopped.
    fn look(as_declared: &[&str]) -> (ProjectObservation, Vec<Diagnosis>) {
        let mut observed = healthy();
        for service in observed.services.iter_mut().filter(|s| !as_declared.contains(&s.name.as_str())) {
            container_mut(service).state = crate::api::ContainerState::Exited;
        }
        let (desired, history) = (desired(), History::default());
        let inputs =
            Inputs { desired: &desired, observed: &observed, history: &history, now: at(0), jitter_seed: 7 };
        let services = decide::decide(inputs).services;
        (observed, services)
    }

    async fn looks_after(stability: &mut StabilityWindow, wait: Duration, as_declared: &[&str]) {
        tokio::time::sleep(wait).await;
        add(stability, as_declared);
    }

    fn add(stability: &mut StabilityWindow, as_declared: &[&str]) {
        let (seen, diagnoses) = look(as_declared);
        stability.add(&seen, &diagnoses, Instant::now(), WINDOW);
    }

    fn join(stability: &mut StabilityWindow, services: &[&str], is_awaited: bool) -> Vec<String> {
        let services: Vec<String> = services.iter().map(|s| (*s).to_owned()).collect();
        stability.join(&services, &healthy(), is_awaited, Instant::now())
    }

    fn verified(stability: &StabilityWindow) -> Vec<&str> {
        let verdicts = stability.verdicts(WINDOW).filter(|(_, verdict)| *verdict == WindowVerdict::Verified);
        verdicts.map(|(candidate, _)| candidate.service.as_str()).collect()
    }

    fn begun(services: &[&str]) -> StabilityWindow {
        let mut stability = StabilityWindow::default();
        add(&mut stability, services);
        assert_eq!(join(&mut stability, services, true), services);
        stability
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_is_over_when_those_it_was_begun_for_are_through() {
        let mut stability = begun(&["api", "dashboard"]);
        for _ in 0..5 {
            assert!(!stability.is_over(WINDOW) && verified(&stability).is_empty());
            let pause = stability.pause(WINDOW, Instant::now());
            assert_eq!(pause, Duration::from_secs(1));
            looks_after(&mut stability, pause, &["api", "dashboard"]).await;
        }
        looks_after(&mut stability, Duration::from_secs(1), &["api", "dashboard"]).await;
        assert!(stability.is_over(WINDOW));
        assert_eq!(verified(&stability), ["api", "dashboard"]);
        assert!(stability.rest(WINDOW).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_joins_prolongs_nothing_and_goes_on_in_the_next_window() {
        let mut stability = begun(&["api"]);
        looks_after(&mut stability, Duration::from_secs(2), &["api", "dashboard"]).await;
        assert_eq!(join(&mut stability, &["api", "dashboard"], false), ["dashboard"]);
        looks_after(&mut stability, Duration::from_secs(2), &["api", "dashboard"]).await;
        looks_after(&mut stability, Duration::from_secs(2), &["api", "dashboard"]).await;
        assert!(stability.is_over(WINDOW), "after four seconds of the other one");
        assert_eq!(verified(&stability), ["api"]);

        let rest = stability.rest(WINDOW);
        let mut next = StabilityWindow::resume(rest, Instant::now(), WINDOW);
        add(&mut next, &["api", "dashboard"]);
        assert!(join(&mut next, &["dashboard"], true).is_empty(), "its window has begun");
        assert!(!next.is_over(WINDOW) && verified(&next).is_empty());
        assert_eq!(next.pause(WINDOW, Instant::now()), Duration::from_secs(1));
        looks_after(&mut next, Duration::from_secs(2), &["api", "dashboard"]).await;
        assert!(next.is_over(WINDOW));
        assert_eq!(verified(&next), ["dashboard"]);
        assert_eq!(
            next.verdicts(WINDOW).map(|(c, _)| (StabilityWindow::held(c), c.looks)).next(),
            Some((WINDOW, 5))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_joined_and_falls_ends_nothing_and_begins_anew() {
        let mut stability = begun(&["api"]);
        for second in 1..=6 {
            let flaps = second % 2 == 0;
            looks_after(
                &mut stability,
                Duration::from_secs(1),
                if flaps { &["api"] } else { &["api", "dashboard"] },
            )
            .await;
            if !flaps {
                assert_eq!(
                    join(&mut stability, &["dashboard"], false),
                    ["dashboard"],
                    "each time from here on"
                );
            }
        }
        assert!(stability.is_over(WINDOW));
        assert_eq!(verified(&stability), ["api"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_begun_for_and_falls_ends_the_window_and_only_its_own_verification() {
        let mut stability = begun(&["api", "dashboard"]);
        looks_after(&mut stability, Duration::from_secs(2), &["api"]).await;
        assert!(stability.is_over(WINDOW));
        let verdicts: Vec<_> =
            stability.verdicts(WINDOW).map(|(c, verdict)| (c.service.clone(), verdict)).collect();
        let [(service, WindowVerdict::Failed(why))] = &verdicts[..] else { panic!("{verdicts:?}") };
        assert!(service == "dashboard" && why.contains("exited"), "it is said why: {verdicts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_of_more_than_half_a_window_ends_what_was_begun() {
        for (gap, goes_on) in [(3, true), (4, false)] {
            let mut stability = begun(&["api"]);
            looks_after(&mut stability, Duration::from_secs(1), &["api", "dashboard"]).await;
            join(&mut stability, &["dashboard"], false);
            tokio::time::sleep(Duration::from_secs(gap)).await;
            let next = StabilityWindow::resume(Some(stability), Instant::now(), WINDOW);
            assert_eq!(!next.candidates.is_empty(), goes_on, "{gap}");
        }
    }

    /// An observation in which the server of `api` wants fewer requests.
    fn add_limited(stability: &mut StabilityWindow, tolerance: Duration) {
        let (mut observed, _) = look(&["api", "dashboard"]);
        let limited = crate::api::Answer::Limited { again_at: at(60) };
        crate::testing::fixtures::answer_mut(&mut observed.services[0]).plain =
            crate::api::Fact::Known(limited);
        let (desired, history) = (desired(), History::default());
        let inputs =
            Inputs { desired: &desired, observed: &observed, history: &history, now: at(0), jitter_seed: 7 };
        stability.add(&observed, &decide::decide(inputs).services, Instant::now(), tolerance);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_was_refused_for_its_number_neither_verifies_nor_disproves() {
        let mut stability = begun(&["api"]);
        looks_after(&mut stability, Duration::from_secs(2), &["api", "dashboard"]).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        add_limited(&mut stability, WINDOW);
        assert!(
            !stability.is_over(WINDOW) && verified(&stability).is_empty(),
            "the window ends with a look that saw it"
        );
        looks_after(&mut stability, Duration::from_secs(1), &["api", "dashboard"]).await;
        assert!(stability.is_over(WINDOW));
        assert_eq!(verified(&stability), ["api"]);
        assert_eq!(
            stability.verdicts(WINDOW).map(|(c, _)| c.looks).next(),
            Some(3),
            "the refused one does not count"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_longer_than_verification_is_waited_for_is_given_up() {
        let mut stability = begun(&["api"]);
        for second in 1..=3 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            add_limited(&mut stability, Duration::from_secs(2));
            assert_eq!(stability.is_over(WINDOW), second > 2, "{second}");
        }
        assert!(
            matches!(stability.verdicts(WINDOW).next(), Some((_, WindowVerdict::Failed(why))) if why.contains("429"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn another_container_is_no_verification_however_well_it_looks() {
        let mut stability = begun(&["api"]);
        looks_after(&mut stability, WINDOW / 3, &["api", "dashboard"]).await;
        let (mut observed, diagnoses) = look(&["api", "dashboard"]);
        container_mut(&mut observed.services[0]).restart_count += 1;
        stability.add(&observed, &diagnoses, Instant::now(), WINDOW);
        assert!(stability.is_over(WINDOW) && verified(&stability).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_window_is_looked_at_often_enough_for_the_others() {
        let hour = Duration::from_secs(3600);
        assert_eq!(begun(&["api"]).pause(hour, Instant::now()), LONGEST_PAUSE);
    }
}
