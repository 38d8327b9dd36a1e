//! The container that undrift itself runs in, if it runs in one.
//!
//! undrift never touches itself: an `up` that replaced its own container would end it in the middle of its own step.

use std::{collections::BTreeSet, fs};

use crate::interference::ContainerRow;

/// The IDs of containers that this process may run in.
///
/// Several, because a container that joins another one's network shows the other one's files: both keep undrift alive. An ID
/// that the engine does not have, as in an engine within a container, does no harm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnContainer {
    ids: BTreeSet<String>,
    /// The host name, if it looks like the beginning of an ID, as the engine sets it.
    short: Option<String>,
}

/// The number of digits in an ID, and how many of them the engine uses as a host name.
const DIGITS: usize = 64;
const SHORT: usize = 12;

impl OwnContainer {
    /// Detects it from the system's data on this process.
    #[must_use]
    pub fn detect() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self::read(
            &read("/proc/self/mountinfo"),
            &read("/proc/self/cgroup"),
            &read("/proc/sys/kernel/hostname"),
        )
    }

    /// A container that is known to be undrift's own.
    #[must_use]
    pub fn known(id: &str) -> Self {
        Self { ids: [id.to_owned()].into(), short: None }
    }

    /// From proc(5)'s `mountinfo` and `cgroup`, and the host name.
    fn read(mountinfo: &str, cgroup: &str, hostname: &str) -> Self {
        let mounts = mountinfo.lines().filter_map(of_mount);
        let groups = cgroup.lines().filter_map(of_group);
        let short = Some(hostname.trim()).filter(|name| name.len() == SHORT && is_hex(name));
        Self { ids: mounts.chain(groups).map(str::to_owned).collect(), short: short.map(str::to_owned) }
    }

    /// Whether undrift runs in the container of this ID.
    #[must_use]
    pub fn is(&self, id: &str) -> bool {
        self.ids.contains(id) || self.short.as_ref().is_some_and(|short| id.starts_with(short.as_str()))
    }

    /// IDs, or the beginning of one, by which the engine may know undrift's own container.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().chain(&self.short).map(String::as_str)
    }

    /// The services, among these containers of a project, that undrift runs in.
    pub(super) fn services(&self, rows: &[ContainerRow]) -> BTreeSet<String> {
        rows.iter().filter(|row| self.is(&row.id)).map(|row| row.service.clone()).collect()
    }
}

/// The ID in a mount that the engine makes for each container: `…/containers/ID/hostname` over `/etc/hostname`. On the host
/// itself, such paths are mount *points* (`…/containers/ID/mounts/shm`), and belong to other containers.
fn of_mount(line: &str) -> Option<&str> {
    let mut fields = line.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    let name =
        point.strip_prefix("/etc/").filter(|name| ["hostname", "hosts", "resolv.conf"].contains(name))?;
    let id = root.strip_suffix(name)?.strip_suffix('/')?;
    let (folder, id) = id.rsplit_once('/')?;
    (folder.ends_with("/containers") || folder == "/containers").then_some(id).filter(|id| is_id(id))
}

/// The ID in a control group: `/docker/ID`, or `docker-ID.scope` under systemd. Version 2 mostly shows `/`.
fn of_group(line: &str) -> Option<&str> {
    let last = line.rsplit('/').next()?;
    let id = last.strip_suffix(".scope").and_then(|scope| scope.strip_prefix("docker-")).unwrap_or(last);
    is_id(id).then_some(id)
}

fn is_id(text: &str) -> bool {
    text.len() == DIGITS && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "0f6d24a2eadd783e895b9e469751d2b5ace6c39bb10b04a1bdd45bd55533b330";
    const OTHER: &str = "b0f66bcfef3d2726908a1683762adfdd37d77678041dd4cf1e039be141c919e6";

    #[test]
    fn the_files_that_the_engine_mounts_name_the_container() {
        for root in ["/var/lib/docker/containers", "/containers", "/home/me/.local/share/docker/containers"] {
            let mounts = format!(
                "233 166 0:90 / / rw,nodev,noatime master:7 - overlay overlay rw\n\
                 253 233 254:0 {root}/{OWN}/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw\n"
            );
            let own_container = OwnContainer::read(&mounts, "0::/\n", "api\n");
            assert!(own_container.is(OWN) && !own_container.is(OTHER), "{root}");
        }
    }

    #[test]
    fn the_mounts_of_other_containers_on_the_host_are_not_undrifts() {
        let host = format!(
            "9 1 0:5 / /var/lib/docker/containers/{OTHER}/mounts/shm rw - tmpfs shm rw\n\
             10 1 254:0 /var/lib/docker/containers/{OTHER}/hostname /srv/look/hostname rw - ext4 /dev/vda rw\n\
             11 1 254:0 /etc/hostname /etc/hostname rw - ext4 /dev/vda rw\n"
        );
        assert_eq!(
            OwnContainer::read(&host, "0::/system.slice/undrift.service\n", "build-1\n"),
            OwnContainer::default()
        );
    }

    #[test]
    fn the_own_container_is_found_by_control_group_and_host_name_too() {
        for cgroup in [format!("9:pids:/docker/{OWN}"), format!("0::/system.slice/docker-{OWN}.scope")] {
            assert!(OwnContainer::read("", &cgroup, "").is(OWN), "{cgroup}");
        }
        assert!(OwnContainer::read("", "0::/", "0f6d24a2eadd\n").is(OWN));
        for name in ["", "0f6d", "0f6d24a2eadg", "0f6d24a2eadd783e"] {
            assert!(!OwnContainer::read("", "0::/", name).is(OWN), "{name}");
        }
    }

    #[test]
    fn its_services_are_found_by_their_containers() {
        let row = |id: &str, service: &str| ContainerRow {
            id: id.into(),
            service: service.into(),
            ..ContainerRow::default()
        };
        let rows = [row(OWN, "undrift"), row(OTHER, "api")];
        assert_eq!(OwnContainer::known(OWN).services(&rows), ["undrift".to_owned()].into());
        assert_eq!(OwnContainer::default().services(&rows), BTreeSet::new());
    }
}
