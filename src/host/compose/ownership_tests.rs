use std::{fs, os::unix::fs::symlink};

use super::{super::test_support::desired, *};
use crate::host::NoCache;

/// A folder with projects in it, by their names.
fn folder(projects: &[&str]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for project in projects {
        fs::create_dir_all(home.path().join(project)).unwrap();
        fs::write(home.path().join(project).join("compose.yaml"), "services: {}\n").unwrap();
    }
    home
}

fn origin(directory: &Path, files: &[&Path]) -> Origin {
    Origin {
        service: "api".into(),
        container: "shop-api-1".into(),
        working_dir: Some(directory.to_str().unwrap().into()),
        config_files: files.iter().map(|file| file.to_str().unwrap().into()).collect(),
    }
}

/// As Compose labels what it makes in this directory.
fn made_in(directory: &Path) -> Origin {
    origin(directory, &[&directory.join("compose.yaml")])
}

fn declared(directory: &Path) -> ProjectLocation {
    ProjectLocation::find(&desired(directory.to_str().unwrap(), &["api"]), &Environment::default())
}

fn maker(declared: &ProjectLocation, origin: &Origin) -> Maker {
    if declared.is_plainly(origin) { Maker::NotElsewhere } else { declared.maker(origin) }
}

#[test]
fn only_another_directory_that_is_there_is_another_project() {
    let home = folder(&["a/shop", "b/shop"]);
    let (a, b) = (home.path().join("a/shop"), home.path().join("b/shop"));
    symlink(&a, home.path().join("link")).unwrap();
    let link = home.path().join("link");
    let of = |origin: &Origin| maker(&declared(&a), origin);
    assert_eq!(of(&made_in(&a)), Maker::NotElsewhere);
    assert_eq!(of(&made_in(&b)), Maker::Elsewhere(b.to_str().unwrap().into()));
    // Both resolve to the same directory, from either side.
    assert_eq!(of(&made_in(&link)), Maker::NotElsewhere);
    assert_eq!(maker(&declared(&link), &made_in(&a)), Maker::NotElsewhere);
    // The same file, at which `--project-directory` points from elsewhere.
    assert_eq!(of(&origin(home.path(), &[&a.join("compose.yaml")])), Maker::NotElsewhere);
    // Gone: removed, below a file, without any Compose file left, too long for any file system.
    for gone in ["c/shop", "a/shop/compose.yaml/x", "a"] {
        assert_eq!(of(&made_in(&home.path().join(gone))), Maker::NotElsewhere, "{gone}");
    }
    assert_eq!(of(&made_in(&home.path().join("x".repeat(300)))), Maker::NotElsewhere);
    assert_eq!(of(&made_in(&a.join("compose.yaml"))), Maker::NotElsewhere, "no directory at all");
    // No label, and labels of another system.
    assert_eq!(of(&Origin { working_dir: None, ..made_in(&b) }), Maker::NotElsewhere);
    assert_eq!(
        of(&origin(Path::new(r"C:\shop"), &[Path::new(r"C:\shop\compose.yaml")])),
        Maker::NotElsewhere
    );
    // The target of a link loop is unknown.
    symlink(home.path().join("circle"), home.path().join("circle")).unwrap();
    assert!(matches!(of(&made_in(&home.path().join("circle"))), Maker::Unknown(_)));
}

#[test]
fn project_directory_is_that_of_the_first_file_as_compose_finds_it() {
    let home = folder(&["shop/deploy", "shop"]);
    let (shop, deploy) = (home.path().join("shop"), home.path().join("shop/deploy"));
    let mut named = desired(shop.to_str().unwrap(), &["api"]);
    named.object.spec.project.files = vec!["deploy/compose.yaml".into()];
    let by_spec = ProjectLocation::find(&named, &Environment::default());
    assert_eq!(maker(&by_spec, &made_in(&deploy)), Maker::NotElsewhere);

    named.object.spec.project.files.clear();
    assert!(matches!(
        maker(&ProjectLocation::find(&named, &Environment::default()), &made_in(&deploy)),
        Maker::Elsewhere(_)
    ));
    let set = Environment::default().with("COMPOSE_FILE", "deploy/compose.yaml");
    assert_eq!(maker(&ProjectLocation::find(&named, &set), &made_in(&deploy)), Maker::NotElsewhere);
    fs::write(shop.join(".env"), "COMPOSE_FILE=deploy/compose.yaml:compose.yaml\n").unwrap();
    let by_env_file = ProjectLocation::find(&named, &Environment::default());
    assert_eq!(maker(&by_env_file, &made_in(&deploy)), Maker::NotElsewhere);

    // Without a file in its own directory, Compose continues in the parents.
    fs::create_dir(shop.join("src")).unwrap();
    fs::remove_file(shop.join(".env")).unwrap();
    assert_eq!(maker(&declared(&shop.join("src")), &made_in(&shop)), Maker::NotElsewhere);
}

#[test]
fn where_the_directory_led_before_is_the_same_project() {
    let home = folder(&["releases/42", "releases/43", "other"]);
    let (current, release) = (home.path().join("current"), |n: &str| home.path().join("releases").join(n));
    let state = tempfile::tempdir().unwrap();
    let store = crate::store::Store::open(state.path(), "test".into()).unwrap();
    let switch = |to: &str| {
        let _ = fs::remove_file(&current);
        symlink(release(to), &current).unwrap();
    };
    let of =
        |cache: &dyn Cache, origin: &Origin| maker(&declared(&current).remembering(&current, cache), origin);
    switch("42");
    assert_eq!(of(&store, &made_in(&release("42"))), Maker::NotElsewhere);
    assert!(matches!(of(&store, &made_in(&release("43"))), Maker::Elsewhere(_)));
    switch("43");
    assert_eq!(of(&store, &made_in(&release("42"))), Maker::NotElsewhere, "it is remembered");
    assert_eq!(of(&store, &made_in(&release("43"))), Maker::NotElsewhere);
    assert!(matches!(of(&store, &made_in(&home.path().join("other"))), Maker::Elsewhere(_)));
    assert!(matches!(of(&NoCache, &made_in(&release("42"))), Maker::Elsewhere(_)), "and else not known");
}

#[test]
fn only_the_latest_places_are_kept() {
    let home = folder(&[]);
    let current = home.path().join("current");
    let state = tempfile::tempdir().unwrap();
    let store = crate::store::Store::open(state.path(), "test".into()).unwrap();
    for n in 0..=MOST_PLACES {
        let place = PathBuf::from(format!("/srv/releases/{n}"));
        ProjectLocation { led_to: [place].into(), ..ProjectLocation::default() }
            .remembering(&current, &store);
    }
    let known = ProjectLocation::default().remembering(&current, &store).led_to;
    assert_eq!(known.len(), MOST_PLACES);
    assert!(!known.contains(Path::new("/srv/releases/0")) && known.contains(Path::new("/srv/releases/1")));
}

#[test]
fn service_without_containers_belongs_to_whoever_has_the_whole_project() {
    let elsewhere = || Maker::Elsewhere("/b".into());
    let unknown = || Maker::Unknown("no right".into());
    let of = |makers: &[(&str, Maker)]| {
        Ownership::judge(makers.iter().map(|(service, maker)| ((*service).to_owned(), maker.clone())))
    };
    let others = Fact::Known(Some("/b".to_owned()));
    let all = of(&[("web", elsewhere()), ("db", unknown())]);
    assert_eq!((all.of("web", 1), all.of("api", 1)), (others.clone(), others.clone()));
    assert!(matches!(all.of("db", 1), Fact::Unknown(_)));
    assert_eq!(all.of("api", 0), Fact::Known(None), "nothing is to be made of it");
    let mixed = of(&[("web", elsewhere()), ("db", Maker::NotElsewhere)]);
    assert_eq!((mixed.of("web", 1), mixed.of("api", 1)), (others.clone(), Fact::Known(None)));
    // One replica of several is enough: an `up` replaces them all.
    let replicas = of(&[("web", Maker::NotElsewhere), ("web", elsewhere()), ("web", unknown())]);
    assert_eq!(replicas.of("web", 3), others);
    assert!(matches!(of(&[("web", unknown())]).of("api", 1), Fact::Unknown(_)));
    assert_eq!(Ownership::judge([]).of("api", 1), Fact::Known(None));
}
