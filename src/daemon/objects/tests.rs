use std::fs;

use tempfile::TempDir;

use super::*;

/// A folder of manifests that is watched as a whole.
struct Folder {
    dir: TempDir,
    objects: Objects,
}

impl Folder {
    fn new(manifests: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("m")).unwrap();
        for (file, text) in manifests {
            fs::write(dir.path().join("m").join(file), text).unwrap();
        }
        let objects = Objects::new(vec![Source::Path(dir.path().join("m"))]);
        Self { dir, objects }
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.dir.path().join("m").join(file), text).unwrap();
    }

    fn reload(&self) -> (Vec<String>, Vec<String>, usize) {
        let Reloaded { changed, removed, errors, .. } = self.objects.reload();
        let names = |all: Vec<Arc<Desired>>| all.iter().map(|desired| desired.name().to_owned()).collect();
        (names(changed), names(removed), errors.len())
    }

    fn outlived(&self, name: &str) -> Option<String> {
        self.objects.get(name).unwrap().outlived.clone()
    }
}

fn object(name: &str, service: &str) -> String {
    format!(
        "apiVersion: undrift.dev/v1alpha1\nkind: ComposeProject\nmetadata: {{ name: {name} }}\n\
         spec:\n  project: {{ directory: . }}\n  services: [{{ name: {service} }}]\n"
    )
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_is_new_or_declared_otherwise_has_changed_and_nothing_else() {
    let folder = Folder::new(&[("a.yaml", &object("a", "api")), ("b.yaml", &object("b", "api"))]);
    assert_eq!(folder.reload(), (names(&["a", "b"]), vec![], 0));
    assert_eq!(folder.reload(), (vec![], vec![], 0));
    folder.write("b.yaml", &object("b", "web"));
    assert_eq!(folder.reload(), (names(&["b"]), vec![], 0));
    fs::remove_file(folder.dir.path().join("m/a.yaml")).unwrap();
    assert_eq!(folder.reload(), (vec![], names(&["a"]), 0));
    assert_eq!(folder.objects.names(), ["b"]);
}

#[test]
fn an_edit_that_is_not_valid_keeps_the_last_good_one_and_says_so() {
    let folder = Folder::new(&[("a.yaml", &object("a", "api")), ("b.yaml", &object("b", "api"))]);
    folder.reload();
    for broken in ["[", "", "kind: ComposeProject\n", &object("a", "[]")] {
        folder.write("a.yaml", broken);
        let (_, removed, errors) = folder.reload();
        assert!(removed.is_empty() && errors > 0, "{broken:?}");
        assert!(folder.outlived("a").unwrap().contains("a.yaml"), "{broken:?}");
        assert_eq!(folder.outlived("b"), None, "the other file is without a fault");
    }
    folder.write("a.yaml", &object("a", "api"));
    assert_eq!(folder.reload(), (names(&["a"]), vec![], 0), "its status is to lose the note");
    assert_eq!(folder.outlived("a"), None);
}

#[test]
fn a_bad_manifest_keeps_no_other_from_being_watched() {
    let folder = Folder::new(&[("a.yaml", "["), ("b.yaml", &object("b", "api"))]);
    assert_eq!(folder.reload(), (names(&["b"]), vec![], 1));
}

#[test]
fn the_last_manifest_of_a_folder_is_removed_as_any_other() {
    let folder = Folder::new(&[("a.yaml", &object("a", "api"))]);
    folder.reload();
    fs::remove_file(folder.dir.path().join("m/a.yaml")).unwrap();
    assert_eq!(folder.reload(), (vec![], names(&["a"]), 1));
    assert_eq!(folder.objects.names(), [""; 0]);
    assert_eq!(folder.objects.removed(), ["a"]);
    folder.write("a.yaml", &object("a", "api"));
    assert_eq!(folder.reload(), (names(&["a"]), vec![], 0));
    assert!(folder.objects.take_removed("a").is_none(), "it is back before anyone has said that it was gone");
}

#[test]
fn a_folder_that_cannot_be_read_has_not_lost_its_manifests() {
    let folder = Folder::new(&[("a.yaml", &object("a", "api"))]);
    folder.reload();
    let (here, away) = (folder.dir.path().join("m"), folder.dir.path().join("away"));
    fs::rename(&here, &away).unwrap();
    let (_, removed, errors) = folder.reload();
    assert!(removed.is_empty() && errors == 1);
    assert!(folder.outlived("a").unwrap().contains("does not exist"));
    fs::rename(&away, &here).unwrap();
    assert_eq!(folder.reload(), (names(&["a"]), vec![], 0));
}

#[test]
fn a_name_that_is_taken_stays_with_the_object_that_had_it() {
    let folder = Folder::new(&[("b.yaml", &object("shop", "api"))]);
    folder.reload();
    folder.write("a.yaml", &object("shop", "web"));
    let (_, _, errors) = folder.reload();
    assert_eq!(errors, 1);
    let watched = folder.objects.get("shop").unwrap();
    assert_eq!(watched.services()[0].name, "api");
}

#[test]
fn what_was_wrong_before_is_no_news() {
    let folder = Folder::new(&[("a.yaml", "["), ("b.yaml", &object("b", "api"))]);
    assert_eq!(folder.objects.reload().news.len(), 1);
    assert!(folder.objects.has_faults());
    assert_eq!(folder.objects.reload().news.len(), 0);
    folder.write("b.yaml", "{");
    assert_eq!(folder.objects.reload().news.len(), 1);
    folder.write("a.yaml", &object("a", "api"));
    folder.write("b.yaml", &object("b", "api"));
    assert!(folder.objects.reload().news.is_empty() && !folder.objects.has_faults());
}
