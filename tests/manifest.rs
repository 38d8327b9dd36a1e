//! Manifests: what is accepted, what is refused and in which words, and what a digest means.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use undrift::{
    api::Desired,
    cli::{schema::schema, validate::validate},
    manifest::{self, ManifestErrors, ManifestSource},
};

const GOOD: &str = "tests/manifest/good";
const BAD: &str = "tests/manifest/bad";

fn load(path: impl AsRef<Path>) -> Result<Vec<Desired>, ManifestErrors> {
    manifest::load(&[ManifestSource::Path(path.as_ref().into())])
}

fn snapshots() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("manifest/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn each_bad_manifest_is_reported_with_what_would_be_right() {
    let mut files: Vec<PathBuf> = fs::read_dir(BAD).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 60, "{} bad manifests", files.len());
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let Err(errors) = load(&file) else { panic!("{name} was accepted") };
        for error in &errors {
            assert!(error.help.is_some(), "{name} does not say what would be right:\n{error}");
        }
        let report = errors.to_string();
        assert!(!report.contains("hunter2"), "{name} shows a secret:\n{report}");
        let json = serde_json::to_string(&errors).unwrap();
        assert!(
            !json.contains("hunter2") && !format!("{errors:?}").contains("hunter2"),
            "{name} holds a secret"
        );
        snapshots().bind(|| insta::assert_snapshot!(name, report));
    }
}

#[test]
fn all_errors_of_all_files_come_at_once() {
    let two = [
        ManifestSource::Path(format!("{BAD}/name-empty.yaml").into()),
        ManifestSource::Path(format!("{BAD}/missing").into()),
    ];
    let errors = manifest::load(&two).unwrap_err();
    let files: Vec<_> = errors.iter().map(|error| error.file.as_str()).collect();
    assert_eq!(files, ["tests/manifest/bad/missing", "tests/manifest/bad/name-empty.yaml"]);
}

#[test]
fn a_name_is_unique_over_all_files() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(format!("{GOOD}/minimal.yaml")).unwrap().replace("../project", ".");
    fs::write(folder.path().join("a.yaml"), &text).unwrap();
    fs::write(folder.path().join("b.yml"), &text).unwrap();
    let errors = load(folder.path()).unwrap_err();
    assert_eq!(errors.iter().count(), 1);
    let error = errors.iter().next().unwrap();
    assert!(error.file.ends_with("b.yml") && error.line == 3 && error.column == 19, "{error}");
    assert!(error.message.contains("`minimal` is taken") && error.message.contains("a.yaml:3:19"), "{error}");
}

#[test]
fn a_file_that_is_named_twice_is_read_once() {
    let both = [
        ManifestSource::Path(GOOD.into()),
        ManifestSource::Path(format!("{GOOD}/../good/minimal.yaml").into()),
    ];
    let names = |objects: &[Desired]| objects.iter().map(|o| o.name().to_owned()).collect::<Vec<_>>();
    let only_these = |objects: Vec<Desired>| objects.into_iter().filter(|o| o.name() == "minimal").count();
    assert_eq!(names(&load(format!("{GOOD}/several.yaml")).unwrap()), ["second", "first"]);
    let objects = manifest::load(&both).map(only_these);
    // The contract's example has its project elsewhere; its errors are the only ones.
    let errors = objects.unwrap_err();
    assert!(errors.iter().all(|error| error.file.ends_with("contract.yaml")), "{errors}");
}

#[test]
fn every_field_is_read() {
    let objects = load(format!("{GOOD}/everything.yaml")).unwrap();
    assert_eq!(objects[0].service_positions, [(15, 13), (53, 13)]);
    assert_eq!(objects[0].directory, fs::canonicalize("tests/manifest/project").unwrap());
    assert_eq!(objects[0].manifest_directory, fs::canonicalize(GOOD).unwrap());
    assert_eq!(objects[0].manifest, format!("{GOOD}/everything.yaml"));
    snapshots().bind(|| insta::assert_snapshot!("good-everything", format!("{:#}", json(&objects[0]))));
}

#[test]
fn defaults_are_filled_in() {
    let objects = load(format!("{GOOD}/minimal.yaml")).unwrap();
    snapshots().bind(|| insta::assert_snapshot!("good-minimal", format!("{:#}", json(&objects[0]))));
}

fn json(desired: &Desired) -> serde_json::Value {
    serde_json::to_value(&desired.object).unwrap()
}

#[test]
fn the_example_of_the_contract_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("examples/ai-backoffice");
    fs::create_dir_all(&project).unwrap();
    fs::create_dir(folder.path().join("manifests")).unwrap();
    fs::write(project.join("compose.yaml"), "services: {}").unwrap();
    let manifest = folder.path().join("manifests/ai-backoffice.yaml");
    fs::copy(format!("{GOOD}/contract.yaml"), &manifest).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = validate(&[ManifestSource::Path(manifest.clone())], &mut out, &mut err).unwrap();
    let line = format!("ok  ai-backoffice  {}  2 services, 1 module, 1 route\n", manifest.display());
    assert_eq!((code, String::from_utf8(out).unwrap(), err), (0, line, Vec::new()));
    let objects = load(&manifest).unwrap();
    assert_eq!(objects[0].directory, project.canonicalize().unwrap());
    snapshots().bind(|| insta::assert_snapshot!("good-contract", format!("{:#}", json(&objects[0]))));
}

#[test]
fn validate_reports_on_standard_error_and_exits_with_2() {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let bad = ManifestSource::Path(format!("{BAD}/kind-missing.yaml").into());
    assert_eq!(validate(&[bad], &mut out, &mut err).unwrap(), 2);
    assert!(out.is_empty());
    assert!(String::from_utf8(err).unwrap().starts_with("error: an object needs `kind`\n"));
}

#[test]
fn the_checked_in_schema_is_the_generated_one() {
    let mut generated = Vec::new();
    schema(&mut generated).unwrap();
    let held = fs::read("manifests/undrift.schema.json").unwrap_or_default();
    assert!(
        held == generated,
        "manifests/undrift.schema.json is out of date: undrift schema > manifests/undrift.schema.json"
    );
}

mod digest {
    use super::*;

    fn of(text: &str) -> String {
        let (objects, errors) = manifest::parse(text, "test", Path::new(GOOD));
        assert!(errors.is_empty(), "{}\n{text}", errors[0]);
        objects[0].spec_digest.clone()
    }

    fn everything() -> String {
        fs::read_to_string(format!("{GOOD}/everything.yaml")).unwrap()
    }

    #[test]
    fn the_digest_names_its_version() {
        let digest = of(&everything());
        let hash = digest.strip_prefix("v1:sha256:").unwrap();
        assert!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{digest}");
    }

    #[test]
    fn comments_order_and_defaults_do_not_change_it() {
        let minimal = fs::read_to_string(format!("{GOOD}/minimal.yaml")).unwrap();
        let route = "routes: [{ path: /x, port: 1, expect: [403, 401] }], modules: [{ path: /a/b }]";
        let base = minimal.replace("{ name: api }", &format!("{{ name: api, {route} }}"));
        let same = [
            base.replace('\n', " # a comment\n"),
            base.replace("metadata: { name: minimal }", "metadata: { name: other, labels: { a: b } }"),
            base.replace(
                "expect: [403, 401]",
                "timeout: 5000ms, expect: [401, 403], absent: 404, control: auto",
            ),
            base.replace("path: /x, port: 1", "port: 1, path: /x, name: /x, method: GET, headers: {}"),
            base.replace("path: /a/b", "type: any, name: b, path: /a/b"),
            base.replace("../project", "../../manifest/./project"),
            base.replace(
                "directory: ../project",
                "directory: ../project, files: [], profiles: [], envFiles: []",
            ),
            base.replace(
                "spec: {",
                "spec: { source: { drift: report }, reconcile: { interval: 300s, attempts: 5,\
                 mode: enforce, suspend: false, buildTimeout: 30m, verify: { timeout: 2m, stableFor: 3s },\
                 backoff: { initial: 10s, max: 10m }, rollback: true },",
            ),
        ];
        for text in same {
            assert_ne!(text, base);
            assert_eq!(of(&text), of(&base), "{text}");
        }
    }

    #[test]
    fn every_changed_field_changes_it() {
        let changes = [
            ("directory: ../project", "directory: ../project/api/.."),
            ("files: [compose.yaml]", "files: [./compose.yaml]"),
            ("name: shop", "name: shop2"),
            ("profiles: [web, ", "profiles: ["),
            ("    envFiles: [.env]\n", ""),
            ("- name: api", "- name: api2"),
            ("- name: flow\n          source", "- name: flow2\n          source"),
            ("source: api/src/workflow", "source: api/src"),
            ("path: /app/dist/modules/workflow", "path: /app/workflow"),
            ("type: file", "type: any"),
            ("- name: flow\n          path", "- name: flow2\n          path"),
            ("path: /api/workflow?x=1", "path: /api/workflow?x=2"),
            ("port: 3000", "port: 3001"),
            ("method: HEAD", "method: GET"),
            ("Accept: \"application/json\"", "Accept: \"text/html\""),
            ("[401, 403]", "[401]"),
            ("absent: [404, 410]", "absent: [404]"),
            ("control: /api/no-such-thing", "control: auto"),
            ("username: ops", "username: dev"),
            ("env: BACKOFFICE_PASSWORD", "env: PASSWORD"),
            ("env: BACKOFFICE_PASSWORD", "file: BACKOFFICE_PASSWORD"),
            ("expect: 200", "expect: 201"),
            ("absent: [404, 410]\n            allow", "absent: [404]\n            allow"),
            ("allowPlainHttp: false", "allowPlainHttp: true"),
            ("http: 2", "http: 1"),
            ("serverName: shop.example", "serverName: www.shop.example"),
            ("caFile: ca.pem", "caFile: own.pem"),
            ("tls: { verify: false }", "tls: { verify: true }"),
            (
                "          scheme: https\n          http: 2\n          tls: { serverName: shop.example, caFile: ca.pem, verify: true }\n",
                "",
            ),
            ("timeout: 1m30s", "timeout: 1m"),
            ("127.0.0.1:8443", "127.0.0.1:8444"),
            ("control: off", "control: auto"),
            ("file: secrets/token", "file: secrets/other"),
            ("    - name: dashboard\n", ""),
            ("drift: enforce", "drift: ignore"),
            ("mode: observe", "mode: enforce"),
            ("suspend: true", "suspend: false"),
            ("interval: 10m", "interval: 11m"),
            ("buildTimeout: 1h", "buildTimeout: 2h"),
            ("timeout: 1m,", "timeout: 2m,"),
            ("stableFor: 0s", "stableFor: 1s"),
            ("initial: 500ms", "initial: 1s"),
            ("max: 1h30m", "max: 1h"),
            ("attempts: 7", "attempts: 8"),
            ("rollback: false", "rollback: true"),
        ];
        let base = everything();
        let mut digests = vec![of(&base)];
        // The directory is the same one by another way: its digest must stay, all others must differ.
        for (index, (from, to)) in changes.iter().enumerate() {
            let text = base.replacen(from, to, 1);
            assert_ne!(text, base, "{from}");
            let digest = of(&text);
            assert_eq!(digests.contains(&digest), index == 0, "{from} → {to}");
            digests.push(digest);
        }
    }

    /// Digests are stored, with the defaults of their day filled in. Where a default, a field or the rule changes, a spec that
    /// nobody touched has another digest, and after an upgrade each object would count as edited: a new generation, which
    /// gives a new budget to what was given up. So this value is not simply replaced: raise `VERSION` in
    /// `src/manifest/digest.rs` with it (a digest of another version is no change), and say it in the changelog.
    #[test]
    fn an_upgrade_does_not_change_it() {
        let minimal = fs::read_to_string(format!("{GOOD}/minimal.yaml")).unwrap();
        let routes = "modules: [{ path: /a/b }], routes: [{ path: /x, port: 1, expect: 401 }]";
        let text = minimal.replace("../project", "/").replace("name: api", &format!("name: api, {routes}"));
        assert_eq!(
            of(&text),
            "v1:sha256:49cd7e2eb69ef8e40546f75eefc280ed08aedbe1113f52d5c0dc806f22db8af5",
            "{text}"
        );
    }

    #[test]
    fn another_project_directory_changes_it() {
        let text = fs::read_to_string(format!("{GOOD}/minimal.yaml")).unwrap();
        assert_ne!(of(&text), of(&text.replace("../project", "../good")));
    }
}
