//! The processes that work on a project, whoever started them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::Project;

/// A process that a test has started; killed where the test ends before it does.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command_line(process: &Path) -> String {
    String::from_utf8_lossy(&fs::read(process.join("cmdline")).unwrap_or_default()).replace('\0', " ")
}

impl Project {
    /// The folders in `/proc` of all processes whose own folder is the project's.
    fn working(&self) -> Vec<PathBuf> {
        let Ok(folder) = fs::canonicalize(self.path("")) else { return Vec::new() };
        let works_here =
            |process: &PathBuf| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder);
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        processes.filter(works_here).collect()
    }

    /// The command lines of all processes whose folder is the project's, but for undrift itself.
    pub(crate) fn processes(&self) -> Vec<String> {
        let lines = self.working().into_iter().map(|process| command_line(&process));
        lines.filter(|line| !line.is_empty() && !line.contains(" run ")).collect()
    }

    /// Whether a process of this project has these words in its command line.
    pub(crate) fn is_at(&self, words: &str) -> bool {
        self.processes().iter().any(|line| line.contains(words))
    }

    /// Those that have; each is there until it has ended.
    pub(crate) fn who_is_at(&self, words: &str) -> Vec<PathBuf> {
        self.working().into_iter().filter(|process| command_line(process).contains(words)).collect()
    }

    /// Kills whoever still works on the project, so that nobody makes anew what is removed with it.
    pub(crate) fn end_processes(&self) {
        let since = Instant::now();
        let mut left = self.working();
        while !left.is_empty() && since.elapsed() < Duration::from_secs(10) {
            let ids = left.iter().filter_map(|process| process.file_name()?.to_str()?.parse().ok());
            for process in ids.filter_map(Pid::from_raw) {
                // One that has ended meanwhile is as good.
                let _ = kill_process(process, Signal::KILL);
            }
            thread::sleep(Duration::from_millis(20));
            left = self.working();
        }
    }
}
