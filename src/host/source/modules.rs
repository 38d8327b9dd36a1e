//! Whether a module's source exists.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use crate::{
    api::{Fact, ModuleType, Presence},
    files,
};

/// Looks for a module's source below the project directory.
///
/// A link counts as its target. One that leads nowhere, in a circle, or out of the directory, is [`Presence::WrongType`]:
/// something is there, and a build would not see it.
#[must_use]
pub fn source_presence(directory: &Path, source: &str, kind: ModuleType) -> Fact<Presence> {
    let (at, below) = (directory.to_owned(), source.to_owned());
    match files::look(move || look(&at, &below, kind)).unwrap_or_else(|hangs| Err(hangs.into())) {
        Ok(presence) => Fact::Known(presence),
        Err(error) => Fact::unknown(format!("cannot look at {source}: {error}")),
    }
}

fn look(directory: &Path, source: &str, kind: ModuleType) -> io::Result<Presence> {
    let root = files::canonicalize(directory)?;
    let found = match files::canonicalize(&root.join(source)) {
        Ok(found) => found,
        Err(error) if is_absent(&error) => return Ok(absent(&root, source)),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Ok(Presence::WrongType);
        }
        Err(error) => return Err(error),
    };
    if !found.starts_with(&root) {
        return Ok(Presence::WrongType);
    }
    let meta = files::metadata(&found)?;
    let fits = match kind {
        ModuleType::Any => true,
        ModuleType::File => meta.is_file(),
        ModuleType::Directory => meta.is_dir(),
    };
    Ok(if fits { Presence::Present } else { Presence::WrongType })
}

/// The kind of absence: a dangling link on the way, or nothing at all.
fn absent(root: &Path, source: &str) -> Presence {
    let mut path = PathBuf::from(root);
    for part in Path::new(source).components().filter(|part| *part != Component::CurDir) {
        path.push(part);
        let is_link = files::symlink_metadata(&path).is_ok_and(|meta| meta.is_symlink());
        if is_link && !files::exists(&path) {
            return Presence::WrongType;
        }
    }
    Presence::Missing
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn the_source_of_a_module_is_present_missing_or_of_the_wrong_type() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let root = folder.path().join("project");
        fs::create_dir_all(root.join("mods/workflow")).unwrap();
        fs::write(root.join("mods/file"), "").unwrap();
        symlink("workflow", root.join("mods/inside")).unwrap();
        symlink("gone", root.join("mods/dangling")).unwrap();
        symlink("circle", root.join("mods/circle")).unwrap();
        symlink(outside.path(), root.join("mods/out")).unwrap();
        // A sibling whose name begins with the project's is outside, too.
        fs::create_dir(folder.path().join("project-other")).unwrap();
        symlink("../../project-other", root.join("mods/sibling")).unwrap();
        for (source, kind, expected) in [
            ("mods/workflow", ModuleType::Any, Presence::Present),
            ("./mods/workflow/", ModuleType::Directory, Presence::Present),
            ("mods/workflow", ModuleType::File, Presence::WrongType),
            ("mods/file", ModuleType::File, Presence::Present),
            ("mods/file", ModuleType::Directory, Presence::WrongType),
            ("mods/inside", ModuleType::Directory, Presence::Present),
            ("mods/none", ModuleType::Any, Presence::Missing),
            ("mods/file/below", ModuleType::Any, Presence::Missing),
            ("none/at/all", ModuleType::Any, Presence::Missing),
            ("mods/dangling", ModuleType::Any, Presence::WrongType),
            ("mods/dangling/below", ModuleType::Any, Presence::WrongType),
            ("mods/circle", ModuleType::Any, Presence::WrongType),
            ("mods/out", ModuleType::Any, Presence::WrongType),
            ("mods/sibling", ModuleType::Any, Presence::WrongType),
            ("../project-other", ModuleType::Any, Presence::WrongType),
        ] {
            assert_eq!(source_presence(&root, source, kind), Fact::Known(expected), "{source} {kind:?}");
        }
        // A missing project directory proves nothing about the module.
        let gone = source_presence(&folder.path().join("gone"), "mods", ModuleType::Any);
        assert!(gone.why_unknown().is_some());
    }
}
