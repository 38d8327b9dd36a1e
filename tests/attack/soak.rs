//! `scripts/soak`, for a short time.

use std::{path::Path, process::Command, time::Duration};

use fastrand::Rng;

use crate::{
    Attack,
    tools::{Verdict, hold, need, tail},
};

pub(crate) struct Soak {
    minutes: u64,
    report: String,
}

impl Soak {
    pub(crate) fn new(time: Duration) -> Self {
        Self { minutes: (time.as_secs() / 60).max(1), report: String::new() }
    }
}

impl Attack for Soak {
    fn cases(&self) -> &'static [&'static str] {
        &["kills under run"]
    }

    fn attempt(&mut self, _case: &str, _rng: &mut Rng) -> Verdict {
        need(Command::new("jq").arg("--version").output().is_ok(), "no jq, which reads the trail")?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/soak");
        let mut command = Command::new(script);
        command.env("UNDRIFT", env!("CARGO_BIN_EXE_undrift")).env("PROJECTS", "3");
        let out = command.env("MINUTES", self.minutes.to_string()).output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        self.report = stdout
            .lines()
            .filter(|line| line.contains("killed"))
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        hold!(out.status.success(), "{}\n{}", tail(&stdout), tail(&stderr))
    }

    fn remark(&self) -> String {
        self.report.clone()
    }
}
