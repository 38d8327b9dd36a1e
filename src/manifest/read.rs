//! The files behind `-f`, read without trust: see [`crate::files`].

use std::{
    collections::HashSet,
    convert::Infallible,
    ffi::{OsStr, OsString},
    io::{self, Read},
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{
    check::disk::{absolute, in_words},
    report::ManifestError,
};
use crate::files::{self, Odd};

/// What standard input is called in messages.
const STDIN: &str = "<stdin>";

/// The largest manifest, in bytes. Real ones have some thousands.
pub(super) const LARGEST: u64 = 1024 * 1024;

/// All manifests together, in bytes: they are in memory at once. A thousand of the usual size have a tenth of it.
const MOST_BYTES: u64 = 16 * LARGEST;

/// Manifests in one folder.
const MOST_FILES: usize = 1_000;

/// Names in one folder of manifests, of whatever kind. More are not looked through: that folder is for something else.
const MOST_NAMES: usize = 100_000;

/// What is wrong with a folder that holds none.
pub(crate) const NO_MANIFESTS: &str = "no *.yaml or *.yml in this folder";

/// What one `-f` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestSource {
    /// A file, or a folder: its `*.yaml` and `*.yml`, not deeper, without hidden ones.
    Path(PathBuf),
    /// Standard input, written `-`.
    Stdin,
}

impl ManifestSource {
    /// What each `-f` names, in their order.
    #[must_use]
    pub fn all(arguments: &[OsString]) -> Vec<Self> {
        arguments.iter().map(|argument| Self::from(argument.as_os_str())).collect()
    }
}

impl From<&OsStr> for ManifestSource {
    fn from(argument: &OsStr) -> Self {
        if argument == "-" { Self::Stdin } else { Self::Path(argument.into()) }
    }
}

impl FromStr for ManifestSource {
    type Err = Infallible;

    fn from_str(argument: &str) -> Result<Self, Infallible> {
        Ok(Self::from(OsStr::new(argument)))
    }
}

/// A manifest as it was read.
pub(super) struct Text {
    /// For messages.
    pub(super) origin: String,
    /// Where relative paths start.
    pub(super) base: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// Reads every file once, in order of its name, standard input last. What could not be read is an error beside the
/// others.
pub(super) fn all(sources: &[ManifestSource]) -> (Vec<Text>, Vec<ManifestError>) {
    let paths = sources.iter().filter_map(|source| match source {
        ManifestSource::Path(path) => Some(path.clone()),
        ManifestSource::Stdin => None,
    });
    let mut texts = all_files(&paths.collect::<Vec<_>>());
    if sources.contains(&ManifestSource::Stdin) {
        texts.add(STDIN, read_stdin);
    }
    (texts.read, texts.errors)
}

/// All files in one look, or what is wrong with all of them.
fn all_files(paths: &[PathBuf]) -> Texts {
    let named = paths.to_vec();
    files::look_past(move || read_files(&named)).unwrap_or_else(|hangs| {
        let error =
            |path: &PathBuf| ManifestError::of_file(&path.display().to_string(), hangs.to_string(), None);
        Texts { errors: paths.iter().map(error).collect(), ..Texts::default() }
    })
}

fn read_files(paths: &[PathBuf]) -> Texts {
    let mut texts = Texts::default();
    let mut files = Vec::new();
    for path in paths {
        match files_of(path) {
            Ok(found) => files.extend(found),
            Err(error) => texts.errors.push(error),
        }
    }
    files.sort();
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(files::canonicalize(file).unwrap_or_else(|_| file.clone())));
    for file in files {
        texts.add(&file.display().to_string(), || read_file(&file));
    }
    texts
}

/// What was read so far.
struct Texts {
    read: Vec<Text>,
    errors: Vec<ManifestError>,
    /// How many bytes may still be read.
    room: u64,
}

impl Default for Texts {
    fn default() -> Self {
        Self { read: Vec::new(), errors: Vec::new(), room: MOST_BYTES }
    }
}

impl Texts {
    /// Reads one more. Without room each of the others is an error of its own: what was declared in it is not gone.
    fn add(&mut self, origin: &str, read: impl FnOnce() -> Result<Text, ManifestError>) {
        let full = || {
            let help = "is this the right folder? Else name fewer of its files";
            ManifestError::of_file(origin, "all manifests together have at most 16 MiB", Some(help))
        };
        let text = if self.room == 0 { Err(full()) } else { read() };
        match text {
            Ok(text) if text.bytes.len() as u64 > self.room => {
                self.room = 0;
                self.errors.push(full());
            }
            Ok(text) => {
                self.room -= text.bytes.len() as u64;
                self.read.push(text);
            }
            Err(error) => self.errors.push(error),
        }
    }
}

/// The manifests that a path names: itself, or those in the folder that it is.
pub(super) fn files_of(path: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    let name = path.display().to_string();
    let fail = |message: String, help: Option<&str>| ManifestError::of_file(&name, message, help);
    let unreadable = |error: io::Error| {
        let gone = error.kind() == io::ErrorKind::NotFound;
        let help = "name a manifest, or a folder of them; relative paths start at the current folder";
        fail(format!("this path {}", in_words(&error)), gone.then_some(help))
    };
    let kind = files::metadata(path).map_err(unreadable)?;
    if !kind.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for name in files::names_in(path, MOST_NAMES).map_err(unreadable)? {
        let hidden = name.as_encoded_bytes().starts_with(b".");
        let file = path.join(name);
        let yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if yaml && !hidden && !files::is_dir(&file) {
            files.push(file);
        }
        if files.len() > MOST_FILES {
            let help = "is this the right folder? Else spread them over several";
            return Err(fail(format!("more than {MOST_FILES} manifests in one folder"), Some(help)));
        }
    }
    if files.is_empty() {
        let help = "name another folder, or a file; folders in it are not looked at";
        return Err(fail(NO_MANIFESTS.into(), Some(help)));
    }
    Ok(files)
}

fn read_file(path: &Path) -> Result<Text, ManifestError> {
    let origin = path.display().to_string();
    let fail = |message: String, help: Option<&str>| ManifestError::of_file(&origin, message, help);
    let unreadable = |error| fail(format!("this file {}", in_words(&error)), None);
    let bytes = files::read(path, LARGEST).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => too_large(&origin),
        _ if Odd::is_not_regular(&error) => {
            let help = "name a regular file, or write `-f -` and send it to standard input";
            fail("this is not a regular file".into(), Some(help))
        }
        _ => unreadable(error),
    })?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let base = absolute(folder).map_err(unreadable)?;
    Ok(Text { origin, base, bytes })
}

fn too_large(origin: &str) -> ManifestError {
    let help = "is this the right file? Else split it";
    ManifestError::of_file(origin, "a manifest has at most 1 MiB, and this file more", Some(help))
}

/// The text of one file, within the same limits; `None` where it cannot be had.
pub(super) fn text_of(path: &Path) -> Option<String> {
    String::from_utf8(read_file(path).ok()?.bytes).ok()
}

fn read_stdin() -> Result<Text, ManifestError> {
    let origin = STDIN.to_owned();
    let bytes = capped(std::io::stdin().lock(), &origin)?;
    let base = absolute(Path::new(".")).map_err(|error| {
        ManifestError::of_file(&origin, format!("the current folder {}", in_words(&error)), None)
    })?;
    Ok(Text { origin, base, bytes })
}

/// All bytes of a reader, or an error where there are more than a manifest may have.
fn capped(reader: impl Read, origin: &str) -> Result<Vec<u8>, ManifestError> {
    let mut bytes = Vec::new();
    reader
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| ManifestError::of_file(origin, format!("this file {}", in_words(&error)), None))?;
    if bytes.len() as u64 > LARGEST { Err(too_large(origin)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_large_files_does_not_eat_memory_and_none_of_it_is_taken_for_gone() {
        let folder = tempfile::tempdir().unwrap();
        let large = vec![b'#'; usize::try_from(LARGEST).unwrap()];
        for number in 0..18 {
            std::fs::write(folder.path().join(format!("{number:02}.yaml")), &large).unwrap();
        }
        let (texts, errors) = all(&[ManifestSource::Path(folder.path().into())]);
        assert_eq!(texts.len(), 16);
        let files: Vec<&str> = errors.iter().filter_map(|error| error.file.rsplit('/').next()).collect();
        assert_eq!(files, ["16.yaml", "17.yaml"], "each that was not read says so");
        assert!(errors[1].message.contains("16 MiB"), "{}", errors[1]);
    }

    #[test]
    fn an_endless_input_is_not_read_to_its_end() {
        let error = capped(std::io::repeat(b'#'), "<stdin>").unwrap_err();
        assert_eq!(error.message, "a manifest has at most 1 MiB, and this file more");
    }
}
