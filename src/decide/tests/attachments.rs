//! The parts that Compose's config hash leaves out.

use super::*;
use crate::api::{
    AttachedNetwork, Attachments, BoundPort, ContainerObservation, CopiedContent, DeclaredAttachments,
    DeclaredNetwork, DeclaredPort, NetworkObservation, NetworkUser, NoteReason, Step, VolumeObservation,
};

fn network() -> NetworkObservation {
    NetworkObservation {
        name: "backoffice_default".into(),
        differences: vec![],
        remade: false,
        publishes: true,
        others: vec![],
    }
}

/// `api` on the default network with an alias, an address and a port of a range.
fn attached() -> ProjectObservation {
    let mut seen = healthy();
    let name = "backoffice_default".to_owned();
    let aliases = ["api".to_owned(), "backend".to_owned()];
    seen.services[0].networks = Fact::Known(vec![network()]);
    seen.services[0].attachments = DeclaredAttachments {
        networks: vec![DeclaredNetwork {
            name: name.clone(),
            aliases: aliases.clone().into(),
            addresses: vec!["10.0.0.9".parse().unwrap()],
        }],
        ports: vec![DeclaredPort {
            target: "80/tcp".into(),
            host: "127.0.0.1".parse().ok(),
            published: Some((8080, 8082)),
        }],
    };
    container_mut(&mut seen.services[0]).attachments = Attachments {
        networks: vec![AttachedNetwork {
            name,
            id: "0123456789abcdef".into(),
            aliases: aliases.into(),
            addresses: vec!["10.0.0.9".parse().unwrap()],
        }],
        ports: vec![BoundPort { target: "80/tcp".into(), host: "127.0.0.1".parse().ok(), published: 8081 }],
    };
    seen
}

fn changed(change: impl Fn(&mut ContainerObservation)) -> Decision {
    let mut seen = attached();
    change(container_mut(&mut seen.services[0]));
    decided(&seen)
}

#[test]
fn container_that_is_attached_as_declared_or_more_is_as_declared() {
    assert!(decided(&attached()).as_declared());
    let more = changed(|c| {
        c.attachments.networks.push(AttachedNetwork {
            name: "proxy".into(),
            id: String::new(),
            aliases: [].into(),
            addresses: vec![],
        });
        c.attachments.ports.push(BoundPort { target: "81/tcp".into(), host: None, published: 9 });
    });
    assert!(more.as_declared());
    let mut by_id = attached();
    by_id.services[0].attachments.networks[0].name = "0123456789ab".into();
    assert!(decided(&by_id).as_declared());
}

#[test]
fn each_part_that_is_missing_is_a_network_that_changed_and_is_recreated_at_once() {
    let changes: [fn(&mut ContainerObservation); 6] = [
        |c| c.attachments.networks.clear(),
        |c| c.attachments.networks[0].aliases.retain(|alias| alias != "backend"),
        |c| c.attachments.networks[0].addresses = vec!["10.0.0.8".parse().unwrap()],
        |c| c.attachments.ports.clear(),
        |c| c.attachments.ports[0].published = 8083,
        |c| c.attachments.ports[0].host = "127.0.0.2".parse().ok(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let decision = changed(change);
        assert_eq!(drift(&decision), Some((Layer::Container, DriftReason::NetworkChanged)), "{number}");
        let steps: Vec<Step> = decision.plan.iter().map(|planned| planned.step).collect();
        assert_eq!(steps, [Step::Up { force_recreate: true }], "{number}");
    }
}

#[test]
fn ports_count_only_where_a_network_binds_them_and_while_the_container_runs() {
    let mut seen = attached();
    container_mut(&mut seen.services[0]).attachments.ports.clear();
    seen.services[0].networks = Fact::Known(vec![NetworkObservation { publishes: false, ..network() }]);
    assert!(decided(&seen).as_declared());
    let stopped = changed(|c| {
        c.attachments = Attachments::default();
        c.state = ContainerState::Exited;
    });
    assert_eq!(drift(&stopped), Some((Layer::Container, DriftReason::NotRunning)));
}

#[test]
fn another_content_is_another_configuration_that_only_a_recreate_brings() {
    let content = |differs| CopiedContent { name: "config c".into(), target: "/c".into(), differs };
    let decision = changed(|c| c.contents = vec![content(Fact::Known(false)), content(Fact::Known(true))]);
    assert_eq!(drift(&decision), Some((Layer::Container, DriftReason::ConfigChanged)));
    assert_eq!(decision.plan[0].step, Step::Up { force_recreate: true });
    // If Compose itself sees a difference, a plain one does it.
    let decision = changed(|c| {
        c.contents = vec![content(Fact::Known(true))];
        c.config_changed = Fact::Known(true);
    });
    assert_eq!(decision.plan[0].step, Step::Up { force_recreate: false });
    let decision = changed(|c| c.contents = vec![content(Fact::unknown("no answer"))]);
    assert!(decision.services[0].unknown.is_some() && decision.plan.is_empty());
}

fn defined_otherwise(remade: bool, others: &[&str]) -> ProjectObservation {
    let mut seen = attached();
    let others = others.iter().map(|name| NetworkUser::Service((*name).to_owned())).collect();
    seen.services[0].networks = Fact::Known(vec![NetworkObservation {
        differences: vec!["label a".into()],
        remade,
        others,
        ..network()
    }]);
    seen
}

#[test]
fn network_of_another_definition_is_for_a_person() {
    for seen in [
        defined_otherwise(false, &["dashboard"]),
        defined_otherwise(true, &[]),
        defined_otherwise(true, &["dashboard"]),
    ] {
        let decision = decided(&seen);
        assert_eq!(drift(&decision), Some((Layer::Container, DriftReason::NetworkDefinitionChanged)));
        assert!(decision.plan.is_empty());
        let Repair::Stalled { reason, message } = &decision.repair_options[0].repair else { panic!() };
        assert_eq!(reason, "NetworkDefinitionChanged");
        assert!(message.contains("docker compose"), "{message}");
    }
}

#[test]
fn no_up_is_taken_where_it_would_fail_for_a_network_and_leave_the_service_down() {
    let blocked = || defined_otherwise(true, &["dashboard"]);
    let changes: [fn(&mut ProjectObservation); 4] = [
        |seen| seen.services[0].artifact.modules[0].presence = Fact::Known(crate::api::Presence::Missing),
        |seen| container_mut(&mut seen.services[0]).image_id = OLD.into(),
        |seen| container_mut(&mut seen.services[0]).config_changed = Fact::Known(true),
        |seen| answer_mut(&mut seen.services[0]).plain = status(404),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut seen = blocked();
        change(&mut seen);
        let decision = decided(&seen);
        assert!(decision.services[0].drift.is_some() && decision.plan.is_empty(), "{number}");
        let Repair::Stalled { reason, message } = &decision.repair_options[0].repair else {
            panic!("{number}")
        };
        assert_eq!(reason, "NetworkDefinitionChanged", "{number}");
        assert!(message.contains("`docker compose up --detach --no-deps api dashboard`"), "{message}");
    }
    // Nobody else is on it, or this Compose leaves it alone: other drifts are repaired.
    for seen in [defined_otherwise(true, &[]), defined_otherwise(false, &["dashboard"])] {
        let mut seen = seen;
        container_mut(&mut seen.services[0]).image_id = OLD.into();
        assert_eq!(kinds(&decided(&seen).plan), [StepKind::Up]);
    }
}

#[test]
fn what_is_down_behind_such_a_network_is_restarted_and_never_brought_up() {
    let mut seen = defined_otherwise(true, &["dashboard"]);
    container_mut(&mut seen.services[0]).state = ContainerState::Exited;
    assert_eq!(kinds(&decided(&seen).plan), [StepKind::Restart]);
}

#[test]
fn a_replica_that_is_gone_is_not_made_on_such_a_network_while_others_run() {
    for blocked in [true, false] {
        let mut seen = defined_otherwise(true, if blocked { &["dashboard"] } else { &[] });
        let api = &mut seen.services[0];
        api.replicas = 2;
        api.source.modules[0] = Some(Fact::Known(crate::api::Presence::Missing));
        let mut history = history();
        history.verified.insert(api.name.clone(), identities(api));
        api.artifact.image = Fact::Known(Some(container_mut(api).image_id.clone()));
        let plan = with_history(&desired(), &seen, &history).plan;
        assert_eq!(plan.iter().any(|step| step.step == Step::Start), !blocked, "{plan:?}");
    }
}

#[test]
fn volume_of_another_definition_is_a_note() {
    let volume = |differences| VolumeObservation { name: "backoffice_data".into(), differences };
    let mut seen = attached();
    seen.services[0].volumes = vec![volume(vec![]), volume(vec!["driver".into()])];
    assert!(decided(&seen).as_declared());
    let notes = crate::decide::notes::notes(at(1), &seen.services[0]);
    assert_eq!(notes.iter().map(|note| note.reason).collect::<Vec<_>>(), [NoteReason::VolumeChanged]);
    assert!(notes[0].message.contains("backoffice_data") && notes[0].message.contains("driver"));
}

#[test]
fn upgrade_of_compose_is_a_note_unless_the_manifest_sets_recreate() {
    let mut seen = attached();
    let container = container_mut(&mut seen.services[0]);
    container.config_changed = Fact::Known(true);
    container.only_upgraded = true;
    assert!(decided(&seen).as_declared());
    let notes = crate::decide::notes::notes(at(1), &seen.services[0]);
    assert_eq!(notes.iter().map(|note| note.reason).collect::<Vec<_>>(), [NoteReason::ComposeUpgraded]);
    let recreate = desired_with(&json!({ "upgrades": "recreate" }));
    let decision = with_history(&recreate, &seen, &history());
    assert_eq!(drift(&decision), Some((Layer::Container, DriftReason::ConfigChanged)));
}
