//! undrift in the model: a reconcile without its disk, in steps between which it may be killed.
//!
//! `decide` itself decides what to do, folds the events, and judges what the observations of a window verify. Only what is
//! stored, and in which order, is written here once more: the order of `reconcile_once`, `journal` and `verify`, each write to
//! the disk a step of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use tokio::time::Instant;

use super::{World, declared::FilePolicy};
use crate::{
    api::{
        Attempt, Desired, Drift, DriftReason, EndedStep, Event, Fact, Layer, PlannedStep, ProjectObservation,
        Reason, RecentStep, ReconcilePolicy, RecordedEvent, Step, StepOutcome, Time,
    },
    decide::{
        self, AfterIncident, Decision, EndedIncident, History, Identity, Inputs, Next, OpenIncident,
        StabilityWindow, WindowVerdict, identities,
    },
    reconcile::RestartHistory,
    testing::fixtures::at,
};

/// The state on disk.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Kept {
    attempts: Vec<Attempt>,
    recent_steps: Vec<RecentStep>,
    incident: Option<OpenIncident>,
    /// The events in the trail.
    events: Vec<RecordedEvent>,
    last_healed: Option<OpenIncident>,
    /// How many incidents there were, the last one if it is closed, and its drifts.
    incidents: u32,
    last: Option<EndedIncident>,
    drifted: BTreeMap<String, BTreeSet<(Layer, DriftReason)>>,
    verified: BTreeMap<String, (Vec<Identity>, Time)>,
    built_from: BTreeMap<String, String>,
    /// The intent without an outcome yet.
    pub(super) intent: Option<PlannedStep>,
    pub(super) intents: usize,
    pub(super) interrupted: usize,
}

/// The state that is lost with the process.
#[derive(Debug, Clone, PartialEq)]
struct VolatileState {
    since: Time,
    restart_history: RestartHistory,
    /// The source's digest before a build that has just succeeded.
    build: Option<String>,
}

/// undrift's next action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum At {
    Looking,
    /// The step is decided, and its intent and its attempts are on the disk.
    Intended(Box<RunningStep>),
    /// Its command runs, with what it was given.
    Running(Box<RunningStep>),
    /// The step has had its effect.
    Stepped(Box<RunningStep>, StepOutcome),
    /// The result for its attempts is on the disk.
    Judged(Box<RunningStep>, StepOutcome),
    Verifying(StabilityWindow),
    /// Nothing is left to do, and whether it reports *reconciled*.
    Resting(bool),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct RunningStep {
    step: PlannedStep,
    rows: Vec<Attempt>,
    old_image: Option<String>,
    source: Option<String>,
    /// The revision that its command was given.
    given: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Undrift {
    pub(super) files: FilePolicy,
    pub(super) now: Time,
    pub(super) kept: Kept,
    pub(super) at: At,
    session: VolatileState,
    /// Steps on a host that was as declared.
    pub(super) needless: usize,
    /// The drifts that were given up, while nothing was verified since.
    given_up: Option<Vec<String>>,
    /// Other incidents that were opened for them.
    pub(super) split: usize,
    /// Why it has given up, while it rests.
    pub(super) stalled: Option<Reason>,
    /// What the builds that ended well started from, and how many of them had the start of an earlier one.
    built: BTreeSet<String>,
    pub(super) repeated_builds: usize,
    /// Intents that the fold of an incident has lost.
    pub(super) lost: usize,
}

impl RunningStep {
    pub(super) fn is_of(&self, step: Step) -> bool {
        self.step.step == step
    }
}

impl Undrift {
    pub(super) fn new(files: FilePolicy) -> Self {
        let now = at(1_000_000);
        Self {
            files,
            now,
            kept: Kept::default(),
            at: At::Looking,
            session: VolatileState::new(now),
            needless: 0,
            given_up: None,
            split: 0,
            stalled: None,
            built: BTreeSet::new(),
            repeated_builds: 0,
            lost: 0,
        }
    }

    fn desired(&self) -> &'static Desired {
        self.files.desired()
    }

    /// Whether the host is as this object declares it.
    pub(super) fn is_as_declared(&self, world: &World) -> bool {
        world.is_as_declared() && (self.files == FilePolicy::Report || world.has_read_its_file())
    }

    /// Whether a build runs that was given an earlier revision than the one that is expected by now.
    pub(super) fn builds_an_earlier_revision(&self, world: &World) -> bool {
        matches!(&self.at, At::Running(begun)
            if matches!(begun.step.step, Step::Build { .. }) && begun.given != world.revision)
    }

    /// Something has changed: it observes again, with a new series of observations if it was at rest.
    pub(super) fn wake(&mut self) {
        if matches!(self.at, At::Resting(_)) {
            (self.at, self.session) = (At::Looking, VolatileState::new(self.now));
            self.stalled = None;
        }
    }

    /// The longest wait between two attempts has passed.
    pub(super) fn wait(&mut self) {
        self.now += policy().backoff.max.delta();
    }

    /// Whether it has given up because it restored an image. If a person removes a new container before it is verified,
    /// undrift takes that for the container's own failure.
    pub(super) fn was_rolled_back(&self) -> bool {
        self.kept.attempts.iter().any(|row| row.gave_up.is_some())
    }

    /// `undrift retry`.
    pub(super) fn retry(&mut self) {
        self.kept.attempts.clear();
        self.kept.recent_steps.clear();
        self.built.clear();
    }

    /// Killed and restarted: a step without an outcome was interrupted.
    pub(super) fn crash(&mut self) {
        (self.at, self.session) = (At::Looking, VolatileState::new(self.now));
        let Some(step) = self.kept.intent.take() else { return };
        self.kept.interrupted += 1;
        for row in self.kept.attempts.iter_mut().filter(|row| step.services.contains(&row.service)) {
            row.pending = None;
        }
        self.done(&step, StepOutcome::Interrupted);
    }

    /// Appends a record of the open incident to the trail.
    fn append(&mut self, event: Event) {
        let Some(open) = &self.kept.incident else { return };
        let seq = self.kept.events.len() as u64;
        self.kept.events.push(RecordedEvent { seq, time: self.now, incident: Some(open.id.clone()), event });
        let (id, before) = (open.id.clone(), open.before.clone());
        self.kept.incident = Some(OpenIncident::fold(id, open.opened_at, before, &self.kept.events));
    }

    fn done(&mut self, step: &PlannedStep, outcome: StepOutcome) {
        let is_intent = |event: &&RecordedEvent| matches!(event.event, Event::StepIntended { .. });
        let intent = self.kept.events.iter().rev().find(is_intent).map(|intended| intended.seq);
        let (kind, services) = (step.step.kind(), step.services.clone());
        let command = None;
        self.append(Event::StepEnded(EndedStep { intent, kind, services, outcome, at: self.now, command }));
    }

    /// Its next action.
    pub(super) fn advance(&mut self, world: &mut World) {
        match std::mem::replace(&mut self.at, At::Looking) {
            At::Resting(reconciled) => self.at = At::Resting(reconciled),
            At::Looking => self.reconcile_once(world),
            At::Verifying(stability) => self.verify(world, stability),
            At::Intended(begun) => {
                self.at = At::Running(Box::new(RunningStep { given: world.revision, ..*begun }));
            }
            At::Running(begun) => {
                let outcome = world.take_given(begun.step.step, begun.old_image.as_ref(), begun.given);
                self.note_build(&begun, outcome);
                self.at = At::Stepped(begun, outcome);
            }
            At::Stepped(begun, outcome) => {
                self.end(&begun, outcome);
                self.at = At::Judged(begun, outcome);
            }
            At::Judged(begun, outcome) => {
                self.kept.intent = None;
                self.done(&begun.step, outcome);
                if matches!(begun.step.step, Step::Build { .. }) && outcome == StepOutcome::Succeeded {
                    self.session.build = begun.source;
                }
            }
        }
    }

    fn note_build(&mut self, begun: &RunningStep, outcome: StepOutcome) {
        if matches!(begun.step.step, Step::Build { .. }) && outcome == StepOutcome::Succeeded {
            // After a kill nobody knows what an image was built from, and the source counts as another one.
            let is_of_the_revision =
                |row: &&Attempt| row.reason == DriftReason::RevisionDiffers && !row.continued;
            if begun.rows.iter().any(|row| is_of_the_revision(&row)) {
                let start = format!("{:?} {:?}", begun.source, begun.given);
                self.repeated_builds += usize::from(!self.built.insert(start));
            }
        }
    }

    fn end(&mut self, begun: &RunningStep, outcome: StepOutcome) {
        let rows = begun.rows.clone();
        let rows = if begun.step.step == Step::Rollback && outcome == StepOutcome::Succeeded {
            decide::end_rollback(rows)
        } else {
            decide::end_step(rows, outcome, policy(), self.now, 0)
        };
        // A person may have run `undrift retry` meanwhile.
        let counted: Vec<_> = self.kept.attempts.iter().map(key).collect();
        rows.iter().filter(|row| counted.contains(&key(row))).for_each(|row| self.save_attempt(row));
    }

    fn save_attempt(&mut self, row: &Attempt) {
        self.kept.attempts.retain(|kept| key(kept) != key(row));
        self.kept.attempts.push(row.clone());
    }

    /// One observation and one decision, with its consequences on the disk.
    fn look(&mut self, world: &mut World) -> (ProjectObservation, History, Decision) {
        let mut seen = world.observe();
        self.session.restart_history.note(&seen, self.now);
        self.learn(&mut seen);
        let history = self.history();
        let decision = decide::decide(self.inputs(&seen, &history));
        self.kept.attempts.clone_from(&decision.attempts);
        let as_declared =
            |name: &String| decision.services.iter().any(|d| d.service == *name && d.as_declared());
        self.kept.verified.retain(|name, (verification, _)| {
            let seen = seen.service(name);
            seen.is_some_and(|seen| identities(seen) == *verification) && as_declared(name)
        });
        self.open_incident(&seen, &history, &decision);
        (seen, History { incident: self.kept.incident.clone(), ..history }, decision)
    }

    fn inputs<'a>(&self, observed: &'a ProjectObservation, history: &'a History) -> Inputs<'a> {
        Inputs { desired: self.desired(), observed, history, now: self.now, jitter_seed: 0 }
    }

    fn learn(&mut self, seen: &mut ProjectObservation) {
        let api = &mut seen.services[0];
        let Some(Some(image)) = api.artifact.image.known() else { return };
        if let Some(source) = self.session.build.take() {
            self.kept.built_from.insert(image.clone(), source);
        }
        api.artifact.built_from = self.kept.built_from.get(image).cloned();
    }

    fn history(&self) -> History {
        let verifications = self.kept.verified.clone().into_iter();
        let (verified, verified_since) =
            verifications.map(|(name, (all, at))| ((name.clone(), all), (name, at))).unzip();
        History {
            generation: 1,
            attempts: self.kept.attempts.clone(),
            recent_steps: self.kept.recent_steps.clone(),
            incident: self.kept.incident.clone(),
            last_healed: self.kept.last_healed.clone(),
            verified,
            verified_since,
            restarts: self.session.restart_history.counts_before(),
            restart_logs: BTreeMap::new(),
            watching_since: Some(self.session.since),
            looking_since: Some(self.session.since),
            verifying: Vec::new(),
            gone_images: BTreeSet::new(),
            suspended: None,
            verified_from: None,
            is_verified_from_altered: false,
        }
    }

    fn open_incident(&mut self, seen: &ProjectObservation, history: &History, decision: &Decision) {
        let drifts = drifts(decision);
        if drifts.is_empty() {
            return;
        }
        if self.kept.incident.is_none() {
            let idle = !matches!(decision.next, Next::Execute(_));
            if idle && self.kept.last.as_ref().is_some_and(|last| last.lasts(&drifts)) {
                return;
            }
            self.begin_incident(seen, history, decision, &drifts);
        }
        for (service, drift) in drifts {
            self.kept.drifted.entry(service).or_default().insert(drift.class());
        }
    }

    fn begin_incident(
        &mut self,
        seen: &ProjectObservation,
        history: &History,
        decision: &Decision,
        drifts: &[(String, Drift)],
    ) {
        let before = decide::status(decide::StatusInputs {
            desired: self.desired(),
            generation: 1,
            observed: seen,
            decision,
            suspended: None,
            previous: None,
            verified: &history.verified.keys().cloned().collect::<Vec<_>>(),
            transitions: &BTreeMap::new(),
            incident: None,
            reconciling: true,
            now: self.now,
        });
        let within = decide::healthy_period(policy());
        let again = self.kept.last.take().filter(|last| last.recurs(drifts, self.now, within));
        let id = again.map_or_else(|| self.another_incident(drifts), |last| last.id);
        self.kept.events.clear();
        self.kept.incident = Some(OpenIncident::fold(id, self.now, before, []));
    }

    fn another_incident(&mut self, drifts: &[(String, Drift)]) -> String {
        self.split += usize::from(self.given_up == Some(in_words(drifts)));
        self.kept.incidents += 1;
        self.kept.drifted.clear();
        self.kept.incidents.to_string()
    }

    fn reconcile_once(&mut self, world: &mut World) {
        // A container that just died twice may count as one that goes on dying.
        let was_as_declared = self.is_as_declared(world)
            && world.image.is_some_and(|image| image.source == world.source)
            && world.container.is_some_and(|container| container.crashes < 2);
        let (seen, history, decision) = self.look(world);
        // A source that changed during its build is built once more: nobody knows which version the build read.
        let api = &seen.services[0];
        let is_noted = api
            .artifact
            .built_from
            .as_ref()
            .is_none_or(|from| api.source.digest == Fact::Known(Some(from.clone())));
        match &decision.next {
            Next::Execute(step) => {
                self.needless += usize::from(was_as_declared && is_noted);
                let inputs = self.inputs(&seen, &history);
                let (rows, of) = (&decision.attempts, &step.services);
                let api = &seen.services[0];
                let begun = RunningStep {
                    rows: decide::begin_step(inputs, rows, &decision.services, step.step, of),
                    step: step.clone(),
                    old_image: decide::rollback_target(&history, &seen.services[0].name).map(str::to_owned),
                    source: api.source.digest.known().cloned().flatten(),
                    given: None,
                };
                // One transaction with the intent.
                begun.rows.iter().for_each(|row| self.save_attempt(row));
                self.kept.recent_steps.extend(decide::recent_steps(inputs, step.step, &step.services));
                self.append(Event::StepIntended { step: step.step, services: step.services.clone() });
                self.kept.intent = Some(step.clone());
                self.kept.intents += 1;
                self.at = At::Intended(Box::new(begun));
            }
            Next::Verify(services) => {
                let (mut stability, now) = (StabilityWindow::default(), moment(self.now));
                stability.add(&seen, &decision.services, now, timeout());
                stability.join(services, &seen, true, now);
                self.at = At::Verifying(stability);
            }
            Next::Wait(until) => self.now = self.now.max(*until),
            Next::GiveUp { reason, .. } => {
                self.stalled = Some(reason.clone());
                self.given_up = Some(in_words(&drifts(&decision)));
                self.end_incident(&decision, true);
                self.at = At::Resting(false);
            }
            Next::Nothing => {
                let verified = self.kept.verified.len() == seen.services.len();
                let reconciled = decision.as_declared() && verified;
                if reconciled {
                    self.end_incident(&decision, false);
                }
                self.at = At::Resting(reconciled);
            }
        }
    }

    fn end_incident(&mut self, decision: &Decision, gave_up: bool) {
        let Some(ended) = self.kept.incident.take() else { return };
        self.lost += intents_without_outcome(&self.kept.events, &ended);
        let well = |drifted: &BTreeSet<_>| AfterIncident {
            drifted: drifted.clone(),
            given_up: None,
            well_since: Some(self.now),
        };
        let mut services: BTreeMap<String, AfterIncident> =
            self.kept.drifted.iter().map(|(name, drifted)| (name.clone(), well(drifted))).collect();
        let ill =
            decision.services.iter().filter(|d| gave_up && !self.kept.verified.contains_key(&d.service));
        for diagnosis in ill {
            let after = services.entry(diagnosis.service.clone()).or_default();
            (after.given_up, after.well_since) = (diagnosis.drift.as_ref().map(Drift::class), None);
        }
        self.kept.last = Some(EndedIncident { id: ended.id.clone(), services });
        self.kept.last_healed = (!gave_up).then_some(ended);
    }

    /// One more observation of the stability window: three are the minimum that verify anything, and more add nothing to the
    /// model.
    fn verify(&mut self, world: &mut World, mut stability: StabilityWindow) {
        let window = policy().verify.stable_for;
        self.now += window.delta() / 2;
        let (seen, _, decision) = self.look(world);
        stability.add(&seen, &decision.services, moment(self.now), timeout());
        if !stability.is_over(window.get()) && !matches!(decision.next, Next::Execute(_)) {
            self.at = At::Verifying(stability);
            return;
        }
        let verdicts = stability.verdicts(window.get());
        let verified = verdicts.filter(|(_, verdict)| *verdict == WindowVerdict::Verified);
        for service in verified.map(|(candidate, _)| &candidate.service) {
            let Some(seen) = seen.service(service) else { continue };
            self.kept.verified.insert(service.clone(), (identities(seen), self.now));
            self.given_up = None;
            let ended = self.kept.last.as_mut().filter(|_| self.kept.incident.is_none());
            if let Some(after) = ended.and_then(|last| last.services.get_mut(service)) {
                after.well_since.get_or_insert(self.now);
            }
            let healed =
                decide::after_verification(self.kept.incident.as_ref(), service, &self.kept.attempts);
            healed.collect::<Vec<_>>().iter().for_each(|row| self.save_attempt(row));
            let image = seen.artifact.image.known().cloned().flatten();
            self.append(Event::Verified { service: service.clone(), image });
        }
    }
}

impl VolatileState {
    fn new(since: Time) -> Self {
        Self { since, restart_history: RestartHistory::default(), build: None }
    }
}

/// A time of the model as one of a monotonic clock.
fn moment(time: Time) -> Instant {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let passed = (time - at(0)).to_std().unwrap_or_default();
    *BEGAN.get_or_init(Instant::now) + passed
}

/// The same whatever is declared of mounted files.
fn policy() -> &'static ReconcilePolicy {
    &FilePolicy::Restart.desired().object.spec.reconcile
}

/// For how long a server that limits requests may hold up a window.
fn timeout() -> std::time::Duration {
    policy().verify.timeout.get()
}

/// How many steps were intended in an incident of which its fold has no end, although they began.
fn intents_without_outcome(events: &[RecordedEvent], folded: &OpenIncident) -> usize {
    let began = |event: &&RecordedEvent| match &event.event {
        Event::StepIntended { .. } => true,
        Event::StepEnded(ended) => ended.outcome == StepOutcome::NotBegun,
        _ => false,
    };
    let (intended, not_begun): (Vec<_>, Vec<_>) =
        events.iter().filter(began).partition(|event| matches!(event.event, Event::StepIntended { .. }));
    intended.len().saturating_sub(not_begun.len() + folded.steps.len())
}

/// The identity of an attempts row.
fn key(row: &Attempt) -> (String, Layer, DriftReason, Option<String>) {
    (row.service.clone(), row.layer, row.reason, row.source_digest.clone())
}

fn drifts(decision: &Decision) -> Vec<(String, Drift)> {
    let drifts = decision.services.iter().filter_map(|d| Some((d.service.clone(), d.drift.clone()?)));
    drifts.collect()
}

fn in_words(drifts: &[(String, Drift)]) -> Vec<String> {
    drifts.iter().map(|(service, drift)| format!("{service} {} {}", drift.layer, drift.reason)).collect()
}
