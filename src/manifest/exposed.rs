//! Which of the files that say what is to be done somebody else could change.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    api::{Auth, Desired, SecretSource},
    files::{
        self,
        trust::{self, Others},
    },
};

/// What a stranger could change of the manifests of these objects and of the files of their passwords and tokens, each in
/// words: a file, or a folder above it. People who share a group may write manifests together, so a group is no stranger;
/// the world is, and an owner who is neither root, nor this user, nor who called `sudo`.
#[must_use]
pub fn exposed<'a>(objects: impl IntoIterator<Item = &'a Desired>) -> BTreeSet<String> {
    let paths: BTreeSet<PathBuf> = objects.into_iter().flat_map(named).collect();
    let look = move || {
        let found = paths.iter().filter_map(|path| trust::exposed(path, Others::World).ok().flatten());
        found.map(|exposed| exposed.to_string()).collect()
    };
    // That a file system does not answer is told where it is read.
    files::look(look).unwrap_or_default()
}

fn named(desired: &Desired) -> Vec<PathBuf> {
    let routes = desired.services().iter().flat_map(|service| &service.routes);
    let secrets = routes.filter_map(|route| route.auth.as_ref()).flat_map(sources);
    let files = secrets.filter_map(|source| match source {
        SecretSource::File(name) => Some(desired.manifest_directory.join(name)),
        SecretSource::Env(_) => None,
    });
    let manifest = Some(&desired.manifest).filter(|manifest| *manifest != "<stdin>");
    manifest.map(|manifest| Path::new(manifest).to_owned()).into_iter().chain(files).collect()
}

fn sources(auth: &Auth) -> impl Iterator<Item = &SecretSource> {
    auth.basic.iter().map(|basic| &basic.password_from).chain(&auth.bearer_from)
}
