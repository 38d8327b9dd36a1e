//! The file system of the state folder: some lose locks, some do not survive a reboot.

use std::path::Path;

use crate::files::{
    self,
    mounts::{self, Mount, find},
};

/// How safe a state is on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// It keeps locks and files.
    Safe,
    /// It is shared between hosts, and loses locks or SQLite's memory maps.
    LosesLocks,
    /// It is in memory.
    EndsAtReboot,
    /// It is a container's own layer.
    EndsWithContainer,
    /// undrift does not know it.
    NotKnown,
}

const SAFE: &str = "ext2 ext3 ext4 xfs btrfs zfs f2fs bcachefs jfs reiserfs nilfs2 apfs hfs ufs fuseblk \
    fuse.fuse-overlayfs";
const MEMORY: &str = "tmpfs ramfs devtmpfs rootfs";

/// The file system that the path is on, according to the mounts.
pub(super) fn mount_of(path: &Path) -> Option<(Mount, Keeping)> {
    let (mounts, path) = (mounts::all(), files::canonicalize(path).ok()?);
    let mount = find(&mounts, &path)?.clone();
    let keeping = keeping(&mounts, &mount);
    Some((mount, keeping))
}

/// How safe a state is on the mount.
pub(super) fn keeping(mounts: &[Mount], mount: &Mount) -> Keeping {
    let is = |kinds: &str| kinds.split_whitespace().any(|kind| kind == mount.kind);
    if mount.kind == "overlay" {
        // The upper folder is named as it was when the overlay was mounted: in a container it is usually not visible, and a
        // path of that name may be another one.
        let below = mount.upper.as_deref().and_then(|upper| find(mounts, upper));
        let below = below.filter(|below| below.kind != "overlay" && below.point != mount.point);
        return match below.map(|below| keeping(mounts, below)) {
            Some(Keeping::LosesLocks) => Keeping::LosesLocks,
            _ => Keeping::EndsWithContainer,
        };
    }
    if is(SAFE) {
        Keeping::Safe
    } else if mount.is_shared() {
        Keeping::LosesLocks
    } else if is(MEMORY) {
        Keeping::EndsAtReboot
    } else {
        Keeping::NotKnown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
        21 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
        22 21 0:40 / /srv rw shared:1 - nfs4 store:/srv rw,vers=4.2\n\
        23 21 0:41 / /run rw - tmpfs tmpfs rw\n\
        24 21 0:42 / /on-nfs rw - overlay overlay rw,lowerdir=/a,upperdir=/srv/upper,workdir=/srv/work\n\
        25 21 0:43 / /layer rw - overlay overlay rw,lowerdir=/a,upperdir=/var/x,workdir=/w\n\
        26 21 0:44 / /with\\040space rw - fuse.sshfs me@host: rw\n\
        27 21 0:45 / /odd rw - fuse.mine mine rw\n\
        28 21 0:46 / /twice rw - 9p share rw\n\
        29 28 0:47 / /twice rw - xfs /dev/vdb rw\n\
        a line of another kind\n";

    #[test]
    fn the_file_system_of_a_path_is_found_and_classified() {
        let mounts = mounts::read(TABLE);
        assert_eq!(mounts.len(), 9);
        for (path, kind, expected) in [
            ("/var/lib/undrift", "ext4", Keeping::Safe),
            ("/srv", "nfs4", Keeping::LosesLocks),
            ("/srv/a/b", "nfs4", Keeping::LosesLocks),
            // Not below /srv, though it shares the prefix.
            ("/srvx", "ext4", Keeping::Safe),
            ("/run/undrift", "tmpfs", Keeping::EndsAtReboot),
            ("/on-nfs/state", "overlay", Keeping::LosesLocks),
            ("/layer/state", "overlay", Keeping::EndsWithContainer),
            ("/with space/state", "fuse.sshfs", Keeping::LosesLocks),
            ("/odd", "fuse.mine", Keeping::NotKnown),
            ("/twice/x", "xfs", Keeping::Safe),
        ] {
            let mount = find(&mounts, Path::new(path)).unwrap();
            assert_eq!((mount.kind.as_str(), keeping(&mounts, mount)), (kind, expected), "{path}");
        }
    }

    #[test]
    fn an_overlay_whose_upper_folder_is_not_to_be_seen_is_a_containers_layer() {
        let mounts =
            mounts::read("1 0 0:1 / / rw - overlay overlay rw,upperdir=/var/lib/docker/x,workdir=/w\n");
        assert_eq!(keeping(&mounts, &mounts[0]), Keeping::EndsWithContainer);
    }

    #[test]
    fn this_hosts_own_mounts_can_be_read() {
        let (mount, keeping) = mount_of(Path::new("/proc/self")).unwrap();
        assert_eq!((mount.kind.as_str(), keeping), ("proc", Keeping::NotKnown));
    }
}
