//! Makes a trail as a daemon would have written it, by the store's own functions: `trail DIR RECORDS INCIDENTS`.
//!
//! A year of twenty objects with three services each. An incident is a drift with all that was observed, intents with their
//! attempts, outcomes with the output of a build or of an `up`, a verification and an end; the sizes are those of the trail in
//! `tests/cli/trail-v1`. Every write is a transaction of its own, so put the folder where a sync costs nothing (`/dev/shm`).
//! `scripts/bench-trail` measures what the verbs take on such a trail.

#![expect(clippy::print_stdout, reason = "a bench reports to standard output")]

use std::{
    error::Error,
    fmt::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use serde_json::{Value, json};
use undrift::{
    api::{
        Attempt, AuditKind, DriftReason, IncidentOutcome, Layer, NewRecord, Object, RecentStep, Step,
        StepKind,
    },
    store::{FinishedStep, NewIncident, NewIntent, Store},
};

type Failed = Box<dyn Error>;

const OBJECT: &str = include_str!("../src/store/testing/object.json");
const OBJECTS: usize = 20;
const SERVICES: [&str; 3] = ["api", "dashboard", "worker"];

fn main() -> Result<(), Failed> {
    // `cargo bench` adds an option of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let [dir, records, incidents] = &words[..] else {
        println!("usage: trail DIR RECORDS INCIDENTS; nothing is made");
        return Ok(());
    };
    let (records, incidents): (u64, u64) = (records.parse()?, incidents.parse()?);
    let dir = Path::new(dir);
    Generator::new(dir, records)?.fill(records, incidents)?;
    let size = std::fs::metadata(dir.join("state.db"))?.len();
    println!("{records} records of {incidents} incidents: {size} bytes, {} a record", size / records.max(1));
    Ok(())
}

struct Generator {
    store: Store,
    clock: Arc<AtomicI64>,
    /// How far the clock moves with each record, in microseconds: the trail is of a year.
    pace: i64,
    rng: Rng,
    object: Object,
}

impl Generator {
    fn new(dir: &Path, records: u64) -> Result<Self, Failed> {
        let pace = TimeDelta::days(365).num_microseconds().unwrap_or_default();
        let pace = (pace / i64::try_from(records.max(1))?).min(60_000_000);
        let end = Utc::now() - TimeDelta::minutes(1);
        let start = end.timestamp_micros() - pace * i64::try_from(records)?;
        let clock = Arc::new(AtomicI64::new(start));
        let now = Arc::clone(&clock);
        let now =
            move || DateTime::<Utc>::from_timestamp_micros(now.load(Ordering::Relaxed)).unwrap_or_default();
        let store = Store::open_with_clock(dir, "root@host undrift[1234] run".into(), Arc::new(now))?;
        let (rng, object) = (Rng::with_seed(7), serde_json::from_str(OBJECT)?);
        Ok(Self { store, clock, pace, rng, object })
    }

    fn fill(&mut self, records: u64, incidents: u64) -> Result<(), Failed> {
        for number in 0..OBJECTS {
            let digest = format!("v1:sha256:{}", self.hex());
            self.store.generation(&name(number), &digest)?;
            self.object.declared.metadata.name = name(number);
            self.store.save_object(&self.object)?;
        }
        let mut written = OBJECTS as u64;
        for left in (1..=incidents).rev() {
            // What is left is shared evenly: a drift, steps of two records each, a verification, an end.
            let steps = (records.saturating_sub(written) / left).saturating_sub(3).div_ceil(2).max(1);
            let steps = steps - u64::from(self.rng.bool() && steps > 1);
            self.incident(steps)?;
            written += 3 + 2 * steps;
        }
        for _ in written..records {
            self.tick();
            self.store.append(&NewRecord {
                evidence: json!({ "version": "0.1.0", "objects": (0..OBJECTS).map(name).collect::<Vec<_>>() }),
                ..NewRecord::of(AuditKind::Started)
            })?;
        }
        Ok(())
    }

    fn incident(&mut self, steps: u64) -> Result<(), Failed> {
        let object = name(self.rng.usize(..OBJECTS));
        let service = SERVICES[self.rng.usize(..SERVICES.len())];
        let message = format!("module workflow is not in the image {object}-{service}: no /app/dist/modules");
        let drift = json!({ "layer": "artifact", "reason": "ModuleMissing", "message": message });
        let before = self.status()?;
        let at = self.tick();
        let new = NewIncident { object: &object, at, drift: &json!({ service: drift }), before: &before };
        let id = self.store.open_incident(new, None)?.id;
        let of_it = |kind, evidence| NewRecord {
            object: Some(object.clone()),
            service: Some(service.to_owned()),
            incident: Some(id.clone()),
            evidence,
            ..NewRecord::of(kind)
        };
        let mut evidence = drift;
        evidence["observed"] = self.observed();
        evidence["git"] = Value::Null;
        self.store.append(&of_it(AuditKind::DriftDetected, evidence))?;
        for number in 1..=steps {
            self.step(&of_it, service, number, number == steps)?;
        }
        self.tick();
        let verified = json!({
            "changedByRepair": true, "containers": [self.hex()], "heldMs": 3_014, "looks": 7,
            "image": format!("sha256:{}", self.hex()),
        });
        let rows = self.store.attempts(&object)?;
        self.store.append_with(&of_it(AuditKind::Verified, verified), &[])?;
        self.store.forget_attempts(&rows.iter().collect::<Vec<_>>())?;
        let at = self.tick();
        let transition = json!({ "after": 401, "before": 404, "route": "/api/workflow", "service": service });
        let evidence =
            json!({ "healedBy": "undrift", "pruned": [], "steps": steps, "transitions": [transition] });
        let end = NewRecord {
            service: None,
            outcome: Some("Reconciled".into()),
            ..of_it(AuditKind::Reconciled, evidence)
        };
        let after = Some(self.status()?);
        Ok(self.store.end_incident(&id, at, IncidentOutcome::Reconciled, after, &end)?)
    }

    /// Builds, until the last step brings up what was built.
    fn step(
        &mut self,
        of_it: &impl Fn(AuditKind, Value) -> NewRecord,
        service: &str,
        number: u64,
        is_last: bool,
    ) -> Result<(), Failed> {
        let step = if is_last { Step::Up { force_recreate: false } } else { Step::Build { no_cache: false } };
        let at = self.tick();
        let mut evidence =
            json!({ "attempt": number, "git": null, "reason": "module workflow is not in the image" });
        if is_last {
            evidence["containers"] = self.last_words();
        }
        let record = NewRecord { service: None, ..of_it(AuditKind::StepIntended, evidence) };
        let object = record.object.clone().unwrap_or_default();
        let attempt = Attempt {
            object: object.clone(),
            service: service.to_owned(),
            layer: Layer::Artifact,
            reason: DriftReason::ModuleMissing,
            source_digest: Some(format!("v1:sha256:{}", self.hex())),
            generation: 1,
            attempts: u32::try_from(number)?,
            tried: vec![],
            pending: Some(step),
            last_at: at,
            next_at: None,
            gave_up: None,
            healed: false,
            continued: false,
            cause: None,
            verified_repairs: vec![],
        };
        let recent = RecentStep {
            project: object.clone(),
            service: service.to_owned(),
            object,
            generation: 1,
            kind: if is_last { StepKind::Up } else { StepKind::Build },
            at,
            beyond: None,
        };
        let (begun, recent) = ([attempt], [recent]);
        let intent = NewIntent {
            record: &record,
            step,
            services: &[service.to_owned()],
            begun: &begun,
            recent: &recent,
            before: None,
        };
        let intent = self.store.intend_with(intent)?;
        self.tick();
        let [mut attempt] = begun;
        attempt.pending = None;
        let outcome = Some(if is_last { "Succeeded" } else { "Failed" }.to_owned());
        let record = NewRecord {
            outcome,
            evidence: self.finished(at, is_last),
            ..NewRecord::of(AuditKind::StepFinished)
        };
        self.store.finish_with(FinishedStep { intent, record, more: None, rows: vec![attempt] })?;
        Ok(())
    }

    /// The clock, a record later.
    fn tick(&mut self) -> DateTime<Utc> {
        let at = self.clock.fetch_add(self.pace, Ordering::Relaxed) + self.pace;
        DateTime::from_timestamp_micros(at).unwrap_or_default()
    }

    /// Sixty-four digits, as an ID of the engine has.
    fn hex(&mut self) -> String {
        (0..4).fold(String::new(), |mut text, _| {
            let _ = write!(text, "{:016x}", self.rng.u64(..));
            text
        })
    }

    /// The status of an object, with the IDs of this moment.
    fn status(&mut self) -> Result<Value, Failed> {
        let mut status = serde_json::to_value(&self.object.status)?;
        let ids = status["services"].as_array_mut().into_iter().flatten();
        for service in ids {
            service["image"]["id"] = json!(format!("sha256:{}", self.hex()));
            for container in service["containers"].as_array_mut().into_iter().flatten() {
                container["id"] = json!(self.hex());
            }
        }
        Ok(status)
    }

    fn observed(&mut self) -> Value {
        let at = self.clock.load(Ordering::Relaxed);
        let look = |status: u16| json!({ "known": { "status": status, "url": "http://127.0.0.1:49153/api/workflow" } });
        json!({
            "artifact": {
                "builtFrom": format!("v1:sha256:{}", self.hex()),
                "firstSight": { "at": at, "changedAt": null, "digest": format!("v1:sha256:{}", self.hex()) },
                "image": { "known": format!("sha256:{}", self.hex()) },
                "modules": [{ "presence": { "known": "missing" }, "path": "/app/dist/modules/workflow" }],
            },
            "containers": { "known": [{
                "id": self.hex(), "imageId": format!("sha256:{}", self.hex()), "name": "shop-api-1",
                "state": "running", "startedAt": at, "finishedAt": null, "restarts": 0, "health": "none",
                "configHash": self.hex(), "exitCode": null, "oomKilled": false,
                "mounts": [], "networks": ["shop_default"], "modules": [{ "known": "missing" }],
                "labels": { "com.docker.compose.project": "shop", "com.docker.compose.service": "api" },
            }] },
            "source": { "digest": format!("v1:sha256:{}", self.hex()), "modules": [{ "known": "present" }] },
            "routes": [{ "first": look(404), "control": look(404), "shaped": look(404), "auth": null }],
            "declared": { "configHash": self.hex(), "image": "shop-api", "replicas": 1, "ports": ["49153:3000"] },
        })
    }

    fn last_words(&mut self) -> Value {
        json!([{
            "container": "shop-api-1", "error": null, "exitCode": null, "finishedAt": null, "id": self.hex(),
            "imageId": format!("sha256:{}", self.hex()), "oomKilled": false, "output": [], "restartCount": 0,
            "startedAt": self.clock.load(Ordering::Relaxed), "state": "running",
        }])
    }

    /// A build prints some twenty lines, an `up` three.
    fn finished(&mut self, began: DateTime<Utc>, is_up: bool) -> Value {
        let words: &[&str] = if is_up { &["up", "--detach", "--no-build"] } else { &["build"] };
        let command = ["docker", "compose", "--project-name", "shop"].iter().chain(words).collect::<Vec<_>>();
        let output = if is_up {
            " Container shop-api-1  Recreate\n Container shop-api-1  Recreated\n Container shop-api-1  Started".into()
        } else {
            self.build_output()
        };
        json!({
            "command": command, "durationMs": self.rng.u64(900..90_000), "exitCode": u8::from(!is_up) * 17,
            "notes": [format!("kept sha256:{} as undrift-keep/shop/api:previous", self.hex())],
            "output": output, "startedAt": began,
        })
    }

    fn build_output(&mut self) -> String {
        let mut text = String::from("#0 building with \"default\" instance using docker driver\n");
        for line in 1..=18 {
            let took = self.rng.f32() * 9.0;
            let _ = writeln!(text, "#{line} [api {line}/18] RUN npm ci --workspace api DONE {took:.1}s");
        }
        let _ = write!(text, "#19 writing image sha256:{} done", self.hex());
        text
    }
}

fn name(number: usize) -> String {
    format!("shop-{number:02}")
}
