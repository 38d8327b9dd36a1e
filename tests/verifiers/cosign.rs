//! cosign on statements. It takes one in a run, so that it gets one flipped bit per byte where the others get all eight.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use undrift::tlog::statement::PREDICATE_TYPE;

use crate::{
    cases::{Case, Looseness},
    samples::{IMAGE, ORIGIN, good_key, key, statement},
    tools::{folder, installed},
};

/// What cosign lets pass: DSSE signs neither of them.
const LOOSENESS: [Looseness; 2] = [Looseness::Unsigned, Looseness::UnusedBits];

/// cosign with the files that it needs.
pub(crate) struct Cosign {
    program: PathBuf,
    files: TempDir,
}

impl Cosign {
    pub(crate) fn new() -> Self {
        let files = TempDir::new_in(folder()).unwrap();
        let it = Self { program: installed("cosign"), files };
        it.write("key.pem", good_key().verifier().to_pem().as_bytes());
        it.write("other.pem", key(ORIGIN, 2).verifier().to_pem().as_bytes());
        it.write("image", IMAGE);
        it.write("other", b"another image");
        it
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.files.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Whether it accepts the statement in a file, of this type, under a key, about an image.
    fn accepts(&self, statement: &Path, of: [&str; 3]) -> bool {
        self.accepts_with(&[], statement, of)
    }

    /// The same with further options.
    pub(crate) fn accepts_with(
        &self,
        options: &[&str],
        statement: &Path,
        [kind, key, image]: [&str; 3],
    ) -> bool {
        let mut command = Command::new(&self.program);
        command.args(["verify-blob-attestation", "--insecure-ignore-tlog"]).args(options);
        command.args(["--type", kind, "--key"]);
        command.arg(self.files.path().join(key)).arg("--signature").arg(statement);
        let output =
            command.arg(self.files.path().join(image)).env("HOME", self.files.path()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        // Whatever else ends it with 1 is no answer.
        assert!(output.status.success() == told.ends_with("Verified OK\n"), "{told}");
        output.status.success()
    }
}

#[test]
fn cosign_accepts_a_statement_about_its_image_under_its_key() {
    let cosign = Cosign::new();
    let good = cosign.write("good.json", statement(1).to_json().unwrap().as_bytes());
    let other = cosign.write("other.json", statement(2).to_json().unwrap().as_bytes());
    let right = [PREDICATE_TYPE, "key.pem", "image"];
    assert!(cosign.accepts(&good, right));
    assert!(!cosign.accepts(&other, right));
    assert!(cosign.accepts(&other, [PREDICATE_TYPE, "other.pem", "image"]));
    assert!(!cosign.accepts(&good, [PREDICATE_TYPE, "other.pem", "image"]));
    assert!(!cosign.accepts(&good, [PREDICATE_TYPE, "key.pem", "other"]));
    assert!(!cosign.accepts(&good, ["https://in-toto.io/attestation/svr/v0.2", "key.pem", "image"]));
}

#[test]
fn cosign_refuses_a_statement_after_each_change() {
    let cosign = Cosign::new();
    let good = Case::statement(&statement(1));
    let meaning = good.meaning(&LOOSENESS);
    let tampered = good.a_change_of_each_byte();
    let accepts = |case: &&Case| {
        let file = cosign.write("tampered.json", case.text());
        cosign.accepts(&file, [PREDICATE_TYPE, "key.pem", "image"])
    };
    assert!(accepts(&&good));
    let accepted: Vec<&Case> = tampered.iter().filter(accepts).collect();
    for case in &accepted {
        assert!(case.meaning(&LOOSENESS) == meaning, "cosign accepts {case:?}");
    }
    println!("cosign: {} tampered, of which {} accepted as the same", tampered.len(), accepted.len());
}
