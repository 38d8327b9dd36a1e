//! What an observation of the host in memory shows.

use super::{FakeContainer, HostFile, Rewritten, World, image_id};
use crate::{
    api::{
        ContainerState, ContentComparison, ContentObservation, Fact, MountedFile, Presence,
        ProjectObservation, ReplicaRevision, RevisionFact, RevisionObservation, ServiceObservation,
    },
    testing::fixtures::{answer_mut, at, container, container_mut, healthy, status},
};

impl World {
    pub(crate) fn observe(&mut self) -> ProjectObservation {
        let mut seen = healthy();
        seen.external_activity =
            (self.starting_for > 0).then(|| "the engine has only just started".to_owned());
        self.starting_for = self.starting_for.saturating_sub(1);
        if self.starting_for == 0 && std::mem::take(&mut self.starts_it) {
            self.container.iter_mut().for_each(|found| (found.running, found.file) = (true, self.file));
        }
        let presence = |there| Fact::Known(if there { Presence::Present } else { Presence::Missing });
        let api = &mut seen.services[0];
        api.config_hash = Some(config_hash(self.config));
        api.source.digest = Fact::Known(Some(self.source_digest()));
        api.source.modules[0] = Some(presence(self.module_in_source));
        api.artifact.built_from = None;
        api.artifact.image = Fact::Known(self.image.map(|image| image_id(image.id)));
        api.artifact.is_kept = self.kept.get("api") == self.image.map(|image| image_id(image.id)).as_ref();
        api.artifact.modules[0].presence = match self.image {
            Some(image) => presence(image.module),
            None => Fact::unknown("there is no image"),
        };
        api.revision = self.revision();
        match self.container {
            None => {
                api.containers = Fact::Known(vec![]);
                api.routes[0].answers.clear();
            }
            Some(found) => self.show(api, found),
        }
        if self.dashboard_exit.is_some() {
            let dashboard = container_mut(&mut seen.services[1]);
            (dashboard.state, dashboard.exit_code) = (ContainerState::Exited, self.dashboard_exit);
        }
        if let Some(container) = &mut self.container {
            container.looks += 1;
        }
        if self.crashes() {
            let crash =
                |found: &mut FakeContainer| (found.crashes, found.file) = (found.crashes + 1, self.file);
            self.container.iter_mut().for_each(crash);
        }
        seen
    }

    fn show(&self, api: &mut ServiceObservation, found: FakeContainer) {
        let (config, faults) = (self.config, self.faults);
        let shown = container_mut(api);
        *shown = crate::api::ContainerObservation {
            id: container_id(found.id),
            image_id: image_id(found.image.id),
            state: if found.running { ContainerState::Running } else { ContainerState::Exited },
            exit_code: (!found.running).then_some(137),
            restart_count: found.crashes,
            config_hash: Some(config_hash(found.config)),
            config_changed: Fact::Known(found.config != config),
            started_at: Some(at(found.starts + 100 * i64::from(found.id))),
            modules: shown.modules.clone(),
            mounted: self.mounted(found),
            ..container("api")
        };
        shown.modules[0].presence =
            Fact::Known(if found.image.module { Presence::Present } else { Presence::Missing });
        let is_rewritten = found.rewritten == Some(Rewritten::Module) && found.image.module;
        shown.modules[0].content = is_rewritten.then(|| {
            let named = vec!["index".to_owned()];
            ContentObservation::Compared(ContentComparison {
                differing: 1,
                named,
                ..ContentComparison::default()
            })
        });
        let there = found.image.module && !self.loses_route(found.image);
        let warming =
            [404, 502, 404].get(found.looks).filter(|_| faults.warms_up && found.image.id > self.newest_good);
        answer_mut(api).plain = status(*warming.unwrap_or(if there { &401 } else { &404 }));
        answer_mut(api).auth = Some(status(if there { 200 } else { 404 }));
        if !found.running {
            api.routes[0].answers.clear();
        }
    }

    /// The build gets the expected revision as a label, so that it is a part of what is built from.
    fn source_digest(&self) -> String {
        let revision = self.revision.map(|revision| format!("-{revision}")).unwrap_or_default();
        format!("sha256:source-{}{revision}", self.source)
    }

    /// The declared revision, where it is.
    fn revision(&self) -> Option<RevisionObservation> {
        let expected = self.revision?;
        let in_container = |found: FakeContainer| match found.rewritten {
            Some(Rewritten::Revision) => carried(Some(0)),
            _ => carried(found.image.revision),
        };
        let of = |found: FakeContainer| ReplicaRevision {
            container: container_id(found.id),
            revision: in_container(found),
        };
        Some(RevisionObservation {
            expected: carried(Some(expected)),
            dirty: None,
            image: self.image.map(|image| carried(image.revision)),
            containers: self.container.into_iter().map(of).collect(),
            routes: vec![],
        })
    }

    /// The mounted file of a container. What the process of one that does not run had read died with it.
    fn mounted(&self, found: FakeContainer) -> Vec<MountedFile> {
        let of = |(read, now): (HostFile, HostFile)| MountedFile {
            source: "/srv/app.conf".into(),
            target: "/etc/app.conf".into(),
            writable: false,
            changed: Fact::Known(found.running && read.bytes != now.bytes),
            replaced: Fact::Known(found.running && read.inode != now.inode),
            changed_at: None,
            digest: found.running.then(|| format!("bytes-{}", now.bytes)),
        };
        found.file.zip(self.file).into_iter().map(of).collect()
    }
}

/// No revision of an image has the number 0.
fn carried(revision: Option<u32>) -> RevisionFact {
    match revision {
        Some(number) => RevisionFact::Known(format!("{number:040}")),
        None => RevisionFact::Missing("nothing is there".into()),
    }
}

fn container_id(id: u32) -> String {
    format!("container-{id}")
}

fn config_hash(version: u32) -> String {
    format!("config-{version}")
}
