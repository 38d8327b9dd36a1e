//! Jobs before those that wait for them, and restarts after what they follow.

use super::*;
use crate::{
    api::{ContainerState, RelatedObservation, Step, StepOutcome},
    decide::{Decision, History, Inputs, Next, Repair, decide, tests::after_a_repair},
    testing::fixtures::{NEW, OLD, at, container, container_mut, desired, healthy, incident},
};

fn ended(name: &str, image: &str, code: i64) -> ContainerObservation {
    ContainerObservation {
        state: ContainerState::Exited,
        exit_code: Some(code),
        image_id: image.into(),
        ..container(name)
    }
}

/// A job that has ended well, of this image.
fn job(name: &str, image: &str) -> RelatedObservation {
    RelatedObservation {
        name: name.into(),
        buildable: false,
        replicas: 1,
        reference: "job".into(),
        image: Fact::Known(Some(NEW.into())),
        ties: Ties { is_job: true, is_awaited: true, ..Ties::default() },
        containers: Fact::Known(vec![ended(name, image, 0)]),
        runs_undrift: false,
    }
}

fn decided(seen: &crate::api::ProjectObservation, history: &History) -> Decision {
    let desired = desired();
    decide(Inputs { desired: &desired, observed: seen, history, now: at(0), jitter_seed: 7 })
}

fn plan(seen: &crate::api::ProjectObservation) -> Vec<String> {
    let decision = decided(seen, &History::default());
    decision.plan.iter().map(|step| format!("{} {}", step.step.kind(), step.services.join(" "))).collect()
}

/// `api` waits for `migrate`, of this image, and is about to be brought up.
fn waiting(image: &str) -> crate::api::ProjectObservation {
    let mut seen = healthy();
    seen.services[0].ties.waits_for = vec!["migrate".into()];
    container_mut(&mut seen.services[0]).image_id = OLD.into();
    seen.related = vec![job("migrate", image)];
    seen
}

#[test]
fn a_job_runs_only_where_it_is_new_and_someone_who_waits_is_brought_up() {
    assert_eq!(plan(&waiting(OLD)), ["Up migrate", "Up api"]);
    assert_eq!(plan(&waiting(NEW)), ["Up api"], "it has run with this very image");
    let mut nobody = waiting(OLD);
    container_mut(&mut nobody.services[0]).image_id = NEW.into();
    assert!(plan(&nobody).is_empty(), "nobody is brought up");
    container_mut(&mut nobody.services[0]).state = ContainerState::Exited;
    assert_eq!(plan(&nobody), ["Up api"], "it is only started as it was");
    container_mut(&mut nobody.services[0]).state = ContainerState::Created;
    assert_eq!(plan(&nobody), ["Up migrate", "Up api"], "it has never run");
}

#[test]
fn a_job_that_failed_or_is_gone_or_differs_has_not_been_done() {
    for (what, change) in [
        (
            "failed",
            (|job| job.containers = Fact::Known(vec![ended("migrate", NEW, 1)]))
                as fn(&mut RelatedObservation),
        ),
        ("gone", |job| job.containers = Fact::Known(vec![])),
        ("configured", |job| {
            let changed =
                ContainerObservation { config_changed: Fact::Known(true), ..ended("migrate", NEW, 0) };
            job.containers = Fact::Known(vec![changed]);
        }),
    ] {
        let mut seen = waiting(NEW);
        change(&mut seen.related[0]);
        assert_eq!(plan(&seen), ["Up migrate", "Up api"], "{what}");
    }
}

#[test]
fn nothing_is_brought_up_before_a_job_that_runs_or_is_unknown() {
    let running = ContainerObservation { started_at: Some(at(-60)), ..container("migrate") };
    for containers in [Fact::unknown("the engine is busy"), Fact::Known(vec![running])] {
        let mut seen = waiting(OLD);
        seen.related[0].containers = containers;
        assert!(plan(&seen).is_empty());
        let decision = decided(&seen, &History::default());
        assert!(
            matches!(&decision.repair_options[0].repair, Repair::Wait { message, .. } if message.contains("migrate"))
        );
    }
}

#[test]
fn a_job_that_runs_is_waited_for_as_long_as_a_build_may_take_and_one_that_dies_is_not() {
    let waits_at = |now: i64, change: fn(&mut ContainerObservation)| {
        let mut running = ContainerObservation { started_at: Some(at(0)), ..container("migrate") };
        change(&mut running);
        let mut seen = waiting(OLD);
        seen.related[0].containers = Fact::Known(vec![running]);
        let (desired, history) = (desired(), History { watching_since: Some(at(0)), ..History::default() });
        let inputs =
            Inputs { desired: &desired, observed: &seen, history: &history, now: at(now), jitter_seed: 7 };
        decide(inputs).repair_options.swap_remove(0).repair
    };
    let minute = 60;
    for now in [1, 3 * minute, 29 * minute] {
        let repair = waits_at(now, |_| ());
        assert!(
            matches!(&repair, Repair::Wait { until, message, .. }
                if *until == at(30 * minute) && message.contains("migrate") && message.contains("running since")),
            "{now}: {repair:?}"
        );
    }
    let late = waits_at(30 * minute, |_| ());
    assert!(matches!(&late, Repair::Stalled { message, .. } if message.contains("buildTimeout")), "{late:?}");
    let ahead = waits_at(minute, |c| c.started_at = Some(at(90_000)));
    assert!(matches!(ahead, Repair::Wait { until, .. } if until == at(31 * minute)), "a clock was set back");
    let dies: fn(&mut ContainerObservation) = |c| c.restart_count = 1;
    let paused: fn(&mut ContainerObservation) = |c| c.state = ContainerState::Paused;
    for change in [dies, paused] {
        assert!(matches!(waits_at(3 * minute, change), Repair::Stalled { .. }));
    }
}

#[test]
fn jobs_that_wait_for_each_other_run_in_that_order_and_circles_end() {
    let mut seen = waiting(OLD);
    seen.related[0].ties.waits_for = vec!["prepare".into()];
    seen.related.push(job("prepare", OLD));
    assert_eq!(plan(&seen), ["Up prepare", "Up migrate", "Up api"]);
    seen.related[1].ties.waits_for = vec!["migrate".into()];
    assert!(plan(&seen).contains(&"Up api".to_owned()));
}

#[test]
fn a_job_is_built_along_where_it_has_an_image_of_its_own_and_what_it_costs_is_on_the_waiters_account() {
    let mut seen = incident();
    seen.services[0].ties.waits_for = vec!["migrate".into()];
    seen.related = vec![job("migrate", NEW)];
    assert_eq!(plan(&seen), ["Build api", "Up api"], "an image from elsewhere stays what it is");
    seen.related[0].reference = "docker.io/library/backoffice-api:latest".into();
    assert_eq!(plan(&seen), ["Build api", "Up migrate", "Up api"]);
    (seen.related[0].reference, seen.related[0].buildable) = ("own".into(), true);
    assert_eq!(plan(&seen), ["Build api migrate", "Up migrate", "Up api"]);
    let steps = decided(&seen, &History::default()).plan;
    assert_eq!(steps[1].on_behalf_of, ["api"]);
}

#[test]
fn a_job_in_the_spec_that_is_given_up_holds_up_who_waits_for_it() {
    let mut seen = waiting(OLD);
    seen.related.clear();
    seen.services[0].ties.waits_for = vec!["dashboard".into()];
    let dashboard = &mut seen.services[1];
    dashboard.ties = Ties { is_job: true, is_awaited: true, ..Ties::default() };
    dashboard.containers = Fact::Known(vec![ended("dashboard", NEW, 1)]);
    assert_eq!(plan(&seen), ["Up dashboard", "Up api"]);
    seen.services[1].runs_undrift = true;
    assert!(plan(&seen).is_empty());
    assert!(
        matches!(&decided(&seen, &History::default()).next, Next::GiveUp { message, .. } if message.contains("dashboard"))
    );
    // A finished job is as declared, whatever its image.
    seen.services[1].containers = Fact::Known(vec![ended("dashboard", OLD, 0)]);
    assert!(decided(&seen, &History::default()).services[1].as_declared());
}

/// `dashboard` restarts with `api`, which undrift has replaced.
fn followed() -> (crate::api::ProjectObservation, History) {
    let mut seen = healthy();
    seen.services[1].ties.restarts_with = vec!["api".into()];
    let history = after_a_repair(&incident());
    let up = history.incident.as_ref().unwrap().last_up("api").unwrap().at;
    container_mut(&mut seen.services[0]).started_at = Some(up);
    (seen, history)
}

#[test]
fn who_restarts_with_another_is_restarted_once_after_it() {
    let (seen, mut history) = followed();
    let next = decided(&seen, &history).next;
    let Next::Execute(step) = next else { panic!("{next:?}") };
    assert_eq!((step.step, step.services), (Step::Restart, vec!["dashboard".to_owned()]));
    let open = history.incident.as_mut().unwrap();
    let mut done = open.last_up("api").unwrap().clone();
    (done.step, done.services, done.outcome) = (Step::Restart, vec!["dashboard".into()], StepOutcome::Failed);
    open.steps.push(done);
    assert!(!matches!(decided(&seen, &history).next, Next::Execute(_)), "a failure is not tried for ever");
    history.incident.as_mut().unwrap().steps.last_mut().unwrap().outcome = StepOutcome::Interrupted;
    assert!(matches!(decided(&seen, &history).next, Next::Execute(_)), "what was cut off is made up for");
}

#[test]
fn what_someone_else_has_replaced_restarts_nobody() {
    let (mut seen, history) = followed();
    container_mut(&mut seen.services[0]).started_at = Some(at(3600));
    assert!(!matches!(decided(&seen, &history).next, Next::Execute(_)), "long after undrift's step");
    let (seen, _) = followed();
    assert!(!matches!(decided(&seen, &History::default()).next, Next::Execute(_)), "no step of undrift's");
}
