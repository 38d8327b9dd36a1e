//! Verifiers that are not undrift's agree with it: they accept what undrift signs and proves, and refuse it after every change.
//! docs/verifiers.md says which they are, and what of a text they let pass that changes nothing in it.
//!
//! `scripts/host verifiers` installs them. Where one is missing these tests fail.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "how many tampered texts each verifier got")]

mod cases;
mod cosign;
mod exported;
mod samples;
mod tools;

use std::collections::BTreeSet;

use cases::Case;
use samples::{ORIGIN, Trail, key};
use tools::verifiers_of;
use undrift::tlog::checkpoint::Checkpoint;

/// undrift and each verifier accept the good cases. undrift refuses each tampered one. So does each verifier, except where the
/// case differs from a good one only in what this verifier is known to ignore.
fn agree(good: &[Case], tampered: &[Case]) {
    assert!(good.iter().all(Case::is_accepted), "undrift refuses a good one");
    let passed: Vec<_> = tampered.iter().filter(|case| case.is_accepted()).collect();
    assert!(passed.is_empty(), "undrift accepts: {passed:?}");
    for verifier in verifiers_of(&good[0]) {
        let (name, looseness) = (verifier.name, verifier.looseness);
        let meanings: BTreeSet<_> = good.iter().map(|case| case.meaning(looseness)).collect();
        for (case, verdict) in good.iter().zip(verifier.verdicts(good)) {
            assert_eq!(verdict, Ok(()), "{name} refuses {case:?}");
        }
        let verdicts = verifier.verdicts(tampered);
        let accepted = tampered.iter().zip(verdicts).filter(|(_, verdict)| verdict.is_ok());
        let accepted: Vec<&Case> = accepted.map(|(case, _)| case).collect();
        for case in &accepted {
            assert!(meanings.contains(&case.meaning(looseness)), "{name} accepts {case:?}");
        }
        println!("{name}: {} tampered, of which {} accepted as the same", tampered.len(), accepted.len());
    }
}

#[test]
fn checkpoints_of_every_small_trail_are_accepted() {
    let trail = Trail::of(40);
    let good: Vec<Case> = (0..=40).map(|size| Case::checkpoint(&trail.checkpoint(size))).collect();
    agree(&good, &[]);
}

#[test]
fn a_checkpoint_is_refused_after_each_change() {
    let good = Case::checkpoint(&Trail::of(7).checkpoint(7));
    agree(std::slice::from_ref(&good), &good.every_change());
}

#[test]
fn a_checkpoint_of_another_key_or_origin_is_refused() {
    let head = Trail::of(7).head(7);
    let of = |name: &str, seed| Checkpoint::sign(head, &key(name, seed)).to_string();
    let renamed = of("undrift/other/A", 1).replace("undrift/other/A", ORIGIN);
    let forged = [of(ORIGIN, 2), of("undrift/other/A", 1), renamed].map(|text| Case::checkpoint(&text));
    agree(&[Case::checkpoint(&of(ORIGIN, 1))], &forged);
}

#[test]
fn every_record_of_small_trails_is_proven_and_no_other() {
    let trail = Trail::of(17);
    let (mut good, mut forged) = (Vec::new(), Vec::new());
    for size in [1, 2, 3, 7, 8, 17] {
        for index in 0..size {
            let proof = trail.proof(index, size);
            good.push(Case::record(&proof, trail.record(index), index));
            for other in (0..size).filter(|other| *other != index) {
                forged.push(Case::record(&proof, trail.record(other), index));
                forged.push(Case::record(&proof, trail.record(index), other));
                let moved = proof.replacen(&format!("index {index}\n"), &format!("index {other}\n"), 1);
                forged.push(Case::record(&moved, trail.record(index), other));
            }
        }
    }
    agree(&good, &forged);
}

#[test]
fn a_proof_is_refused_after_each_change() {
    let trail = Trail::of(7);
    let good = Case::record(&trail.proof(4, 7), trail.record(4), 4);
    agree(std::slice::from_ref(&good), &good.every_change());
}

#[test]
fn a_proof_without_a_hash_with_two_or_with_one_more_is_refused() {
    let trail = Trail::of(7);
    let proof = trail.proof(4, 7);
    let lines: Vec<&str> = proof.lines().collect();
    let mut forged = Vec::new();
    for at in 2..5 {
        for with in [vec![], vec![lines[at], lines[at]], vec![lines[at], lines[2 + (at - 1) % 3]]] {
            let mut changed = lines.clone();
            changed.splice(at..=at, with);
            forged.push(Case::record(&format!("{}\n", changed.join("\n")), trail.record(4), 4));
        }
    }
    agree(&[Case::record(&proof, trail.record(4), 4)], &forged);
}

#[test]
fn a_trail_that_only_grew_is_consistent() {
    let trail = Trail::of(20);
    let pairs = (1..=20).flat_map(|newer| (1..=newer).map(move |older| (older, newer)));
    let good: Vec<Case> =
        pairs.map(|(older, newer)| trail.consistency(&trail.checkpoint(older), older, newer)).collect();
    let forged: Vec<Case> = good.iter().flat_map(Case::every_forged_hash).collect();
    agree(&good, &forged);
}

/// What somebody does who has the database, the key and undrift's own code, but not the checkpoint that was kept elsewhere.
#[test]
fn a_rewritten_trail_is_consistent_with_no_kept_checkpoint() {
    let trail = Trail::of(9);
    let mut forged = Vec::new();
    for (rewritten, from) in trail.every_rewrite() {
        for older in from + 1..=9 {
            forged.push(rewritten.consistency(&trail.checkpoint(older), older, rewritten.size()));
        }
    }
    assert!(forged.len() > 150, "{}", forged.len());
    agree(&[trail.consistency(&trail.checkpoint(4), 4, 9)], &forged);
}

#[test]
fn a_statement_is_refused_after_each_change() {
    let good = Case::statement(&samples::statement(1));
    let mut forged = good.every_change();
    forged.push(Case::statement(&samples::statement(2)));
    agree(std::slice::from_ref(&good), &forged);
}
