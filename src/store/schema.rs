//! The schema of the state, as a list of migrations that are each applied once.
//!
//! By hand, because a migration shares its transaction with what the store adds: the first record in the place of a lost trail,
//! and the seals of rows that had none.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::{Result, StoreError, failed};

/// Every migration of the schema, in order. Never edit one after its release: a change is a new one at the end.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
    include_str!("schema/10.sql"),
    include_str!("schema/11.sql"),
    include_str!("schema/12.sql"),
];

/// The version from which rows are sealed.
pub(super) const SEALS: i64 = 8;

/// The version from which declarations and the faults of manifests are sealed.
pub(super) const SEALED_DECLARATIONS: i64 = 12;

/// The version that had checkpoints and did not keep their keys.
pub(super) const CHECKPOINTS_WITHOUT_KEYS: i64 = 10;

/// The schema version of a database: how many migrations it has.
pub(super) fn version(db: &Connection) -> Result<i64> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed("read the schema's version"))
}

/// The version that these migrations lead to.
pub(super) fn latest(steps: &[&str]) -> i64 {
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

/// Applies the missing migrations in one transaction: a concurrent reader sees the state from before or after, and never a schema
/// in between, which it could not read. `finish` does what no statement can, and gets the version from before: 0 for a database
/// that had no schema.
pub(super) fn migrate(
    db: &mut Connection,
    steps: &[&str],
    finish: impl FnOnce(&Transaction<'_>, i64) -> Result<()>,
) -> Result<()> {
    let known = latest(steps);
    // The version is read inside the transaction: of two processes that start at once, one migrates.
    let change = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed("begin an upgrade of the state"))?;
    let found = version(&change)?;
    let untaken = usize::try_from(found).ok().and_then(|taken| steps.get(taken..));
    let Some(untaken) = untaken else { return Err(StoreError::NewerSchema { found, known }) };
    if untaken.is_empty() {
        return Ok(());
    }
    for step in untaken {
        change.execute_batch(step).map_err(failed("upgrade the state"))?;
    }
    finish(&change, found)?;
    change.pragma_update(None, "user_version", known).map_err(failed("upgrade the state"))?;
    change.commit().map_err(failed("upgrade the state"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrate(db: &mut Connection, steps: &[&str]) -> Result<()> {
        super::migrate(db, steps, |_, _| Ok(()))
    }

    fn tables(db: &Connection) -> Vec<String> {
        let mut query = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    #[test]
    fn an_upgrade_keeps_what_is_stored_and_takes_each_step_once() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, &["CREATE TABLE a (n)"]).unwrap();
        db.execute("INSERT INTO a VALUES (7)", []).unwrap();
        let steps = ["CREATE TABLE a (n)", "ALTER TABLE a ADD COLUMN m DEFAULT 8", "CREATE TABLE b (n)"];
        for _ in 0..2 {
            migrate(&mut db, &steps).unwrap();
            assert_eq!(version(&db).unwrap(), 3);
            let row = db.query_row("SELECT n, m FROM a", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            assert_eq!(row, (7, 8));
        }
        assert_eq!(tables(&db), ["a", "b"]);
    }

    #[test]
    fn a_step_that_fails_leaves_the_state_as_it_was() {
        let mut db = Connection::open_in_memory().unwrap();
        let steps = ["CREATE TABLE a (n)", "CREATE TABLE b (n); CREATE TABLE nonsense"];
        migrate(&mut db, &steps).unwrap_err();
        assert_eq!((version(&db).unwrap(), tables(&db)), (0, vec![]));
    }

    #[test]
    fn what_fails_after_the_steps_leaves_none_of_them() {
        let mut db = Connection::open_in_memory().unwrap();
        let steps = ["CREATE TABLE a (n)"];
        let no_room = |_: &Transaction<'_>, _| Err(StoreError::NoSuchIntent(1));
        super::migrate(&mut db, &steps, no_room).unwrap_err();
        assert_eq!((version(&db).unwrap(), tables(&db)), (0, vec![]));
        migrate(&mut db, &steps).unwrap();
        super::migrate(&mut db, &["", "CREATE TABLE b (n)"], no_room).unwrap_err();
        assert_eq!(tables(&db), ["a"]);
        let mut before = None;
        super::migrate(&mut db, &["", "CREATE TABLE b (n)"], |_, found| {
            before = Some(found);
            Ok(())
        })
        .unwrap();
        super::migrate(&mut db, &["", "CREATE TABLE b (n)"], no_room).unwrap();
        assert_eq!((tables(&db), before), (vec!["a".to_owned(), "b".to_owned()], Some(1)));
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, &["CREATE TABLE a (n)", "CREATE TABLE b (n)"]).unwrap();
        let error = migrate(&mut db, &["CREATE TABLE a (n)"]).unwrap_err();
        assert!(matches!(error, StoreError::NewerSchema { found: 2, known: 1 }), "{error}");
    }
}
