//! The processes that work on a project, whoever started them.

use std::{fs, path::PathBuf};

use crate::support::Project;

impl Project {
    /// The command lines of all processes whose folder is the project's, but for undrift itself.
    pub(crate) fn processes(&self) -> Vec<String> {
        let folder = fs::canonicalize(self.path("")).unwrap();
        let works_here =
            |process: &PathBuf| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder);
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let argv = |process: PathBuf| fs::read(process.join("cmdline")).unwrap_or_default();
        let lines = processes.filter(works_here).map(argv);
        let lines = lines.map(|argv| String::from_utf8_lossy(&argv).replace('\0', " "));
        lines.filter(|line| !line.is_empty() && !line.contains(" run ")).collect()
    }

    /// Whether a process of this project has these words in its command line.
    pub(crate) fn is_at(&self, words: &str) -> bool {
        self.processes().iter().any(|line| line.contains(words))
    }
}
