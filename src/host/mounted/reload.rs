//! Makes the processes of a service read their mounted files anew, by the signal that the manifest declares.

use std::collections::BTreeMap;

use super::judged::{Look, Memory, ReadThen};
use crate::{
    api::{Desired, Fact, MountedFile, ServiceSpec, StepOutcome},
    host::{
        LocalHost,
        compose::{Resolved, argv},
        engine::Container,
        execute::Blocked,
    },
};

/// The commands of a reload, and what the signalled processes read then.
#[derive(Default)]
pub(in crate::host) struct Reloaded {
    /// One per signal.
    pub(in crate::host) commands: Vec<Vec<String>>,
    /// By the cache's entry.
    read: Vec<(String, Memory)>,
}

impl LocalHost {
    /// Prepares a reload of these services: which of their containers get which signal. The files are read before, so that a
    /// change between the reading and the signal is seen as one.
    pub(in crate::host) async fn prepare_reload(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        services: &[String],
    ) -> Result<Reloaded, Blocked> {
        let wanted = resolved.model.replicas(services.iter().map(String::as_str));
        let found = self.engine.project_containers(&resolved.model.name, &wanted).await;
        let found = found.map_err(|error| format!("cannot see which containers there are: {error}"))?;
        let (mut signalled, mut read) = (BTreeMap::<&str, Vec<String>>::new(), Vec::new());
        for name in services {
            let Some((spec, signal)) = declared(desired, name) else {
                return Err(format!("{name} declares no `reload`").into());
            };
            for container in found.containers.iter().filter(|container| container.service == *name) {
                let looks = self.looks_at_mounted(container, spec.mounts).await;
                if looks.iter().any(|look| is_reloadable(&look.file)) {
                    signalled.entry(signal).or_default().push(container.seen.id.clone());
                    read.extend(looks.into_iter().filter_map(|look| self.read_anew(container, look)));
                }
            }
        }
        if signalled.is_empty() {
            let why = "no container runs with a mounted file that has changed".to_owned();
            return Err(Blocked(StepOutcome::NotBegun, why));
        }
        let commands = signalled.into_iter().map(|(signal, containers)| argv::signal(signal, &containers));
        Ok(Reloaded { commands: commands.collect(), read })
    }

    /// Remembers what the processes have read, once they got the signal.
    pub(in crate::host) fn remember_reload(&self, reloaded: &Reloaded) {
        for (key, memory) in &reloaded.read {
            self.put_memory(key, memory);
        }
    }

    /// A file whose place another one has taken stays what it is in the container.
    fn read_anew(&self, container: &Container, look: Look) -> Option<(String, Memory)> {
        let Look { file, memory } = look;
        let seen = memory.seen.clone().filter(|_| is_reloadable(&file))?;
        let read = Some(ReadThen { inode: seen.inode, digest: file.digest.clone() });
        Some((self.key_of(container, &file.target), Memory { read, ..memory }))
    }
}

fn declared<'a>(desired: &'a Desired, service: &str) -> Option<(&'a ServiceSpec, &'a str)> {
    let spec = desired.service(service)?;
    Some((spec, spec.reload.as_ref()?.signal.as_str()))
}

/// Whether the container's processes would read the new bytes at the path.
fn is_reloadable(file: &MountedFile) -> bool {
    file.changed == Fact::Known(true) && file.replaced == Fact::Known(false)
}
