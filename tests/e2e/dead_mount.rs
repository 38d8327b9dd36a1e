//! A file system whose server is gone: whoever asks for anything in it waits until it is taken away.
//!
//! It is a FUSE mount that nobody serves, which needs root: where the tests do not run as root, `sudo` without a password.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The mount; with it what waits there comes back.
pub(crate) struct DeadMount {
    point: PathBuf,
    server: Option<File>,
}

impl DeadMount {
    /// Mounts it over a folder, which is made where it is missing.
    pub(crate) fn over(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let server = File::options().read(true).write(true).open("/dev/fuse").unwrap();
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let options = format!("fd=0,rootmode=40000,user_id={user},group_id={group}");
        let mut mount =
            as_root(&["mount", "--internal-only", "--types", "fuse", "--options", &options, "dead"]);
        mount.arg(folder).stdin(server.try_clone().unwrap());
        let mounted = mount.output().unwrap();
        assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
        Self { point: folder.to_owned(), server: Some(server) }
    }

    /// Takes the file system away from the path; what waits at it goes on waiting.
    pub(crate) fn unmount(&self) {
        let unmounted = self.try_unmount();
        assert!(unmounted.status.success(), "{}", String::from_utf8_lossy(&unmounted.stderr));
    }

    fn try_unmount(&self) -> std::process::Output {
        as_root(&["umount", "--lazy"]).arg(&self.point).stdin(Stdio::null()).output().unwrap()
    }
}

impl Drop for DeadMount {
    fn drop(&mut self) {
        // All that waits has an error then, and nothing more waits.
        drop(self.server.take());
        let _ = self.try_unmount();
    }
}

pub(crate) fn as_root(argv: &[&str]) -> Command {
    let sudo: &[&str] =
        if rustix::process::geteuid().is_root() { &[] } else { &["sudo", "--non-interactive"] };
    let argv = [sudo, argv].concat();
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]);
    command
}
