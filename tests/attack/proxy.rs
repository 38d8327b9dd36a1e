//! The engine behind a wire with faults: a healthy project gets no step and is never called drifted. Unknown is right.

use std::{fs, time::Duration};

use fastrand::Rng;
use serde_json::Value;

use crate::{
    Attack,
    faulty_wire::{Fault, Plan, Wire},
    support::Project,
    tools::{Daemon, Verdict, comes, finish, hold, intended, records, verified},
};

const RECONCILE: &str = "    interval: 1s
    verify: { timeout: 4s, stableFor: 300ms }
    backoff: { initial: 200ms, max: 1s }
";

/// What the questions are about that meet the fault; the empty one is in all of them.
const ABOUT: [&str; 10] = [
    "",
    "/containers/json",
    "/json",
    "/archive",
    "/images/",
    "/networks",
    "/info",
    "/version",
    "_ping",
    "/events",
];

/// What an answer may come without.
const FIELDS: [&str; 16] = [
    "/Id",
    "/Names",
    "/Labels",
    "/Created",
    "/State",
    "/State/Status",
    "/State/StartedAt",
    "/Image",
    "/Config",
    "/Config/Labels",
    "/HostConfig",
    "/HostConfig/NetworkMode",
    "/NetworkSettings",
    "/NetworkSettings/Networks",
    "/Mounts",
    "/RestartCount",
];

pub(crate) struct Proxy {
    project: Project,
    wire: Wire,
}

impl Proxy {
    pub(crate) fn new() -> Self {
        Self { project: verified(RECONCILE), wire: Wire::new() }
    }
}

impl Attack for Proxy {
    fn cases(&self) -> &'static [&'static str] {
        &["check", "apply", "plan", "apply without a past", "run", "check without a past"]
    }

    fn attempt(&mut self, case: &str, rng: &mut Rng) -> Verdict {
        let plan = plan(rng);
        if case.ends_with("without a past") {
            for folder in [self.project.state_dir(), self.project.cache_home()] {
                let _ = fs::remove_dir_all(folder);
            }
        }
        let before =
            (intended(&records(&self.project)?, ""), self.project.containers("api"), self.project.image());
        self.wire.set(Some(plan.clone()));
        let judged = self.look(case.split(' ').next().unwrap_or_default());
        self.wire.set(None);
        let after =
            (intended(&records(&self.project)?, ""), self.project.containers("api"), self.project.image());
        let verdict = judged
            .and_then(|()| hold!(before == after, "a step on a healthy project: {before:?} → {after:?}"));
        if verdict.is_err() {
            // What it did must not be what the next attempt meets.
            self.project = verified(RECONCILE);
        }
        verdict.map_err(|fail| match fail {
            crate::tools::Fail::Fell(what) => crate::tools::Fail::Fell(format!("{plan:?}\n{what}")),
            other => other,
        })
    }

    fn remark(&self) -> String {
        format!("{} questions met a fault", self.wire.met())
    }
}

impl Proxy {
    fn look(&self, verb: &str) -> Verdict {
        let more: &[&str] = if verb == "run" { &[] } else { &["-o", "json"] };
        let mut command = self.project.command(&[&[verb, "-f", "undrift.yaml"], more].concat());
        command.env("DOCKER_HOST", self.wire.docker_host()).env_remove("DOCKER_CONTEXT");
        if verb != "run" {
            return must_not_drift(&finish(&mut command)?.stdout);
        }
        let mut daemon = Daemon::spawn(command, &self.project);
        comes(Duration::from_secs(8), || false);
        daemon.must_run()?;
        must_not_drift(&finish(&mut self.project.command(&["get", "-o", "json"]))?.stdout)
    }
}

fn plan(rng: &mut Rng) -> Plan {
    let fault = match rng.u8(..10) {
        0 => Fault::Cut,
        1 => Fault::CutAfter(rng.usize(1..2_000)),
        2 => Fault::Late(Duration::from_millis(rng.u64(50..12_000))),
        3 => Fault::Fails,
        4 => Fault::Says("{}"),
        5 => Fault::Says("null"),
        6 if rng.bool() => Fault::NotFound("<html>404 Not Found</html>"),
        6 => Fault::Says(
            rng.choice(["", "0", "\"\"", "{\"message\":null}", "[null]", "[{}]", "<html>"].iter()).unwrap(),
        ),
        7 => Fault::Drips(Duration::from_millis(rng.u64(50..2_000))),
        8 => Fault::Without(rng.choice(FIELDS).unwrap()),
        _ => Fault::Part(rng.usize(..100)),
    };
    let about = ABOUT[rng.usize(..ABOUT.len())];
    Plan { fault, about, often: [15, 50, 100][rng.usize(..3)], seed: rng.u64(..) }
}

/// No drift is claimed, no layer is called broken, and no step is planned.
fn must_not_drift(document: &str) -> Verdict {
    let list: Value = serde_json::from_str(document).unwrap_or_default();
    for object in list["items"].as_array().into_iter().flatten() {
        let status = &object["status"];
        hold!(status["plan"].as_array().is_none_or(Vec::is_empty), "planned: {}", status["plan"])?;
        for service in status["services"].as_array().into_iter().flatten() {
            hold!(service["drift"].is_null(), "called drifted: {}", service["drift"])?;
            let conditions = service["conditions"].as_array().into_iter().flatten();
            let broken: Vec<_> =
                conditions.filter(|c| c["status"] == "False" && c["type"] != "Reconciled").collect();
            hold!(broken.is_empty(), "called broken: {broken:?}")?;
        }
    }
    Ok(())
}
