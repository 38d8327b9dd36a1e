//! Alterations of what decisions rest on: no step that the record forbids, and no intent that loses its end.

use std::fs;

use fastrand::Rng;
use rusqlite::Connection;
use serde_json::Value;

use crate::{
    Attack,
    support::{MANIFEST, Project, SECOND_MODULE, docker, wait_for},
    tools::{
        Verdict, apply, copy, hold, intended, is_up, must_apply, must_be_whole, records, start, undrift,
        with_reconcile,
    },
};

const PAST: &str = "'2020-01-01T00:00:00.000000Z'";

/// A healthy project, whose state is put back before each attempt.
pub(crate) struct Tables {
    project: Project,
}

impl Tables {
    pub(crate) fn new() -> Self {
        let project = Project::healthy();
        must_apply(&project).unwrap();
        copy(&project.state_dir(), &project.path("../kept"));
        Self { project }
    }

    fn restore(&self) {
        self.project.end_processes();
        self.project.manifest(MANIFEST);
        self.project.add_service("api");
        let _ = fs::remove_dir_all(self.project.path("api/src/invoices"));
        copy(&self.project.path("../kept"), &self.project.state_dir());
        self.project.compose(&["up", "-d", "--build"]);
    }

    fn sql(&self, statement: &str) {
        let state = Connection::open(self.project.state_dir().join("state.db")).unwrap();
        state.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        state.execute_batch(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// Builds that can only fail, within this budget.
    fn fail_to_build(&self, attempts: u32) {
        let reconcile = format!(
            "    verify: {{ timeout: 5s, stableFor: 1s }}\n    backoff: {{ initial: 100ms, max: 200ms }}\n    attempts: {attempts}\n"
        );
        self.project.manifest(&with_reconcile(&reconcile).replace("workflow }]", SECOND_MODULE));
        self.project.add_module("api", "invoices");
        self.project.append("api/Dockerfile", "RUN false\n");
    }

    /// `apply` after an alteration takes no step, whatever it says.
    fn must_take_no_step(&self, altered: &str) -> Verdict {
        let before = intended(&records(&self.project)?, "");
        self.sql(altered);
        let run = apply(&self.project)?;
        let after = intended(&records(&self.project)?, "");
        hold!(before == after, "{altered}: {} steps, apply ended with {:?}", after - before, run.code)
    }
}

impl Attack for Tables {
    fn cases(&self) -> &'static [&'static str] {
        &["suspensions", "attempts", "open steps", "incidents", "recent steps", "sealed rows", "environment"]
    }

    fn attempt(&mut self, case: &str, rng: &mut Rng) -> Verdict {
        self.restore();
        let choose = |from: &[&str], rng: &mut Rng| from[rng.usize(..from.len())].to_owned();
        match case {
            "suspensions" => {
                let name = &self.project.name;
                undrift(&self.project, &["suspend", name, "--reason", "a migration"])?;
                docker(&["rm", "-f", &self.project.containers("api")[0]]);
                let ways = [
                    "DELETE FROM suspensions",
                    "UPDATE suspensions SET object = 'other'",
                    "UPDATE suspensions SET until = PAST",
                ];
                self.must_take_no_step(&choose(&ways, rng).replace("PAST", PAST))?;
                hold!(!is_up(&self.project), "the suspended service was started")
            }
            "attempts" => {
                self.fail_to_build(1);
                apply(&self.project)?;
                let ways = [
                    "DELETE FROM attempts",
                    "UPDATE attempts SET attempt = json_set(attempt, '$.attempts', 0, '$.gaveUp', null, '$.nextAt', null)",
                    "UPDATE attempts SET source_digest = 'x', attempt = json_set(attempt, '$.sourceDigest', 'x')",
                    "UPDATE attempts SET attempt = json_set(attempt, '$.generation', 0)",
                ];
                self.must_take_no_step(&choose(&ways, rng))
            }
            "recent steps" => {
                self.fail_to_build(20);
                apply(&self.project)?;
                let ways = [
                    "DELETE FROM recent_steps",
                    "UPDATE recent_steps SET at = PAST",
                    "UPDATE recent_steps SET kind = 'Up'",
                    "UPDATE recent_steps SET project = 'x'",
                ];
                self.must_take_no_step(&choose(&ways, rng).replace("PAST", PAST))
            }
            "sealed rows" => self.sealed_rows(&choose(
                &[
                    "UPDATE images SET source_digest = 'v1:sha256:0'",
                    "UPDATE images SET id = 'sha256:0'",
                    "UPDATE objects SET object = json_set(object, '$.status.services[0].containers', json('[]'))",
                    "DELETE FROM objects",
                    "UPDATE cache SET value = 'x'",
                    "UPDATE engines SET id = 'x'",
                    "DELETE FROM seals",
                ],
                rng,
            )),
            "environment" => {
                docker(&["rm", "-f", &self.project.containers("api")[0]]);
                let ways = [
                    "DELETE FROM verified_from",
                    "UPDATE verified_from SET digests = 'null'",
                    "UPDATE verified_from SET object = 'x'",
                    "DELETE FROM verified_from; DELETE FROM seals",
                ];
                self.must_take_no_step(&choose(&ways, rng))
            }
            "incidents" => self.incidents(&choose(
                &[
                    "DELETE FROM incidents",
                    "UPDATE incidents SET object = 'x'",
                    "UPDATE incidents SET before = '{}'",
                    "UPDATE incidents SET closed_at = NULL, outcome = NULL",
                ],
                rng,
            )),
            _ => self.open_steps(&choose(
                &[
                    "DELETE FROM open_steps",
                    "UPDATE open_steps SET services = '[]'",
                    "UPDATE open_steps SET step = 'Nothing'",
                ],
                rng,
            )),
        }
    }
}

impl Tables {
    /// A healthy project whose source is enforced gets no step, and all is whole after the `apply`.
    fn sealed_rows(&self, altered: &str) -> Verdict {
        self.project
            .manifest(&MANIFEST.replace("  reconcile:", "  source: { drift: enforce }\n  reconcile:"));
        must_apply(&self.project)?;
        self.must_take_no_step(altered)?;
        must_be_whole(&self.project)
    }

    /// No record is hidden, and a healthy project gets no step.
    fn incidents(&self, altered: &str) -> Verdict {
        docker(&["rm", "-f", &self.project.containers("api")[0]]);
        must_apply(&self.project)?;
        let before = records(&self.project)?;
        self.must_take_no_step(altered)?;
        let after = records(&self.project)?;
        hold!(after.starts_with(&before), "{altered}: records are hidden")?;
        let incident = before.iter().find_map(|record: &Value| record["incident"].as_str()).unwrap();
        let listed = undrift(&self.project, &["audit", "list", "-o", "json", "--incident", incident])?;
        hold!(listed.stdout.contains("StepIntended"), "{altered}: the incident's records are hidden")
    }

    /// An undrift is killed in a build, and the table of open steps is altered: the intent gets its end all the same.
    fn open_steps(&self, altered: &str) -> Verdict {
        self.project.manifest(&MANIFEST.replace("workflow }]", SECOND_MODULE));
        self.project.add_module("api", "invoices");
        self.project.slow_down_build(2);
        let mut apply = start(&mut self.project.command(&["apply", "-f", "undrift.yaml"]));
        wait_for("the build", || self.project.is_at(" build ") || apply.try_wait().unwrap().is_some());
        apply.kill().unwrap();
        apply.wait().unwrap();
        self.sql(altered);
        must_apply(&self.project)?;
        must_be_whole(&self.project)
    }
}
