//! The expected revision of each service, found anew at each observation. While nothing has changed, that takes no process.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};

use super::{MOST_READ, admission::admitted};
use crate::{
    api::{Desired, ExpectedRevision, Fact, RevisionFact, RevisionSpec, UnknownReason, UnknownVariable},
    files,
    host::{
        HostError, LocalHost,
        source::{self, Head, WorkTree},
    },
};

/// The cache's space: the last commit that touches some paths, by the checked-out one.
const COMMITS: &str = "git-paths";

/// The cache's space: whether a work tree is dirty, by everything that shows a change of it without git.
const DIRT: &str = "git-dirty";

/// By service, the expected revision.
#[derive(Default)]
pub(in crate::host) struct ExpectedRevisions(BTreeMap<String, RevisionFact>);

impl ExpectedRevisions {
    /// The one of a service; `None` if it declares none.
    pub(in crate::host) fn of(&self, service: &str) -> Option<&RevisionFact> {
        self.0.get(service)
    }

    /// The object with the variables that hold these revisions. One that is not known stays as the environment has it.
    pub(in crate::host) fn in_variables<'d>(&self, desired: &'d Desired) -> Cow<'d, Desired> {
        let services = desired.services().iter();
        let variables: BTreeMap<String, String> = services
            .filter_map(|service| {
                let variable = service.revision.as_ref()?.variable.clone()?;
                Some((variable, self.of(&service.name)?.known()?.to_owned()))
            })
            .collect();
        if variables.is_empty() {
            return Cow::Borrowed(desired);
        }
        Cow::Owned(Desired { variables, ..desired.clone() })
    }

    /// The variables that should hold a revision which is not known.
    pub(in crate::host) fn unknown_variables(&self, desired: &Desired) -> Vec<UnknownVariable> {
        let services = desired.services().iter();
        let unknown = services.filter_map(|service| {
            let name = service.revision.as_ref()?.variable.clone()?;
            let (reason, why) = match self.of(&service.name)? {
                RevisionFact::Known(_) => return None,
                RevisionFact::NotARevision(why) => (UnknownReason::NotARevision, why.as_str()),
                RevisionFact::Missing(why) | RevisionFact::Unknown(why) => {
                    (UnknownReason::NotKnown, why.as_str())
                }
                RevisionFact::Limited { .. } => (UnknownReason::RateLimited, "the server limits requests"),
            };
            let message = format!(
                "the variable {name} is the expected revision of {}, which is not known: {why}",
                service.name
            );
            Some(UnknownVariable { name, reason, message })
        });
        unknown.collect()
    }

    /// The error of the first variable that should hold a revision which is not known.
    pub(in crate::host) fn refused(&self, desired: &Desired) -> Option<HostError> {
        self.unknown(desired, |_| true)
    }

    /// The error with its cause, if a variable is not set only because a revision is not known.
    pub(in crate::host) fn explain(&self, desired: &Desired, error: HostError) -> HostError {
        let HostError::UnsetVariables { variables, .. } = &error else { return error };
        self.unknown(desired, |variable| variables.contains(variable)).unwrap_or(error)
    }

    fn unknown(&self, desired: &Desired, is_meant: impl Fn(&String) -> bool) -> Option<HostError> {
        desired.services().iter().find_map(|service| {
            let variable = service.revision.as_ref()?.variable.as_ref()?;
            let why = match self.of(&service.name)? {
                RevisionFact::Missing(why) | RevisionFact::NotARevision(why) | RevisionFact::Unknown(why) => {
                    why
                }
                RevisionFact::Known(_) | RevisionFact::Limited { .. } => return None,
            };
            is_meant(variable).then(|| HostError::RevisionUnknown {
                directory: desired.directory.display().to_string(),
                service: service.name.clone(),
                variable: variable.clone(),
                cause: why.clone(),
            })
        })
    }
}

impl LocalHost {
    /// The expected revision of each service that declares one.
    pub(in crate::host) async fn expected_revisions(&self, desired: &Desired) -> ExpectedRevisions {
        let declared = desired.services().iter().filter_map(|s| Some((s.name.clone(), s.revision.as_ref()?)));
        let found = declared.map(async |(service, spec)| (service, self.expected(desired, spec).await));
        ExpectedRevisions(join_all(found).await.into_iter().collect())
    }

    /// The same for the services that have a variable for it.
    pub(in crate::host) async fn revisions_of_variables(&self, desired: &Desired) -> ExpectedRevisions {
        let has_variable = |spec: &RevisionSpec| spec.variable.is_some();
        if desired.services().iter().filter_map(|service| service.revision.as_ref()).any(has_variable) {
            return self.expected_revisions(desired).await;
        }
        ExpectedRevisions::default()
    }

    /// The object with the variables that hold expected revisions, for Compose commands outside of an observation.
    pub(in crate::host) async fn with_revisions<'d>(&self, desired: &'d Desired) -> Cow<'d, Desired> {
        self.revisions_of_variables(desired).await.in_variables(desired)
    }

    async fn expected(&self, desired: &Desired, spec: &RevisionSpec) -> RevisionFact {
        match &spec.equals {
            ExpectedRevision::Text(text) => RevisionFact::Known(text.clone()),
            ExpectedRevision::File(path) => {
                let (root, file) = (desired.directory.clone(), path.clone());
                let read = files::looked(move || text_within(&root, &file));
                match read.await.unwrap_or_else(|hangs| Err(hangs.into())) {
                    Ok(Some(text)) => admitted(&self.known_secrets(desired).await, path, &text),
                    Ok(None) => {
                        RevisionFact::Missing(format!("{path} does not exist in the project directory"))
                    }
                    Err(error) => RevisionFact::Unknown(format!("{path} cannot be read: {error}")),
                }
            }
            ExpectedRevision::Git => match self.commit(&desired.directory, &spec.paths).await {
                Ok(commit) => RevisionFact::Known(commit),
                Err(why) => RevisionFact::Unknown(why),
            },
        }
    }

    /// The checked-out commit, or the last one before it that touches these paths.
    async fn commit(&self, directory: &Path, paths: &[String]) -> Result<String, String> {
        let Some(Checkout { tree, head, state }) = checkout(directory).await? else {
            return Err(format!(
                "{} is in no git work tree: declare `equals: {{ file: … }}` or `equals: {{ text: … }}`",
                directory.display()
            ));
        };
        let (from, head) = match head {
            Head::Unborn => return Err("the git work tree has no commit yet".into()),
            Head::Commit(commit) if paths.is_empty() => return Ok(commit),
            Head::Commit(commit) => (commit.clone(), commit),
            Head::Reftable => ("HEAD".to_owned(), state),
        };
        let key = key(directory, paths);
        if let Some(known) = self.cached(COMMITS, &key, &head) {
            return Ok(known);
        }
        let Some(commit) = source::last_commit(directory, &from, paths).await? else {
            return Err(format!("no commit touches {}", paths.join(", ")));
        };
        let (tree, found) = (tree.clone(), commit.clone());
        let is_cut_off = !paths.is_empty()
            && files::looked(move || tree.is_cut_off_at(&found))
                .await
                .unwrap_or_else(|hangs| Err(hangs.into()))
                .map_err(|error| unreadable(&error))?;
        if is_cut_off {
            return Err("the history is cut off (a shallow clone), and the last commit that touches the paths may lie before \
                        its end: `git fetch --unshallow`"
                .into());
        }
        self.cache.put(COMMITS, &key, &format!("{head}\n{commit}"));
        Ok(commit)
    }

    /// Whether the work tree of an expected revision is dirty; `None` if git is not asked for it. git is asked only if HEAD,
    /// the index, or `sources` have changed since the last answer: the digests of what is built.
    pub(in crate::host) async fn dirt(
        &self,
        desired: &Desired,
        spec: &RevisionSpec,
        sources: &str,
    ) -> Option<Fact<bool>> {
        if spec.equals != ExpectedRevision::Git {
            return None;
        }
        let Checkout { head, state, .. } = checkout(&desired.directory).await.ok()??;
        let now = hex::encode(Sha256::digest(format!("{head:?}\n{state}\n{sources}")));
        let key = key(&desired.directory, &spec.paths);
        if let Some(known) = self.cached(DIRT, &key, &now) {
            return Some(Fact::Known(known == "dirty"));
        }
        let dirty = source::is_dirty(&desired.directory, &spec.paths).await;
        if let Fact::Known(is_dirty) = &dirty {
            let word = if *is_dirty { "dirty" } else { "clean" };
            self.cache.put(DIRT, &key, &format!("{now}\n{word}"));
        }
        Some(dirty)
    }

    /// The answer from the same state.
    fn cached(&self, space: &str, key: &str, state: &str) -> Option<String> {
        let entry = self.cache.get(space, key)?;
        let (then, answer) = entry.rsplit_once('\n')?;
        (then == state).then(|| answer.to_owned())
    }
}

/// A work tree as it is now.
struct Checkout {
    tree: WorkTree,
    head: Head,
    state: String,
}

/// The work tree of a directory; `None` if it is in none.
async fn checkout(directory: &Path) -> Result<Option<Checkout>, String> {
    let at: PathBuf = directory.to_owned();
    let read = move || {
        let Some(tree) = WorkTree::of(&at)? else { return Ok(None) };
        // The state first: if a commit comes in between, the next observation finds another one.
        let (state, head) = (tree.state(), tree.head()?);
        Ok(Some(Checkout { tree, head, state }))
    };
    let read = files::looked(read).await.unwrap_or_else(|hangs| Err(hangs.into()));
    read.map_err(|error| unreadable(&error))
}

fn unreadable(error: &io::Error) -> String {
    format!("the git repository cannot be read: {error}")
}

fn key(directory: &Path, paths: &[String]) -> String {
    [&[directory.display().to_string()], paths].concat().join("\n")
}

/// The text of a file of the project directory; `None` if it does not exist.
fn text_within(root: &Path, file: &str) -> io::Result<Option<String>> {
    let root = files::canonicalize(root)?;
    let path = match files::canonicalize(&root.join(file)) {
        Ok(path) => path,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if !path.starts_with(&root) {
        return Err(io::Error::other("it lies outside of the project directory"));
    }
    files::read_to_string(&path, MOST_READ as u64).map(Some)
}
