//! What ran and can run is kept running, whatever an earlier layer says.

use super::*;
use crate::api::{ObjectStatus, Presence, ServiceObservation, StepOutcome, Ties};

/// The container is down, and the source layer is as this leaves it.
fn down(source: Fact<Presence>) -> ProjectObservation {
    let mut seen = healthy();
    container_mut(&mut seen.services[0]).state = ContainerState::Exited;
    seen.services[0].source.modules[0] = Some(source);
    seen
}

fn repair(seen: &ProjectObservation, history: &History) -> Repair {
    with_history(&desired(), seen, history).prospects[0].repair.clone()
}

#[test]
fn what_is_down_behind_a_layer_that_no_step_mends_is_started_as_it_is() {
    let start = Repair::Steps(vec![Step::Start], None);
    for source in [Fact::Known(Presence::Missing), Fact::unknown("the file system is away")] {
        assert_eq!(repair(&down(source.clone()), &history()), start, "{source:?}");
        let mut running = down(source);
        container_mut(&mut running.services[0]).state = ContainerState::Running;
        assert_ne!(repair(&running, &history()), start, "it runs");
    }
    let decision = with_history(&desired(), &down(Fact::Known(Presence::Missing)), &history());
    assert_eq!(decision.services[0].drift.as_ref().unwrap().reason, Reason::ModuleMissing, "and it is said");
}

#[test]
fn it_is_not_started_where_it_may_not_be_touched_or_has_nothing_to_run() {
    let start = Repair::Steps(vec![Step::Start], None);
    let with = |change: fn(&mut ServiceObservation)| {
        let mut seen = down(Fact::Known(Presence::Missing));
        change(&mut seen.services[0]);
        repair(&seen, &history())
    };
    assert_ne!(with(|seen| seen.runs_undrift = true), start);
    assert_ne!(with(|seen| seen.other_directory = Fact::Known(Some("/srv/other".into()))), start);
    assert_ne!(with(|seen| seen.replicas = 0), start);
    let job = with(|seen| {
        seen.ties = Ties { is_job: true, ..Ties::default() };
        container_mut(seen).exit_code = Some(0);
    });
    assert_ne!(job, start, "a job that has ended well has done its work");
}

#[test]
fn one_that_dies_at_every_start_is_started_ever_later_and_then_left() {
    let after = |starts: u32| {
        let start = || DoneStep {
            step: Step::Start,
            services: vec!["api".into()],
            at: at(1),
            outcome: StepOutcome::Succeeded,
        };
        let incident = OpenIncident {
            id: "01".into(),
            opened_at: at(0),
            before: ObjectStatus::default(),
            steps: (0..starts).map(|_| start()).collect(),
            verified: Vec::new(),
        };
        repair(&down(Fact::Known(Presence::Missing)), &History { incident: Some(incident), ..history() })
    };
    let wait = |starts| match after(starts) {
        Repair::Steps(steps, Some(until)) if steps == [Step::Start] => until - at(1),
        other => panic!("{starts}: {other:?}"),
    };
    assert!(wait(1) < wait(2) && wait(2) < wait(4));
    let attempts = desired().object.spec.reconcile.attempts;
    assert!(matches!(after(attempts), Repair::Stalled { .. } | Repair::Wait { .. }));
}
