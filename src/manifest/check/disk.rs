//! What a manifest says about the host's files, held against them.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use crate::{
    files::{self, Hangs},
    manifest::{
        grammar::formats,
        report::{Fault, Report, Spot},
        syntax::Node,
    },
};

/// What a manifest names of the host's files, with the place of each.
struct NamedFiles {
    directory: PathBuf,
    spot: Spot,
    files: Vec<(Spot, String)>,
    sources: Vec<(Spot, String)>,
}

/// What to do about a file system that does not answer.
const MOUNT_ANEW: &str = "mount it anew, or bring the server that it is mounted from back";

/// What is wrong with them, and where.
type FileFaults = Vec<(Spot, Fault)>;

/// Checks the project directory and what is in it; the directory's absolute path, where it exists. Symbolic links in it
/// stay: Compose names a project by the path at which a person stands, and `current` is not to become `release-42`.
///
/// A project directory that does not answer is a fault of its manifest alone: the others are to be read.
pub(crate) fn check(root: &Node, base: &Path, report: &mut Report<'_>) -> Option<PathBuf> {
    check_by(NamedFiles::look, root, base, report)
}

fn check_by(
    look: impl FnOnce(&NamedFiles) -> (Option<PathBuf>, FileFaults) + Send + 'static,
    root: &Node,
    base: &Path,
    report: &mut Report<'_>,
) -> Option<PathBuf> {
    let named = NamedFiles::of(root, base)?;
    let spot = named.spot;
    let (directory, faults) = match files::look(move || look(&named)) {
        Ok(found) => found,
        Err(hangs) => {
            report.add(spot, Fault::new(hangs.to_string()).help(MOUNT_ANEW));
            return None;
        }
    };
    for (spot, fault) in faults {
        report.add(spot, fault);
    }
    directory
}

impl NamedFiles {
    fn of(root: &Node, base: &Path) -> Option<Self> {
        let spec = root.get("spec")?;
        let project = spec.get("project")?;
        let node = project.get("directory")?;
        let text = node.text().filter(|text| (formats::HOST_PATH.check)(text).is_ok())?;
        let inner = |node: &Node| {
            let text = node.text().filter(|text| (formats::INNER_PATH.check)(text).is_ok())?;
            Some((node.spot, text.to_owned()))
        };
        let files = ["files", "envFiles"].into_iter().flat_map(|field| project.items_of(field));
        let modules = spec.items_of("services").iter().flat_map(|service| service.items_of("modules"));
        Some(Self {
            directory: base.join(text),
            spot: node.spot,
            files: files.filter_map(inner).collect(),
            sources: modules.filter_map(|module| inner(module.get("source")?)).collect(),
        })
    }

    fn look(&self) -> (Option<PathBuf>, FileFaults) {
        let (directory, real) = match existing_directory(&self.directory) {
            Ok(paths) => paths,
            Err(fault) => return (None, vec![(self.spot, fault)]),
        };
        let files = self.files.iter().filter_map(|(spot, text)| Some((*spot, file(&directory, text)?)));
        let sources = self.sources.iter().filter_map(|(spot, text)| Some((*spot, source(&real, text)?)));
        let faults = files.chain(sources).collect();
        (Some(directory), faults)
    }
}

/// A directory's path as it was written, made absolute, and its real one.
fn existing_directory(path: &Path) -> Result<(PathBuf, PathBuf), Fault> {
    match files::canonicalize(path).and_then(|real| Ok((absolute(path)?, real))) {
        Ok((written, real)) if files::is_dir(&real) => Ok((written, real)),
        Ok(_) => Err(Fault::new("the project directory is a file").help("name the folder that it is in")),
        Err(error) if Hangs::is_why(&error) => Err(Fault::new(error.to_string()).help(MOUNT_ANEW)),
        Err(error) => Err(Fault::new(format!("the project directory {}", in_words(&error)))
            .help("write it relative to the folder of this file")),
    }
}

/// The same path from the root on, without `.` and `..`. Symbolic links stay, but for one that a `..` follows: what lies
/// above a link is not what lies above its end, and the kernel means the latter.
pub(crate) fn absolute(path: &Path) -> io::Result<PathBuf> {
    let mut at = if path.is_absolute() { PathBuf::new() } else { working_directory()? };
    for component in path.components() {
        match component {
            Component::ParentDir => {
                if files::symlink_metadata(&at).is_ok_and(|found| found.is_symlink()) {
                    at = files::canonicalize(&at)?;
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
    let named =
        named.filter(|named| named.is_absolute() && files::canonicalize(named).is_ok_and(|it| it == real));
    Ok(named.unwrap_or(real))
}

/// Why a path cannot be used, as the end of a sentence.
pub(crate) fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "does not exist".into(),
        io::ErrorKind::PermissionDenied => "cannot be read: permission denied".into(),
        _ => format!("cannot be read: {error}"),
    }
}

/// What is wrong with a Compose file or an env file. It may be a link out of the project: Compose reads it, not undrift.
fn file(directory: &Path, text: &str) -> Option<Fault> {
    match files::metadata(&directory.join(text)) {
        Ok(found) if found.is_file() => None,
        Ok(_) => Some(Fault::new("this is not a file").help("name a file, such as one in this folder")),
        Err(error) if Hangs::is_why(&error) => Some(Fault::new(error.to_string()).help(MOUNT_ANEW)),
        Err(error) => Some(
            Fault::new(format!("this file {}", in_words(&error)))
                .help("write it relative to the project directory"),
        ),
    }
}

/// What is wrong with a module's source: it need not exist (that is for `check` to say), but must not lead out of the
/// project.
fn source(directory: &Path, text: &str) -> Option<Fault> {
    match leaves(directory, Path::new(text)) {
        Ok(false) => None,
        Ok(true) => Some(
            Fault::new("the path leaves the project directory by a symbolic link")
                .help("write the path of something that is in the project directory"),
        ),
        Err(hangs) => Some(Fault::new(hangs.to_string()).help(MOUNT_ANEW)),
    }
}

/// Whether a relative path below a directory leads out of it, as far as it exists. `directory` is canonical. The error is that
/// it does not answer.
fn leaves(directory: &Path, relative: &Path) -> io::Result<bool> {
    let mut at = directory.to_path_buf();
    for component in relative.components() {
        match component {
            Component::ParentDir => {
                at.pop();
            }
            Component::Normal(name) => at.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
        match files::canonicalize(&at) {
            Ok(real) => at = real,
            Err(error) if Hangs::is_why(&error) => return Err(error),
            // What does not exist leads nowhere.
            Err(_) => return Ok(false),
        }
        if !at.starts_with(directory) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::manifest::syntax;

    #[test]
    fn a_project_directory_that_hangs_is_a_fault_with_its_place() {
        let text = "spec:\n  project:\n    directory: /hangs/shop\n";
        let mut report = Report::new("shop.yaml", text);
        let root = syntax::documents(report.lines()).roots.remove(0);
        let (release, held) = mpsc::channel::<()>();
        let hangs = move |named: &NamedFiles| {
            let directory = files::within_limit(&named.directory, move |at| {
                let _ = held.recv();
                Ok(at.to_owned())
            });
            (directory.ok(), Vec::new())
        };
        assert_eq!(check_by(hangs, &root, Path::new("/"), &mut report), None);
        let errors = report.finish();
        let [error] = &errors[..] else { panic!("{errors:?}") };
        assert_eq!((error.file.as_str(), error.line, error.column), ("shop.yaml", 3, 16));
        assert!(error.message.contains("does not answer") && error.help.is_some(), "{error:?}");
        drop(release);
    }

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
            assert_eq!(leaves(&project, Path::new(path)).unwrap(), expected, "{path}");
        }
    }
}
