//! The compared part of an observation: everything but what no two hosts share. An ID is named by when it was first seen, to
//! distinguish a new image, an old one that is back, and another start of the same container.

use crate::api::{
    Answer, ContainerObservation, ContainerState, Fact, MountCover, Presence, ProjectObservation,
    RevisionFact, RouteAnswer, ServiceObservation,
};

/// The compared values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostView {
    external_activity: bool,
    services: Vec<Service>,
}

/// The observation, with the names of the services' IDs.
pub(super) fn look(names: &mut [SeenNames; 2], seen: &ProjectObservation) -> HostView {
    let services = names.iter_mut().zip(&seen.services).map(|(names, seen)| names.service(seen)).collect();
    HostView { external_activity: seen.external_activity.is_some(), services }
}

impl HostView {
    /// The image that the reference of `api` names.
    pub(super) fn image(&self) -> Option<usize> {
        self.services.first().and_then(|api| api.image.clone().ok().flatten())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Service {
    name: String,
    replicas: u32,
    /// `None` for a service without `build:`, which the fake does not have.
    source: Comparable<Option<usize>>,
    config: Option<usize>,
    modules_in_source: Vec<Option<Comparable<Presence>>>,
    image: Comparable<Option<usize>>,
    modules_in_image: Vec<Comparable<Presence>>,
    containers: Comparable<Vec<ContainerView>>,
    revision: Option<RevisionView>,
    /// By route, by replica.
    routes: Vec<Vec<Statuses>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ContainerView {
    id: usize,
    start: usize,
    image: usize,
    state: ContainerState,
    exit_code: Option<i64>,
    restart_count: i64,
    restarting: bool,
    config: Option<usize>,
    config_changed: Comparable<bool>,
    modules: Vec<(Comparable<Presence>, Option<MountCover>)>,
    /// Of each mounted file whether its bytes have changed, and whether another file is in its place.
    mounted: Vec<[Comparable<bool>; 2]>,
}

/// The expected revision, the one of the image, and that of each container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RevisionView {
    expected: RevisionName,
    image: Option<RevisionName>,
    containers: Vec<(usize, RevisionName)>,
}

/// A revision that is known, or why it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RevisionName {
    Known(usize),
    Missing,
    NotKnown,
}

/// The probe results of one replica: plain, control, with credentials, control with credentials.
type Statuses = [Option<Comparable<Option<u16>>>; 4];

/// A fact without the message if it is unknown.
type Comparable<T> = Result<T, Unknown>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Unknown;

fn known<T: Clone>(fact: &Fact<T>) -> Comparable<T> {
    fact.known().cloned().ok_or(Unknown)
}

/// The IDs of each kind that were seen of a service so far, in the order of their first sight.
#[derive(Default)]
pub(super) struct SeenNames {
    images: Vec<String>,
    sources: Vec<String>,
    configs: Vec<String>,
    containers: Vec<String>,
    starts: Vec<String>,
    revisions: Vec<String>,
}

impl SeenNames {
    /// The image that was seen first.
    pub(super) fn first_image(&self) -> Option<String> {
        self.images.first().cloned()
    }

    /// The ID of the image with this name.
    pub(super) fn image(&self, name: usize) -> Option<&String> {
        self.images.get(name)
    }

    fn service(&mut self, seen: &ServiceObservation) -> Service {
        Service {
            name: seen.name.clone(),
            replicas: seen.replicas,
            source: known(&seen.source.digest).map(|id| id.map(|id| name(&mut self.sources, id))),
            config: seen.config_hash.clone().map(|hash| name(&mut self.configs, hash)),
            modules_in_source: seen.source.modules.iter().map(|m| m.as_ref().map(known)).collect(),
            image: known(&seen.artifact.image).map(|id| id.map(|id| name(&mut self.images, id))),
            modules_in_image: seen.artifact.modules.iter().map(|module| known(&module.presence)).collect(),
            containers: known(&seen.containers).map(|all| all.iter().map(|c| self.container(c)).collect()),
            revision: self.revision(seen),
            routes: seen.routes.iter().map(|route| route.answers.iter().map(answer).collect()).collect(),
        }
    }

    fn revision(&mut self, seen: &ServiceObservation) -> Option<RevisionView> {
        let seen = seen.revision.as_ref()?;
        let containers = seen.containers.iter();
        Some(RevisionView {
            expected: self.revision_name(&seen.expected),
            image: seen.image.as_ref().map(|found| self.revision_name(found)),
            containers: containers
                .map(|of| {
                    (name(&mut self.containers, of.container.clone()), self.revision_name(&of.revision))
                })
                .collect(),
        })
    }

    fn revision_name(&mut self, found: &RevisionFact) -> RevisionName {
        match found {
            RevisionFact::Known(revision) => RevisionName::Known(name(&mut self.revisions, revision.clone())),
            RevisionFact::Missing(_) => RevisionName::Missing,
            _ => RevisionName::NotKnown,
        }
    }

    fn container(&mut self, seen: &ContainerObservation) -> ContainerView {
        ContainerView {
            id: name(&mut self.containers, seen.id.clone()),
            start: name(&mut self.starts, format!("{} {:?}", seen.id, seen.started_at)),
            image: name(&mut self.images, seen.image_id.clone()),
            state: seen.state,
            exit_code: seen.exit_code,
            restart_count: seen.restart_count,
            restarting: seen.restarting,
            config: seen.config_hash.clone().map(|hash| name(&mut self.configs, hash)),
            config_changed: known(&seen.config_changed),
            modules: seen.modules.iter().map(|m| (known(&m.presence), m.covered_by.clone())).collect(),
            mounted: seen.mounted.iter().map(|file| [known(&file.changed), known(&file.replaced)]).collect(),
        }
    }
}

fn name(seen: &mut Vec<String>, id: String) -> usize {
    seen.iter().position(|known| *known == id).unwrap_or_else(|| {
        seen.push(id);
        seen.len() - 1
    })
}

fn answer(seen: &RouteAnswer) -> Statuses {
    let status = |fact: &Fact<Answer>| known(fact).map(|answer| answer.status());
    [
        Some(status(&seen.plain)),
        seen.control.as_ref().map(status),
        seen.auth.as_ref().map(status),
        seen.auth_control.as_ref().map(status),
    ]
}
