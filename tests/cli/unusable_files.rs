//! Files that others name and that are none to be read: too large, a folder, a pipe, damaged. Each is named with what it is, and
//! nobody waits for it.

use std::{
    fs::{self, File, Permissions},
    os::unix::{
        fs::{PermissionsExt as _, chown, symlink},
        net::UnixListener,
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use undrift::api::{ConditionStatus, ObjectList};

use crate::home::{Home, Run, run};

/// What makes a path unusable.
type Damage = fn(&Path);

const NOBODY: u32 = 65_534;

/// Larger than anything that is read, and empty on the disk.
fn enlarge(path: &Path) {
    File::create(path).unwrap().set_len(3 << 30).unwrap();
}

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// A folder with a `docker` that notes that it was asked, and refuses.
fn docker(home: &Home) -> PathBuf {
    let folder = home.0.path().join("bin");
    fs::create_dir(&folder).unwrap();
    let script = format!("#!/bin/sh\n: > {}\nexit 1\n", home.0.path().join("asked").display());
    fs::write(folder.join("docker"), script).unwrap();
    fs::set_permissions(folder.join("docker"), Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The check of `doctor` of this name: its status and what was found.
fn examined(run: &Run, name: &str) -> (String, String) {
    let doctor: Value = run.json();
    let mut checks = doctor["checks"].as_array().unwrap().iter();
    let check = checks.find(|check| check["name"] == name).unwrap();
    (check["status"].as_str().unwrap().to_owned(), check["found"].as_str().unwrap().to_owned())
}

#[test]
fn project_with_a_file_that_is_too_large_is_unknown_by_its_name_and_compose_is_not_asked() {
    for (file, compose) in [
        (".env", "services: { web: { image: none } }\n"),
        ("compose.yaml", ""),
        ("part.yaml", "include: [part.yaml]\nservices: { web: { image: none } }\n"),
        ("base.yaml", "services: { web: { extends: { file: base.yaml, service: web } } }\n"),
        ("web.env", "services: { web: { image: none, env_file: web.env } }\n"),
        ("prod.env", "services: { web: { image: none, env_file: '${WHERE:-prod}.env' } }\n"),
        ("web.labels", "services: { web: { image: none, label_file: [web.labels] } }\n"),
    ] {
        let home = Home::new();
        home.manifest("shop");
        fs::write(home.0.path().join("compose.yaml"), compose).unwrap();
        let path = home.0.path().canonicalize().unwrap().join(file);
        enlarge(&path);
        let bin = docker(&home);
        let expected = format!("{} has 3 GiB, and 16 MiB at most are read", path.display());
        let undrift = |args: &[&str]| run(home.command(args).env("PATH", &bin));

        let validated = undrift(&["validate", "-f", "shop.yaml"]).expect(0);
        assert!(
            validated.stderr.starts_with("warning: shop: ") && validated.stderr.contains(&expected),
            "{validated:?}"
        );
        for verb in ["check", "plan", "apply"] {
            let ended = undrift(&[verb, "-f", "shop.yaml"]).expect(2);
            assert!(ended.stderr.contains(&expected), "{verb}, {file}: {ended:?}");
        }
        let list: ObjectList = undrift(&["check", "-f", "shop.yaml", "-o", "json"]).expect(2).json();
        let ready = &list.items[0].status.conditions[0];
        assert_eq!(
            (ready.status, ready.reason.as_str()),
            (ConditionStatus::Unknown, "FileUnusable"),
            "{ready:?}"
        );
        assert!(ready.message.contains(&expected), "{ready:?}");
        assert!(!home.0.path().join("asked").exists(), "{file}: Compose was asked");

        let doctor = undrift(&["doctor", "-f", "shop.yaml", "-o", "json"]).expect(1);
        let (status, found) = examined(&doctor, "ComposeProjectsAccepted");
        assert!(status == "failed" && found.contains(&expected), "{found}");
    }
}

/// What is at a path of the state, and how that is said.
type Odd = (fn(&Path), &'static str);

const ODD: [Odd; 4] = [
    (pipe, "is a named pipe"),
    (|path| drop(UnixListener::bind(path).unwrap()), "is a socket"),
    (|path| symlink("/dev/zero", path).unwrap(), "is a device"),
    (|path| fs::create_dir(path).unwrap(), "is a folder"),
];

/// Looks, and asserts that it says once, on standard error and in a note of each service, that it looks without its state.
#[track_caller]
fn looks_without_its_state(look: impl Fn(&[&str]) -> Run, expected: &[&str]) {
    for verb in ["check", "plan"] {
        let looked = look(&[verb, "-f", "shop.yaml"]).expect(2);
        assert_eq!(looked.stderr.matches("looking without the state: ").count(), 1, "{looked:?}");
        for part in expected {
            assert!(looked.stderr.contains(part), "no {part:?} in {looked:?}");
        }
        let list: ObjectList = look(&[verb, "-f", "shop.yaml", "-o", "json"]).expect(2).json();
        let notes = &list.items[0].status.services[0].notes;
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert_eq!(notes[0].reason.as_str(), "StateUnavailable");
        assert!(expected.iter().all(|part| notes[0].message.contains(part)), "{notes:?}");
    }
}

#[test]
fn look_without_its_existing_state_reports_that_and_the_reason() {
    for (make, what) in ODD {
        let home = Home::new();
        home.manifest("shop");
        fs::create_dir(home.state()).unwrap();
        let path = home.state().join("state.db");
        make(&path);
        looks_without_its_state(|args| home.undrift(args), &[path.to_str().unwrap(), what]);
    }
    // The folder itself.
    for (make, what) in &ODD[..2] {
        let home = Home::new();
        home.manifest("shop");
        make(&home.state());
        looks_without_its_state(
            |args| home.undrift(args),
            &[home.state().to_str().unwrap(), what, "not a folder"],
        );
    }
    // A state that is damaged, of a newer undrift, or gone.
    let ways: [(Damage, &str); 4] = [
        (|db| fs::write(db, vec![b'x'; 8192]).unwrap(), "file is not a database"),
        (
            |db| {
                let db = rusqlite::Connection::open(db).unwrap();
                db.pragma_update(None, "user_version", 99).unwrap();
            },
            "schema version 99",
        ),
        (|db| fs::remove_file(db).unwrap(), "state.db is gone"),
        (|db| fs::write(db, "").unwrap(), "state.db was emptied"),
    ];
    for (spoil, what) in ways {
        let home = Home::new();
        home.recorded();
        home.manifest("shop");
        spoil(&home.state().join("state.db"));
        looks_without_its_state(|args| home.undrift(args), &["state.db", what]);
    }
}

#[test]
fn look_without_permission_to_read_the_state_reports_that() {
    let home = Home::new();
    home.recorded();
    home.manifest("shop");
    fs::set_permissions(home.state(), Permissions::from_mode(0o700)).unwrap();
    // Root may read anything, so there another user looks, with a program that lies where everybody may run it.
    let root = rustix::process::geteuid().is_root();
    let program = home.0.path().join("undrift");
    if root {
        fs::copy(env!("CARGO_BIN_EXE_undrift"), &program).unwrap();
        fs::set_permissions(home.0.path(), Permissions::from_mode(0o755)).unwrap();
        chown(home.state(), Some(0), None).unwrap();
    } else {
        fs::set_permissions(home.state().join("state.db"), Permissions::from_mode(0o000)).unwrap();
    }
    let look = |args: &[&str]| {
        let mut command = home.command(args);
        if !root {
            return run(&mut command);
        }
        let mut other = std::process::Command::new(&program);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => other.env(name, value),
                None => other.env_remove(name),
            };
        }
        run(other.args(args).current_dir(home.0.path()).uid(NOBODY).gid(NOBODY))
    };
    let path = home.state().join("state.db");
    looks_without_its_state(look, &[path.to_str().unwrap(), "Permission denied"]);
}

#[test]
fn look_where_no_state_exists_prints_nothing_of_it() {
    let home = Home::new();
    home.manifest("shop");
    let looked = home.undrift(&["check", "-f", "shop.yaml"]).expect(2);
    assert!(!looked.stderr.contains("the state"), "{looked:?}");
    home.recorded();
    let looked = home.undrift(&["check", "-f", "shop.yaml"]).expect(2);
    assert!(!looked.stderr.contains("the state"), "{looked:?}");
}

#[test]
fn every_verb_names_the_file_of_a_state_that_it_cannot_use() {
    let readers: [&[&str]; 6] = [
        &["get"],
        &["describe", "shop"],
        &["incident", "list"],
        &["incident", "show", "01"],
        &["audit", "list"],
        &["audit", "verify"],
    ];
    let writers: [&[&str]; 5] = [
        &["suspend", "shop", "--reason", "x"],
        &["resume", "shop"],
        &["retry", "shop"],
        &["apply", "-f", "shop.yaml"],
        &["run", "-f", "shop.yaml"],
    ];
    let ways: [(Damage, &str); 3] = [
        (|db| fs::create_dir(db).unwrap(), "irectory"),
        (|db| fs::write(db, vec![b'x'; 8192]).unwrap(), "file is not a database"),
        (
            |db| {
                let db = rusqlite::Connection::open(db).unwrap();
                db.pragma_update(None, "user_version", 99).unwrap();
            },
            "schema version 99",
        ),
    ];
    for (spoil, what) in ways {
        let home = Home::new();
        home.manifest("shop");
        fs::create_dir(home.state()).unwrap();
        fs::set_permissions(home.state(), Permissions::from_mode(0o700)).unwrap();
        let path = home.state().join("state.db");
        spoil(&path);
        let path = path.display().to_string();
        for verb in readers.iter().chain(&writers) {
            let ended = home.undrift(verb).expect(2);
            assert!(ended.stderr.contains(&path), "{verb:?}: {ended:?}");
            assert!(
                ended.stderr.contains(what) || ended.stderr.contains("is a folder"),
                "{verb:?}: {ended:?}"
            );
        }
        let shown: Value = home.undrift(&["get", "-o", "json"]).expect(2).json();
        assert!(shown["message"].as_str().unwrap().contains(&path), "{shown}");
        let doctor = home.undrift(&["doctor", "-o", "json"]).expect(1);
        let (status, found) = examined(&doctor, "StateSchema");
        assert!(status == "failed" && found.contains(home.state().to_str().unwrap()), "{found}");
    }
}

#[test]
fn every_state_file_that_somebody_would_wait_at_is_named() {
    for name in ["state.db", "state.db-wal", "state.db-shm", "lock", "step.lock", "digest.key"] {
        let home = Home::new();
        home.recorded();
        home.manifest("shop");
        let path = home.state().join(name);
        let _ = fs::remove_file(&path);
        pipe(&path);
        let expected = format!("{} is a named pipe and not a regular file", path.display());
        for verb in
            [&["get"][..], &["audit", "verify"], &["apply", "-f", "shop.yaml"], &["run", "-f", "shop.yaml"]]
        {
            let ended = home.undrift(verb).expect(2);
            assert_eq!(ended.stderr.matches(&expected).count(), 1, "{name}, {verb:?}: {ended:?}");
        }
        let (status, found) = examined(&home.undrift(&["doctor", "-o", "json"]).expect(1), "StateWritable");
        assert!(status == "failed" && found.contains(&expected), "{found}");
    }
}

#[test]
fn docker_configuration_that_is_none_is_named_with_what_it_is_and_docker_is_not_asked() {
    let ways: [(Damage, &str, &str); 4] = [
        (pipe, "", "is a named pipe and not a folder"),
        (|config| fs::write(config, "").unwrap(), "", "is a file and not a folder"),
        (
            |config| {
                fs::create_dir(config).unwrap();
                pipe(&config.join("config.json"));
            },
            "/config.json",
            "is a named pipe and not a regular file",
        ),
        (
            |config| fs::create_dir_all(config.join("config.json")).unwrap(),
            "/config.json",
            "is a folder and not a regular file",
        ),
    ];
    for (make, below, what) in ways {
        let home = Home::new();
        home.manifest("shop");
        let bin = docker(&home);
        let config = home.0.path().join("config");
        make(&config);
        let expected =
            format!("the docker CLI's configuration cannot be used: {}{below} {what}", config.display());
        // With an engine that is named, and one that is looked for in the configuration.
        for named in [true, false] {
            let undrift = |args: &[&str]| {
                let mut command = home.command(args);
                if !named {
                    command.env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT");
                }
                run(command.env("PATH", &bin).env("DOCKER_CONFIG", &config))
            };
            for verb in ["check", "apply"] {
                let ended = undrift(&[verb, "-f", "shop.yaml"]).expect(2);
                assert!(ended.stderr.contains(&expected), "{verb}: {ended:?}");
            }
            assert!(!home.0.path().join("asked").exists(), "{expected}: docker was asked");
            let doctor = undrift(&["doctor", "-o", "json"]).expect(1);
            let (status, found) = examined(&doctor, "ComposeInstalled");
            assert!(status == "failed" && found.contains(&expected), "{found}");
            assert!(!home.0.path().join("asked").exists(), "{expected}: docker was asked by doctor");
        }
    }
}
