//! Transcripts that tell stories: what happens on a host, what a person types, and all that undrift prints.
//!
//! A transcript is a text of `tests/transcripts`. Its lines are the story (`# …`), what happens (`* …`, one of the
//! [sentences]), time that passes (`… 10 minutes pass`) and commands (`$ undrift …`). Beneath a command stands what the very
//! code of the command line has printed, on the host in memory and in simulated time. A test plays each of them and compares
//! the whole text. `UNDRIFT_UPDATE_TRANSCRIPTS=1` writes what came out instead.
//!
//! Besides, [`invariants`] holds what must be so at the end of every scenario.

mod invariants;
mod machine;
mod projects;
mod record_pages;
mod record_words;
mod scenario;
mod script;
mod sentences;
mod stand_ins;

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use scenario::Scenario;

/// The most lines that a transcript may have: it is to be read at night.
const LONGEST: usize = 200;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts")
}

/// Plays a transcript, and compares it with what came out.
fn play(name: &str) {
    let path = folder().join(format!("{name}.txt"));
    let text = fs::read_to_string(&path).unwrap();
    let (mut scenario, played) = Scenario::play(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
    if env::var_os("UNDRIFT_UPDATE_TRANSCRIPTS").is_some_and(|value| value == "1") {
        fs::write(&path, &played).unwrap();
    } else {
        assert!(text == played, "{}", difference(name, &text, &played));
    }
    assert!(played.lines().count() <= LONGEST, "{name} has more than {LONGEST} lines");
    invariants::check(&mut scenario);
}

/// The lines from the first to the last that differ.
fn difference(name: &str, expected: &str, found: &str) -> String {
    let (expected, found): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let pairs = || expected.iter().zip(&found);
    let same = pairs().take_while(|(left, right)| left == right).count();
    let shorter = expected.len().min(found.len()) - same;
    let ends = expected.iter().rev().zip(found.iter().rev());
    let same_at_end = ends.take(shorter).take_while(|(left, right)| left == right).count();
    let lines = |mark: &str, lines: &[&str]| {
        let changed = &lines[same..lines.len() - same_at_end];
        changed.iter().map(|line| [mark, line, "\n"].concat()).collect::<String>()
    };
    format!(
        "{name}.txt is another from line {} on (UNDRIFT_UPDATE_TRANSCRIPTS=1 writes it anew):\n{}{}",
        same + 1,
        lines("- ", &expected),
        lines("+ ", &found)
    )
}

macro_rules! transcripts {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                play(stringify!($name));
            }
        )*
    };
}

transcripts! {
    the_incident
    a_build_that_fails
    a_rollback
    a_stall_and_a_retry
    somebody_else_is_at_work
    an_engine_restart
    the_engine_is_away
    a_suspension_and_its_end
    two_projects
    drift_in_observe_mode
    a_container_stopped_by_hand
    a_configuration_change
    killed_in_the_middle_of_a_step
    a_new_container_that_crashes
    a_route_that_is_lost
    a_rollback_without_an_image
    an_apply_that_is_interrupted
    a_module_that_is_nowhere
    a_service_that_restarts_often
}

#[test]
fn every_transcript_has_its_test() {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
    let found: BTreeSet<String> =
        texts.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(found, NAMES.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn the_documentation_links_every_transcript_by_its_title() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/transcripts.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.contains("](../tests/transcripts/")).collect();
    for name in NAMES {
        let text = fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
        let title = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap();
        let row = format!("| [{title}](../tests/transcripts/{name}.txt) | ");
        assert!(rows.iter().any(|line| line.starts_with(&row)), "docs/transcripts.md has no row {row}");
    }
    assert_eq!(rows.iter().filter(|row| row.contains(".txt")).count(), NAMES.len());
}

#[test]
fn every_sentence_happens_in_some_transcript() {
    let texts: String =
        NAMES.iter().map(|name| fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap()).collect();
    let happens = |sentence: &str| {
        texts.contains(&format!("* {sentence}\n")) || texts.contains(&format!(": {sentence}\n"))
    };
    let silent: Vec<&str> =
        sentences::SENTENCES.iter().map(|(sentence, _)| *sentence).filter(|one| !happens(one)).collect();
    assert_eq!(silent, [""; 0]);
}

#[test]
fn an_unknown_sentence_is_an_error_that_lists_the_known_ones() {
    let error = Scenario::play("* somebody sneezes\n").err().unwrap();
    assert!(error.contains("`somebody sneezes`") && error.contains("* the engine stops\n"), "{error}");
}

#[test]
fn a_difference_shows_the_lines_that_differ_and_no_others() {
    let shown = difference("x", "a\nb\nc\nd", "a\nB\nC\nd");
    assert!(shown.contains("from line 2 on") && shown.ends_with(":\n- b\n- c\n+ B\n+ C\n"), "{shown}");
    assert!(difference("x", "a\na", "a").ends_with("- a\n"));
}
