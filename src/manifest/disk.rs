//! What a manifest says about the host's files, held against them.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use super::{
    report::{Fault, Report},
    text,
    tree::Node,
};

/// Checks the project directory and what is in it; the directory's absolute path, where it exists. Symbolic links in it
/// stay: Compose names a project by the path at which a person stands, and `current` is not to become `release-42`.
pub(super) fn check(root: &Node, base: &Path, report: &mut Report<'_>) -> Option<PathBuf> {
    let spec = root.get("spec")?;
    let project = spec.get("project")?;
    let node = project.get("directory")?;
    let text = node.text().filter(|text| text::host_path(text).is_ok())?;
    let (directory, real) = match existing_directory(&base.join(text)) {
        Ok(paths) => paths,
        Err(fault) => {
            report.add(node.spot, fault);
            return None;
        }
    };
    for field in ["files", "envFiles"] {
        for node in project.get(field).map(Node::items).unwrap_or_default() {
            file(&directory, node, report);
        }
    }
    for service in spec.get("services").map(Node::items).unwrap_or_default() {
        for module in service.get("modules").map(Node::items).unwrap_or_default() {
            source(&real, module, report);
        }
    }
    Some(directory)
}

/// A directory's path as it was written, made absolute, and its real one.
fn existing_directory(path: &Path) -> Result<(PathBuf, PathBuf), Fault> {
    match path.canonicalize().and_then(|real| Ok((absolute(path)?, real))) {
        Ok((written, real)) if real.is_dir() => Ok((written, real)),
        Ok(_) => Err(Fault::new("the project directory is a file").mend("name the folder that it is in")),
        Err(error) => Err(Fault::new(format!("the project directory {}", in_words(&error)))
            .mend("write it relative to the folder of this file")),
    }
}

/// The same path from the root on, without `.` and `..`. Symbolic links stay, but for one that a `..` follows: what lies
/// above a link is not what lies above its end, and the kernel means the latter.
pub(super) fn absolute(path: &Path) -> io::Result<PathBuf> {
    let mut at = if path.is_absolute() { PathBuf::new() } else { working_directory()? };
    for component in path.components() {
        match component {
            Component::ParentDir => {
                if at.is_symlink() {
                    at = at.canonicalize()?;
                }
                at.pop();
            }
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => at.push(component),
        }
    }
    Ok(at)
}

/// Where this process stands, as its shell calls it: `PWD`, as long as it is that folder. Compose goes by it as well.
fn working_directory() -> io::Result<PathBuf> {
    let real = std::env::current_dir()?;
    let named = std::env::var_os("PWD").map(PathBuf::from);
    let named = named.filter(|named| named.is_absolute() && named.canonicalize().is_ok_and(|it| it == real));
    Ok(named.unwrap_or(real))
}

/// Why a path cannot be used, as the end of a sentence.
pub(super) fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "does not exist".into(),
        io::ErrorKind::PermissionDenied => "cannot be read: permission denied".into(),
        _ => format!("cannot be read: {error}"),
    }
}

/// A Compose file or an env file. It may be a link out of the project: Compose reads it, not undrift.
fn file(directory: &Path, node: &Node, report: &mut Report<'_>) {
    let Some(text) = node.text().filter(|text| text::inner_path(text).is_ok()) else { return };
    let fault = match directory.join(text).metadata() {
        Ok(found) if found.is_file() => return,
        Ok(_) => Fault::new("this is not a file"),
        Err(error) => Fault::new(format!("this file {}", in_words(&error)))
            .mend("write it relative to the project directory"),
    };
    report.add(node.spot, fault);
}

/// A module's source: it need not exist (that is for `check` to say), but must not lead out of the project.
fn source(directory: &Path, module: &Node, report: &mut Report<'_>) {
    let Some(node) = module.get("source") else { return };
    let Some(text) = node.text().filter(|text| text::inner_path(text).is_ok()) else { return };
    if leaves(directory, Path::new(text)) {
        let fault = Fault::new("the path leaves the project directory by a symbolic link");
        report.add(node.spot, fault.mend("write the path of something that is in the project directory"));
    }
}

/// Whether a relative path below a directory leads out of it, as far as it exists. `directory` is canonical.
fn leaves(directory: &Path, relative: &Path) -> bool {
    let mut at = directory.to_path_buf();
    for component in relative.components() {
        match component {
            Component::ParentDir => {
                at.pop();
            }
            Component::Normal(name) => at.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
        match at.canonicalize() {
            Ok(real) => at = real,
            // What does not exist leads nowhere.
            Err(_) => return false,
        }
        if !at.starts_with(directory) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_made_absolute_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("releases/42/manifests")).unwrap();
        std::os::unix::fs::symlink("releases/42", root.join("current")).unwrap();
        for (path, expected) in [
            ("current", "current"),
            ("current/./manifests/..", "current"),
            ("current/manifests/../..", "releases"),
            ("current/..", "releases"),
            ("releases/../current/manifests", "current/manifests"),
        ] {
            assert_eq!(absolute(&root.join(path)).unwrap(), root.join(expected), "{path}");
            let (kernels, ours) = (root.join(path).canonicalize(), root.join(expected).canonicalize());
            assert_eq!(kernels.ok(), ours.ok(), "{path} is the same folder");
        }
        assert_eq!(
            absolute(Path::new(".")).unwrap().canonicalize().unwrap(),
            std::env::current_dir().unwrap()
        );
    }

    #[test]
    fn a_link_out_of_the_project_leaves_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let project = root.join("project");
        std::fs::create_dir_all(project.join("src/inner")).unwrap();
        std::fs::create_dir_all(root.join("outside")).unwrap();
        std::os::unix::fs::symlink(root.join("outside"), project.join("out")).unwrap();
        std::os::unix::fs::symlink("src/inner", project.join("in")).unwrap();
        std::os::unix::fs::symlink("/nowhere", project.join("dangling")).unwrap();
        for (path, expected) in [
            ("src/inner", false),
            ("in", false),
            ("in/new/file", false),
            ("in/../inner", false),
            ("in/../../..", true),
            ("dangling", false),
            ("missing/x", false),
            ("out", true),
            ("out/new", true),
        ] {
            assert_eq!(leaves(&project, Path::new(path)), expected, "{path}");
        }
    }
}
