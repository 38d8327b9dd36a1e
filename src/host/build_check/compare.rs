//! Whether two images are the same: by ID, else by configuration, and by the files of the declared modules or all files.

use std::{collections::BTreeMap, sync::Arc};

use tokio_util::sync::CancellationToken;

use crate::{
    api::{
        BuildDifference, BuildResult, ContentComparison, Fact, LONGEST_NAME, MOST_NAMED, ModuleSpec,
        ModuleType, Presence, SameBy,
    },
    host::{
        content::{MODULE_ITSELF, NoListing, Scope},
        engine::{ContentQuestion, Engine, EngineError, ImageDetails, ImageModule, ImageQuestion},
    },
};

/// How the image compares with the one that was built; `None` if it was cancelled.
pub(super) async fn compare(
    engine: &Engine,
    (built, image): (&ImageDetails, &ImageDetails),
    modules: &[ModuleSpec],
    cancel: &CancellationToken,
) -> Option<BuildResult> {
    if built.id == image.id {
        return Some(BuildResult::Same(SameBy::Id));
    }
    let (settings, named) = differing(&built.settings, &image.settings);
    let has_same_layers = !built.layers.is_empty() && built.layers == image.layers;
    let (files, by) = if has_same_layers {
        (ComparedFiles::default(), SameBy::Files)
    } else {
        let questions = questions(modules);
        let (ours, theirs) = tokio::join!(
            engine.look_once(&built.id, &questions, cancel),
            engine.look_once(&image.id, &questions, cancel),
        );
        let both = || -> Result<_, EngineError> { Ok(ours?.zip(theirs?)) };
        let files = match both() {
            Err(error) => return Some(BuildResult::Unknown(error.to_string())),
            Ok(None) => return None,
            Ok(Some((ours, theirs))) => compare_files(&questions, &ours, &theirs),
        };
        let by = if modules.is_empty() { SameBy::Files } else { SameBy::Modules };
        match files {
            Ok(files) => (files, by),
            Err(NoListing::TooLarge(why)) => return Some(BuildResult::TooLarge(why)),
            Err(NoListing::Unknown(why)) => return Some(BuildResult::Unknown(why)),
        }
    };
    Some(judge(BuildDifference { settings, named, files: files.found }, &files.in_neither, by))
}

/// All modules of both images as one comparison.
#[derive(Debug, Default, PartialEq, Eq)]
struct ComparedFiles {
    found: ContentComparison,
    /// The paths of the modules that both images lack, or have as something else than declared.
    in_neither: Vec<String>,
}

/// A module that neither image has proves nothing about the two, whatever else they share.
fn judge(difference: BuildDifference, in_neither: &[String], by: SameBy) -> BuildResult {
    let shown = in_neither.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match (difference.is_none(), in_neither) {
        (false, _) => BuildResult::Differs(difference),
        (true, []) => BuildResult::Same(by),
        (true, [_]) => BuildResult::Unknown(format!("neither of the two has the declared module {shown}")),
        (true, all) => BuildResult::Unknown(format!(
            "neither of the two has {} of the declared modules ({shown})",
            all.len()
        )),
    }
}

/// What is looked for in both: the declared modules, or everything.
fn questions(modules: &[ModuleSpec]) -> Vec<ImageQuestion> {
    // Nothing is remembered of a look that is made once, so that it has no owner.
    let content = ContentQuestion { scope: Arc::new(Scope::of_images()), owner: String::new() };
    let question =
        |path: &str, kind| ImageQuestion { path: path.to_owned(), kind, content: Some(content.clone()) };
    if modules.is_empty() {
        return vec![question("/", ModuleType::Directory)];
    }
    modules.iter().map(|module| question(&module.path, module.kind)).collect()
}

/// How many settings differ, and the names of the first.
fn differing(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) -> (usize, Vec<String>) {
    let only_theirs = theirs.keys().filter(|name| !ours.contains_key(*name));
    let changed = ours.iter().filter(|(name, value)| theirs.get(*name) != Some(*value));
    let mut names: Vec<&String> = changed.map(|(name, _)| name).chain(only_theirs).collect();
    names.sort();
    let shown = |name: &&String| name.chars().flat_map(char::escape_debug).take(LONGEST_NAME).collect();
    (names.len(), names.iter().take(MOST_NAMED).map(shown).collect())
}

/// All answers as one comparison, whose paths are those in the images.
fn compare_files(
    questions: &[ImageQuestion],
    ours: &[ImageModule],
    theirs: &[ImageModule],
) -> Result<ComparedFiles, NoListing> {
    let mut all = ComparedFiles::default();
    for ((question, ours), theirs) in questions.iter().zip(ours).zip(theirs) {
        match compare_module(ours, theirs)? {
            Some(one) => add(&mut all.found, &question.path, one),
            None => all.in_neither.push(question.path.clone()),
        }
    }
    Ok(all)
}

/// How a module of the two compares; `None` if neither has it.
fn compare_module(ours: &ImageModule, theirs: &ImageModule) -> Result<Option<ContentComparison>, NoListing> {
    let (built, found) = (known(ours)?, known(theirs)?);
    let named = || vec![MODULE_ITSELF.to_owned()];
    let none = ContentComparison::default();
    Ok(Some(match (built == Presence::Present, found == Presence::Present) {
        (true, true) => {
            let listings = (listing(ours)?, listing(theirs)?);
            listings.0.compare(listings.1, &[])
        }
        (true, false) => ContentComparison { missing: 1, named: named(), ..none },
        (false, true) => ContentComparison { added: 1, named_added: named(), ..none },
        (false, false) if built == found => return Ok(None),
        (false, false) => ContentComparison { differing: 1, named: named(), ..none },
    }))
}

fn known(module: &ImageModule) -> Result<Presence, NoListing> {
    match &module.presence {
        Fact::Known(presence) => Ok(*presence),
        Fact::Unknown(why) => Err(NoListing::Unknown(why.clone())),
    }
}

fn listing(module: &ImageModule) -> Result<&crate::host::content::Listing, NoListing> {
    match &module.content {
        Some(Ok(listing)) => Ok(listing),
        Some(Err(none)) => Err(none.clone()),
        None => Err(NoListing::Unknown("its files were not read".into())),
    }
}

fn add(all: &mut ContentComparison, path: &str, one: ContentComparison) {
    all.differing += one.differing;
    all.missing += one.missing;
    all.added += one.added;
    let whole = |name: String| match name.as_str() {
        MODULE_ITSELF => path.to_owned(),
        _ => format!("{}/{name}", path.trim_end_matches('/')),
    };
    for (into, names) in [(&mut all.named, one.named), (&mut all.named_added, one.named_added)] {
        into.extend(names.into_iter().map(whole));
        into.truncate(MOST_NAMED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Presence::{Missing, WrongType};

    fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn settings_that_differ_are_named_and_no_value_is() {
        let built = settings(&[
            ("command", "a"),
            ("environment A", "hunter2"),
            ("environment B", "1"),
            ("user", "x"),
        ]);
        let image = settings(&[
            ("command", "a"),
            ("environment A", "hunter3"),
            ("environment\nC", "1"),
            ("label a", ""),
        ]);
        let (count, named) = differing(&built, &image);
        assert_eq!(
            (count, named),
            (5, ["environment\\nC", "environment A", "environment B"].map(str::to_owned).to_vec())
        );
        assert_eq!(differing(&built, &built), (0, vec![]));
        assert_eq!(
            differing(&settings(&[]), &settings(&[("environment A", "")])).0,
            1,
            "set to nothing, and not set"
        );
    }

    fn module(presence: Fact<Presence>) -> ImageModule {
        ImageModule { presence, content: None }
    }

    #[test]
    fn a_module_that_only_one_image_has_differs_and_one_that_neither_has_proves_nothing() {
        let questions =
            |path: &str| vec![ImageQuestion { path: path.into(), kind: ModuleType::Any, content: None }];
        let compared = |ours: Presence, theirs: Presence| {
            let (ours, theirs) = (module(Fact::Known(ours)), module(Fact::Known(theirs)));
            compare_files(&questions("/app"), &[ours], &[theirs]).unwrap()
        };
        for both in [Missing, WrongType] {
            let neither = compared(both, both);
            assert_eq!((neither.found.is_same(), &neither.in_neither[..]), (true, &["/app".to_owned()][..]));
        }
        let differs = compared(Missing, WrongType);
        assert_eq!((differs.found.differing, differs.found.named), (1, vec!["/app".to_owned()]));
        assert!(differs.in_neither.is_empty());
        // One is there.
        let one = |ours, theirs| {
            let found = compare_module(&module(Fact::Known(ours)), &module(Fact::Known(theirs)));
            let found = found.unwrap().unwrap();
            (found.missing, found.added)
        };
        assert_eq!((one(Presence::Present, Missing), one(Missing, Presence::Present)), ((1, 0), (0, 1)));
        let unknown =
            compare_files(&questions("/app"), &[module(Fact::unknown("x"))], &[module(Fact::Known(Missing))]);
        assert_eq!(unknown, Err(NoListing::Unknown("x".into())));
        let unread = module(Fact::Known(Presence::Present));
        assert!(compare_module(&unread, &unread).is_err(), "what was not read is not the same");
    }

    #[test]
    fn two_images_are_not_the_same_by_what_both_lack() {
        let none = BuildDifference::default;
        let (one, two) = (vec!["/app/a".to_owned()], vec!["/app/a".to_owned(), "/app/b".to_owned()]);
        assert_eq!(judge(none(), &[], SameBy::Modules), BuildResult::Same(SameBy::Modules));
        let unknown = |words: &str| BuildResult::Unknown(words.to_owned());
        let of_one = "neither of the two has the declared module /app/a";
        assert_eq!(judge(none(), &one, SameBy::Modules), unknown(of_one));
        let of_two = "neither of the two has 2 of the declared modules (/app/a, /app/b)";
        assert_eq!(judge(none(), &two, SameBy::Modules), unknown(of_two));
        let differs = BuildDifference { settings: 1, ..none() };
        assert_eq!(judge(differs.clone(), &one, SameBy::Modules), BuildResult::Differs(differs));
    }

    #[test]
    fn paths_are_those_in_the_image_and_no_more_than_three() {
        let mut all = ContentComparison::default();
        let one = |names: &[&str]| ContentComparison {
            differing: names.len(),
            named: names.iter().map(|name| (*name).to_owned()).collect(),
            ..ContentComparison::default()
        };
        add(&mut all, "/app/a", one(&["x/y", MODULE_ITSELF]));
        add(&mut all, "/", one(&["etc/hosts", "z"]));
        assert_eq!(
            (all.differing, all.named),
            (4, ["/app/a/x/y", "/app/a", "/etc/hosts"].map(str::to_owned).to_vec())
        );
    }
}
