use std::{fs, sync::mpsc};

use tempfile::TempDir;

use super::*;

/// A folder of manifests that is registered as a whole.
struct ManifestFolder {
    dir: TempDir,
    objects: ManagedObjects,
}

impl ManifestFolder {
    fn new(manifests: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("m")).unwrap();
        for (file, text) in manifests {
            fs::write(dir.path().join("m").join(file), text).unwrap();
        }
        let objects = ManagedObjects::new(vec![ManifestSource::Path(dir.path().join("m"))]);
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

    fn superseded_by(&self, name: &str) -> Option<String> {
        self.objects.get(name).unwrap().superseded_by.clone()
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
    let folder = ManifestFolder::new(&[("a.yaml", &object("a", "api")), ("b.yaml", &object("b", "api"))]);
    assert_eq!(folder.reload(), (names(&["a", "b"]), vec![], 0));
    assert_eq!(folder.reload(), (vec![], vec![], 0));
    folder.write("b.yaml", &object("b", "web"));
    assert_eq!(folder.reload(), (names(&["b"]), vec![], 0));
    fs::remove_file(folder.dir.path().join("m/a.yaml")).unwrap();
    assert_eq!(folder.reload(), (vec![], names(&["a"]), 0));
    assert_eq!(folder.objects.names(), ["b"]);
}

#[test]
fn an_invalid_edit_supersedes_the_last_valid_spec_which_stays_in_effect() {
    let folder = ManifestFolder::new(&[("a.yaml", &object("a", "api")), ("b.yaml", &object("b", "api"))]);
    folder.reload();
    for broken in ["[", "", "kind: ComposeProject\n", &object("a", "[]")] {
        folder.write("a.yaml", broken);
        let (_, removed, errors) = folder.reload();
        assert!(removed.is_empty() && errors > 0, "{broken:?}");
        assert!(folder.superseded_by("a").unwrap().contains("a.yaml"), "{broken:?}");
        assert_eq!(folder.superseded_by("b"), None, "the other file is without a fault");
    }
    folder.write("a.yaml", &object("a", "api"));
    assert_eq!(folder.reload(), (names(&["a"]), vec![], 0), "its status is to lose the note");
    assert_eq!(folder.superseded_by("a"), None);
}

#[test]
fn a_bad_manifest_keeps_no_other_from_being_watched() {
    let folder = ManifestFolder::new(&[("a.yaml", "["), ("b.yaml", &object("b", "api"))]);
    assert_eq!(folder.reload(), (names(&["b"]), vec![], 1));
}

#[test]
fn the_last_manifest_of_a_folder_is_removed_as_any_other() {
    let folder = ManifestFolder::new(&[("a.yaml", &object("a", "api"))]);
    folder.reload();
    fs::remove_file(folder.dir.path().join("m/a.yaml")).unwrap();
    assert_eq!(folder.reload(), (vec![], names(&["a"]), 1));
    assert_eq!(folder.objects.names(), [""; 0]);
    assert_eq!(folder.objects.pending_removals(), ["a"]);
    folder.write("a.yaml", &object("a", "api"));
    assert_eq!(folder.reload(), (names(&["a"]), vec![], 0));
    assert!(
        folder.objects.pending_removal("a").is_none(),
        "it is back before anyone has said that it was gone"
    );
}

#[test]
fn a_folder_that_cannot_be_read_has_not_lost_its_manifests() {
    let folder = ManifestFolder::new(&[("a.yaml", &object("a", "api"))]);
    folder.reload();
    let (here, away) = (folder.dir.path().join("m"), folder.dir.path().join("away"));
    fs::rename(&here, &away).unwrap();
    let (_, removed, errors) = folder.reload();
    assert!(removed.is_empty() && errors == 1);
    assert!(folder.superseded_by("a").unwrap().contains("does not exist"));
    fs::rename(&away, &here).unwrap();
    assert_eq!(folder.reload(), (names(&["a"]), vec![], 0));
}

#[test]
fn a_name_that_is_taken_stays_with_the_object_that_had_it() {
    let folder = ManifestFolder::new(&[("b.yaml", &object("shop", "api"))]);
    folder.reload();
    folder.write("a.yaml", &object("shop", "web"));
    let (_, _, errors) = folder.reload();
    assert_eq!(errors, 1);
    let managed = folder.objects.get("shop").unwrap();
    assert_eq!(managed.services()[0].name, "api");
}

#[test]
fn what_was_wrong_before_is_no_news() {
    let folder = ManifestFolder::new(&[("a.yaml", "["), ("b.yaml", &object("b", "api"))]);
    assert_eq!(folder.objects.reload().new_faults.len(), 1);
    assert!(folder.objects.has_faults());
    assert_eq!(folder.objects.reload().new_faults.len(), 0);
    folder.write("b.yaml", "{");
    assert_eq!(folder.objects.reload().new_faults.len(), 1);
    folder.write("a.yaml", &object("a", "api"));
    folder.write("b.yaml", &object("b", "api"));
    assert!(folder.objects.reload().new_faults.is_empty() && !folder.objects.has_faults());
}

#[test]
fn a_folder_that_is_another_file_systems_has_lost_no_object() {
    let folder = ManifestFolder::new(&[("a.yaml", &object("a", "api")), ("b.yaml", &object("b", "api"))]);
    folder.reload();
    let elsewhere = |folder: &ManifestFolder| {
        for noted in lock(&folder.objects.read_before).folders.values_mut() {
            noted.device += 1;
        }
    };
    // As if it were unmounted: the content below the mount point is another file system's, and empty or not.
    elsewhere(&folder);
    for gone in ["a.yaml", "b.yaml"] {
        fs::remove_file(folder.dir.path().join("m").join(gone)).unwrap();
    }
    let below = object("below", "api");
    for below in [None, Some(&below), Some(&below)] {
        if let Some(below) = below {
            folder.write("below.yaml", below);
        }
        let (_, removed, _) = folder.reload();
        assert_eq!(removed, names(&[]), "{below:?}");
    }
    assert_eq!(folder.objects.names(), ["a", "b", "below"]);
    assert!(
        folder.superseded_by("a").unwrap().contains("another file system"),
        "{:?}",
        folder.superseded_by("a")
    );
    assert!(folder.objects.has_faults(), "it is looked at again without an edit");
    // Mounted again, by another number: everything is there.
    folder.write("a.yaml", &object("a", "api"));
    folder.write("b.yaml", &object("b", "api"));
    fs::remove_file(folder.dir.path().join("m/below.yaml")).unwrap();
    let (changed, removed, _) = folder.reload();
    assert_eq!(changed, names(&["a", "b"]), "their statuses are to lose the note");
    assert_eq!(removed, names(&["below"]));
    assert_eq!(folder.superseded_by("a"), None);
    // From now on it stays where it is: a missing manifest was removed.
    fs::remove_file(folder.dir.path().join("m/a.yaml")).unwrap();
    assert_eq!(folder.reload(), (vec![], names(&["a"]), 0));
}

#[test]
fn of_a_folder_that_was_mounted_again_meanwhile_a_manifest_can_be_removed() {
    let folder = ManifestFolder::new(&[("a.yaml", &object("a", "api")), ("b.yaml", &object("b", "api"))]);
    folder.reload();
    lock(&folder.objects.read_before).folders.values_mut().for_each(|noted| noted.device += 1);
    fs::remove_file(folder.dir.path().join("m/a.yaml")).unwrap();
    assert_eq!(folder.reload(), (vec![], names(&["a"]), 0));
    assert_eq!((folder.objects.names(), folder.superseded_by("b")), (names(&["b"]), None));
}

#[test]
fn a_pipe_among_the_manifests_holds_up_no_reading() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe.yaml");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .unwrap();
    let objects = ManagedObjects::new(vec![ManifestSource::Path(pipe)]);
    let (read, reads) = mpsc::channel();
    std::thread::spawn(move || read.send(objects.reload().errors.len()));
    assert_eq!(reads.recv_timeout(std::time::Duration::from_secs(10)), Ok(1));
}

#[test]
fn who_asks_what_is_declared_does_not_wait_for_a_file_system_that_hangs() {
    static HANGS: Mutex<Option<mpsc::Receiver<()>>> = Mutex::new(None);
    static BEGUN: Mutex<Option<mpsc::Sender<()>>> = Mutex::new(None);
    let (file_system, hangs) = mpsc::channel();
    let (begun, begins) = mpsc::channel();
    let mut folder = ManifestFolder::new(&[("a.yaml", &object("a", "api"))]);
    folder.reload();
    (*lock(&HANGS), *lock(&BEGUN)) = (Some(hangs), Some(begun));
    folder.objects.load = |sources| {
        lock(&BEGUN).take().unwrap().send(()).unwrap();
        lock(&HANGS).take().unwrap().recv().unwrap();
        manifest::load_partly(sources)
    };
    folder.write("b.yaml", &object("b", "api"));
    std::thread::scope(|scope| {
        let reload = scope.spawn(|| folder.reload());
        begins.recv().unwrap();
        assert_eq!(folder.objects.names(), ["a"]);
        assert!(folder.objects.get("a").is_some() && !folder.objects.has_faults());
        file_system.send(()).unwrap();
        assert_eq!(reload.join().unwrap(), (names(&["b"]), vec![], 0));
    });
    assert_eq!(folder.objects.names(), ["a", "b"]);
}

#[test]
fn what_was_left_undecided_is_decided_once_every_manifest_is_valid() {
    let folder = ManifestFolder::new(&[("a.yaml", "["), ("b.yaml", &object("b", "api"))]);
    folder.reload();
    folder.objects.add_undecided("a");
    folder.objects.add_undecided("gone");
    let undeclared = || folder.objects.undeclared().into_iter().collect::<Vec<_>>();
    assert_eq!(undeclared(), [""; 0], "either may be in a.yaml");
    folder.write("a.yaml", &object("a", "api"));
    folder.reload();
    for _ in 0..2 {
        assert_eq!(undeclared(), ["gone"], "until somebody has said so");
    }
    folder.objects.confirm_undeclared("gone");
    assert_eq!(undeclared(), [""; 0]);
}

#[test]
fn a_second_removal_stays_pending_when_the_first_is_confirmed() {
    let folder = ManifestFolder::new(&[("a.yaml", &object("a", "api"))]);
    folder.reload();
    let remove = || {
        fs::remove_file(folder.dir.path().join("m/a.yaml")).unwrap();
        folder.reload();
        folder.objects.pending_removal("a").unwrap()
    };
    let first = remove();
    folder.write("a.yaml", &object("a", "web"));
    folder.reload();
    let second = remove();
    folder.objects.confirm_removal(&first);
    assert_eq!(folder.objects.pending_removals(), ["a"]);
    folder.objects.confirm_removal(&second);
    assert_eq!(folder.objects.pending_removals(), [""; 0]);
}

/// The managed objects after a restart: earlier declarations are kept.
fn restarted(folder: &ManifestFolder, change: impl Fn(&mut Desired)) -> ManagedObjects {
    let kept = folder.objects.all().into_iter().map(|desired| {
        let mut desired = desired.as_ref().clone();
        change(&mut desired);
        desired
    });
    ManagedObjects::new(vec![ManifestSource::Path(folder.dir.path().join("m"))]).resume(kept.collect())
}

#[test]
fn what_was_declared_before_a_restart_goes_on_where_its_manifest_is_at_fault_now() {
    let folder = ManifestFolder::new(&[("a.yaml", &object("a", "api")), ("b.yaml", &object("b", "api"))]);
    folder.reload();
    folder.write("a.yaml", "nonsense");
    let objects = restarted(&folder, |_| {});
    let errors = objects.reload().errors.len();
    assert_eq!((objects.names(), errors), (names(&["a", "b"]), 1));
    assert!(objects.get("a").unwrap().superseded_by.as_ref().unwrap().contains("a.yaml"));
    assert_eq!(objects.get("b").unwrap().superseded_by, None);

    fs::remove_file(folder.dir.path().join("m/a.yaml")).unwrap();
    let objects = restarted(&folder, |_| {});
    objects.reload();
    assert_eq!((objects.names(), objects.pending_removals()), (names(&["b"]), names(&["a"])), "it is gone");
}

#[test]
fn what_was_declared_before_a_restart_goes_on_however_its_path_is_written_now() {
    let folder = ManifestFolder::new(&[("a.yaml", &object("a", "api")), ("b.yaml", &object("b", "api"))]);
    folder.reload();
    folder.write("a.yaml", "nonsense");
    let home = folder.dir.path();
    std::os::unix::fs::symlink("m", home.join("link")).unwrap();
    for (given, expected) in [
        ("link", &["a", "b"][..]),
        ("m/../m", &["a", "b"]),
        ("m/../m/a.yaml", &["a"]),
        ("link/a.yaml", &["a"]),
    ] {
        let kept = folder.objects.all().into_iter().map(|desired| desired.as_ref().clone());
        let objects =
            ManagedObjects::new(vec![ManifestSource::Path(home.join(given))]).resume(kept.collect());
        objects.reload();
        assert_eq!(objects.names(), expected, "{given}");
    }
}

#[test]
fn a_kept_declaration_of_another_file_or_digest_is_not_resumed() {
    let folder = ManifestFolder::new(&[("a.yaml", &object("a", "api")), ("b.yaml", &object("b", "api"))]);
    folder.reload();
    folder.write("a.yaml", "nonsense");
    let changes: [fn(&mut Desired); 4] = [
        |kept| kept.object.spec.services[0].name = "web".into(),
        |kept| kept.manifest = "m/other.yaml".into(),
        |kept| kept.manifest_directory = "/elsewhere".into(),
        |kept| kept.manifest = STDIN.into(),
    ];
    for (nth, change) in changes.into_iter().enumerate() {
        let objects = restarted(&folder, change);
        objects.reload();
        assert_eq!(objects.names(), ["b"], "{nth}");
    }
}
