//! `undrift incident export`: an incident as a document for people who were not there, to standard output or to a file.

use std::{
    io::{self, Write},
    path::Path,
};

use super::super::{Context, Failure, args::ExportOptions, recorded::VerbError};
use crate::{
    files,
    incident_report::{BundleFile, ExportedIncident},
    manifest::count,
    store::Store,
};

/// Exports one incident.
pub(in crate::cli) fn export(
    context: &mut Context<'_>,
    store: Option<&Store>,
    options: &ExportOptions,
) -> Result<(), Failure> {
    let missing = || VerbError::NoSuchIncident(options.incident.clone());
    let store = store.ok_or_else(missing)?;
    let exported =
        ExportedIncident::read(store, &options.incident, chrono::Utc::now())?.ok_or_else(missing)?;
    if let Some(folder) = &options.bundle {
        return write_bundle(context, folder, &exported.bundle(store)?, options.force);
    }
    let document = exported.render(options.format)?;
    match &options.output_file {
        Some(path) => write_file(path, document.as_bytes(), options.force),
        None => Ok(context.out.write_all(document.as_bytes())?),
    }
}

/// Writes the files into the folder, which is made if it does not exist. Without `force` none of them may exist.
fn write_bundle(
    context: &mut Context<'_>,
    folder: &Path,
    files: &[BundleFile],
    force: bool,
) -> Result<(), Failure> {
    let failed = |error| Failure::Refused(format!("cannot make {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let existing = files.iter().find(|file| !files::is_absent(&folder.join(&file.name)));
    if let Some(existing) = existing.filter(|_| !force) {
        let path = folder.join(&existing.name);
        return Err(Failure::Refused(format!("{} exists: --force replaces it", path.display())));
    }
    for file in files {
        write_file(&folder.join(&file.name), file.content.as_bytes(), force)?;
    }
    let proofs = files.iter().filter(|file| file.name.ends_with(".tlog-proof")).count();
    writeln!(context.out, "{}: {}, {proofs} with a proof", folder.display(), count(files.len(), "file"))?;
    Ok(())
}

/// Writes a new file, whole or not at all. With `force` it replaces one.
fn write_file(path: &Path, content: &[u8], force: bool) -> Result<(), Failure> {
    let failed = |error: &io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::AlreadyExists => ": --force replaces it",
            _ => "",
        };
        Failure::Refused(format!("cannot write {}: {error}{hint}", path.display()))
    };
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(|error| failed(&error))?;
    let kept = if force { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map(drop).map_err(|error| failed(&error.error))
}
