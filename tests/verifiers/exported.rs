//! What the real binary exports of a real trail, an earlier undrift's, to verifiers that are not undrift's.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

use serde_json::Value;
use undrift::{
    store::Store,
    tlog::{key::VerifierKey, statement::PREDICATE_TYPE},
};

use crate::{
    cases::Case,
    cosign::Cosign,
    tools::{run, verifiers_of},
};

const STATE: &[u8] = include_bytes!("../cli/trail-v1/state.db");

/// Runs undrift on this state, and returns what it prints.
fn undrift(state: &Path, args: &[&str]) -> String {
    run(Command::new(env!("CARGO_BIN_EXE_undrift")).arg("--state-dir").arg(state).args(args))
}

/// The bundle of the newest incident that was repaired, in a folder of its own.
fn bundle() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, Permissions::from_mode(0o700)).unwrap();
    fs::write(state.join("state.db"), STATE).unwrap();
    fs::set_permissions(state.join("state.db"), Permissions::from_mode(0o600)).unwrap();
    drop(Store::open(&state, "test".into()).unwrap());
    // A record, and with it the first checkpoint.
    undrift(&state, &["suspend", "shop", "--reason", "a migration"]);
    let list: Value = serde_json::from_str(&undrift(&state, &["incident", "list", "-o", "json"])).unwrap();
    let repaired = |one: &&Value| one["outcome"] == "Reconciled";
    let id = list["items"].as_array().unwrap().iter().find(repaired).unwrap()["id"].as_str().unwrap();
    let folder = home.path().join("bundle").display().to_string();
    undrift(&state, &["incident", "export", id, "--bundle", &folder]);
    home
}

/// What verifies each record, with its altered twin.
fn records(folder: &Path) -> (Vec<Case>, Vec<Case>) {
    let (mut good, mut altered) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(seq) = name.strip_prefix("record-").and_then(|name| name.strip_suffix(".json")) else {
            continue;
        };
        let index = seq.parse::<u64>().unwrap() - 1;
        let record = fs::read(&path).unwrap();
        let proof = fs::read_to_string(folder.join(format!("record-{seq}.tlog-proof"))).unwrap();
        good.push(Case::record(&proof, &record, index));
        let text = String::from_utf8(record).unwrap().replacen("shop", "shod", 1);
        altered.push(Case::record(&proof, text.as_bytes(), index));
    }
    (good, altered)
}

#[test]
fn what_undrift_exports_of_a_real_trail_is_accepted_and_an_altered_record_is_not() {
    let home = bundle();
    let folder = home.path().join("bundle");
    let key: VerifierKey = fs::read_to_string(folder.join("key.note")).unwrap().trim().parse().unwrap();
    let (mut good, altered) = records(&folder);
    assert!(good.len() > 3 && good.len() == altered.len());
    good.push(Case::checkpoint(&fs::read_to_string(folder.join("checkpoint")).unwrap()));
    assert!(good.iter().all(|case| case.verified(&key).is_some()));
    assert!(altered.iter().all(|case| case.verified(&key).is_none()));
    for verifier in verifiers_of(&good[0]) {
        for (case, verdict) in good.iter().zip(verifier.verdicts_under(&key, &good)) {
            assert_eq!(verdict, Ok(()), "{} refuses {case:?}", verifier.name);
        }
        for (case, verdict) in altered.iter().zip(verifier.verdicts_under(&key, &altered)) {
            assert!(verdict.is_err(), "{} accepts {case:?}", verifier.name);
        }
    }
}

#[test]
fn cosign_accepts_the_statement_of_a_real_incident_under_the_key_of_its_trail() {
    let (home, other) = (bundle(), bundle());
    let cosign = Cosign::new();
    let of = |home: &tempfile::TempDir, name: &str| fs::read(home.path().join("bundle").join(name)).unwrap();
    let statement = cosign.write("statement.json", &of(&home, "verified.intoto.json"));
    cosign.write("key.pem", &of(&home, "key.pem"));
    cosign.write("other.pem", &of(&other, "key.pem"));
    // The image of that incident is gone: the statement's subject is compared by nobody here.
    let accepts =
        |key| cosign.accepts_with(&["--check-claims=false"], &statement, [PREDICATE_TYPE, key, "image"]);
    assert!(accepts("key.pem"));
    assert!(!accepts("other.pem"));
}
