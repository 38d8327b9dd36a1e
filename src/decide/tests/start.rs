//! Whether another source, or another image, gets another chance.

use super::*;
use crate::api::{Entries, Expansion};

/// Spends the budget of this source, one hour after another.
fn spend(seen: &ProjectObservation, history: &mut History, from: i64) -> Vec<Step> {
    (0..8).filter_map(|hour| take_in_vain(&desired(), seen, history, at(from + hour * 3600))).collect()
}

fn of_source(digest: &str) -> ProjectObservation {
    let mut seen = incident();
    seen.services[0].source.digest = Fact::Known(Some(digest.into()));
    seen
}

/// The incident of a service that has an `each` with these entries.
fn with_entries(names: &[&str]) -> ProjectObservation {
    let mut seen = incident();
    let entries = Entries::Found(names.iter().map(|name| (*name).to_owned()).collect());
    seen.services[0].source.expansions = vec![Expansion { each: "src/*".into(), entries, ignored: vec![] }];
    seen
}

fn next(seen: &ProjectObservation, history: &History, now: i64) -> Next {
    decide(Inputs { desired: &desired(), observed: seen, history, now: at(now), jitter_seed: 7 }).next
}

#[test]
fn another_source_configuration_or_spec_is_tried_anew() {
    let mut history = history();
    spend(&incident(), &mut history, 0);
    let mut of_entries = self::history();
    spend(&with_entries(&["a", "b"]), &mut of_entries, 0);
    let next_spec = History { generation: 2, ..history.clone() };
    let mut configured = incident();
    configured.services[0].config_hash = Some("another".into());
    let is_due = |seen: &ProjectObservation, history: &History| matches!(next(seen, history, 100_000), Next::Execute(step) if step.step.kind() == StepKind::Build);
    assert!(!is_due(&incident(), &history));
    assert!(!is_due(&with_entries(&["a", "b"]), &of_entries));
    for (seen, history) in [
        (with_entries(&["a", "b", "c"]), of_entries.clone()),
        (with_entries(&["ab"]), of_entries),
        (incident(), next_spec),
        (of_source("sha256:source-3"), history.clone()),
        (configured, history.clone()),
    ] {
        assert!(is_due(&seen, &history), "{seen:?}");
    }
}

#[test]
fn within_an_incident_another_source_is_no_new_chance() {
    let mut history = after_a_repair(&incident());
    let mut tried = row(None, at(0));
    (tried.layer, tried.reason, tried.attempts) = (Layer::Artifact, DriftReason::ModuleMissing, 5);
    history.attempts = vec![tried];
    let decision = with_history(&desired(), &of_source("sha256:a log line later"), &history);
    assert!(decision.plan.is_empty(), "{:?}", decision.plan);
}

#[test]
fn a_source_that_cannot_be_read_is_no_new_chance() {
    let mut history = history();
    spend(&incident(), &mut history, 0);
    let mut unread = incident();
    unread.services[0].source.digest = Fact::unknown("a file went while it was read");
    assert!(with_history(&desired(), &unread, &history).plan.is_empty());
    let mut unresolved = incident();
    unresolved.services[0].config_hash = None;
    assert!(with_history(&desired(), &unresolved, &history).plan.is_empty());
}

/// Compose cannot resolve a job while a variable of it is not known: no fixed job.
#[test]
fn a_job_that_is_not_known_is_no_new_chance_for_who_waits_for_it() {
    let of_job = |jobs: Option<&str>| {
        let mut seen = incident();
        seen.services[0].ties.waits_for = vec!["migrate".into()];
        seen.services[0].ties.jobs = jobs.map(str::to_owned);
        seen
    };
    let mut history = history();
    spend(&of_job(Some("old")), &mut history, 0);
    let plan = |jobs: Option<&str>| with_history(&desired(), &of_job(jobs), &history).plan;
    assert!(plan(Some("old")).is_empty());
    assert!(plan(None).is_empty());
    assert!(!plan(Some("fixed")).is_empty());
}

#[test]
fn a_source_that_changes_by_itself_is_tried_less_and_less_often() {
    let mut history = history();
    spend(&of_source("0"), &mut history, 0);
    // Each time a log line later, and each time the build and the uncached build change nothing.
    let mut now = 100_000;
    let mut waits = Vec::new();
    for line in 1..14 {
        let seen = of_source(&line.to_string());
        let last = history.attempts.iter().map(|row| row.last_at).max().unwrap();
        match next(&seen, &history, (last - at(0)).num_seconds() + 1) {
            Next::Wait(until) => waits.push((until - last).num_minutes()),
            Next::Execute(_) => waits.push(0),
            other => panic!("{other:?}"),
        }
        now += 200_000;
        assert_eq!(spend(&seen, &mut history, now).len(), 2);
    }
    assert_eq!(waits, [0, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440, 1440, 1440]);
}

#[test]
fn what_was_healed_was_no_vain_start() {
    let mut history = history();
    for line in 0..6 {
        let seen = of_source(&line.to_string());
        let from = line * 1000;
        assert!(matches!(next(&seen, &history, from), Next::Execute(_)), "{line}");
        take_in_vain(&desired(), &seen, &mut history, at(from)).unwrap();
        history.attempts.iter_mut().for_each(|row| (row.pending, row.healed) = (None, true));
    }
    history.attempts.iter_mut().for_each(|row| row.healed = false);
    assert!(matches!(next(&of_source("6"), &history, 6000), Next::Wait(_)));
}

#[test]
fn a_source_that_is_enforced_and_changes_by_itself_is_built_less_and_less_often_however_well() {
    let mut desired = desired();
    desired.object.spec.source.drift = crate::api::SourceDrift::Enforce;
    let mut history = history();
    let mut waits = Vec::new();
    let mut now = 0;
    for line in 0..7 {
        let mut seen = healthy();
        seen.services[0].source.digest = Fact::Known(Some(format!("sha256:line-{line}")));
        let next = |now| {
            decide(Inputs {
                desired: &desired,
                observed: &seen,
                history: &history,
                now: at(now),
                jitter_seed: 7,
            })
        };
        if let Next::Wait(until) = next(now).next {
            waits.push((until - at(now)).num_minutes());
            now = (until - at(0)).num_seconds();
        } else {
            waits.push(0);
        }
        let decision = next(now);
        let Next::Execute(step) = &decision.next else { panic!("{:?}", decision.next) };
        let inputs =
            Inputs { desired: &desired, observed: &seen, history: &history, now: at(now), jitter_seed: 7 };
        let begun = begin_step(inputs, &decision.attempts, &decision.services, step.step, &step.services);
        history.attempts.extend(begun.into_iter().map(|row| crate::api::Attempt {
            pending: None,
            healed: true,
            ..row
        }));
        now += 1;
    }
    assert_eq!(waits, [0, 0, 0, 9, 9, 9, 9], "ten minutes from the last build on, which was a second ago");
}

#[test]
fn a_verification_settles_what_moved_on_and_nothing_that_was_in_vain() {
    let incident = after_a_repair(&incident()).incident.unwrap();
    let row = |change: fn(&mut crate::api::Attempt)| {
        let mut row = row(None, at(0));
        change(&mut row);
        row
    };
    let healed = |incident: Option<&OpenIncident>, row: crate::api::Attempt| {
        attempts::after_verification(incident, "api", &[row]).any(|row| row.healed)
    };
    let some = Some(&incident);
    assert!(healed(some, row(|_| {})) && healed(None, row(|row| row.pending = Some(Step::Restart))));
    assert!(!healed(None, row(|_| {})), "no incident, no repair");
    assert!(!healed(some, row(|row| row.last_at = at(-1))), "of an earlier one");
    assert!(!healed(some, row(|row| row.next_at = Some(at(9)))), "it failed, or changed nothing");
    assert!(!healed(some, row(|row| row.gave_up = Some("RolledBack".into()))));
    assert!(!healed(some, row(|row| row.service = "dashboard".into())));
    let mut cut_off = incident.clone();
    let outcome = crate::api::StepOutcome::Interrupted;
    let services = vec!["api".to_owned()];
    cut_off.steps.push(DoneStep { step: Step::Rollback, services, at: at(0), outcome });
    assert!(!healed(Some(&cut_off), row(|_| {})), "the rollback may have had its effect all the same");
}

#[test]
fn a_wait_that_a_clock_has_put_far_ahead_is_none() {
    let mut history = history();
    let mut waits = row(None, at(0));
    (waits.layer, waits.reason) = (Layer::Artifact, DriftReason::ModuleMissing);
    for (next_at, is_due) in [(500, false), (601, true)] {
        waits.next_at = Some(at(next_at));
        history.attempts = vec![waits.clone()];
        assert_eq!(matches!(next(&incident(), &history, 0), Next::Execute(_)), is_due, "{next_at}");
        let (desired, observed) = (desired(), incident());
        let decision = decide(Inputs {
            desired: &desired,
            observed: &observed,
            history: &history,
            now: at(0),
            jitter_seed: 7,
        });
        let backs_off = decision.repair_options[0].backs_off.clone();
        assert_eq!(backs_off.is_some_and(|why| why.contains(" is next: module workflow is not")), !is_due);
    }
}

#[test]
fn after_a_rollback_the_first_other_source_waits_too_and_a_rollback_never_does() {
    let mut gave_up = row(None, at(0));
    gave_up.gave_up = Some("RolledBack".into());
    let history = History { attempts: vec![gave_up], ..history() };
    assert_eq!(next(&of_source("1"), &history, 1), Next::Wait(at(600)));
    assert!(matches!(next(&of_source("1"), &history, 600), Next::Execute(_)));
    // One source that was given up at two drifts was one chance.
    let of_route =
        Attempt { layer: Layer::Route, reason: DriftReason::Absent, ..history.attempts[0].clone() };
    let of_both =
        History { attempts: vec![history.attempts[0].clone(), of_route.clone()], ..history.clone() };
    assert_eq!(next(&of_source("1"), &of_both, 1), Next::Wait(at(600)));
    let another = Attempt { source_digest: Some("another".into()), ..of_route };
    let of_two = History { attempts: vec![history.attempts[0].clone(), another], ..history.clone() };
    assert_eq!(next(&of_source("1"), &of_two, 1), Next::Wait(at(1_200)), "two of them were two");
    let repaired = History { incident: after_a_repair(&incident()).incident, ..history };
    let mut dying = dying();
    dying.services[0].source.digest = Fact::Known(Some("1".into()));
    dying.services[0].artifact.built_from = None;
    let opened = repaired.incident.map(|open| OpenIncident { opened_at: at(1), ..open });
    let decision = with_history(&desired(), &dying, &History { incident: opened, ..repaired });
    assert_eq!(decision.repair_options[0].repair, Repair::Steps(vec![Step::Rollback], None));
}

#[test]
fn an_image_that_comes_from_elsewhere_is_what_a_repair_starts_from() {
    let pulled = |image: &str| {
        let mut seen = healthy();
        seen.services[0].buildable = false;
        seen.services[0].source.digest = Fact::Known(None);
        seen.services[0].artifact.image = Fact::Known(Some(image.into()));
        seen
    };
    let mut gave_up = row(None, at(-3600));
    gave_up.source_digest = Some(format!("config:hash image:{NEW}"));
    gave_up.gave_up = Some("RolledBack".into());
    let history = History { attempts: vec![gave_up], ..history() };
    let mut bad = pulled(NEW);
    container_mut(&mut bad.services[0]).image_id = OLD.into();
    assert!(matches!(next(&bad, &history, 1), Next::GiveUp { reason, .. } if reason == "RolledBack"));
    let mut good = pulled("sha256:good");
    container_mut(&mut good.services[0]).image_id = OLD.into();
    assert!(matches!(next(&good, &history, 1), Next::Execute(_)));
}
