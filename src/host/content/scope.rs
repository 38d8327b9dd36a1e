//! Which entries of a module are compared.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::NoListing;
use crate::{
    api::ModuleSpec,
    files,
    host::{
        compose::BuildModel,
        source::{Dockerignore, Matched, ignore_file},
    },
    pattern::Pattern,
};

/// What a Python process writes beside the files that it runs.
const ALWAYS: [&str; 2] = ["__pycache__", "*.pyc"];

/// How many folders' verdicts are kept while a listing is made: an archive may be hostile.
const MOST_FOLDERS: usize = 100_000;

/// What is compared of one module, as of one observation.
#[derive(Debug)]
pub(in crate::host) struct Scope {
    /// The source without links.
    pub(super) source: PathBuf,
    /// Patterns of names, at any depth.
    names: Vec<Pattern>,
    /// Patterns of paths below the module.
    paths: Vec<Pattern>,
    /// The build's ignore file, with the module's path in the build context; `None` if it has none, or the module is in no
    /// context.
    ignore: Option<(Dockerignore, String)>,
    /// Whether the source lies in a context of the build.
    is_in_context: bool,
    /// A digest of the rules, and of nothing else.
    key: String,
}

/// The verdict on one entry, from which those below it start.
#[derive(Debug, Clone)]
struct Judged {
    ignored: bool,
    excluded: bool,
    matched: Matched,
}

impl Scope {
    /// The scope of a module that declares a source; `None` if the source is not there. Makes accesses.
    pub(super) fn read(
        directory: &Path,
        module: &ModuleSpec,
        build: Option<&BuildModel>,
    ) -> Option<Result<Self, NoListing>> {
        let declared = module.source.as_deref()?;
        let cannot =
            |error: std::io::Error| NoListing::Unknown(format!("cannot look at {declared}: {error}"));
        let root = match files::canonicalize(directory) {
            Ok(root) => root,
            Err(error) => return Some(Err(cannot(error))),
        };
        let source = match files::canonicalize(&root.join(declared)) {
            Ok(source) => source,
            // The source layer says so.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => return Some(Err(cannot(error))),
        };
        source.starts_with(&root).then(|| Self::of(source, module, build))
    }

    /// What is compared of two images: all that no Python process writes.
    pub(in crate::host) fn of_images() -> Self {
        let names = ALWAYS.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
        let (source, paths, key) = (PathBuf::new(), Vec::new(), "images".into());
        Self { source, names, paths, ignore: None, is_in_context: false, key }
    }

    fn of(source: PathBuf, module: &ModuleSpec, build: Option<&BuildModel>) -> Result<Self, NoListing> {
        let context = build.map(|build| context_of(&source, build)).transpose()?.flatten();
        let is_in_context = context.is_some();
        let ignore = context.and_then(|context| context.ignore);
        let (mut names, mut paths) = (Vec::new(), Vec::new());
        for text in ALWAYS.into_iter().chain(module.ignore.iter().map(String::as_str)) {
            let bare = text.trim_end_matches('/');
            let pattern =
                Pattern::parse(bare).map_err(|error| NoListing::Unknown(format!("`ignore`: {error}")))?;
            if bare.contains('/') { paths.push(pattern) } else { names.push(pattern) }
        }
        let mut key = Sha256::new();
        key.update(format!("{:?} {ignore:?}", module.ignore));
        Ok(Self { source, names, paths, ignore, is_in_context, key: hex::encode(key.finalize()) })
    }

    /// What distinguishes these rules from others.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Whether everything that is compared of the source is in a context of the build.
    pub(super) const fn is_in_context(&self) -> bool {
        self.is_in_context
    }

    /// A verdict for each entry.
    ///
    /// # Errors
    /// If nothing of the module would be compared.
    pub(super) fn judge(&self) -> Result<Judge<'_>, NoListing> {
        let root = self.root();
        let is_nothing = root.excluded && !self.could_include_below("");
        let judge = Judge { scope: self, root, folders: HashMap::new() };
        if is_nothing {
            let why = "the build's `.dockerignore` leaves out all of it, so there is nothing to compare";
            return Err(NoListing::Unknown(why.into()));
        }
        Ok(judge)
    }

    /// The verdict on the module itself: the patterns of the ignore file count from the build context down.
    fn root(&self) -> Judged {
        let mut judged = Judged { ignored: false, excluded: false, matched: Vec::new() };
        if let Some((ignore, inside)) = self.ignore.as_ref().filter(|(_, inside)| !inside.is_empty()) {
            let ends = inside.match_indices('/').map(|(at, _)| at).chain([inside.len()]);
            for end in ends {
                (judged.excluded, judged.matched) = ignore.excludes(&inside[..end], &judged.matched);
            }
        }
        judged
    }

    fn below(&self, parent: &Judged, path: &str) -> Judged {
        let name = path.rsplit('/').next().unwrap_or(path);
        let ignored = parent.ignored
            || self.names.iter().any(|pattern| pattern.matches(name))
            || self.paths.iter().any(|pattern| pattern.matches(path));
        let (excluded, matched) = match &self.ignore {
            Some((ignore, inside)) if !ignored => ignore.excludes(&joined(inside, path), &parent.matched),
            _ => (false, Vec::new()),
        };
        Judged { ignored, excluded, matched }
    }

    fn could_include_below(&self, path: &str) -> bool {
        self.ignore.as_ref().is_some_and(|(ignore, inside)| ignore.could_include_below(&joined(inside, path)))
    }
}

fn joined(inside: &str, path: &str) -> String {
    match (inside.is_empty(), path.is_empty()) {
        (false, false) => format!("{inside}/{path}"),
        (true, _) => path.to_owned(),
        (false, true) => inside.to_owned(),
    }
}

/// The build context that holds a module's source.
struct ModuleContext {
    /// Its ignore file, with the module's path in the context; `None` if it has none.
    ignore: Option<(Dockerignore, String)>,
}

/// The context of the build that holds this folder. Of two the main one counts.
fn context_of(source: &Path, build: &BuildModel) -> Result<Option<ModuleContext>, NoListing> {
    let dockerfile = build.dockerfile_path();
    let main = [(&build.context, dockerfile.as_deref())];
    let others = build.additional_contexts.values().map(|context| (context, None));
    for (context, dockerfile) in main.into_iter().chain(others) {
        let Ok(root) = files::canonicalize(Path::new(context)) else { continue };
        let Ok(inside) = source.strip_prefix(&root) else { continue };
        let (file, ignore) =
            ignore_file(&root, dockerfile).map_err(|error| NoListing::Unknown(error.to_string()))?;
        let ignore = file.map(|_| (ignore, inside.to_string_lossy().into_owned()));
        return Ok(Some(ModuleContext { ignore }));
    }
    Ok(None)
}

/// Gives the verdicts on the entries of one listing.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    scope: &'a Scope,
    root: Judged,
    folders: HashMap<String, Judged>,
}

impl Judge<'_> {
    /// Whether an entry is not compared; an empty path is the module itself.
    pub(super) fn leaves_out(&mut self, path: &str) -> bool {
        let judged = self.judged(path);
        judged.ignored || judged.excluded
    }

    /// Whether nothing below this folder is compared.
    pub(super) fn leaves_out_below(&mut self, path: &str) -> bool {
        let judged = self.folder(path);
        judged.ignored || (judged.excluded && !self.scope.could_include_below(path))
    }

    fn judged(&mut self, path: &str) -> Judged {
        if path.is_empty() {
            return self.root.clone();
        }
        let parent = self.folder(path.rsplit_once('/').map_or("", |(parent, _)| parent));
        self.scope.below(&parent, path)
    }

    /// The same for a folder, whose verdict the next entries need again.
    fn folder(&mut self, path: &str) -> Judged {
        if path.is_empty() {
            return self.root.clone();
        }
        if let Some(known) = self.folders.get(path) {
            return known.clone();
        }
        // From the top down, and not by recursion: the depth is the archive's.
        let mut judged = self.root.clone();
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            judged = match self.folders.get(&path[..end]) {
                Some(known) => known.clone(),
                None => self.scope.below(&judged, &path[..end]),
            };
        }
        if self.folders.len() < MOST_FOLDERS {
            self.folders.insert(path.to_owned(), judged.clone());
        }
        judged
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The scope of a folder in a build context with this ignore file.
    pub(in crate::host::content) fn scope(
        inside: &str,
        dockerignore: Option<&str>,
        ignore: &[&str],
    ) -> Scope {
        let module = serde_json::json!({"path": "/x", "source": "x", "content": "same", "ignore": ignore});
        let module: ModuleSpec = serde_json::from_value(module).unwrap();
        let parsed = dockerignore.map(|text| (Dockerignore::parse(text).unwrap(), inside.to_owned()));
        Scope { ignore: parsed, ..Scope::of("/x".into(), &module, None).unwrap() }
    }

    fn compared(scope: &Scope, paths: &[&str]) -> Vec<String> {
        let mut judge = scope.judge().unwrap();
        paths.iter().filter(|path| !judge.leaves_out(path)).map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn a_name_is_ignored_at_any_depth_and_a_path_below_the_module() {
        let scope = scope("", None, &["*.bak", "cache/", "docs/*.md"]);
        let paths = [
            "",
            "a",
            "a.bak",
            "b/c.bak",
            "cache",
            "b/cache/x",
            "docs/a.md",
            "b/docs/a.md",
            "docs/b/a.md",
            "__pycache__/a",
            "b/a.pyc",
            "a.pyc.txt",
        ];
        assert_eq!(compared(&scope, &paths), ["", "a", "b/docs/a.md", "docs/b/a.md", "a.pyc.txt"]);
        let mut judge = scope.judge().unwrap();
        assert!(judge.leaves_out_below("b/cache") && !judge.leaves_out_below("b"));
    }

    #[test]
    fn what_the_build_leaves_out_is_not_compared_wherever_it_is() {
        let text = "**/node_modules\nsrc/app/*.log\nsrc/app/private\n!src/app/private/keep";
        let scope = scope("src/app", Some(text), &[]);
        let paths = [
            "",
            "a.log",
            "b/a.log",
            "node_modules",
            "b/node_modules/x",
            "private",
            "private/a",
            "private/keep",
        ];
        assert_eq!(compared(&scope, &paths), ["", "b/a.log", "private/keep"]);
        let mut judge = scope.judge().unwrap();
        assert!(!judge.leaves_out_below("private") && judge.leaves_out_below("node_modules"));
    }

    #[test]
    fn where_nothing_is_left_to_compare_nothing_is_known() {
        let out = scope("src/app", Some("src"), &[]);
        assert!(matches!(out.judge(), Err(NoListing::Unknown(why)) if why.contains(".dockerignore")));
        assert_eq!(compared(&scope("src/app", Some("*\n!src/app"), &[]), &["", "a"]), ["", "a"]);
    }

    #[test]
    fn of_two_images_all_counts_but_what_python_writes() {
        let paths =
            ["", "etc", "app/__pycache__", "app/__pycache__/a", "app/a.pyc", "app/a.py", ".dockerignore"];
        assert_eq!(compared(&Scope::of_images(), &paths), ["", "etc", "app/a.py", ".dockerignore"]);
    }

    #[test]
    fn other_rules_have_another_key_and_a_bad_pattern_is_said() {
        let keys = [scope("a", None, &[]), scope("a", None, &["x"]), scope("a", None, &["x", "y"])];
        assert!(keys[0].key() != keys[1].key() && keys[1].key() != keys[2].key());
        let module = serde_json::json!({"path": "/x", "source": "x", "content": "same", "ignore": ["a["]});
        let bad = Scope::of("/x".into(), &serde_json::from_value(module).unwrap(), None).unwrap_err();
        assert!(matches!(&bad, NoListing::Unknown(why) if why.contains("`a[` is not valid")), "{bad:?}");
    }
}
