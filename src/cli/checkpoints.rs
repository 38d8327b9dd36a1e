//! `undrift audit checkpoint` and `undrift audit key`: what somebody elsewhere keeps of the trail.

use std::{io::Write, path::PathBuf};

use super::{Context, Failure, args::KeyFormat};
use crate::{
    files,
    manifest::count,
    store::{KeptCheckpoint, Store, TreeGrowth},
    tlog::{
        collected::CollectedNotes,
        note::{NoteError, SignedNote},
    },
};

/// Prints the newest checkpoint.
pub(super) fn print_newest(store: Option<&Store>, out: &mut dyn Write) -> Result<(), Failure> {
    let newest = store.map(Store::newest_checkpoint).transpose()?.flatten();
    let newest = newest.map_or_else(|| Err(Failure::Refused(none_yet(store)?)), Ok)?;
    // What is no note may hold anything.
    let note: SignedNote = newest.parse().map_err(|error| Failure::Refused(format!("{DAMAGED}: {error}")))?;
    Ok(out.write_all(note.to_string().as_bytes())?)
}

/// Prints the public key.
pub(super) fn print_key(
    store: Option<&Store>,
    format: KeyFormat,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let has_checkpoint = store.map(Store::newest_checkpoint).transpose()?.flatten().is_some();
    let key = store.map(Store::checkpoint_key).transpose()?.flatten();
    let Some(key) = key else {
        let why = if has_checkpoint { UNREADABLE.to_owned() } else { none_yet(store)? };
        return Err(Failure::Refused(why));
    };
    match format {
        KeyFormat::Note => writeln!(out, "{key}")?,
        KeyFormat::Pem => out.write_all(key.to_pem().as_bytes())?,
    }
    Ok(())
}

/// Why there is none, and who makes it.
fn none_yet(store: Option<&Store>) -> Result<String, Failure> {
    let growth = store.map(Store::tree_growth).transpose()?;
    Ok(match growth.filter(|growth| !growth.is_complete()) {
        None => NONE_YET.to_owned(),
        Some(TreeGrowth { size, records }) => format!(
            "the audit trail has no checkpoint yet: its tree has {size} of {records} records; `undrift run` adds the others \
             within seconds, and `undrift apply` some with each record"
        ),
    })
}

const NONE_YET: &str =
    "the audit trail has no checkpoint yet: `undrift apply` and `undrift run` make the first one";

const DAMAGED: &str = "the newest checkpoint is damaged, which `undrift audit verify` explains";

const UNREADABLE: &str = "only the user that undrift runs as may read the key: run this as that user";

/// The checkpoints in these files: each has one, or is an anchor's file with many. Says on standard error what was torn when it
/// was written, and is not compared.
pub(super) fn read_kept(
    context: &mut Context<'_>,
    paths: &[PathBuf],
) -> Result<Vec<KeptCheckpoint>, Failure> {
    let mut kept = Vec::new();
    for path in paths {
        let shown = path.display();
        let read = files::read(path, LARGEST_ANCHOR);
        let read = read.map_err(|error| Failure::Refused(format!("cannot read {shown}: {error}")))?;
        // What is no UTF-8 is no note, and a torn one may end within a character.
        let text = String::from_utf8_lossy(&read);
        let CollectedNotes { notes, torn } = CollectedNotes::of(&text);
        if notes.is_empty() || (notes.len() == 1 && torn == 0) {
            kept.push(KeptCheckpoint { name: format!("the checkpoint {shown}"), note: whole(notes, &text) });
            continue;
        }
        if torn > 0 {
            let torn = count(torn, "piece");
            context.complain(&format!("not compared in {shown}, for a crash tears a checkpoint: {torn}"));
        }
        kept.extend(notes.into_iter().enumerate().map(|(n, note)| KeptCheckpoint {
            name: format!("checkpoint {} of {shown}", n + 1),
            note: Ok(note),
        }));
    }
    Ok(kept)
}

/// The only note of a file, or why the file has none.
fn whole(notes: Vec<SignedNote>, text: &str) -> Result<SignedNote, NoteError> {
    notes.into_iter().next().map_or_else(|| text.parse(), Ok)
}

/// The largest file of an anchor that is read: some 250,000 checkpoints, or one an hour for 28 years.
const LARGEST_ANCHOR: u64 = 64 * 1024 * 1024;
