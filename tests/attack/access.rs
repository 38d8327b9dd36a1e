//! Links, modes and owners in and around the state folder, and a stranger's socket: nothing outside is changed, no stranger is
//! asked, and `doctor` has a word for each.

use std::{
    fs::{self, File, Permissions},
    os::unix::{
        fs::{PermissionsExt as _, chown, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use fastrand::Rng;
use serde_json::Value;

use crate::{
    Attack,
    support::Project,
    tools::{Daemon, Fail, Verdict, apply, finish, hold, is_root, must_apply, need, start, undrift},
};

const NOBODY: u32 = 65_534;
const TARGET: &str = "nobody may change this\n";

/// A verified project whose state is put back before each attempt.
pub(crate) struct Access {
    project: Project,
}

impl Access {
    pub(crate) fn new() -> Self {
        let project = Project::healthy();
        project.write("password", "secret");
        project.manifest(&crate::support::MANIFEST.replace("{ env: E2E_PASSWORD }", "{ file: password }"));
        must_apply(&project).unwrap();
        let (state, kept) = (project.state_dir(), project.path("../kept"));
        fs::rename(state, kept).unwrap();
        Self { project }
    }

    fn restore(&self) {
        for folder in [self.project.state_dir(), self.project.cache_home()] {
            let _ = fs::remove_dir_all(&folder);
            let _ = fs::remove_file(folder);
        }
        fs::create_dir(self.project.state_dir()).unwrap();
        mode(&self.project.state_dir(), 0o700);
        for (path, bytes) in crate::tools::files(&self.project.path("../kept")) {
            let copy = self.project.state_dir().join(path.file_name().unwrap());
            fs::write(&copy, bytes).unwrap();
            mode(&copy, 0o600);
        }
        for file in ["undrift.yaml", "password"] {
            mode(&self.project.path(file), 0o644);
        }
        mode(&self.project.path(""), 0o755);
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

impl Attack for Access {
    fn cases(&self) -> &'static [&'static str] {
        &[
            "link to a file",
            "socket of a stranger",
            "owner of the state",
            "mode of the state",
            "mode of a file",
            "cache",
            "link to the state",
        ]
    }

    fn attempt(&mut self, case: &str, rng: &mut Rng) -> Verdict {
        need(is_root(), "not root, so no owner can be set")?;
        self.restore();
        let verdict = match case {
            "link to a file" => self.link_to_a_file(rng),
            "socket of a stranger" => self.socket(),
            "owner of the state" => {
                let files = ["state.db", "lock", "digest.key", "step.lock", ""];
                let path = self.project.state_dir().join(files[rng.usize(..files.len())]);
                self.must_report(&path, |path| chown(path, Some(NOBODY), None).unwrap())
            }
            "mode of the state" => {
                let (modes, files) = ([0o666, 0o622, 0o660], ["state.db", "lock", "digest.key", ""]);
                let path = self.project.state_dir().join(files[rng.usize(..files.len())]);
                let bits = modes[rng.usize(..modes.len())];
                self.must_report(&path, |path| mode(path, if path.is_dir() { bits | 0o111 } else { bits }))
            }
            "mode of a file" => {
                let files = ["undrift.yaml", "password", ""];
                let path = self.project.path(files[rng.usize(..files.len())]);
                self.must_report(&path, |path| mode(path, if path.is_dir() { 0o777 } else { 0o666 }))
            }
            "cache" => self.cache(rng),
            _ => self.link_to_the_state(),
        };
        self.restore();
        verdict
    }
}

impl Access {
    /// What a link in the state folder leads to is as before, whatever undrift does.
    fn link_to_a_file(&self, rng: &mut Rng) -> Verdict {
        let names = ["lock", "step.lock", "state.db", "state.db-wal", "digest.key", "control.sock"];
        let name = names[rng.usize(..names.len())];
        let (target, link) = (self.project.path("../target"), self.project.state_dir().join(name));
        fs::write(&target, TARGET).unwrap();
        mode(&target, 0o640);
        let _ = fs::remove_file(&link);
        symlink(&target, &link).unwrap();
        apply(&self.project)?;
        undrift(&self.project, &["suspend", &self.project.name, "--reason", "a migration"])?;
        undrift(&self.project, &["doctor"])?;
        let daemon = Daemon::start(&self.project);
        thread::sleep(Duration::from_secs(1));
        drop(daemon);
        let (after, bits) = (
            fs::read_to_string(&target).unwrap_or_default(),
            fs::metadata(&target).unwrap().permissions().mode() & 0o777,
        );
        hold!(
            after == TARGET && bits == 0o640,
            "the target of the link {name} was changed: {bits:o} {after:?}"
        )
    }

    /// A stranger's folder with a lock that is held and a socket that listens: root asks nothing there.
    fn socket(&self) -> Verdict {
        let state = self.project.state_dir();
        let listener = UnixListener::bind(state.join("control.sock")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let lock = File::options().create(true).append(true).open(state.join("lock")).unwrap();
        lock.lock().unwrap();
        for path in [state.join("control.sock"), state.join("lock"), state] {
            chown(path, Some(NOBODY), None).unwrap();
        }
        // One that was let in hears what is asked: no answer, and the child must not wait for ever.
        for verb in [
            &["apply", "-f", "undrift.yaml"][..],
            &["suspend", &self.project.name, "--reason", "x"],
            &["doctor"],
        ] {
            let mut child = start(&mut self.project.command(verb));
            let mut asked = false;
            let ended = crate::tools::comes(Duration::from_secs(30), || {
                asked |= listener.accept().is_ok();
                child.try_wait().unwrap().is_some()
            });
            let _ = child.kill();
            child.wait().unwrap();
            hold!(!asked, "{} asked the socket of another user", verb[0])?;
            hold!(ended, "{} waits for the socket of another user", verb[0])?;
        }
        Ok(())
    }

    /// `doctor` finds more amiss than before.
    fn must_report(&self, path: &PathBuf, change: impl FnOnce(&Path)) -> Verdict {
        let before = self.amiss()?;
        let found = fs::metadata(path).unwrap();
        change(path);
        let after = self.amiss()?;
        chown(path, Some(0), Some(0)).unwrap();
        fs::set_permissions(path, found.permissions()).unwrap();
        let name = path.strip_prefix(self.project.path("..")).unwrap_or(path).display();
        hold!(after.iter().any(|check| !before.contains(check)), "doctor has no word for {name}: {after:?}")
    }

    /// The checks of `doctor` that are not well.
    fn amiss(&self) -> Result<Vec<String>, Fail> {
        let run = finish(&mut self.project.command(&["doctor", "-f", "undrift.yaml", "-o", "json"]))?;
        let diagnosis: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
        let checks =
            diagnosis["checks"].as_array().into_iter().flatten().filter(|check| check["status"] != "ok");
        Ok(checks.map(|check| format!("{} {}", check["name"], check["status"])).collect())
    }

    /// A cache that is a link, or another's: it is not used, and what it leads to stays as it is.
    fn cache(&self, rng: &mut Rng) -> Verdict {
        let (cache, target) =
            (self.project.cache_home().join("undrift"), self.project.path("../target-folder"));
        let _ = fs::remove_dir_all(&target);
        fs::create_dir_all(&target).unwrap();
        fs::create_dir_all(self.project.cache_home()).unwrap();
        chown(&target, Some(NOBODY), None).unwrap();
        if rng.bool() {
            symlink(&target, &cache).unwrap();
        } else {
            fs::rename(&target, &cache).unwrap();
        }
        let _ = fs::remove_dir_all(self.project.state_dir());
        let check = undrift(&self.project, &["check", "-f", "undrift.yaml"])?;
        let written = crate::tools::files(&fs::canonicalize(&cache).unwrap());
        hold!(
            check.code == Some(0) && written.is_empty(),
            "{:?}, written into another's cache: {:?}",
            check.code,
            written.first()
        )
    }

    /// The state folder is a link into a stranger's folder: no step is recorded there.
    fn link_to_the_state(&self) -> Verdict {
        let (state, away) = (self.project.state_dir(), self.project.path("../strangers"));
        let _ = fs::remove_dir_all(&away);
        fs::create_dir(&away).unwrap();
        fs::rename(&state, away.join("state")).unwrap();
        for path in [away.join("state"), away.clone()] {
            chown(path, Some(NOBODY), None).unwrap();
        }
        symlink(away.join("state"), &state).unwrap();
        let before = self.amiss()?;
        hold!(!before.is_empty(), "doctor has no word for a state folder in another's")
    }
}
