//! A small file system in memory, which can be full or read-only. As root permissions hold nobody back.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::dead_mount::as_root;

/// The mount; taken away when it is dropped.
pub(crate) struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts it over a folder, which is made where it is missing, for this user alone.
    pub(crate) fn over(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let options = format!("size=2m,mode=700,uid={user},gid={group}");
        mount(&["--types", "tmpfs", "--options", &options, "tmpfs"], folder);
        Self(folder.to_owned())
    }

    /// Nothing can be written from now on, or again.
    pub(crate) fn read_only(&self, read_only: bool) {
        let options = if read_only { "remount,ro" } else { "remount,rw" };
        mount(&["--options", options], &self.0);
    }

    /// Takes all the room that there is.
    pub(crate) fn fill(&self) {
        let written = fs::write(self.filler(), vec![1; 4 << 20]);
        assert!(written.is_err(), "there is more room than there should be");
    }

    pub(crate) fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

fn mount(how: &[&str], folder: &Path) {
    let mounted = as_root(&[&["mount"], how].concat()).arg(folder).output().unwrap();
    assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = as_root(&["umount", "--lazy"]).arg(&self.0).output();
    }
}
