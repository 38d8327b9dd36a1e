//! What else than the image may be to blame for a failure after a verified repair.

use super::*;
use crate::api::MountedFile;

/// `api` was built, brought up, and verified at 10 s.
fn repaired() -> History {
    let mut before = healthy();
    container_mut(&mut before.services[0]).image_id = OLD.into();
    let mut healed = after_a_repair(&before).incident.unwrap();
    healed.verified.push(Verified { service: "api".into(), at: at(10), image: NEW.into() });
    History { last_healed: Some(healed), ..history() }
}

/// Its container has died by itself.
fn died() -> ProjectObservation {
    let mut seen = healthy();
    let container = container_mut(&mut seen.services[0]);
    (container.state, container.exit_code) = (ContainerState::Exited, Some(1));
    seen
}

/// Its route answers 500.
fn lost() -> ProjectObservation {
    let mut seen = healthy();
    answer_mut(&mut seen.services[0]).plain = status(500);
    seen
}

fn mounts_file_of(seen: &mut ProjectObservation, changed_at: i64) {
    container_mut(&mut seen.services[0]).mounted = vec![MountedFile {
        source: "/srv/app.conf".into(),
        target: "/etc/app.conf".into(),
        writable: false,
        changed: Fact::Known(false),
        replaced: Fact::Known(false),
        changed_at: Some(at(changed_at)),
        digest: None,
    }];
}

fn decided_after(seen: &ProjectObservation, history: &History) -> Decision {
    let desired = desired_with(&json!({ "verify": { "watchFor": "10m" } }));
    decide(Inputs { desired: &desired, observed: seen, history, now: at(300), jitter_seed: 7 })
}

#[test]
fn an_image_is_not_rolled_back_for_a_mounted_file_that_changed_after_its_verification() {
    for seen in [died(), lost()] {
        let plan = |changed_at| {
            let mut seen = seen.clone();
            mounts_file_of(&mut seen, changed_at);
            decided_after(&seen, &repaired())
        };
        assert_eq!(kinds(&plan(9).plan), [StepKind::Rollback], "it was verified with that file");
        let spared = plan(11);
        assert!(!kinds(&spared.plan).contains(&StepKind::Rollback), "{:?}", spared.plan);
        let why = &spared.repair_options[0].why;
        for words in ["/srv/app.conf", "mounts at /etc/app.conf, changed", "not rolled back"] {
            assert!(why.contains(words), "no {words} in {why}");
        }
    }
    let mut lost = lost();
    mounts_file_of(&mut lost, 11);
    let Repair::Stalled { message, .. } = decided_after(&lost, &repaired()).repair_options[0].repair.clone()
    else {
        panic!("a route that answers 500 has no other repair")
    };
    assert!(message.contains("not rolled back"), "a person who is told is told that, too: {message}");
}

/// The drift opened an incident of its own, whose `Up` changed nothing: a person who is told is told of the file all the same.
#[test]
fn a_mounted_file_is_named_also_after_the_next_up() {
    for (changed_at, is_named) in [(11, true), (9, false)] {
        let mut seen = died();
        mounts_file_of(&mut seen, changed_at);
        container_mut(&mut seen.services[0]).created_at = Some(at(250));
        let mut open = after_a_repair(&healthy()).incident.unwrap();
        open.steps.iter_mut().for_each(|done| done.at = at(250));
        let history = History { incident: Some(open), ..repaired() };
        let why = decided_after(&seen, &history).repair_options[0].why.clone();
        assert_eq!(why.contains("/etc/app.conf, changed after the image was verified"), is_named, "{why}");
        assert!(!why.contains("rolled back"), "{why}");
    }
}

#[test]
fn a_file_that_the_container_writes_itself_spares_no_image() {
    let mut seen = died();
    mounts_file_of(&mut seen, 11);
    container_mut(&mut seen.services[0]).mounted[0].writable = true;
    assert_eq!(kinds(&decided_after(&seen, &repaired()).plan), [StepKind::Rollback], "a log");
    container_mut(&mut seen.services[0]).mounted[0].replaced = Fact::Known(true);
    assert!(!kinds(&decided_after(&seen, &repaired()).plan).contains(&StepKind::Rollback), "another file");
}

#[test]
fn a_container_that_was_made_anew_may_have_another_configuration() {
    for (created_at, rolls_back) in [(0, true), (11, false)] {
        let mut seen = died();
        container_mut(&mut seen.services[0]).created_at = Some(at(created_at));
        let decision = decided_after(&seen, &repaired());
        assert_eq!(kinds(&decision.plan) == [StepKind::Rollback], rolls_back, "{created_at}");
    }
}

/// A new image that never worked is the first suspect, whatever else changed.
#[test]
fn an_image_that_was_never_verified_is_rolled_back_all_the_same() {
    let mut history = repaired();
    history.last_healed.iter_mut().for_each(|healed| healed.verified.clear());
    let mut seen = died();
    mounts_file_of(&mut seen, 11);
    let decision = decide(Inputs {
        desired: &desired(),
        observed: &seen,
        history: &history,
        now: at(60),
        jitter_seed: 7,
    });
    assert_eq!(kinds(&decision.plan), [StepKind::Rollback]);
}
