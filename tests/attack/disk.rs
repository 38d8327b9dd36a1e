//! A small file system under the state that is full, or read-only: nothing crashes, nothing is repaired twice, and all goes on
//! once there is room.

use std::{fs, path::PathBuf, process::Command, thread, time::Duration};

use fastrand::Rng;

use crate::{
    Attack,
    support::{Project, docker},
    tools::{
        Daemon, Verdict, apply, comes, hold, is_root, must_apply, must_be_whole, need, start, undrift,
        with_reconcile,
    },
};

pub(crate) struct Disk;

/// A file system in memory, taken away when it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(path: PathBuf, kib: u64) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={kib}k,mode=700"))
            .arg("tmpfs")
            .arg(&path)
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(path))
    }

    fn remount(&self, how: &str) {
        let status =
            Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.0).status().unwrap();
        assert!(status.success(), "remount,{how}");
    }

    fn fill(&self) {
        let _ = fs::write(self.0.join("filler"), vec![1; 8 << 20]);
    }

    fn make_room(&self) {
        let _ = fs::remove_file(self.0.join("filler"));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

const RECONCILE: &str = "    interval: 1s
    verify: { timeout: 10s, stableFor: 300ms }
    backoff: { initial: 200ms, max: 1s }
    attempts: 5
";

impl Attack for Disk {
    fn cases(&self) -> &'static [&'static str] {
        &[
            "full before apply",
            "read-only before apply",
            "full during apply",
            "read-only under run",
            "full under run",
            "almost full",
        ]
    }

    fn attempt(&mut self, case: &str, rng: &mut Rng) -> Verdict {
        need(is_root(), "not root, so nothing can be mounted")?;
        let project = Project::in_incident();
        project.manifest(&with_reconcile(RECONCILE));
        let size = if case == "almost full" { rng.u64(40..400) } else { 2_048 };
        let Some(disk) = Mounted::new(project.state_dir(), size) else {
            return need(false, "no tmpfs can be mounted here");
        };
        let since = docker(&["info", "-f", "{{.SystemTime}}"]);
        match case {
            "full before apply" | "read-only before apply" => {
                break_it(&disk, case);
                apply(&project)?;
                undrift(&project, &["get"])?;
                undrift(&project, &["doctor"])?;
                remount(&disk);
            }
            "full during apply" => {
                project.slow_down_build(2);
                let mut apply = start(&mut project.command(&["apply", "-f", "undrift.yaml"]));
                thread::sleep(Duration::from_millis(rng.u64(200..8_000)));
                disk.fill();
                let ended = comes(Duration::from_secs(120), || apply.try_wait().unwrap().is_some());
                let _ = apply.kill();
                let status = apply.wait().unwrap();
                hold!(
                    ended && status.code().is_some_and(|code| code != 101),
                    "apply on a full disk: {status}"
                )?;
                remount(&disk);
            }
            "almost full" => {
                apply(&project)?;
                disk.remount("size=8m");
            }
            _ => under_run(&project, &disk, case, rng)?,
        }
        must_apply(&project)?;
        must_be_whole(&project)?;
        must_be_repaired_once(&project, since.trim())
    }
}

fn break_it(disk: &Mounted, case: &str) {
    if case.starts_with("full") { disk.fill() } else { disk.remount("ro") }
}

fn remount(disk: &Mounted) {
    disk.remount("rw");
    disk.make_room();
}

/// `run` begins on it, or meets it at some moment: it waits, and heals once there is room.
fn under_run(project: &Project, disk: &Mounted, case: &str, rng: &mut Rng) -> Verdict {
    // The kernel makes nothing read-only in which files are open for writing.
    let first = case.starts_with("read-only") || rng.bool();
    if first {
        break_it(disk, case);
    }
    let mut daemon = Daemon::start(project);
    thread::sleep(Duration::from_millis(rng.u64(500..5_000)));
    if !first {
        break_it(disk, case);
        thread::sleep(Duration::from_secs(3));
    }
    daemon.must_run()?;
    remount(disk);
    let healed = comes(Duration::from_secs(90), || project.runs_its_image() && project.image_has_module());
    daemon.must_run()?;
    hold!(healed, "not healed once there was room\n{}", crate::tools::tail(&daemon.log()))
}

impl Project {
    fn image_has_module(&self) -> bool {
        let id = &self.containers("api")[0];
        let look = Command::new("docker").args(["exec", id, "ls", "/app/dist/modules/workflow"]).output();
        look.is_ok_and(|out| out.status.success())
    }
}

/// The engine has started one new container since then, however often undrift was held up.
fn must_be_repaired_once(project: &Project, since: &str) -> Verdict {
    let label = format!("label=com.docker.compose.project={}", project.name);
    let now = docker(&["info", "-f", "{{.SystemTime}}"]);
    let events = docker(&[
        "events",
        "--since",
        since,
        "--until",
        now.trim(),
        "--filter",
        "event=start",
        "--filter",
        &label,
        "--format",
        "{{.ID}}",
    ]);
    let starts = events.lines().filter(|line| !line.is_empty()).count();
    hold!(starts == 1, "{starts} containers were started for one repair")
}
