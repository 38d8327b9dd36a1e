//! `audit checkpoint`, `audit key`, `audit verify --checkpoint` and `incident export`, through the real binary, on a trail that an
//! earlier undrift has written.

use std::fs;

use serde_json::Value;
use undrift::tlog::{checkpoint::Checkpoint, key::VerifierKey, note::SignedNote, proof::RecordProof};

use crate::{earlier_trail::earlier, home::Home};

/// That state, with a first record by this undrift: its first checkpoint.
fn signed() -> Home {
    let home = earlier();
    home.undrift(&["suspend", "shop", "--reason", "a migration"]).expect(0);
    home
}

fn key(home: &Home) -> VerifierKey {
    home.undrift(&["audit", "key"]).expect(0).stdout.trim().parse().unwrap()
}

/// The last incident that was repaired.
fn reconciled(home: &Home) -> String {
    let list = home.undrift(&["incident", "list", "-o", "json"]).expect(0).stdout;
    let list: Value = serde_json::from_str(&list).unwrap();
    let repaired = |one: &&Value| one["outcome"] == "Reconciled";
    let found = list["items"].as_array().unwrap().iter().find(repaired).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_trail_without_a_checkpoint_says_who_makes_the_first_one() {
    let home = earlier();
    for verb in ["checkpoint", "key"] {
        let told = home.undrift(&["audit", verb]).expect(2).stderr;
        assert!(told.contains("no checkpoint yet") && told.contains("undrift run"), "{told}");
    }
}

#[test]
fn a_checkpoint_that_was_kept_verifies_the_trail_and_no_other() {
    let home = signed();
    let note = home.undrift(&["audit", "checkpoint"]).expect(0).stdout;
    let read: SignedNote = note.parse().unwrap();
    assert_eq!(Checkpoint::open(&read, &key(&home)).unwrap().size, 51);
    let file = home.state().parent().unwrap().join("kept.checkpoint");
    fs::write(&file, &note).unwrap();
    let path = file.display().to_string();
    let whole = home.undrift(&["audit", "verify", "--checkpoint", &path]).expect(0).stdout;
    assert!(whole.starts_with("whole: 51 records"), "{whole}");
    let other = signed();
    let found = other.undrift(&["audit", "verify", "--checkpoint", &path]).expect(1).stdout;
    assert!(found.contains("is none of this trail"), "{found}");
    fs::write(&file, note.replace("51", "50")).unwrap();
    let found = home.undrift(&["audit", "verify", "--checkpoint", &path]).expect(1).stdout;
    assert!(found.contains("is none of this trail"), "{found}");
    let told = home.undrift(&["audit", "verify", "--checkpoint", "/nowhere"]).expect(2).stderr;
    assert!(told.contains("cannot read /nowhere"), "{told}");
    let pem = home.undrift(&["audit", "key", "--format", "pem"]).expect(0).stdout;
    assert_eq!(pem, key(&home).to_pem());
}

#[test]
fn a_bundle_proves_each_record_of_its_incident_offline() {
    let home = signed();
    let folder = home.state().parent().unwrap().join("bundle");
    let (id, path) = (reconciled(&home), folder.display().to_string());
    let told = home.undrift(&["incident", "export", &id, "--bundle", &path]).expect(0).stdout;
    assert!(told.contains("with a proof"), "{told}");
    let key: VerifierKey = fs::read_to_string(folder.join("key.note")).unwrap().trim().parse().unwrap();
    let shown = home.undrift(&["incident", "show", &id, "-o", "json"]).expect(0).stdout;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let records = shown["timeline"].as_array().unwrap();
    for record in records {
        let seq = record["seq"].as_u64().unwrap();
        let form = fs::read_to_string(folder.join(format!("record-{seq}.json"))).unwrap();
        let proof = fs::read_to_string(folder.join(format!("record-{seq}.tlog-proof"))).unwrap();
        let proof: RecordProof = proof.parse().unwrap();
        assert_eq!(proof.verify(form.as_bytes(), seq - 1, &key).unwrap().size, 51);
        let mut whole: Value = serde_json::from_str(&form).unwrap();
        whole["hash"] = record["hash"].clone();
        assert_eq!(&whole, record);
    }
    for name in
        ["incident.html", "incident.md", "incident.json", "checkpoint", "key.pem", "verified.intoto.json"]
    {
        assert!(folder.join(name).metadata().unwrap().len() > 0, "{name}");
    }
    let refused = home.undrift(&["incident", "export", &id, "--bundle", &path]).expect(2).stderr;
    assert!(refused.contains("--force replaces it"), "{refused}");
    home.undrift(&["incident", "export", &id, "--bundle", &path, "--force"]).expect(0);
}

#[test]
fn a_document_goes_to_a_new_file_or_to_standard_output() {
    let home = signed();
    let id = reconciled(&home);
    let file = home.state().parent().unwrap().join("incident.md");
    let path = file.display().to_string();
    let printed = home.undrift(&["incident", "export", &id, "--format", "md"]).expect(0).stdout;
    assert!(printed.starts_with(&format!("# Incident {id}\n")), "{printed}");
    let args = ["incident", "export", &id, "--format", "md", "--output-file", &path];
    home.undrift(&args).expect(0);
    let without_time =
        |text: &str| text.lines().filter(|line| !line.starts_with("*Written")).collect::<Vec<_>>().join("\n");
    assert_eq!(without_time(&fs::read_to_string(&file).unwrap()), without_time(&printed));
    let refused = home.undrift(&args).expect(2).stderr;
    assert!(refused.contains("exists") && refused.contains("--force"), "{refused}");
    let nobody = home.undrift(&["incident", "export", "01ZZZZ"]).expect(2).stderr;
    assert!(nobody.contains("no incident 01ZZZZ"), "{nobody}");
}
