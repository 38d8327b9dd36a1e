//! Alterations of a trail at rest: what changes anything that is read of it, `audit verify` finds.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use fastrand::Rng;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    Attack,
    support::{Project, Run, docker},
    tools::{Verdict, finish, hold, must_apply, records, undrift},
};

const COLUMNS: [&str; 11] = [
    "time",
    "object",
    "service",
    "incident",
    "actor",
    "kind",
    "step",
    "outcome",
    "evidence",
    "prev_hash",
    "hash",
];

/// A state with a trail, and what is read of it.
pub(crate) struct Trail {
    folder: TempDir,
    /// Each listing that is compared, with what it printed.
    listings: Vec<(Vec<String>, String)>,
    records: u64,
}

impl Trail {
    pub(crate) fn new() -> Self {
        let project = Project::in_incident();
        must_apply(&project).unwrap();
        let name = project.name.as_str();
        for words in [&["suspend", name, "--reason", "a migration"][..], &["resume", name], &["retry", name]]
        {
            assert_eq!(undrift(&project, words).unwrap().code, Some(0));
        }
        docker(&["rm", "-f", &project.containers("api")[0]]);
        must_apply(&project).unwrap();
        let records = records(&project).unwrap();
        let incident = records.iter().find_map(|record| record["incident"].as_str()).unwrap().to_owned();
        let folder = TempDir::new().unwrap();
        let state = Connection::open(project.state_dir().join("state.db")).unwrap();
        state.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop(state);
        crate::tools::copy(&project.state_dir(), folder.path());
        let filters: [&[&str]; 4] =
            [&[], &["--object", name], &["--service", "api"], &["--incident", &incident]];
        let listings = filters.map(|filter| {
            let args: Vec<String> =
                ["audit", "list", "-o", "json"].iter().chain(filter).map(|&word| word.to_owned()).collect();
            let printed = at(folder.path(), &args).unwrap();
            assert_eq!(printed.code, Some(0), "{printed:?}");
            (args, printed.stdout)
        });
        Self { folder, listings: listings.into(), records: records.len() as u64 }
    }
}

/// undrift with this state folder.
fn at(state: &Path, args: &[String]) -> Result<Run, crate::tools::Fail> {
    finish(Command::new(env!("CARGO_BIN_EXE_undrift")).arg("--state-dir").arg(state).args(args))
}

impl Attack for Trail {
    fn cases(&self) -> &'static [&'static str] {
        &["bytes", "records", "records", "pages", "index", "records", "length"]
    }

    fn attempt(&mut self, case: &str, rng: &mut Rng) -> Verdict {
        let copy = TempDir::new().unwrap();
        crate::tools::copy(self.folder.path(), copy.path());
        let file = copy.path().join("state.db");
        let what = match case {
            "bytes" => bytes(&file, rng),
            "pages" => pages(&file, rng),
            "length" => length(&file, rng),
            "index" => index(&file, self.records, rng),
            _ => altered_records(&file, self.records, rng),
        };
        let verify = at(copy.path(), &["audit".into(), "verify".into()])?;
        if verify.code != Some(0) {
            return Ok(());
        }
        for (args, before) in &self.listings {
            let now = at(copy.path(), args)?;
            // A listing that says that it cannot read is as loud as a verification that does.
            hold!(
                now.code != Some(0) || now.stdout == *before,
                "{what}: {} differs, and audit verify says: {}",
                args.join(" "),
                verify.stdout
            )?;
        }
        Ok(())
    }
}

fn bytes(path: &PathBuf, rng: &mut Rng) -> String {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let places: Vec<u64> = (0..rng.usize(1..6)).map(|_| rng.u64(..length)).collect();
    for place in &places {
        let mut byte = [0];
        file.read_exact_at(&mut byte, *place).unwrap();
        byte[0] ^= 1 << rng.u8(..8);
        file.write_all_at(&byte, *place).unwrap();
    }
    format!("bits flipped at {places:?}")
}

/// A page that is another's, or nothing.
fn pages(path: &PathBuf, rng: &mut Rng) -> String {
    let mut bytes = fs::read(path).unwrap();
    let (from, to) = (rng.usize(..bytes.len() / 4096), rng.usize(1..bytes.len() / 4096));
    let page = if rng.bool() { bytes[from * 4096..][..4096].to_vec() } else { vec![0; 4096] };
    bytes[to * 4096..][..4096].copy_from_slice(&page);
    fs::write(path, bytes).unwrap();
    format!("page {to} overwritten")
}

fn length(path: &PathBuf, rng: &mut Rng) -> String {
    let whole = fs::metadata(path).unwrap().len();
    let length = if rng.u8(..4) == 0 { 0 } else { rng.u64(..whole) };
    fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
    format!("cut from {whole} to {length} bytes")
}

/// A connection whose triggers are gone.
fn open(path: &PathBuf) -> Connection {
    let db = Connection::open(path).unwrap();
    db.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA journal_mode = DELETE;").unwrap();
    let mut query = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    let triggers: Vec<String> = query.query_map([], |row| row.get(0)).unwrap().flatten().collect();
    drop(query);
    for trigger in triggers {
        db.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    db
}

/// An index that lacks an entry, while the schema says that it is complete.
fn index(path: &PathBuf, records: u64, rng: &mut Rng) -> String {
    let (db, seq) = (open(path), rng.u64(1..=records));
    let name = if rng.bool() { "trail_object" } else { "trail_incident" };
    let sql: String =
        db.query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [name], |row| row.get(0)).unwrap();
    db.execute_batch(&format!("DROP INDEX {name}; {sql} WHERE seq <> {seq};")).unwrap();
    db.execute_batch("PRAGMA writable_schema = ON").unwrap();
    db.execute("UPDATE sqlite_schema SET sql = ?1 WHERE name = ?2", [&sql, name]).unwrap();
    format!("{name} lacks record {seq}")
}

fn altered_records(path: &PathBuf, records: u64, rng: &mut Rng) -> String {
    let db = open(path);
    // What SQLite refuses is no alteration.
    for _ in 0..100 {
        let sql = statements(records, rng);
        if db.execute_batch(&sql).is_ok() && db.changes() > 0 {
            return sql;
        }
    }
    panic!("nothing could be altered")
}

/// An alteration of random records in a random column.
fn statements(records: u64, rng: &mut Rng) -> String {
    let (a, b) = (rng.u64(1..=records), rng.u64(1..=records));
    let column = COLUMNS[rng.usize(..COLUMNS.len())];
    let letter = ['a', 'e', '0', '1', ' ', 'T', 'é', '\u{430}'][rng.usize(..8)];
    let set = |value: &str| format!("UPDATE trail SET {column} = {value} WHERE seq = {a}");
    let evidence = |value: &str| format!("UPDATE trail SET evidence = {value} WHERE seq = {a}");
    match rng.u8(..20) {
        0 => set(&format!("(SELECT {column} FROM trail WHERE seq = {b})")),
        1 => set("NULL"),
        2 => set("''"),
        3 => set(&format!("{column} || ' '")),
        4 => set(&format!("{column} || char(0) || 'x'")),
        5 => set(&format!("upper({column})")),
        6 => set(&format!("replace({column}, 'e', '{letter}')")),
        7 => set(&format!("substr({column}, 2)")),
        8 => set("CAST(x'ff' AS TEXT)"),
        9 => evidence("json_set(evidence, '$.x', 1)"),
        10 => evidence("replace(evidence, ':', ': ')"),
        11 => evidence("replace(evidence, 'true', 'false')"),
        12 => evidence("replace(evidence, '0', '1')"),
        13 => evidence("replace(evidence, '{', '{\"a\":null,\"a\":null,')"),
        14 => format!("DELETE FROM trail WHERE seq = {a}"),
        15 => format!("DELETE FROM trail WHERE seq BETWEEN {a} AND {b}"),
        16 => format!("DELETE FROM trail WHERE seq >= {a}; UPDATE head SET seq = {a} - 1"),
        17 => format!(
            "UPDATE trail SET seq = -seq WHERE seq IN ({a}, {b}); UPDATE trail SET seq = {a} + {b} + seq WHERE seq < 0 AND {a} <> {b}"
        ),
        18 => format!(
            "INSERT INTO trail SELECT {records} + 1, time, object, service, incident, actor, kind, step, outcome, evidence, hash, hash FROM trail WHERE seq = {a}"
        ),
        _ => format!(
            "DELETE FROM trail WHERE seq = {a}; UPDATE trail SET seq = seq - 1 WHERE seq > {a}; UPDATE head SET seq = seq - 1"
        ),
    }
}
