//! The paths of this host that an observation of an object rests on.

use std::{collections::BTreeSet, path::Path};

use super::compose::Resolved;
use crate::api::{Content, Desired, EachPattern, ExpectedRevision, SourcePaths, WatchedContext};

/// Those of the services that the object names, and of the images that theirs are based on.
pub(super) fn source_paths(desired: &Desired, resolved: &Resolved) -> SourcePaths {
    let named = || desired.services().iter().map(|service| service.name.as_str());
    let built: BTreeSet<&str> =
        named().flat_map(|service| resolved.builds.bases(service).into_iter().chain([service])).collect();
    let mut paths = SourcePaths { files: resolved.input_files(), ..SourcePaths::default() };
    paths.work_trees.insert(desired.directory.clone());
    for build in built.into_iter().filter_map(|service| resolved.builds.build(service)) {
        let more = build.additional_contexts.values().map(|context| (context, None));
        for (folder, dockerfile) in [(&build.context, build.dockerfile_path())].into_iter().chain(more) {
            let folder = Path::new(folder);
            if folder.is_absolute() {
                paths.files.extend(dockerfile.clone());
                paths.work_trees.insert(folder.to_owned());
                paths.contexts.insert(WatchedContext { folder: folder.to_owned(), dockerfile });
            }
        }
    }
    let compared = desired.services().iter().flat_map(|service| &service.modules);
    let compared = compared.filter(|module| module.content == Content::Same);
    for folder in
        compared.filter_map(|module| module.source.as_ref()).map(|source| desired.directory.join(source))
    {
        let is_covered = paths.contexts.iter().any(|context| folder.starts_with(&context.folder));
        if !is_covered {
            paths.contexts.insert(WatchedContext { folder, dockerfile: None });
        }
    }
    let modules = desired.services().iter().flat_map(|service| &service.modules);
    let sources = modules.filter_map(|module| module.source.as_ref());
    paths.files.extend(sources.map(|source| desired.directory.join(source)));
    let revisions = desired.services().iter().filter_map(|service| service.revision.as_ref());
    let revisions = revisions.filter_map(|revision| match &revision.equals {
        ExpectedRevision::File(path) => Some(desired.directory.join(path)),
        ExpectedRevision::Git | ExpectedRevision::Text(_) => None,
    });
    paths.files.extend(revisions);
    let listed = desired.each_queries().into_iter().map(|query| {
        let folder = EachPattern::parse(&query.each).map(|pattern| pattern.folder.to_owned());
        desired.directory.join(folder.unwrap_or_default())
    });
    paths.listed.extend(listed);
    let mounts = named().filter_map(|service| resolved.declared.services.get(service));
    paths.mounted.extend(mounts.flat_map(|service| service.mounted.iter().cloned()));
    paths
}
