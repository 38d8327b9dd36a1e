use super::*;
use crate::cli::doctor::Status;

fn manifests(loaded: Loaded) -> Manifests {
    let files = vec!["a.yaml".into(), "it's here".into()];
    Manifests {
        files,
        loaded: Some(loaded),
        taken: Some(Vec::new()),
        refused: Some(Vec::new()),
        watches: Some(65_536),
        instances: Some(128),
    }
}

#[test]
fn faulty_manifests_are_counted_and_handed_to_validate() {
    let errors = |count| manifests(Loaded::Errors { count, first: "a.yaml:3:1: what is this".into() });
    let check = valid(&errors(3));
    assert_eq!(
        (check.status, check.found.as_str()),
        (Status::Failed, "3 errors; the first: a.yaml:3:1: what is this")
    );
    assert_eq!(check.mend.as_deref(), Some(r"undrift validate -f a.yaml -f 'it'\''s here'"));
    assert_eq!(valid(&errors(1)).found, "a.yaml:3:1: what is this");
    assert_eq!(valid(&manifests(Loaded::Objects(2))).found, "2 objects");
    assert_eq!(valid(&manifests(Loaded::Objects(0))).status, Status::Failed);
    let late = Manifests { loaded: None, ..manifests(Loaded::Objects(1)) };
    assert_eq!(valid(&late).status, Status::Unknown);
    assert_eq!(judge(&Manifests::default()), []);
}

#[test]
fn a_folder_without_manifests_is_a_fault() {
    let home = tempfile::tempdir().unwrap();
    let of = |files: &[OsString]| load(&context::sources(files)).0;
    let check = valid(&manifests(of(&[home.path().into()])));
    assert_eq!(check.status, Status::Failed);
    assert_eq!(check.found, format!("{}: no *.yaml or *.yml in this folder", home.path().display()));
    let mend = check.mend.unwrap();
    assert!(mend.contains("undrift schema") && mend.contains("docs/manifest.md"), "{mend}");
    assert!(!mend.contains("validate"), "which would say the same again: {mend}");
    let beside = of(&[home.path().into(), home.path().join("missing.yaml").into()]);
    assert!(matches!(beside, Loaded::Errors { count: 2, .. }), "{beside:?}");
}

#[test]
fn services_that_two_objects_declare_are_a_fault() {
    let with = |taken| declared_once(&Manifests { taken, ..manifests(Loaded::Objects(2)) });
    assert_eq!(with(Some(vec![])).status, Status::Ok);
    assert_eq!(with(None).status, Status::Unknown);
    let check = with(Some(vec!["b.yaml:9:7: the service api …".into()]));
    assert_eq!((check.status, check.found.as_str()), (Status::Failed, "b.yaml:9:7: the service api …"));
}

#[test]
fn projects_that_no_look_would_take_are_a_fault() {
    let with = |refused| accepted(&Manifests { refused, ..manifests(Loaded::Objects(2)) });
    assert_eq!(with(Some(vec![])).status, Status::Ok);
    assert_eq!(with(None).status, Status::Unknown);
    let check = with(Some(vec!["shop: both build one image".into(), "blog: no service x".into()]));
    let found = "shop: both build one image; blog: no service x";
    assert_eq!((check.status, check.found.as_str()), (Status::Failed, found));
}

#[test]
fn very_low_limits_are_warned_of_with_what_raises_them() {
    let with = |watches, instances| watches_of(Some(watches), Some(instances));
    assert_eq!(with(8192, 64).status, Status::Ok);
    let both = with(100, 1);
    assert_eq!(both.status, Status::Warning);
    let mend = both.mend.unwrap();
    assert!(
        mend.contains("fs.inotify.max_user_watches=65536 && sudo sysctl fs.inotify.max_user_instances=128"),
        "{mend}"
    );
    assert!(!with(8192, 1).mend.unwrap().contains("max_user_watches"));
    assert_eq!(watches_of(None, Some(128)).status, Status::Unknown);
}

fn watches_of(watched: Option<u64>, instances: Option<u64>) -> Check {
    watches(&Manifests { watches: watched, instances, ..manifests(Loaded::Objects(1)) })
}
