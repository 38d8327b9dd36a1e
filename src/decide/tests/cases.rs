//! The table: one broken thing each, its drift, and the steps that answer it.

use crate::{
    api::{
        Answer, ContainerState, ContentComparison, ContentObservation, DriftReason, Fact, Health, Layer,
        MountCover, Presence, ProjectObservation, RevisionFact, RevisionObservation, StepKind,
    },
    testing::fixtures::{OLD, answer_mut, at, container_mut, incident, revision, status},
};

/// One broken thing, its drift, and the steps that answer it.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) break_it: fn(&mut ProjectObservation),
    pub(super) layer: Layer,
    pub(super) reason: DriftReason,
    pub(super) steps: &'static [StepKind],
}

/// A comparison that found a difference.
pub(super) fn differs() -> ContentObservation {
    let named = vec!["a".to_owned()];
    ContentObservation::Compared(ContentComparison { differing: 1, named, ..ContentComparison::default() })
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "module missing in source",
        break_it: |seen| {
            *seen = incident();
            seen.services[0].source.modules[0] = Some(Fact::Known(Presence::Missing));
        },
        layer: Layer::Source,
        reason: DriftReason::ModuleMissing,
        steps: &[],
    },
    Case {
        name: "the incident",
        break_it: |seen| *seen = incident(),
        layer: Layer::Artifact,
        reason: DriftReason::ModuleMissing,
        steps: &[StepKind::Build, StepKind::Up],
    },
    Case {
        name: "no image",
        break_it: |seen| seen.services[0].artifact.image = Fact::Known(None),
        layer: Layer::Artifact,
        reason: DriftReason::ImageMissing,
        steps: &[StepKind::Build, StepKind::Up],
    },
    Case {
        name: "source changed",
        break_it: |seen| seen.services[0].artifact.built_from = Some("sha256:source-1".into()),
        layer: Layer::Artifact,
        reason: DriftReason::SourceChanged,
        steps: &[StepKind::Build, StepKind::Up],
    },
    Case {
        name: "another revision in the image",
        break_it: |seen| {
            let image = Some(RevisionFact::Missing("it has no such label".into()));
            seen.services[0].revision = Some(RevisionObservation { image, ..revision() });
        },
        layer: Layer::Artifact,
        reason: DriftReason::RevisionDiffers,
        steps: &[StepKind::Build, StepKind::Up],
    },
    Case {
        name: "another revision in the container",
        break_it: |seen| {
            let mut revision = revision();
            revision.containers[0].revision = RevisionFact::Known("1.0.0".into());
            seen.services[0].revision = Some(revision);
        },
        layer: Layer::Container,
        reason: DriftReason::RevisionDiffers,
        steps: &[StepKind::Up],
    },
    Case {
        name: "module missing in an image that Compose cannot build",
        break_it: |seen| {
            *seen = incident();
            seen.services[0].buildable = false;
        },
        layer: Layer::Artifact,
        reason: DriftReason::ModuleMissing,
        steps: &[],
    },
    Case {
        name: "a file of the module differs in the image",
        break_it: |seen| seen.services[0].artifact.modules[0].content = Some(differs()),
        layer: Layer::Artifact,
        reason: DriftReason::ContentDiffers,
        steps: &[StepKind::Build, StepKind::Up],
    },
    Case {
        name: "a file of the module differs in the container",
        break_it: |seen| container_mut(&mut seen.services[0]).modules[0].content = Some(differs()),
        layer: Layer::Container,
        reason: DriftReason::ContentDiffers,
        steps: &[StepKind::Up],
    },
    Case {
        name: "a volume with other files over the module",
        break_it: |seen| {
            let module = &mut container_mut(&mut seen.services[0]).modules[0];
            module.content = Some(differs());
            module.covered_by =
                Some(MountCover { kind: "volume".into(), destination: "/app".into(), source: "data".into() });
        },
        layer: Layer::Container,
        reason: DriftReason::ShadowedByMount,
        steps: &[],
    },
    Case {
        name: "no container",
        break_it: |seen| seen.services[0].containers = Fact::Known(vec![]),
        layer: Layer::Container,
        reason: DriftReason::Missing,
        steps: &[StepKind::Up],
    },
    Case {
        name: "container exited",
        break_it: |seen| container_mut(&mut seen.services[0]).state = ContainerState::Exited,
        layer: Layer::Container,
        reason: DriftReason::NotRunning,
        steps: &[StepKind::Up],
    },
    Case {
        name: "container of an old image",
        break_it: |seen| container_mut(&mut seen.services[0]).image_id = OLD.into(),
        layer: Layer::Container,
        reason: DriftReason::ImageOutdated,
        steps: &[StepKind::Up],
    },
    Case {
        name: "another configuration",
        break_it: |seen| container_mut(&mut seen.services[0]).config_changed = Fact::Known(true),
        layer: Layer::Container,
        reason: DriftReason::ConfigChanged,
        steps: &[StepKind::Up],
    },
    Case {
        name: "files gone from the container",
        break_it: |seen| {
            container_mut(&mut seen.services[0]).modules[0].presence = Fact::Known(Presence::Missing);
        },
        layer: Layer::Container,
        reason: DriftReason::ModuleMissing,
        steps: &[StepKind::Up],
    },
    Case {
        name: "a volume over the module",
        break_it: |seen| {
            let module = &mut container_mut(&mut seen.services[0]).modules[0];
            module.presence = Fact::Known(Presence::Missing);
            module.covered_by =
                Some(MountCover { kind: "volume".into(), destination: "/app".into(), source: "data".into() });
        },
        layer: Layer::Container,
        reason: DriftReason::ShadowedByMount,
        steps: &[],
    },
    Case {
        name: "paused",
        break_it: |seen| container_mut(&mut seen.services[0]).state = ContainerState::Paused,
        layer: Layer::Container,
        reason: DriftReason::Paused,
        steps: &[],
    },
    Case {
        name: "between two crashes",
        break_it: |seen| {
            let container = container_mut(&mut seen.services[0]);
            (container.state, container.restart_count) = (ContainerState::Restarting, 2);
        },
        layer: Layer::Container,
        reason: DriftReason::CrashLooping,
        steps: &[StepKind::Restart],
    },
    Case {
        name: "crashed twice, and running since a moment",
        break_it: |seen| {
            let container = container_mut(&mut seen.services[0]);
            container.restart_count = 2;
            container.started_at = Some(at(0));
        },
        layer: Layer::Container,
        reason: DriftReason::CrashLooping,
        steps: &[StepKind::Restart],
    },
    Case {
        name: "unhealthy",
        break_it: |seen| container_mut(&mut seen.services[0]).health = Some(Health::Unhealthy),
        layer: Layer::Container,
        reason: DriftReason::Unhealthy,
        steps: &[StepKind::Restart],
    },
    Case {
        name: "route absent, image known to be current",
        break_it: |seen| {
            answer_mut(&mut seen.services[0]).plain = status(404);
        },
        layer: Layer::Route,
        reason: DriftReason::Absent,
        steps: &[StepKind::Restart],
    },
    Case {
        name: "route absent, image of unknown origin",
        break_it: |seen| {
            answer_mut(&mut seen.services[0]).plain = status(404);
            seen.services[0].artifact.built_from = None;
        },
        layer: Layer::Route,
        reason: DriftReason::Absent,
        steps: &[StepKind::Build, StepKind::Up],
    },
    Case {
        name: "no answer",
        break_it: |seen| {
            answer_mut(&mut seen.services[0]).plain = Fact::Known(Answer::None("connection refused".into()));
        },
        layer: Layer::Route,
        reason: DriftReason::Unreachable,
        steps: &[],
    },
    Case {
        name: "a gateway's error is not an absent route",
        break_it: |seen| answer_mut(&mut seen.services[0]).plain = status(502),
        layer: Layer::Route,
        reason: DriftReason::UnexpectedStatus,
        steps: &[],
    },
    Case {
        name: "a mounted file has changed since the start",
        break_it: |seen| container_mut(&mut seen.services[0]).mounted = vec![super::mounts::changed()],
        layer: Layer::Container,
        reason: DriftReason::MountChanged,
        steps: &[StepKind::Restart],
    },
    Case {
        name: "the path exists, the method is wrong",
        break_it: |seen| answer_mut(&mut seen.services[0]).plain = status(405),
        layer: Layer::Route,
        reason: DriftReason::UnexpectedStatus,
        steps: &[],
    },
    Case {
        name: "blanket 401, and credentials that settle nothing",
        break_it: |seen| {
            answer_mut(&mut seen.services[0]).control = Some(status(401));
            answer_mut(&mut seen.services[0]).auth = Some(status(401));
        },
        layer: Layer::Route,
        reason: DriftReason::Indistinguishable,
        steps: &[],
    },
    Case {
        name: "blanket 401, absent with credentials",
        break_it: |seen| {
            let answer = answer_mut(&mut seen.services[0]);
            answer.control = Some(status(401));
            answer.auth = Some(status(404));
            answer.auth_control = Some(status(404));
        },
        layer: Layer::Route,
        reason: DriftReason::Absent,
        steps: &[StepKind::Restart],
    },
    Case {
        name: "wrong credentials",
        break_it: |seen| answer_mut(&mut seen.services[0]).auth = Some(status(401)),
        layer: Layer::Auth,
        reason: DriftReason::Rejected,
        steps: &[],
    },
    Case {
        name: "open without credentials",
        break_it: |seen| answer_mut(&mut seen.services[0]).plain = status(200),
        layer: Layer::Auth,
        reason: DriftReason::NotEnforced,
        steps: &[],
    },
];
