//! The docker CLI's configuration: the folder with its settings, its contexts and its plugins.
//!
//! undrift reads the engine's address there, and every docker command that it starts reads all of it, whatever its purpose: a
//! command that blocks on a file there never answers.
//!
//! By hand, because undrift must find the very engine that the docker CLI would use, by the CLI's own order of variables and
//! contexts.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use super::HostError;
use crate::files::{self, Hangs, LARGEST_TEXT};

/// The file of its settings in the folder.
pub(super) const SETTINGS: &str = "config.json";

/// The folder: `DOCKER_CONFIG`, else `.docker` below `HOME`.
pub(super) fn folder(env: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")))
}

/// The text of its settings; `None` if there are none.
///
/// # Errors
/// [`HostError::DockerConfigUnusable`] if the folder or the file is something else, or cannot be read;
/// [`HostError::FileHangs`].
pub(super) fn settings(folder: &Path) -> Result<Option<String>, HostError> {
    let path = folder.join(SETTINGS);
    match files::read_to_string(&path, LARGEST_TEXT) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // The path, or one above it, is not a folder.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            files::is_folder_or_absent(folder).map(|()| None).map_err(|error| unusable(folder, &error))
        }
        Err(error) => Err(unusable(&path, &error)),
    }
}

/// The settings, parsed as the docker CLI does: an empty file has none, and everything after the first document is ignored.
pub(super) fn parsed<T: DeserializeOwned>(settings: &str) -> serde_json::Result<Option<T>> {
    let first = serde_json::Deserializer::from_str(settings).into_iter::<Option<T>>().next();
    Ok(first.transpose()?.flatten())
}

/// Whether docker commands in this environment can read their configuration.
///
/// # Errors
/// As [`settings`].
pub(crate) fn check(env: &dyn Fn(&str) -> Option<OsString>) -> Result<(), HostError> {
    folder(env).map_or(Ok(()), |folder| settings(&folder).map(drop))
}

/// Why it cannot be used.
pub(super) fn unusable(path: &Path, error: &io::Error) -> HostError {
    if Hangs::is_why(error) {
        return HostError::FileHangs(error.to_string());
    }
    let (path, message) = (path.display().to_string(), error.to_string());
    let cause = if message.contains(&path) { message } else { format!("{path} cannot be read: {message}") };
    HostError::DockerConfigUnusable { path, cause }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn pipe(path: &Path) {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }

    #[test]
    fn what_is_no_folder_and_what_is_no_file_is_named_with_what_it_is() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let config = |name: &str| at(name).join(SETTINGS);
        pipe(&at("pipe"));
        fs::write(at("file"), "").unwrap();
        for folder in ["empty", "of-pipe", "of-folder", "of-large", "of-loop", "well"] {
            fs::create_dir(at(folder)).unwrap();
        }
        pipe(&config("of-pipe"));
        fs::create_dir(config("of-folder")).unwrap();
        fs::File::create(config("of-large")).unwrap().set_len(3 << 30).unwrap();
        std::os::unix::fs::symlink(SETTINGS, config("of-loop")).unwrap();
        fs::write(config("well"), "{}").unwrap();
        for (folder, path, what) in [
            ("pipe", at("pipe"), "is a named pipe and not a folder"),
            ("file", at("file"), "is a file and not a folder"),
            ("of-pipe", config("of-pipe"), "is a named pipe and not a regular file"),
            ("of-folder", config("of-folder"), "is a folder and not a regular file"),
            ("of-large", config("of-large"), "has 3 GiB, and 16 MiB at most are read"),
            ("of-loop", config("of-loop"), "Too many levels of symbolic links"),
        ] {
            let error = settings(&at(folder)).unwrap_err();
            let message = error.to_string();
            assert!(message.starts_with("the docker CLI's configuration cannot be used: "), "{message}");
            assert!(
                message.contains(&path.display().to_string()) && message.contains(what),
                "{folder}: {message}"
            );
            assert!(error.next().unwrap().contains(&path.display().to_string()), "{error:?}");
        }
        for (folder, found) in [("none", None), ("empty", None), ("well", Some("{}")), ("file/below", None)] {
            assert_eq!(settings(&at(folder)).unwrap().as_deref(), found, "{folder}");
        }
        // A way to declare that there is none.
        assert_eq!(settings(Path::new("/dev/null")).unwrap(), None);
    }
}
