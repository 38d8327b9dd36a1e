//! The file system of a path, from the kernel's own table and without accessing the path: that may hang.

use std::{
    cell::OnceCell,
    path::{Component, Path, PathBuf},
};

/// The mounts that this process sees.
const MOUNTS: &str = "/proc/self/mountinfo";

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The kernel's number of it, and of the device: a new mount at the same place has others.
    numbers: (u64, String),
    pub(crate) point: PathBuf,
    /// The kernel's name of the file system's type: `ext4`, `fuse.sshfs`.
    pub(crate) kind: String,
    /// For an overlay: the folder that receives writes, as seen when it was mounted.
    pub(crate) upper: Option<PathBuf>,
}

/// The types of file systems that other hosts write, too.
const SHARED: &str = "nfs nfs4 cifs smb smbfs smb2 smb3 9p afs ceph lustre glusterfs gfs2 ncpfs coda virtiofs vboxsf \
    vmhgfs prl_fs fuse.sshfs fuse.s3fs fuse.rclone fuse.glusterfs fuse.ceph fuse.gcsfuse fuse.vmhgfs-fuse fuse.davfs";

impl Mount {
    /// Whether other hosts write to it, too: the kernel does not know of their changes, and may lose locks.
    pub(crate) fn is_shared(&self) -> bool {
        SHARED.split_whitespace().any(|kind| kind == self.kind)
    }
}

/// All mounts, as reported by the kernel.
pub(crate) fn all() -> Vec<Mount> {
    std::fs::read_to_string(MOUNTS).map(|text| read(&text)).unwrap_or_default()
}

/// The mount of a path as written: links in it are not followed.
pub(super) fn of(path: &Path) -> Option<Mount> {
    find(&all(), &without_dots(&std::path::absolute(path).ok()?)).cloned()
}

/// The same path without `..`: `/srv/shop/../dead/x` lies on what is mounted at `/srv/dead`.
fn without_dots(path: &Path) -> PathBuf {
    let mut at = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(at.pop()),
            other => at.push(other),
        }
    }
    at
}

/// A path whose mount is looked up once, and only when needed.
pub(super) struct LazyMount<'a> {
    path: &'a Path,
    mount: OnceCell<Option<Mount>>,
}

impl<'a> LazyMount<'a> {
    pub(super) const fn new(path: &'a Path) -> Self {
        Self { path, mount: OnceCell::new() }
    }

    pub(super) fn mount(&self) -> Option<&Mount> {
        self.mount.get_or_init(|| of(self.path)).as_ref()
    }
}

/// The mount that an absolute path lies in: the longest, and of two at one place the one on top, which comes last.
pub(crate) fn find<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let over = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    over.max_by_key(|mount| mount.point.components().count())
}

/// Reads `36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
pub(crate) fn read(text: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ');
        let (number, device) = (before.next()?.parse().ok()?, before.nth(1)?.to_owned());
        let point = unescaped(before.nth(1)?);
        let mut after = after.split(' ');
        let kind = after.next()?.to_owned();
        let options = after.nth(1).unwrap_or_default();
        let upper = options.split(',').find_map(|option| option.strip_prefix("upperdir="));
        Some(Mount { numbers: (number, device), point, kind, upper: upper.map(unescaped) })
    };
    text.lines().filter_map(mount).collect()
}

/// The kernel writes a space, a tab, a line end and a backslash as `\ooo`.
fn unescaped(text: &str) -> PathBuf {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
        .into()
}
