//! A folder that is mounted over another one. It needs root, as [`DeadMount`](crate::dead_mount::DeadMount) does.

use std::path::{Path, PathBuf};

use crate::dead_mount::as_root;

/// The mount; taken away when it is dropped.
pub(crate) struct BindMount(PathBuf);

impl BindMount {
    pub(crate) fn of(folder: &Path, over: &Path) -> Self {
        let mounted = as_root(&["mount", "--bind"]).arg(folder).arg(over).output().unwrap();
        assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
        Self(over.to_owned())
    }
}

impl Drop for BindMount {
    fn drop(&mut self) {
        let _ = as_root(&["umount", "--lazy"]).arg(&self.0).output();
    }
}
