//! Files of the host that are mounted into containers.

use super::*;
use crate::{
    api::{Attempt, ContainerObservation, MountPolicy, MountedFile, NoteReason, Reload},
    testing::fixtures::container,
};

/// A file that changed a minute ago.
pub(super) fn changed() -> MountedFile {
    MountedFile {
        source: "/srv/app.conf".into(),
        target: "/etc/app.conf".into(),
        writable: false,
        changed: Fact::Known(true),
        replaced: Fact::Known(false),
        changed_at: Some(at(-60)),
        digest: Some("digest-2".into()),
    }
}

fn with(files: Vec<MountedFile>) -> ProjectObservation {
    let mut seen = healthy();
    container_mut(&mut seen.services[0]).mounted = files;
    seen
}

fn declared(mounts: MountPolicy, reload: bool) -> Desired {
    let mut desired = desired();
    let api = &mut desired.object.spec.services[0];
    (api.mounts, api.reload) = (mounts, reload.then(|| Reload { signal: "HUP".into() }));
    desired
}

fn notes(decision: &Decision) -> Vec<&str> {
    let notes = decision.services[0].notes.iter().filter(|note| note.reason == NoteReason::MountChanged);
    notes.map(|note| note.message.as_str()).collect()
}

#[test]
fn a_change_is_reported_or_repaired_or_nothing_as_the_spec_has_it() {
    let decided = |mounts| with_history(&declared(mounts, false), &with(vec![changed()]), &history());
    let reported = decided(MountPolicy::Report);
    assert!(reported.as_declared() && reported.plan.is_empty());
    assert_eq!(
        notes(&reported),
        [
            "/srv/app.conf (mounted at /etc/app.conf) has changed since backoffice-api-1 was started or last reloaded"
        ]
    );
    let enforced = decided(MountPolicy::Enforce);
    assert_eq!(drift(&enforced), Some((Layer::Container, DriftReason::MountChanged)));
    assert_eq!((kinds(&enforced.plan), notes(&enforced)), (vec![StepKind::Restart], vec![]));
    let ignored = decided(MountPolicy::Ignore);
    assert!(ignored.as_declared() && notes(&ignored).is_empty());
}

#[test]
fn a_signal_is_enough_only_where_every_container_has_the_file_at_the_path() {
    let step = |files: [MountedFile; 2]| {
        let desired = declared(MountPolicy::Enforce, true);
        kinds(&with_history(&desired, &with(files.into()), &history()).plan)
    };
    let replaced = |replaced| MountedFile { source: "/srv/tls.pem".into(), replaced, ..changed() };
    assert_eq!(step([changed(), replaced(Fact::Known(false))]), [StepKind::Reload]);
    assert_eq!(step([changed(), replaced(Fact::Known(true))]), [StepKind::Restart]);
    assert_eq!(step([changed(), replaced(Fact::unknown("not seen"))]), [StepKind::Restart]);
    let unchanged = MountedFile { changed: Fact::Known(false), ..replaced(Fact::Known(true)) };
    assert_eq!(step([changed(), unchanged]), [StepKind::Reload], "its bytes are the same");
}

#[test]
fn what_is_not_known_is_a_note_and_no_step() {
    let unknown = MountedFile { changed: Fact::unknown("permission denied"), ..changed() };
    for mounts in [MountPolicy::Report, MountPolicy::Enforce] {
        let decision = with_history(&declared(mounts, true), &with(vec![unknown.clone()]), &history());
        assert!(decision.as_declared() && decision.plan.is_empty(), "{mounts:?}");
        assert_eq!(
            notes(&decision),
            [
                "whether /srv/app.conf has changed since backoffice-api-1 was started is not known: permission denied"
            ]
        );
    }
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    let young = |seconds| with(vec![MountedFile { changed_at: Some(at(seconds)), ..changed() }]);
    let desired = declared(MountPolicy::Enforce, false);
    let decided = |seen| with_history(&desired, &seen, &history());
    for seconds in [0, 2] {
        let decision = decided(young(seconds));
        assert!(decision.services[0].unknown.is_some() && decision.plan.is_empty(), "{seconds}");
        assert!(matches!(decision.next, Next::Wait(_)), "{:?}", decision.next);
    }
    assert_eq!(kinds(&decided(young(-1)).plan), [StepKind::Restart]);
    assert_eq!(kinds(&decided(young(9000)).plan), [StepKind::Restart], "the clock was set back since");
}

#[test]
fn replicas_with_the_same_file_are_one_note() {
    let mut seen = with(vec![changed()]);
    seen.services[0].replicas = 2;
    let second = ContainerObservation { mounted: vec![changed()], ..container("api") };
    let second =
        ContainerObservation { modules: container_mut(&mut seen.services[0]).modules.clone(), ..second };
    if let Fact::Known(containers) = &mut seen.services[0].containers {
        containers.push(ContainerObservation { id: "second".into(), number: 2, ..second });
    }
    assert_eq!(notes(&with_history(&declared(MountPolicy::Report, false), &seen, &history())).len(), 1);
}

#[test]
fn a_budget_that_is_spent_on_one_content_is_not_that_of_another() {
    let desired = declared(MountPolicy::Enforce, false);
    let mut spent = row(None, at(0));
    (spent.layer, spent.reason) = (Layer::Container, DriftReason::MountChanged);
    spent.attempts = desired.object.spec.reconcile.attempts;
    spent.source_digest = super::super::start::start_of(&with(vec![changed()]).services[0], spent.reason);
    let history = History { attempts: vec![spent], ..history() };
    let plan = |digest: &str| {
        let file = MountedFile { digest: Some(digest.into()), ..changed() };
        kinds(&with_history(&desired, &with(vec![file]), &history).plan)
    };
    assert_eq!(plan("digest-2"), []);
    assert_eq!(plan("digest-3"), [StepKind::Restart]);
}

/// A program that writes the file all the time must not have the service restarted all the time.
#[test]
fn reloads_count_as_restarts_within_the_hour() {
    let desired = declared(MountPolicy::Enforce, true);
    let history = History { recent_steps: rate::recent(StepKind::Reload, 20, 60, 60), ..history() };
    let decision = with_history(&desired, &with(vec![changed()]), &history);
    assert!(decision.rate_exceeded().is_some_and(|why| why.contains("20 ups or restarts")), "{decision:?}");
}

#[test]
fn a_verified_reload_is_a_repair_of_a_container_that_stayed_the_same() {
    let mut history = after_a_repair(&with(vec![changed()]));
    let open = history.incident.as_mut().unwrap();
    open.steps = vec![DoneStep {
        step: Step::Reload,
        services: vec!["api".into()],
        at: at(0),
        outcome: crate::api::StepOutcome::Succeeded,
    }];
    assert!(open.has_reloaded("api") && !open.has_reloaded("dashboard"));
    assert!(!open.has_brought_up("api"), "nothing was replaced or started");
    let mut pending = row(Some(Step::Reload), at(0));
    (pending.layer, pending.reason) = (Layer::Container, DriftReason::MountChanged);
    let after: Vec<Attempt> = after_verification(Some(open), "api", &[pending]).collect();
    assert_eq!((after[0].attempts, after[0].healed), (0, true));
}
