//! The fake host and the real one side by side: the same operations on both, and after each of them both must show the same.
//! Without this the tests of the loop would test a fiction.
//!
//! These tests need a Docker engine: without one they fail, they are never skipped. `PROPTEST_CASES` raises the number of
//! random scripts, each of which takes seconds.

mod look;
mod real;

use std::{collections::BTreeMap, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed},
};
use tokio_util::sync::CancellationToken;

use self::{
    look::{HostView, SeenNames, look},
    real::{ConformanceProject, came_from_the_cache, was_answered_from_a_stale_cache},
};
use super::fake::{FakeHost, Hand, HostFile, World};
use crate::{
    api::{Desired, ProjectObservation, Step, StepOutcome},
    host::{Host, LocalHost, StepReport, StepRequest},
};

/// One operation of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostOp {
    Step(Step),
    /// A rollback to an image that the engine does not have.
    RollbackToNothing,
    Hand(Hand),
}

const BUILD: HostOp = HostOp::Step(Step::Build { no_cache: false });
const UNCACHED: HostOp = HostOp::Step(Step::Build { no_cache: true });
const UP: HostOp = HostOp::Step(Step::Up { force_recreate: false });
const RECREATE: HostOp = HostOp::Step(Step::Up { force_recreate: true });
const RESTART: HostOp = HostOp::Step(Step::Restart);
const START: HostOp = HostOp::Step(Step::Start);
const RELOAD: HostOp = HostOp::Step(Step::Reload);
const ROLLBACK: HostOp = HostOp::Step(Step::Rollback);

const ALL: [HostOp; 21] = [
    BUILD,
    UNCACHED,
    UP,
    RECREATE,
    RESTART,
    START,
    RELOAD,
    ROLLBACK,
    HostOp::RollbackToNothing,
    HostOp::Hand(Hand::Stop),
    HostOp::Hand(Hand::Remove),
    HostOp::Hand(Hand::Untag),
    HostOp::Hand(Hand::Configure),
    HostOp::Hand(Hand::Edit),
    HostOp::Hand(Hand::LoseModule),
    HostOp::Hand(Hand::GainModule),
    HostOp::Hand(Hand::Break),
    HostOp::Hand(Hand::Fix),
    HostOp::Hand(Hand::Commit),
    HostOp::Hand(Hand::Write),
    HostOp::Hand(Hand::Replace),
];

/// The capabilities of one side of the comparison, besides its host.
trait Side: Host {
    /// Actions of a person.
    fn by_hand(&self, desired: &Desired, hand: Hand);

    /// An observation of a settled project: a server that has just started does not answer for a moment.
    fn settled(&self, desired: &Desired) -> impl Future<Output = ProjectObservation>;

    /// Whether the process of `api` has read its mounted file as it is now.
    fn has_read_its_file(&self, desired: &Desired) -> bool;

    /// Whether a build failed by the engine's own mistake, and must be repeated without the cache.
    fn must_build_again(&self, report: &StepReport, source_is_new: bool) -> bool;
}

impl Side for FakeHost {
    fn by_hand(&self, _: &Desired, hand: Hand) {
        self.world(|world| world.by_hand(hand));
    }

    async fn settled(&self, desired: &Desired) -> ProjectObservation {
        self.observe(desired).await.unwrap()
    }

    fn has_read_its_file(&self, _: &Desired) -> bool {
        self.world(|world| world.has_read_its_file())
    }

    fn must_build_again(&self, _: &StepReport, _: bool) -> bool {
        false
    }
}

impl Side for LocalHost {
    fn by_hand(&self, desired: &Desired, hand: Hand) {
        real::by_hand(&desired.directory, hand);
    }

    async fn settled(&self, desired: &Desired) -> ProjectObservation {
        real::settled(self, desired).await
    }

    fn has_read_its_file(&self, desired: &Desired) -> bool {
        real::has_read_its_file(&desired.directory)
    }

    fn must_build_again(&self, report: &StepReport, source_is_new: bool) -> bool {
        source_is_new && was_answered_from_a_stale_cache(&report.output)
    }
}

/// One side while a script runs.
struct Actor<'a, H> {
    host: &'a H,
    desired: &'a Desired,
    /// Of `api` and of `dashboard`.
    names: [SeenNames; 2],
    /// Whether the source was edited since a build last succeeded.
    source_is_new: bool,
    /// The last command's output.
    output: String,
}

impl<'a, H: Side> Actor<'a, H> {
    fn new(host: &'a H, desired: &'a Desired) -> Self {
        Self { host, desired, names: Default::default(), source_is_new: true, output: String::new() }
    }

    /// The result of the operation, if it has one, and the observation after it.
    async fn does(&mut self, op: HostOp) -> (Option<StepOutcome>, HostView) {
        let outcome = match op {
            HostOp::Hand(hand) => {
                self.host.by_hand(self.desired, hand);
                self.source_is_new |= hand.changes_source();
                None
            }
            // The whole of an ID: a prefix may be an image's.
            HostOp::RollbackToNothing => {
                Some(self.takes(Step::Rollback, Some(format!("sha256:{:064}", 0))).await)
            }
            HostOp::Step(Step::Rollback) => {
                Some(self.takes(Step::Rollback, self.names[0].first_image()).await)
            }
            HostOp::Step(step) => Some(self.takes(step, None).await),
        };
        let view = self.looks().await;
        if op == RELOAD && outcome == Some(StepOutcome::Succeeded) {
            assert!(self.host.has_read_its_file(self.desired), "the signal has changed nothing");
        }
        (outcome, view)
    }

    async fn takes(&mut self, step: Step, rollback_to: Option<String>) -> StepOutcome {
        let mut report = self.executes(step, rollback_to).await;
        if matches!(step, Step::Build { .. }) {
            if self.host.must_build_again(&report, self.source_is_new) {
                report = self.executes(Step::Build { no_cache: true }, None).await;
            }
            self.source_is_new &= report.outcome != StepOutcome::Succeeded;
        }
        self.output = report.output;
        report.outcome
    }

    async fn executes(&self, step: Step, rollback_to: Option<String>) -> StepReport {
        let request = StepRequest {
            step,
            services: &["api".to_owned()],
            rollback_to: &rollback_to
                .map(|image| ("api".to_owned(), image))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            examined: &BTreeMap::new(),
            timeout: Duration::from_secs(120),
            cancel: &CancellationToken::new(),
            progress: &|_| (),
        };
        self.host.execute(self.desired, request).await
    }

    async fn looks(&mut self) -> HostView {
        let seen = self.host.settled(self.desired).await;
        look(&mut self.names, &seen)
    }
}

/// Runs a script on both. Returns how many of its builds the engine answered from its cache, or the first difference, with
/// the operations that led to it.
fn compare(script: &[HostOp]) -> Result<usize, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let project = ConformanceProject::new();
        let world = World { revision: Some(1), file: Some(HostFile::FIRST), ..World::new() };
        let (real, fake) = (project.host(), FakeHost::new(world));
        let mut real = Actor::new(&real, &project.desired);
        let mut fake = Actor::new(&fake, &project.desired);
        let (seen, imagined) = (real.looks().await, fake.looks().await);
        assert_eq!(imagined, seen, "before anything was done: the fake, and the real host");
        let mut cached = 0;
        for (index, op) in script.iter().enumerate() {
            let seen = real.does(*op).await;
            // Only the engine can report whether a build hits the cache: under load it evicts entries. If it reports a hit,
            // the image must be one of this very source, otherwise a new one. Of two of this source, one of them built
            // without the cache, either may be the result: under load it is not always the younger.
            let from_cache = *op == BUILD && came_from_the_cache(&real.output);
            cached += usize::from(from_cache);
            if let Some(image) = seen.1.image().filter(|_| from_cache) {
                fake.host.world(|world| world.prefer(fake.names[0].image(image)));
            }
            let imagined = fake.does(if *op == BUILD && !from_cache { UNCACHED } else { *op }).await;
            if seen != imagined {
                let so_far = &script[..=index];
                let output = &real.output;
                return Err(format!(
                    "after {so_far:?}\n the fake: {imagined:?}\n the real host: {seen:?}\n{output}"
                ));
            }
        }
        Ok(cached)
    })
}

const SCRIPT: [HostOp; 79] = [
    // Nothing is there yet.
    UP,
    RESTART,
    START,
    RELOAD,
    ROLLBACK,
    BUILD,
    UP,
    // As in the incident.
    HostOp::Hand(Hand::GainModule),
    BUILD,
    UP,
    RESTART,
    UP,
    RECREATE,
    // A person's actions on the container.
    HostOp::Hand(Hand::Stop),
    HostOp::Hand(Hand::Stop),
    UP,
    HostOp::Hand(Hand::Stop),
    RESTART,
    START,
    HostOp::Hand(Hand::Configure),
    RESTART,
    HostOp::Hand(Hand::Stop),
    START,
    START,
    UP,
    // Builds that change nothing, that fail, and that are repeated.
    BUILD,
    UNCACHED,
    HostOp::Hand(Hand::Break),
    BUILD,
    UNCACHED,
    UP,
    HostOp::Hand(Hand::Fix),
    UNCACHED,
    BUILD,
    UP,
    // Back to the first image, and forth.
    ROLLBACK,
    ROLLBACK,
    BUILD,
    HostOp::RollbackToNothing,
    UP,
    HostOp::Hand(Hand::LoseModule),
    HostOp::Hand(Hand::Edit),
    BUILD,
    UP,
    // An image without a name.
    HostOp::Hand(Hand::Untag),
    RESTART,
    UP,
    HostOp::Hand(Hand::Stop),
    UP,
    START,
    HostOp::Hand(Hand::Remove),
    RESTART,
    UP,
    BUILD,
    START,
    UP,
    // A mounted file that is written, is replaced, or changes while nothing runs that has read it.
    RELOAD,
    HostOp::Hand(Hand::Write),
    RELOAD,
    RELOAD,
    HostOp::Hand(Hand::Write),
    UP,
    RESTART,
    HostOp::Hand(Hand::Replace),
    RELOAD,
    HostOp::Hand(Hand::Write),
    RESTART,
    HostOp::Hand(Hand::Write),
    HostOp::Hand(Hand::Stop),
    RELOAD,
    START,
    HostOp::Hand(Hand::Replace),
    RECREATE,
    // Another revision, which a build puts into its image and nothing else does.
    HostOp::Hand(Hand::Commit),
    RECREATE,
    BUILD,
    BUILD,
    UP,
    ROLLBACK,
];

#[test]
fn the_fake_does_what_the_engine_does_in_a_script_of_every_operation() {
    let missing: Vec<&HostOp> = ALL.iter().filter(|op| !SCRIPT.contains(op)).collect();
    assert!(missing.is_empty(), "the script leaves out {missing:?}");
    let cached = compare(&SCRIPT).unwrap_or_else(|difference| panic!("{difference}"));
    // Four of its builds change nothing. If the engine reports none as cached, the fake's model of the cache was not
    // compared at all.
    assert!(cached > 0, "the engine has made every build anew");
}

/// Few cases, because each takes seconds; the same ones each time, unless the environment overrides them.
fn few() -> Config {
    let config = Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { config.cases } else { 3 };
    let rng_seed = match config.rng_seed {
        RngSeed::Random => RngSeed::Fixed(20),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    Config { cases, rng_seed, failure_persistence: None, max_shrink_time: 60_000, ..config }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn the_fake_does_what_the_engine_does_in_random_scripts(
        script in prop::collection::vec(prop::sample::select(ALL.to_vec()), 6..14),
    ) {
        // If nothing exists, most operations do nothing.
        let script = [&[BUILD, UP], &script[..]].concat();
        let compared = compare(&script);
        prop_assert!(compared.is_ok(), "{}", compared.unwrap_err());
    }
}
