//! A state folder that somebody else could change is refused, whatever they have put there; manifests and passwords that they
//! could change are warned of.

use std::{
    fs::{self, File, Permissions},
    os::unix::{
        fs::{PermissionsExt as _, chown, symlink},
        net::UnixListener,
    },
    path::Path,
};

use serde_json::Value;
use undrift::{api::Object, store::Store};

use crate::home::{Home, Run};

const NOBODY: u32 = 65_534;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A state with an object `ai-backoffice` in it.
fn recorded() -> Home {
    let home = Home::new();
    let object: Object = serde_json::from_str(include_str!("../../src/store/testing/object.json")).unwrap();
    Store::open(&home.state(), "test".into()).unwrap().save_object(&object).unwrap();
    home.manifest("shop");
    home
}

/// Each verb that writes, run in this home; all must end with 2.
fn writers(home: &Home) -> Vec<Run> {
    let verbs: [&[&str]; 4] = [
        &["run", "-f", "shop.yaml"],
        &["apply", "-f", "shop.yaml"],
        &["suspend", "ai-backoffice", "--reason", "x"],
        &["retry", "ai-backoffice"],
    ];
    verbs.map(|verb| home.undrift(verb).expect(2)).into()
}

fn check(home: &Home, name: &str) -> Value {
    let doctor: Value = home.undrift(&["doctor", "-f", "shop.yaml", "-o", "json"]).json();
    doctor["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap().clone()
}

#[test]
fn folder_that_others_can_write_is_refused_by_writers_and_doctor_reports_it() {
    let home = recorded();
    for bits in [0o777, 0o1777] {
        mode(&home.state(), bits);
        for run in writers(&home) {
            assert!(run.stderr.contains(&format!("it has mode {bits:03o}")), "{run:?}");
        }
        assert_eq!(check(&home, "StatePrivate")["status"], "failed");
    }
    mode(&home.state(), 0o700);
    assert_eq!(check(&home, "StatePrivate")["status"], "ok");
    home.undrift(&["suspend", "ai-backoffice", "--reason", "x"]).expect(0);
}

#[test]
fn links_in_the_folder_are_not_followed_and_what_they_lead_to_is_as_before() {
    let home = recorded();
    let target = home.0.path().join("target");
    for name in ["lock", "step.lock", "state.db"] {
        let (link, away) = (home.state().join(name), home.0.path().join("away"));
        let was_there = fs::rename(&link, &away).is_ok();
        fs::write(&target, "nobody may change this").unwrap();
        symlink(&target, &link).unwrap();
        let run = home.undrift(&["apply", "-f", "shop.yaml"]).expect(2);
        assert!(run.stderr.contains(&format!("{name} is a symbolic link")), "{run:?}");
        let found = check(&home, "StatePrivate");
        assert!(found["found"].as_str().unwrap().contains(name), "{found}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "nobody may change this", "{name}");
        fs::remove_file(&link).unwrap();
        if was_there {
            fs::rename(&away, &link).unwrap();
        }
    }
}

#[test]
fn strangers_folder_is_refused_and_nobody_is_asked_in_it() {
    let home = recorded();
    let state = home.state();
    // Only root can give files away.
    if chown(&state, Some(NOBODY), None).is_err() {
        return;
    }
    let listener = UnixListener::bind(state.join("control.sock")).unwrap();
    listener.set_nonblocking(true).unwrap();
    let lock = File::options().create(true).append(true).open(state.join("lock")).unwrap();
    lock.lock().unwrap();
    for path in [state.join("control.sock"), state.join("lock")] {
        chown(path, Some(NOBODY), None).unwrap();
    }
    for run in writers(&home) {
        assert!(run.stderr.contains("which is neither this user nor root"), "{run:?}");
    }
    assert!(check(&home, "StatePrivate")["found"].as_str().unwrap().contains("is owned by"));
    home.undrift(&["get"]).expect(0);
    assert!(listener.accept().is_err(), "somebody has asked a stranger");

    // A folder of one's own within a stranger's is no better.
    chown(&state, Some(0), None).unwrap();
    drop((listener, lock));
    fs::remove_file(state.join("control.sock")).unwrap();
    chown(state.join("lock"), Some(0), None).unwrap();
    let strangers = home.0.path().join("strangers");
    fs::create_dir(&strangers).unwrap();
    fs::rename(&state, strangers.join("state")).unwrap();
    symlink(strangers.join("state"), &state).unwrap();
    home.undrift(&["suspend", "ai-backoffice", "--reason", "x"]).expect(0);
    chown(&strangers, Some(NOBODY), None).unwrap();
    for run in writers(&home) {
        assert!(run.stderr.contains("strangers is owned by"), "{run:?}");
    }
}

#[test]
fn manifests_and_passwords_that_others_can_write_are_warned_of() {
    let home = Home::new();
    let manifest = home.manifest("shop");
    let routes = "[{ name: web, routes: [{ path: /, port: 80, expect: 401, auth: { expect: 200, basic: { username: ops, \
                  passwordFrom: { file: password } } } }] }]";
    let text = fs::read_to_string(&manifest).unwrap().replace("[{ name: web }]", routes);
    fs::write(&manifest, text).unwrap();
    let password = home.0.path().join("password");
    fs::write(&password, "secret and long").unwrap();
    for path in [&manifest, &password] {
        mode(path, 0o664);
        assert_eq!(check(&home, "ManifestsProtected")["status"], "ok", "a group writes them together");
        mode(path, 0o666);
        let found = check(&home, "ManifestsProtected");
        let named = format!("others can write {}: it has mode 666", path.display());
        assert_eq!(found["status"], "warning");
        assert!(found["found"].as_str().unwrap().contains(&named), "{found}");
        let run = home.undrift(&["apply", "-f", manifest.to_str().unwrap()]);
        assert!(run.stderr.contains(&named), "{run:?}");
        mode(path, 0o600);
    }
}
