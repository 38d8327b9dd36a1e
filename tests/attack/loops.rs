//! What flaps, fails or changes without end: builds and ups stay within the rate of docs/how-it-works.md, and what can be
//! started is up at the end.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use fastrand::Rng;
use serde_json::Value;

use crate::{
    Attack,
    support::{Project, SECOND_MODULE, SERVE},
    tools::{Daemon, Verdict, comes, hold, is_up, records, with_reconcile},
};

/// In an hour: docs/how-it-works.md, The rate. One of each more where a change of the spec has ended a wait.
const BUILDS: usize = 6 + 1;
const UPS: usize = 20 + 1;

/// A stop of what disturbs, the longest backoff, a look, an `up`, on a busy machine.
const RECOVERS: Duration = Duration::from_secs(60);

/// How long one attempt disturbs.
const LASTS: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(crate) struct Loops {
    /// The builds, and the ups and restarts, of each attempt so far.
    steps: Vec<(usize, usize)>,
}

const RECONCILE: &str = "    interval: 1s
    verify: { timeout: 3s, stableFor: 300ms }
    backoff: { initial: 100ms, max: 2s }
    attempts: 3
";

impl Attack for Loops {
    fn cases(&self) -> &'static [&'static str] {
        &[
            "a spec that changes beside a build that fails",
            "two specs in turn",
            "a service that flaps",
            "a source that changes",
            "a container that is killed",
            "a container that is removed",
        ]
    }

    fn attempt(&mut self, case: &str, rng: &mut Rng) -> Verdict {
        let project = Project::healthy();
        let manifest = with_reconcile(RECONCILE);
        project.manifest(&manifest);
        let mut starts = true;
        match case {
            "a spec that changes beside a build that fails" => {
                project.manifest(&manifest.replace("workflow }]", SECOND_MODULE));
                project.add_module("api", "invoices");
                project.append("api/Dockerfile", "RUN false\n");
            }
            "a service that flaps" => {
                project.write(
                    "api/serve",
                    &SERVE.replace("exec httpd -f", &format!("(sleep {}; kill 1) & httpd -f", rng.u8(2..5))),
                );
                project.rebuild();
                project.compose(&["up", "-d"]);
                starts = false;
            }
            "a source that changes" => project
                .manifest(&manifest.replace("  reconcile:", "  source: { drift: enforce }\n  reconcile:")),
            _ => {}
        }
        let mut daemon = Daemon::start(&project);
        let (since, mut turn) = (Instant::now(), 0);
        while since.elapsed() < LASTS {
            turn += 1;
            disturb(&project, case, &manifest, turn);
            comes(Duration::from_millis(rng.u64(500..2_000)), || false);
            daemon.must_run()?;
        }
        let up = comes(RECOVERS, || is_up(&project));
        let (builds, ups) = counted(&records(&project)?);
        self.steps.push((builds, ups));
        hold!(builds <= BUILDS && ups <= UPS, "{builds} builds and {ups} ups or restarts within an hour")?;
        hold!(up || !starts, "what can be started is down at the end")?;
        if ["a service that flaps", "a container that is killed", "a container that is removed"]
            .contains(&case)
        {
            let records = records(&project)?;
            let incidents: BTreeSet<_> = records.iter().filter_map(|r| r["incident"].as_str()).collect();
            hold!(
                incidents.len() <= 3,
                "{} incidents of one service that flaps, in {} s",
                incidents.len(),
                LASTS.as_secs()
            )?;
        }
        Ok(())
    }

    fn remark(&self) -> String {
        format!("builds and ups of each attempt: {:?}", self.steps)
    }
}

/// One round of what disturbs.
fn disturb(project: &Project, case: &str, manifest: &str, turn: u32) {
    match case {
        "a spec that changes beside a build that fails" => {
            let stable = format!("stableFor: {}ms", 300 + turn);
            project.manifest(
                &manifest.replace("workflow }]", SECOND_MODULE).replace("stableFor: 300ms", &stable),
            );
        }
        "two specs in turn" if turn.is_multiple_of(4) => {
            // The one declares what the image has not, the other what it has.
            let other = manifest.replace("dist/modules/workflow }]", "dist/modules/workflow, type: file }]");
            project.manifest(if turn.is_multiple_of(8) { manifest } else { &other });
        }
        "a source that changes" => project.write("api/src/workflow/index", &format!("ok {turn}\n")),
        "a container that is killed" | "a container that is removed" => {
            let Some(id) = project.containers("api").pop() else { return };
            let how: &[&str] = if case == "a container that is killed" { &["kill"] } else { &["rm", "-f"] };
            // It may be gone already.
            let _ = std::process::Command::new("docker").args(how).arg(&id).output();
        }
        _ => {}
    }
}

/// Builds, and ups and restarts, without the starts of what is down and without rollbacks, which never wait.
fn counted(records: &[Value]) -> (usize, usize) {
    let counted: Vec<&Value> =
        records.iter().filter(|record| record["evidence"]["noRecreate"].is_null()).collect();
    let count =
        |step: &str| counted.iter().filter(|r| r["kind"] == "StepIntended" && r["step"] == step).count();
    (count("Build"), count("Up") + count("Restart"))
}
