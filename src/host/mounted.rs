//! Single files that are mounted into running containers: whether the bytes on the host are still those that the container's
//! processes could read at their start.
//!
//! The engine's view of a file in a container is no evidence: it mounts the host's path anew for each request (measured with
//! 20.10), so it shows the new bytes while the process has the old ones. So undrift compares with the start. It remembers
//! which file was mounted, and the digest of its bytes, for each start of each container. If it first sees a container later,
//! the times of the file decide; where undrift may look into the container's process, so does the mounted file itself.
//!
//! | file | holds |
//! | --- | --- |
//! | `judged` | the comparison |
//! | `reload` | the step that makes processes read their files anew |

mod judged;
mod reload;

use std::path::PathBuf;

use procfs::process::Process;

use self::judged::{Look, Memory, MountedBefore};
pub(super) use self::reload::Reloaded;
use super::{
    KeyedDigest, LocalHost,
    engine::{Bind, Container},
    probe::is_of,
};
use crate::{
    api::{ContainerState, Fact, MountPolicy, MountedFile, Time},
    files,
};

/// The cache's space: what is known of a mounted file, by container, start and path.
const SPACE: &str = "mounted";

/// The files of one container, with what is known of each.
#[derive(Clone)]
struct Mounts {
    container: String,
    pid: Option<i64>,
    started_at: Time,
    known: Vec<(Bind, Memory)>,
    digest: KeyedDigest,
}

impl LocalHost {
    /// The single files that are mounted into a container; none if they do not matter.
    pub(super) async fn mounted_files(&self, container: &Container, policy: MountPolicy) -> Vec<MountedFile> {
        if container.seen.state != ContainerState::Running {
            return self.files_of_next_start(container, policy).await;
        }
        self.looks_at_mounted(container, policy).await.into_iter().map(|look| look.file).collect()
    }

    /// The same for a container that does not run. What its processes had read died with them.
    async fn files_of_next_start(&self, container: &Container, policy: MountPolicy) -> Vec<MountedFile> {
        if !self.matter(container, policy) {
            return Vec::new();
        }
        let binds = container.binds.clone();
        let found = files::looked_past(move || {
            binds.iter().filter_map(judged::for_next_start).collect::<Vec<MountedFile>>()
        });
        found.await.unwrap_or_default()
    }

    /// Whether its mounted files matter. Paths of another host are not those of this one.
    fn matter(&self, container: &Container, policy: MountPolicy) -> bool {
        let is_here = self.engine.endpoint().socket_file().is_some();
        policy != MountPolicy::Ignore && !container.binds.is_empty() && is_here
    }

    /// The same with what is to be remembered of them.
    async fn looks_at_mounted(&self, container: &Container, policy: MountPolicy) -> Vec<Look> {
        let runs = container.seen.state == ContainerState::Running && self.matter(container, policy);
        let Some(started_at) = container.seen.started_at.filter(|_| runs) else { return Vec::new() };
        let known = container.binds.iter().map(|bind| (bind.clone(), self.known_of(container, bind)));
        let mounts = Mounts {
            container: container.seen.id.clone(),
            pid: container.pid,
            started_at,
            known: known.collect(),
            digest: self.digests.clone(),
        };
        let known = mounts.known.clone();
        let found = files::looked_past(move || mounts.looks()).await;
        let looks = found.unwrap_or_else(|hangs| unknown_for(&known, &hangs.to_string()));
        for look in &looks {
            self.remember_mounted(container, look, &known);
        }
        looks
    }

    fn remember_mounted(&self, container: &Container, look: &Look, known: &[(Bind, Memory)]) {
        let before = known.iter().find(|(bind, _)| bind.target == look.file.target);
        if before.is_none_or(|(_, memory)| *memory != look.memory) {
            self.put_memory(&self.key_of(container, &look.file.target), &look.memory);
        }
    }

    fn known_of(&self, container: &Container, bind: &Bind) -> Memory {
        let entry = self.memory().get(SPACE, &self.key_of(container, &bind.target));
        entry.and_then(|entry| serde_json::from_str(&entry).ok()).unwrap_or_default()
    }

    fn put_memory(&self, key: &str, memory: &Memory) {
        if let Ok(entry) = serde_json::to_string(memory) {
            self.memory().put(SPACE, key, &entry);
        }
    }

    /// The entry of a file, of this very run of the container.
    fn key_of(&self, container: &Container, target: &str) -> String {
        let started = container.seen.started_at.map(|time| time.to_rfc3339()).unwrap_or_default();
        let name = format!("{} {started} {target}", container.seen.id);
        (self.digests)("the entry of a mounted file", name.as_bytes())
    }
}

impl Mounts {
    fn looks(&self) -> Vec<Look> {
        let root = self.root();
        let looks = self.known.iter().filter_map(|(bind, memory)| {
            let before = MountedBefore { root: root.as_deref(), started_at: self.started_at, memory };
            judged::look(bind, before, &self.digest)
        });
        looks.collect()
    }

    /// The root folder of the container's first process; `None` if undrift does not see that process, because it has process
    /// IDs of its own.
    fn root(&self) -> Option<PathBuf> {
        let process = Process::new(i32::try_from(self.pid?).ok()?).ok()?;
        is_of(&process, &self.container).then(|| PathBuf::from(format!("/proc/{}/root", process.pid())))
    }
}

/// No file of the container could be looked at. It may have been a folder, unless undrift knows better.
fn unknown_for(known: &[(Bind, Memory)], why: &str) -> Vec<Look> {
    let files = known.iter().filter(|(_, memory)| *memory != Memory::default());
    let unknown = files.map(|(bind, memory)| Look {
        file: MountedFile {
            source: bind.source.clone(),
            target: bind.target.clone(),
            writable: bind.writable,
            changed: Fact::unknown(why),
            replaced: Fact::unknown(why),
            changed_at: None,
            digest: None,
        },
        memory: memory.clone(),
    });
    unknown.collect()
}
