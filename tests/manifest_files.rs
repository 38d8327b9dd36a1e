//! Manifests: files that are none, and files that are hostile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use undrift::manifest::{self, ManifestSource};

/// The only error of a path, as `message`.
fn only_error(path: &Path) -> String {
    let errors = manifest::load(&[ManifestSource::Path(path.into())]).unwrap_err();
    let all: Vec<_> = errors.iter().map(|error| error.message.clone()).collect();
    assert_eq!(all.len(), 1, "{errors}");
    all[0].clone()
}

#[test]
fn a_dash_is_standard_input() {
    assert_eq!("-".parse(), Ok(ManifestSource::Stdin));
    assert_eq!("-x".parse(), Ok(ManifestSource::Path("-x".into())));
}

#[test]
fn a_missing_manifest_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_eq!(only_error(&folder.join("a.yaml")), "this path does not exist");
    std::os::unix::fs::symlink("nowhere", folder.join("link.yaml")).unwrap();
    assert_eq!(only_error(folder), "this file does not exist");
}

#[test]
fn a_folder_without_manifests_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("deeper.yaml")).unwrap();
    fs::write(folder.join("deeper.yaml/a.yaml"), "x").unwrap();
    fs::write(folder.join("undrift.schema.json"), "{}").unwrap();
    fs::write(folder.join(".hidden.yaml"), "x").unwrap();
    assert_eq!(only_error(folder), "no *.yaml or *.yml in this folder");
}

#[test]
fn an_unreadable_manifest_is_reported() {
    // A regular file whose first byte is never mapped: reading fails for every user, root too.
    assert!(only_error(Path::new("/proc/self/mem")).starts_with("this file cannot be read: "));
}

#[test]
fn pipes_and_devices_are_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.yaml");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert_eq!(only_error(&pipe), "this is not a regular file");
    assert_eq!(only_error(folder.path()), "this is not a regular file");
    assert_eq!(only_error(Path::new("/dev/zero")), "this is not a regular file");
}

#[test]
fn a_manifest_has_at_most_a_mebibyte() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.yaml");
    fs::write(&file, "#".repeat(1024 * 1024)).unwrap();
    assert_eq!(only_error(&file), "this file holds no object");
    fs::write(&file, "#".repeat(1024 * 1024 + 1)).unwrap();
    assert_eq!(only_error(&file), "a manifest has at most 1 MiB, and this file more");
}

#[test]
fn a_password_is_never_shown_whatever_else_is_wrong() {
    let text = fs::read_to_string("tests/manifest/good/everything.yaml").unwrap();
    let plain = "username: ops, password: hunter2 }";
    let text = text.replace("username: ops, passwordFrom: { env: BACKOFFICE_PASSWORD } }", plain);
    let lines: Vec<&str> = text.lines().collect();
    let noise = [
        "\"", "'", "[", "{", "}", "&a ", "*b", "\t", ": ", "- ", "? ", "| ", "> ", "!x ", "#", "%", "@",
        "---", "\\",
    ];
    let mut reports = 0;
    for at in (0..lines.len()).filter(|at| !lines[*at].contains("hunter2")) {
        for noise in noise {
            for column in [0, lines[at].len() / 2, lines[at].len()] {
                let column = (0..=column).rev().find(|column| lines[at].is_char_boundary(*column)).unwrap();
                let mut line = lines[at].to_owned();
                line.insert_str(column, noise);
                let mut changed = lines.clone();
                changed[at] = &line;
                let (_, errors) =
                    manifest::parse(&changed.join("\n"), "test", Path::new("tests/manifest/good"));
                assert!(!errors.is_empty());
                for error in errors {
                    reports += 1;
                    assert!(!error.to_string().contains("hunter2"), "{error}\n{line}");
                }
            }
        }
    }
    assert!(reports > 1_000, "{reports}");
}
