//! What must be so after every scenario, however it went.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, types::Value};

use super::scenario::Scenario;
use crate::{
    cli::{context::load, files::Manifests, machine::Machine as _},
    decide::trail_rules::{Limits, beyond, breaches},
    reconcile,
    store::{RecordFilter, Store, Verification},
};

/// What the manifests of the transcripts declare, and the default of the window.
const LIMITS: Limits = Limits { stable_for_ms: 3_000, attempts: 3 };

/// Planning again changes nothing, and the trail breaks no rule.
pub(super) fn check(scenario: &mut Scenario) {
    let before = recorded(&scenario.state());
    let (first, second) = (planned(scenario), planned(scenario));
    assert_eq!(first, second, "a second look plans something else");
    assert_plans_nothing_for_what_is_as_declared(scenario);
    assert_eq!(before, recorded(&scenario.state()), "a look has changed what is recorded");
    let store = Store::open_read_only(&scenario.state()).unwrap();
    let records = store.as_ref().map(|store| store.records(&RecordFilter::default()).unwrap());
    let records = records.unwrap_or_default();
    assert_eq!(breaches(&records), [], "the trail breaks a rule");
    assert_eq!(beyond(&records, LIMITS), [], "the trail exceeds the spec");
    if let Some(store) = store {
        let verified = store.verify().unwrap();
        assert!(matches!(verified, Verification::Whole { .. }), "the trail is not whole: {verified:?}");
    }
}

/// What `plan` prints, with its exit code.
fn planned(scenario: &mut Scenario) -> (String, u8) {
    scenario.command("undrift plan -f /etc/undrift").unwrap()
}

fn assert_plans_nothing_for_what_is_as_declared(scenario: &Scenario) {
    let files = vec![scenario.manifests().into_os_string()];
    let loaded = load(&Manifests { files }, &[]).map_err(|failure| failure.to_string()).unwrap();
    let store = Store::open_for_looking(&scenario.state()).unwrap();
    let (machine, clock) = (&scenario.machine, scenario.machine.clock());
    for desired in &loaded.all {
        let look = reconcile::look(&machine.projects, store.as_ref(), desired, &[], &clock);
        let planned = machine.block_on(look).unwrap().map(|looked| looked.decision.plan);
        let is_as_declared = machine.projects.host(desired.name()).world(|world| world.is_as_declared());
        if let (Ok(planned), true) = (planned, is_as_declared) {
            assert_eq!(planned, [], "a step is planned though all is as declared");
        }
    }
}

/// All that is recorded, but for what a look may remember.
fn recorded(state: &Path) -> Vec<String> {
    let path = state.join("state.db");
    if !path.exists() {
        return Vec::new();
    }
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('cache') ORDER BY name";
    let mut names = db.prepare(sql).unwrap();
    let names: Vec<String> =
        names.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
    names.iter().flat_map(|table| rows(&db, table)).collect()
}

fn rows(db: &Connection, table: &str) -> Vec<String> {
    let mut query = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns = query.column_count();
    let row = query.query_map([], |row| {
        let values = (0..columns).map(|column| row.get::<_, Value>(column));
        Ok(format!("{table}: {:?}", values.collect::<rusqlite::Result<Vec<_>>>()?))
    });
    row.unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

mod tests {
    use super::*;
    use crate::api::{AuditKind, NewRecord};

    /// The incident, repaired.
    fn repaired() -> Scenario {
        let text = "* the manifest is installed\n* a developer merges the module into the source\n\
                    $ undrift apply -f /etc/undrift\n";
        Scenario::play(text).unwrap().0
    }

    fn alter(scenario: &Scenario, sql: &str) {
        Connection::open(scenario.state().join("state.db")).unwrap().execute_batch(sql).unwrap();
    }

    #[test]
    fn what_is_repaired_passes() {
        check(&mut repaired());
    }

    #[test]
    #[should_panic(expected = "a second look plans something else")]
    fn a_world_that_another_look_finds_changed_does_not_pass() {
        let mut scenario = repaired();
        scenario.machine.projects.host("backoffice").world(|world| {
            world.begin_crashing();
            world.compose_up_build();
        });
        check(&mut scenario);
    }

    #[test]
    #[should_panic(expected = "the trail is not whole")]
    fn a_record_that_somebody_has_altered_does_not_pass() {
        let mut scenario = repaired();
        alter(&scenario, "DROP TRIGGER trail_no_update; UPDATE trail SET actor = 'nobody' WHERE seq = 2");
        check(&mut scenario);
    }
    #[test]
    #[should_panic(expected = "the trail breaks a rule")]
    fn a_step_that_ends_and_was_never_intended_does_not_pass() {
        let mut scenario = repaired();
        let store = Store::open(&scenario.state(), "test".into()).unwrap();
        let record = NewRecord::of(AuditKind::StepFinished);
        store.append(&NewRecord { object: Some("backoffice".into()), ..record }).unwrap();
        drop(store);
        check(&mut scenario);
    }
}
