//! What a killed undrift left of a build: a folder for temporary files, and perhaps a Compose that still builds.
//!
//! The folder's name says who made it. Its path is in the arguments of the Compose that builds, so that one is found by it.

use std::{
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};

use crate::{
    files,
    host::{compose::OVERLAY_FILE, engine::CheckName, process::GRACE},
};

/// How the names of the folders begin.
const PREFIX: &str = "undrift-check-";

/// How long the kernel may take to remove a killed process.
const KILL_WAIT: Duration = Duration::from_secs(2);

/// How often undrift looks whether a process is gone; the kernel offers no event for one that is no child.
const LOOK: Duration = Duration::from_millis(50);

/// The folder of one build, for the extra Compose file. It goes with this.
#[derive(Debug)]
pub(super) struct CheckFolder(pub(super) tempfile::TempDir);

impl CheckFolder {
    /// # Errors
    /// In words, if it cannot be made.
    pub(super) async fn new(name: &CheckName) -> Result<Self, String> {
        let prefix = format!("{PREFIX}{}-", name.as_str());
        let in_place = move || {
            let only_this_user = fs::Permissions::from_mode(0o700);
            tempfile::Builder::new().prefix(&prefix).permissions(only_this_user).tempdir()
        };
        let made = files::looked(in_place).await.map_err(|hangs| hangs.to_string())?;
        made.map(Self).map_err(|error| format!("there is no room for temporary files: {error}"))
    }
}

/// Ends the builds of dead processes of this user, and removes their folders. What cannot be removed costs a little space.
pub(in crate::host) async fn end_and_remove() {
    let found = files::looked(|| abandoned_in(&std::env::temp_dir(), chrono::Utc::now().timestamp())).await;
    for folder in found.unwrap_or_default() {
        end_builds(&folder.join(OVERLAY_FILE)).await;
        let path = folder.clone();
        // This removes a link in it, and does not follow it.
        let removed = files::looked(move || fs::remove_dir_all(path)).await;
        tracing::info!(folder = %folder.display(), ?removed, "removed what a killed `check --build` had left");
    }
}

fn abandoned_in(parent: &Path, now: i64) -> Vec<PathBuf> {
    let own = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let abandoned = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.rsplit_once('-'));
        let is_abandoned = name.is_some_and(|(name, _)| CheckName::parse(name).is_abandoned(now));
        // Metadata of the entry itself: a link is no folder of undrift's.
        is_abandoned && entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == own)
    });
    abandoned.map(|entry| entry.path()).collect()
}

/// Ends the processes that have this file among their arguments: SIGTERM, the grace, SIGKILL.
async fn end_builds(overlay: &Path) {
    for (signal, wait) in [(Signal::TERM, GRACE), (Signal::KILL, KILL_WAIT)] {
        let end = Instant::now() + wait;
        let mut processes = processes_with(overlay).await;
        for process in &processes {
            send(signal, *process, &processes);
        }
        while !processes.is_empty() && Instant::now() < end {
            tokio::time::sleep(LOOK).await;
            processes = processes_with(overlay).await;
        }
        if processes.is_empty() {
            return;
        }
    }
}

/// Its group as well, if it leads one: Compose starts other programs for a build.
fn send(signal: Signal, process: Pid, all: &[Pid]) {
    // It may be gone already, which is fine.
    let _ = match getpgid(Some(process)) {
        Ok(group) if all.contains(&group) => kill_process_group(group, signal),
        _ => kill_process(process, signal),
    };
}

async fn processes_with(overlay: &Path) -> Vec<Pid> {
    let overlay = overlay.to_owned();
    files::looked(move || find_processes(&overlay)).await.unwrap_or_default()
}

/// This user's processes that were started with `--file PATH`.
fn find_processes(overlay: &Path) -> Vec<Pid> {
    let own = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let with_it = entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let is_own = entry.metadata().is_ok_and(|meta| meta.uid() == own);
        let arguments = fs::read(entry.path().join("cmdline")).ok().filter(|_| is_own)?;
        let arguments: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
        let has_it =
            arguments.windows(2).any(|pair| pair == [&b"--file"[..], overlay.as_os_str().as_bytes()]);
        Pid::from_raw(pid).filter(|_| has_it)
    });
    with_it.collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn only_folders_of_the_dead_are_abandoned() {
        let home = tempfile::tempdir().unwrap();
        let own = CheckName::own(9_999_999_999);
        let (owner, _) = own.as_str().rsplit_once('.').unwrap();
        let (before, _) = owner.rsplit_once('.').unwrap();
        let dead = format!("{PREFIX}{before}.1.9999999999-abc");
        for name in [&format!("{PREFIX}{}-abc", own.as_str()), &dead, "undrift-check-x", "other"] {
            fs::create_dir(home.path().join(name)).unwrap();
        }
        fs::write(home.path().join(format!("{PREFIX}{before}.1.1-file")), "").unwrap();
        assert_eq!(abandoned_in(home.path(), 0), [home.path().join(dead)]);
    }

    #[tokio::test]
    async fn a_build_is_ended_by_its_file_and_nothing_else_is() {
        let home = tempfile::tempdir().unwrap();
        let (overlay, other) = (home.path().join("overlay.yaml"), home.path().join("other.yaml"));
        let spawn = |words: [&str; 2]| {
            let mut command = Command::new("sh");
            command.args(["-c", "while true; do sleep 0.1; done", "compose"]).args(words);
            command.stdin(Stdio::null()).spawn().unwrap()
        };
        let mut build = spawn(["--file", overlay.to_str().unwrap()]);
        let mut others =
            [spawn(["--file", other.to_str().unwrap()]), spawn(["--edit", overlay.to_str().unwrap()])];
        // The kernel lets `spawn` return a moment before a process has its arguments.
        while find_processes(&overlay).is_empty() {
            tokio::task::yield_now().await;
        }
        let ended = tokio::task::spawn_blocking(move || build.wait().unwrap());
        end_builds(&overlay).await;
        assert!(!ended.await.unwrap().success());
        for other in &mut others {
            assert_eq!(other.try_wait().unwrap(), None, "it is somebody else's");
            other.kill().unwrap();
            other.wait().unwrap();
        }
    }
}
