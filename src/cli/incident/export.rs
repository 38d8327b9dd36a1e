//! `undrift incident export`: an incident as a document for people who were not there, to standard output or to a file.

use std::{
    io::{self, Write},
    path::Path,
};

use super::super::{Context, Failure, args::ExportOptions, recorded::VerbError};
use crate::{
    files,
    incident_report::{Bundle, BundleFile, ExportedIncident},
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
        let Bundle { files, missing } = exported.bundle(store)?;
        write_bundle(context, folder, &files, options.force)?;
        if !missing.is_empty() {
            context.complain(&format!("the bundle is without {}: {NEEDS_KEY}", missing.join(", ")));
        }
        return Ok(());
    }
    let document = exported.render(options.format)?;
    match &options.output_file {
        Some(path) => write_file(path, document.as_bytes(), options.force),
        None => Ok(context.out.write_all(document.as_bytes())?),
    }
}

const NEEDS_KEY: &str =
    "export it as the user that undrift runs as, who may read the key, after a checkpoint by that key";

/// Writes the files into the folder, which is made if it does not exist. Without `force` none of them may exist.
fn write_bundle(
    context: &mut Context<'_>,
    folder: &Path,
    files: &[BundleFile],
    force: bool,
) -> Result<(), Failure> {
    let failed = |error| Failure::Refused(format!("cannot make {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    if let Some(existing) = bundle_files_in(folder)?.first().filter(|_| !force) {
        let path = folder.join(existing);
        return Err(Failure::Refused(format!("{} exists: --force replaces it", path.display())));
    }
    let is_new = |name: &String| files.iter().any(|file| file.name == *name);
    for stale in bundle_files_in(folder)?.into_iter().filter(|name| !is_new(name)) {
        std::fs::remove_file(folder.join(&stale)).map_err(failed)?;
    }
    for file in files {
        write_file(&folder.join(&file.name), file.content.as_bytes(), force)?;
    }
    let proofs = files.iter().filter(|file| file.name.ends_with(".tlog-proof")).count();
    writeln!(context.out, "{}: {}, {proofs} with a proof", folder.display(), count(files.len(), "file"))?;
    Ok(())
}

/// The files of an earlier bundle in this folder: a statement of one incident must not lie beside the records of another.
fn bundle_files_in(folder: &Path) -> Result<Vec<String>, Failure> {
    let failed = |error| Failure::Refused(format!("cannot read {}: {error}", folder.display()));
    let names = files::names_in(folder, MOST_FILES).map_err(failed)?;
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    Ok(names.filter(|name| is_of_a_bundle(name)).collect())
}

/// How many files a folder for a bundle may have.
const MOST_FILES: usize = 1_000_000;

fn is_of_a_bundle(name: &str) -> bool {
    let documents = ["incident.html", "incident.md", "incident.json"];
    let signed = ["checkpoint", "key.note", "key.pem", "verified.intoto.json"];
    let of_record = name
        .strip_prefix("record-")
        .and_then(|rest| rest.strip_suffix(".json").or_else(|| rest.strip_suffix(".tlog-proof")));
    documents.contains(&name)
        || signed.contains(&name)
        || of_record.is_some_and(|seq| seq.parse::<u64>().is_ok())
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
    let is_something_else = std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file());
    if is_something_else {
        return Err(Failure::Refused(format!("{} is no regular file", path.display())));
    }
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(|error| failed(&error))?;
    let kept = if force { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map(drop).map_err(|error| failed(&error.error))
}
