//! The digest of a service's build context: it changes when the next build could produce another image because of the files or
//! the build's settings, and not because of times, owners or the order of a listing.

use std::{
    collections::BTreeMap,
    fs::Metadata,
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sha2::{Digest, Sha256};

use super::{
    dockerignore::Dockerignore,
    file_digests,
    walk::{ContextEntry, EntryKind, Unreadable, walk},
};
use crate::{
    files::{self, LARGEST_TEXT},
    host::{
        Cache,
        compose::{BuildModel, BuildSettings},
    },
};

/// The rule of computing digests; each digest begins with it. A new rule gets a new version: digests of two versions differ for
/// the same source, and a comparison must not take that for a change.
const VERSION: &str = "v1";

/// The same for a build whose settings may be secrets, followed by a dot and the name of the key of their digests: two keys are
/// two rules.
const KEYED_VERSION: &str = "v2";

/// The cache's space: a context's digest by its files' sizes, times and inodes.
const SPACE: &str = "context";

/// Files younger than this may change again without a new time, so each observation reads them anew. File systems keep times as
/// coarse as two seconds (FAT).
pub(super) const SETTLED: Duration = Duration::from_secs(3);

/// Why there is no digest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// Something in the context cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The ignore file is not valid; Docker would refuse to build.
    #[error("{} is not valid: {cause}", path.display())]
    BadIgnoreFile {
        /// The ignore file.
        path: PathBuf,
        /// The error.
        cause: String,
    },
    /// A file was not read to its end.
    #[error("{0}")]
    Hangs(String),
}

/// The digest of a build context (`v1:sha256:…`), including the build's own settings; `None` for a context that is not a folder
/// of this host.
///
/// It covers the sorted list of path, kind, owner's executable bit and content (or link target) of each file that Docker would
/// send, the Dockerfile and the ignore file even if they are ignored, additional contexts that are folders, and the settings.
///
/// # Errors
/// If something cannot be read: the digest is then unknown, not changed.
pub async fn context_digest(build: &BuildModel, cache: &dyn Cache) -> Result<Option<String>, DigestError> {
    Ok(context_state(build, cache).await?.map(|state| state.digest))
}

/// A build context as of one observation.
pub(in crate::host) struct ContextState {
    /// Its digest, as [`context_digest`] has it.
    pub(in crate::host) digest: String,
    /// A digest of the size, times and inode of everything in it: while that is the same, nothing in it changes. `None` if
    /// something in it is too young for a change to show.
    pub(in crate::host) settled: Option<String>,
}

/// The digest of a build context, and the state of the files that it is of; `None` as for [`context_digest`].
///
/// # Errors
/// As [`context_digest`].
pub(in crate::host) async fn context_state(
    build: &BuildModel,
    cache: &dyn Cache,
) -> Result<Option<ContextState>, DigestError> {
    if !is_folder_reference(&build.context) {
        return Ok(None);
    }
    // A digest cached by an undrift of another version does not count for this one.
    let form = format!("{VERSION} {KEYED_VERSION} {build:?}");
    let key = hex::encode(Sha256::digest(form));
    let known = cache.get(SPACE, &key);
    let build = build.clone();
    let read = files::looked(move || BuildSource::read(&build)?.digest(known.as_deref())).await;
    let (state, is_new) = read.map_err(|hangs| DigestError::Hangs(hangs.to_string()))??;
    if let Some(settled) = state.settled.as_ref().filter(|_| is_new) {
        cache.put(SPACE, &key, &format!("{settled} {}", state.digest));
    }
    Ok(Some(state))
}

/// The paths of a build context that Docker would send, sorted; folders without a mark. For tests against a
/// real engine.
///
/// # Errors
/// As [`context_digest`].
pub fn context_files(build: &BuildModel) -> Result<Vec<PathBuf>, DigestError> {
    let build = build.clone();
    let read = files::look(move || BuildSource::read(&build));
    let source = read.map_err(|hangs| DigestError::Hangs(hangs.to_string()))??;
    Ok(source.contexts.iter().flat_map(|context| &context.entries).map(|e| e.path.clone().into()).collect())
}

/// Compose makes the paths of folders absolute; anything else is a URL or a reference.
fn is_folder_reference(context: &str) -> bool {
    context.starts_with('/')
}

/// Everything that a build reads, listed but not read yet.
struct BuildSource {
    settings: BuildSettings,
    /// References other than folders, by name.
    references: BTreeMap<String, String>,
    dockerfile: Option<PathBuf>,
    contexts: Vec<BuildContext>,
}

/// A folder of files.
struct BuildContext {
    name: String,
    root: PathBuf,
    ignore_file: Option<PathBuf>,
    entries: Vec<ContextEntry>,
}

impl BuildSource {
    fn read(build: &BuildModel) -> Result<Self, DigestError> {
        let root = PathBuf::from(&build.context);
        let dockerfile = build.dockerfile_path();
        let mut contexts = vec![BuildContext::read(String::new(), root, dockerfile.as_deref())?];
        let mut references = BTreeMap::new();
        for (name, value) in &build.additional_contexts {
            if is_folder_reference(value) {
                contexts.push(BuildContext::read(name.clone(), value.into(), None)?);
            } else {
                references.insert(name.clone(), value.clone());
            }
        }
        Ok(Self { settings: build.settings.clone(), references, dockerfile, contexts })
    }

    /// The state, and whether it is not the cached one; reads no file if none was touched since.
    fn digest(&self, known: Option<&str>) -> Result<(ContextState, bool), DigestError> {
        let (stats, newest) = self.stats()?;
        if let Some((stats_then, digest)) = known.and_then(|entry| entry.split_once(' '))
            && stats_then == stats
        {
            return Ok((ContextState { digest: digest.to_owned(), settled: Some(stats) }, false));
        }
        let settled =
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(SETTLED);
        let digest = self.contents()?;
        let remember = u64::try_from(newest).is_ok_and(|newest| newest < settled.as_secs());
        Ok((ContextState { digest, settled: remember.then_some(stats) }, true))
    }

    /// The files that count apart from the contexts' lists.
    fn extra_files(&self) -> impl Iterator<Item = &Path> {
        let ignore_files = self.contexts.iter().filter_map(|context| context.ignore_file.as_deref());
        self.dockerfile.as_deref().into_iter().chain(ignore_files)
    }

    /// A digest of sizes, times and inodes, and the newest of the times in seconds.
    fn stats(&self) -> Result<(String, i64), DigestError> {
        let mut fields = FieldHasher(Sha256::new());
        let mut newest = 0;
        let mut stat = |path: &[u8], meta: &Metadata| {
            fields.field(path);
            let stat = [meta.ino(), meta.dev(), meta.size(), u64::from(meta.mode())];
            for number in stat {
                fields.field(&number.to_le_bytes());
            }
            for time in [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()] {
                fields.field(&time.to_le_bytes());
            }
            newest = newest.max(meta.mtime()).max(meta.ctime());
        };
        for entry in self.contexts.iter().flat_map(|context| &context.entries) {
            stat(entry.bytes(), &entry.meta);
        }
        for path in self.extra_files() {
            let meta = files::metadata(path).map_err(Unreadable::at(path))?;
            stat(path.as_os_str().as_bytes(), &meta);
        }
        Ok((hex::encode(fields.0.finalize()), newest))
    }

    fn contents(&self) -> Result<String, DigestError> {
        let mut fields = FieldHasher(Sha256::new());
        let (version, settings) = match &self.settings {
            BuildSettings::Open(digest) | BuildSettings::Raw(digest) => (VERSION.to_owned(), digest),
            BuildSettings::Keyed { key, digest } => (format!("{KEYED_VERSION}.{key}"), digest),
        };
        fields.field(settings.as_bytes());
        for (name, value) in &self.references {
            fields.named("reference", &[name.as_bytes(), value.as_bytes()]);
        }
        for path in self.extra_files() {
            fields.named("apart", &[&file(path)?]);
        }
        for context in &self.contexts {
            fields.named("context", &[context.name.as_bytes()]);
            for entry in &context.entries {
                let path = entry.bytes();
                match &entry.kind {
                    EntryKind::Folder => fields.named("folder", &[path]),
                    EntryKind::Link { target } => {
                        fields.named("link", &[path, target.as_os_str().as_bytes()]);
                    }
                    EntryKind::File { executable } => {
                        let kind = if *executable { "program" } else { "file" };
                        fields.named(
                            kind,
                            &[path, &entry_digest(&context.root.join(&entry.path), &entry.meta)?],
                        );
                    }
                }
            }
        }
        Ok(format!("{version}:sha256:{}", hex::encode(fields.0.finalize())))
    }
}

impl BuildContext {
    fn read(name: String, root: PathBuf, dockerfile: Option<&Path>) -> Result<Self, DigestError> {
        let (ignore_file, ignore) = ignore_file(&root, dockerfile)?;
        let entries = walk(&root, &ignore)?;
        Ok(Self { name, root, ignore_file, entries })
    }
}

/// The possible ignore files of a context, the first choice first: the Dockerfile's own, then the context's.
pub(crate) fn ignore_files(root: &Path, dockerfile: Option<&Path>) -> impl Iterator<Item = PathBuf> {
    let own = dockerfile.map(|path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".dockerignore");
        PathBuf::from(name)
    });
    own.into_iter().chain([root.join(".dockerignore")])
}

/// The ignore file of a context, and its patterns; without a file none.
pub(in crate::host) fn ignore_file(
    root: &Path,
    dockerfile: Option<&Path>,
) -> Result<(Option<PathBuf>, Dockerignore), DigestError> {
    for path in ignore_files(root, dockerfile) {
        match files::read(&path, LARGEST_TEXT) {
            Ok(bytes) => {
                let parsed = Dockerignore::parse(&String::from_utf8_lossy(&bytes));
                let ignore = parsed
                    .map_err(|e| DigestError::BadIgnoreFile { path: path.clone(), cause: e.to_string() })?;
                return Ok((Some(path), ignore));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Unreadable { path, source }.into()),
        }
    }
    Ok((None, Dockerignore::default()))
}

/// The digest of a listed file's content.
fn entry_digest(path: &Path, meta: &Metadata) -> Result<[u8; 32], Unreadable> {
    file_digests::digest(path, meta).map(|read| read.digest).map_err(Unreadable::at(path))
}

/// The digest of a file's content.
fn file(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let mut hash = Sha256::new();
    files::read_in_pieces(path, |piece| hash.update(piece)).map_err(Unreadable::at(path))?;
    Ok(hash.finalize().to_vec())
}

/// A hash over fields, each with its length, so that no two lists of fields look alike.
#[derive(Default)]
pub(in crate::host) struct FieldHasher(Sha256);

impl FieldHasher {
    fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub(in crate::host) fn named(&mut self, name: &str, fields: &[&[u8]]) {
        self.field(name.as_bytes());
        for field in fields {
            self.field(field);
        }
    }

    /// The digest, in hexadecimal.
    pub(in crate::host) fn hex(self) -> String {
        hex::encode(self.0.finalize())
    }
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
