//! `undrift audit checkpoint` and `undrift audit key`: what somebody elsewhere keeps of the trail.

use std::{io::Write, path::PathBuf};

use super::{Failure, args::KeyFormat};
use crate::{
    files::{self, LARGEST_TEXT},
    store::{KeptCheckpoint, Store},
    tlog::note::SignedNote,
};

/// Prints the newest checkpoint.
pub(super) fn print_newest(store: Option<&Store>, out: &mut dyn Write) -> Result<(), Failure> {
    let newest = store.map(Store::newest_checkpoint).transpose()?.flatten();
    let newest = newest.ok_or_else(|| Failure::Refused(NONE_YET.into()))?;
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
    let why = if has_checkpoint { UNREADABLE } else { NONE_YET };
    let key = store.map(Store::checkpoint_key).transpose()?.flatten();
    let key = key.ok_or_else(|| Failure::Refused(why.into()))?;
    match format {
        KeyFormat::Note => writeln!(out, "{key}")?,
        KeyFormat::Pem => out.write_all(key.to_pem().as_bytes())?,
    }
    Ok(())
}

const NONE_YET: &str =
    "the audit trail has no checkpoint yet: `undrift apply` and `undrift run` make the first one";

const DAMAGED: &str = "the newest checkpoint is damaged, which `undrift audit verify` explains";

const UNREADABLE: &str = "only the user that undrift runs as may read the key: run this as that user";

/// The checkpoints in these files.
pub(super) fn read_kept(paths: &[PathBuf]) -> Result<Vec<KeptCheckpoint>, Failure> {
    let read = |path: &PathBuf| {
        let note = files::read_to_string(path, LARGEST_TEXT)
            .map_err(|error| Failure::Refused(format!("cannot read {}: {error}", path.display())))?;
        Ok(KeptCheckpoint { name: format!("the checkpoint {}", path.display()), note })
    };
    paths.iter().map(read).collect()
}
