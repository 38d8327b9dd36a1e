use super::{super::*, *};
use crate::doctor::Status;

fn manifests(loaded: ManifestLoad) -> ManifestFindings {
    let files = vec!["a.yaml".into(), "it's here".into()];
    ManifestFindings {
        files,
        loaded: Ok(loaded),
        exposed: Some(Vec::new()),
        changeable: Some(BTreeSet::new()),
        taken: Some(Vec::new()),
        refused: Some(ProjectFindings::default()),
        obstacles: Some(ProjectFindings::default()),
        watches: Some(65_536),
        instances: Some(128),
    }
}

#[test]
fn faulty_manifests_are_counted_and_handed_to_validate() {
    let errors = |count, shown| {
        let first = ["a.yaml:3:1: what is this", "b.yaml: gone"][..shown].iter().map(ToString::to_string);
        manifests(ManifestLoad::Errors { count, first: first.collect() })
    };
    let check = valid(&errors(3, 2));
    assert_eq!(
        (check.status, check.found.as_str()),
        (Status::Failed, "3 errors: a.yaml:3:1: what is this; b.yaml: gone; and 1 more")
    );
    assert_eq!(valid(&errors(2, 2)).found, "2 errors: a.yaml:3:1: what is this; b.yaml: gone");
    assert_eq!(check.help.as_deref(), Some(r"undrift validate -f a.yaml -f 'it'\''s here'"));
    assert_eq!(valid(&errors(1, 1)).found, "a.yaml:3:1: what is this");
    assert_eq!(valid(&manifests(ManifestLoad::Objects(2))).found, "2 objects");
    assert_eq!(valid(&manifests(ManifestLoad::Objects(0))).status, Status::Failed);
    let late = |hanging: &[&str]| {
        let hanging = hanging.iter().map(ToString::to_string).collect();
        valid(&ManifestFindings { loaded: Err(hanging), ..manifests(ManifestLoad::Objects(1)) })
    };
    assert_eq!(late(&[]).status, Status::Unknown);
    assert_eq!(late(&["/a", "/b"]).found, "they could not be read within 30 s; these files hang: /a, /b");
    assert_eq!(judge(&ManifestFindings::default()), []);
}

#[test]
fn a_folder_without_manifests_is_a_fault() {
    let home = tempfile::tempdir().unwrap();
    let of = |files: &[OsString]| load(&ManifestSource::all(files)).0;
    let check = valid(&manifests(of(&[home.path().into()])));
    assert_eq!(check.status, Status::Failed);
    assert_eq!(check.found, format!("{}: no *.yaml or *.yml in this folder", home.path().display()));
    let help = check.help.unwrap();
    assert!(help.contains("undrift schema") && help.contains("docs/manifest.md"), "{help}");
    assert!(!help.contains("validate"), "which would say the same again: {help}");
    let beside = of(&[home.path().into(), home.path().join("missing.yaml").into()]);
    assert!(matches!(beside, ManifestLoad::Errors { count: 2, .. }), "{beside:?}");
}

#[test]
fn credentials_that_others_may_read_are_a_warning() {
    let with = |exposed| protected(&ManifestFindings { exposed, ..manifests(ManifestLoad::Objects(1)) });
    assert_eq!((with(Some(vec![])).status, with(None).status), (Status::Ok, Status::Unknown));
    let check = with(Some(vec!["shop, service web: route http://shop.example/x".into()]));
    assert_eq!(check.status, Status::Warning);
    assert!(check.found.ends_with("route http://shop.example/x"), "{check:?}");
}

#[test]
fn services_that_two_objects_declare_are_a_fault() {
    let with = |taken| declared_once(&ManifestFindings { taken, ..manifests(ManifestLoad::Objects(2)) });
    assert_eq!(with(Some(vec![])).status, Status::Ok);
    assert_eq!(with(None).status, Status::Unknown);
    let check = with(Some(vec!["b.yaml:9:7: the service api …".into()]));
    assert_eq!((check.status, check.found.as_str()), (Status::Failed, "b.yaml:9:7: the service api …"));
}

#[test]
fn projects_that_no_look_would_take_are_a_fault() {
    let accepted = |refused| accepted(&ManifestFindings { refused, ..manifests(ManifestLoad::Objects(2)) });
    let with = |found| accepted(Some(ProjectFindings { found, late: Vec::new() }));
    assert_eq!(with(vec![]).status, Status::Ok);
    assert_eq!(accepted(None).status, Status::Unknown);
    let late =
        accepted(Some(ProjectFindings { found: Vec::new(), late: vec!["shop: not looked at".into()] }));
    assert_eq!((late.status, late.found.as_str()), (Status::Unknown, "shop: not looked at"));
    let refused = [("shop: both build one image", "give each its own"), ("blog: no service x", "list them")];
    let refused = refused.map(|(what, next)| (what.to_owned(), Some(next.to_owned())));
    let check = with(refused.to_vec());
    let found = "shop: both build one image; blog: no service x";
    assert_eq!((check.status, check.found.as_str()), (Status::Failed, found));
    assert!(check.help.unwrap().starts_with("give each its own; list them; "));
}

#[test]
fn what_is_in_the_way_of_a_repair_is_found_by_its_kind() {
    let with = |obstacles: Option<Vec<NoteReason>>| {
        let of = |reason| {
            let obstacle = Obstacle { reason, message: "something".into(), next: format!("do {reason}") };
            ("shop, service api".to_owned(), obstacle)
        };
        let obstacles = obstacles.map(|reasons| ProjectFindings {
            found: reasons.into_iter().map(of).collect(),
            late: Vec::new(),
        });
        let manifests = ManifestFindings { obstacles, ..manifests(ManifestLoad::Objects(1)) };
        let checks = unobstructed(&manifests);
        checks.map(|check| (check.status, check.help)).collect::<Vec<_>>()
    };
    assert_eq!(with(Some(vec![])), [const { (Status::Ok, None) }; 4]);
    assert_eq!(with(None)[0].0, Status::Unknown);
    let found = with(Some(vec![NoteReason::CredentialsUnreadable, NoteReason::PortNotExposed]));
    assert_eq!(found[0], (Status::Failed, Some("do CredentialsUnreadable".to_owned())));
    assert_eq!(found[1], (Status::Warning, Some("do PortNotExposed".to_owned())));
    assert_eq!((found[2].0, found[3].0), (Status::Ok, Status::Ok));
    assert_eq!(with(Some(vec![NoteReason::PortTaken]))[3].0, Status::Warning, "who has it may go");
    let both = with(Some(vec![NoteReason::NotReachable, NoteReason::PortNotExposed]));
    assert_eq!(both[1].0, Status::Failed);
}

#[test]
fn very_low_limits_are_warned_of_with_what_raises_them() {
    let with = |watches, instances| watches_of(Some(watches), Some(instances));
    assert_eq!(with(8192, 64).status, Status::Ok);
    let both = with(100, 1);
    assert_eq!(both.status, Status::Warning);
    let help = both.help.unwrap();
    assert!(
        help.contains("fs.inotify.max_user_watches=65536 && sudo sysctl fs.inotify.max_user_instances=128"),
        "{help}"
    );
    assert!(!with(8192, 1).help.unwrap().contains("max_user_watches"));
    assert_eq!(watches_of(None, Some(128)).status, Status::Unknown);
}

fn watches_of(watched: Option<u64>, instances: Option<u64>) -> Check {
    watches(&ManifestFindings { watches: watched, instances, ..manifests(ManifestLoad::Objects(1)) })
}

#[test]
fn what_somebody_else_could_change_is_warned_of_by_name() {
    let of =
        |changeable| unchangeable(&ManifestFindings { changeable, ..manifests(ManifestLoad::Objects(1)) });
    let found = BTreeSet::from(["others can write /srv/a.yaml: it has mode 666".to_owned()]);
    let check = of(Some(found));
    assert_eq!(check.status, Status::Warning);
    assert!(check.found.ends_with("others can write /srv/a.yaml: it has mode 666"), "{check:?}");
    assert_eq!((of(Some(BTreeSet::new())).status, of(None).status), (Status::Ok, Status::Unknown));
}
