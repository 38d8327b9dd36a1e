//! Each ingredient of the fingerprint, changed by itself.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use tempfile::TempDir;

use super::{super::test_support::desired, *};

const COMPOSE: &str = "\
include: [{path: inc/part.yaml}]
services:
  api:
    image: x:${TAG}
    env_file: [svc.env]
    environment: [THROUGH]
  web:
    extends: {file: base/base.yaml, service: web}
";

/// A project with one file of every kind, and the environment to load it in.
struct InputsProject {
    folder: TempDir,
    desired: Desired,
    env: Environment,
}

impl InputsProject {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("compose.yaml", COMPOSE),
            ("inc/part.yaml", "services: {db: {image: y, env_file: db.env}}"),
            ("inc/db.env", "D=1"),
            ("base/base.yaml", "services: {web: {image: '${WEB}'}}"),
            ("svc.env", "S=$IN_ENV_FILE\nBARE\n"),
            (".env", "TAG=1\n"),
            ("bin/docker", "#!/bin/sh\n"),
            ("cfg/cli-plugins/docker-compose", "v1"),
        ] {
            write(folder.path(), path, text);
        }
        let docker = folder.path().join("bin/docker");
        fs::set_permissions(docker, fs::Permissions::from_mode(0o755)).unwrap();
        let desired = desired(folder.path().to_str().unwrap(), &["api"]);
        let env = Environment::default()
            .with("PATH", folder.path().join("bin"))
            .with("DOCKER_CONFIG", folder.path().join("cfg"));
        Self { folder, desired, env }
    }

    fn inputs(&self) -> Option<ComposeInputs> {
        ComposeInputs::find(&self.desired, &self.env).unwrap()
    }

    fn fingerprint(&self) -> String {
        self.inputs().unwrap().fingerprint(&self.desired, &self.env).unwrap()
    }

    /// Whether the inputs found *before* the change detect the change, as in production.
    fn sees(&mut self, change: impl FnOnce(&mut Self)) -> bool {
        let inputs = self.inputs().unwrap();
        let before = inputs.fingerprint(&self.desired, &self.env).unwrap();
        change(self);
        inputs.fingerprint(&self.desired, &self.env).unwrap() != before
    }

    fn write(&self, path: &str, text: &str) {
        write(self.folder.path(), path, text);
    }
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn an_unchanged_project_has_one_fingerprint() {
    let project = InputsProject::new();
    assert_eq!(project.fingerprint(), project.fingerprint());
}

#[test]
fn every_file_that_compose_reads_counts() {
    for path in [
        "compose.yaml",
        "inc/part.yaml",
        "inc/db.env",
        "base/base.yaml",
        "svc.env",
        ".env",
        "bin/docker",
        "cfg/cli-plugins/docker-compose",
    ] {
        let seen = InputsProject::new().sees(|project| {
            let old = fs::read_to_string(project.folder.path().join(path)).unwrap();
            project.write(path, &format!("{old}# changed"));
        });
        assert!(seen, "{path}");
    }
}

#[test]
fn a_link_on_the_way_to_the_project_that_leads_elsewhere_counts() {
    let (mut project, folder) = (InputsProject::new(), tempfile::tempdir().unwrap());
    let link = folder.path().join("current");
    for release in ["1", "2"] {
        write(&folder.path().join(release), "compose.yaml", "services: {api: {image: x}}");
    }
    std::os::unix::fs::symlink("1", &link).unwrap();
    project.desired.directory.clone_from(&link);
    assert!(project.sees(|_| {
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("2", &link).unwrap();
    }));
}

#[test]
fn files_that_appear_later_count() {
    for path in [
        "compose.override.yaml",
        "compose.override.yml",
        "docker-compose.override.yml",
        "compose.yml",
        "docker-compose.yml",
        "docker-compose.yaml",
        "inc/.env",
        "base/.env",
    ] {
        assert!(InputsProject::new().sees(|project| project.write(path, "services: {}")), "{path}");
    }
    // And one that goes away.
    assert!(
        InputsProject::new().sees(|project| fs::remove_file(project.folder.path().join(".env")).unwrap())
    );
}

#[test]
fn every_variable_that_the_files_use_counts_and_no_other() {
    for name in
        ["TAG", "THROUGH", "WEB", "IN_ENV_FILE", "BARE", "COMPOSE_PROFILES", "DOCKER_DEFAULT_PLATFORM"]
    {
        let set = |value: &'static str| {
            move |project: &mut InputsProject| project.env = project.env.clone().with(name, value)
        };
        let mut project = InputsProject::new();
        assert!(project.sees(set("one")), "{name} appears");
        assert!(project.sees(set("two")), "{name} changes");
        assert!(project.sees(set("")), "{name} becomes empty");
        assert!(project.sees(|p| p.env = p.env.clone().without(name)), "{name} goes away");
    }
    assert!(!InputsProject::new().sees(|project| project.env = project.env.clone().with("EDITOR", "vi")));
}

#[test]
fn the_way_to_load_the_project_counts() {
    let mut project = InputsProject::new();
    assert!(project.sees(|p| p.desired.object.spec.project.profiles = vec!["debug".into()]));
    assert!(project.sees(|p| p.desired.object.spec.project.name = Some("other".into())));
    assert!(project.sees(|p| p.desired.object.spec.project.env_files = vec!["prod.env".into()]));
    assert!(project.sees(|p| p.write("prod.env", "TAG=2")));
    // A changed question about the project needs no new answer from Compose.
    assert!(!project.sees(|p| p.desired.object.spec.services[0].name = "web".into()));
}

#[test]
fn follows_compose_file_from_the_environment_and_from_dot_env() {
    let mut project = InputsProject::new();
    project.write("other.yaml", "services: {a: {image: '$OTHER'}}");
    project.env = project.env.clone().with("COMPOSE_FILE", "other.yaml:more.yaml");
    assert!(project.sees(|p| p.env = p.env.clone().with("OTHER", "1")));
    assert!(project.sees(|p| p.write("more.yaml", "services: {}")));

    let mut project = InputsProject::new();
    project.write("other.yaml", "services: {a: {image: '$OTHER'}}");
    project.write(".env", "COMPOSE_FILE=other.yaml\n");
    assert!(project.sees(|p| p.env = p.env.clone().with("OTHER", "1")));
    // Files of the spec are above both, and resolve from their own folder.
    project.desired.object.spec.project.files = vec!["inc/part.yaml".into()];
    assert!(!project.sees(|p| p.env = p.env.clone().with("OTHER", "2")));
    assert!(project.sees(|p| p.write("inc/db.env", "D=2")));
}

#[test]
fn inputs_are_unknown_where_a_reference_cannot_be_followed() {
    for compose in [
        "include: ['https://example.com/compose.yaml']",
        "include: ['oci://registry/x']",
        "include: ['github.com/team/stack']",
        "include: [inc/part.yaml, gone.yaml]",
        "services: {a: {extends: {file: gone.yaml, service: a}}}",
        "include: ['${WHERE}/compose.yaml']",
        "services: {a: {image: x, env_file: '$WHERE.env'}}",
        "services: {a: {extends: {file: '~/base.yaml', service: b}}}",
        "services: [",
    ] {
        let project = InputsProject::new();
        project.write("compose.yaml", compose);
        assert_eq!(project.inputs(), None, "{compose}");
    }
    for (name, value) in
        [("COMPOSE_PATH_SEPARATOR", ";"), ("COMPOSE_ENV_FILES", "x.env"), ("COMPOSE_FILE", "-")]
    {
        let mut project = InputsProject::new();
        project.env = project.env.with(name, value);
        assert_eq!(project.inputs(), None, "{name}");
    }
    let project = InputsProject::new();
    fs::remove_file(project.folder.path().join("compose.yaml")).unwrap();
    assert_eq!(project.inputs(), None, "Compose would go on in the parent folders");
}

/// Why undrift does not ask Compose, and the path that the reason must name.
fn trap(project: &InputsProject, path: &str) -> (String, String) {
    let error = ComposeInputs::find(&project.desired, &project.env).unwrap_err().to_string();
    assert_eq!(ComposeInputs::trap(&project.desired, &project.env).unwrap().to_string(), error);
    (error, project.folder.path().join(path).display().to_string())
}

fn enlarge(project: &InputsProject, path: &str) {
    fs::File::create(project.folder.path().join(path)).unwrap().set_len(3 << 30).unwrap();
}

#[test]
fn a_file_that_is_too_large_keeps_compose_from_being_asked_wherever_it_is_named() {
    let paths = [".env", "svc.env", "inc/db.env", "inc/part.yaml", "base/base.yaml", "compose.yaml"];
    for path in paths {
        let project = InputsProject::new();
        enlarge(&project, path);
        let (error, path) = trap(&project, path);
        assert_eq!(error, format!("{path} has 3 GiB, and 16 MiB at most are read"));
    }
    for compose in [
        "services: {a: {image: x, label_file: [odd]}}",
        // After a part that cannot be parsed.
        "services: {a: {image: x, env_file: ['$WHERE.env', odd]}}",
        "include: ['https://example.com/compose.yaml', odd]",
        "include: [{path: inc/part.yaml, project_directory: '$WHERE'}, odd]",
    ] {
        let project = InputsProject::new();
        project.write("compose.yaml", compose);
        enlarge(&project, "odd");
        let (error, path) = trap(&project, "odd");
        assert_eq!(error, format!("{path} has 3 GiB, and 16 MiB at most are read"), "{compose}");
    }
    let mut project = InputsProject::new();
    project.desired.object.spec.project.env_files = vec!["odd".into()];
    enlarge(&project, "odd");
    assert!(trap(&project, "odd").0.contains("/odd has 3 GiB"));
}

#[test]
fn what_compose_mounts_and_does_not_read_may_be_of_any_size() {
    let project = InputsProject::new();
    let compose = "services: {a: {image: x, configs: [c], secrets: [s]}}\nconfigs: {c: {file: odd}}\nsecrets: {s: {file: odd}}\n";
    project.write("compose.yaml", compose);
    enlarge(&project, "odd");
    assert!(project.inputs().is_some());
}

#[test]
fn what_leads_in_a_circle_is_found_and_keeps_nobody_from_asking() {
    let project = InputsProject::new();
    let path = project.folder.path().join("svc.env");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("svc.env", &path).unwrap();
    assert_eq!(project.inputs(), None);
    assert_eq!(ComposeInputs::circles(&project.desired, &project.env), BTreeSet::from([path]));
}

#[test]
fn circles_end() {
    let project = InputsProject::new();
    project.write("compose.yaml", "include: [compose.yaml, inc/part.yaml]");
    project.write("inc/part.yaml", "include: [../compose.yaml]");
    // Each `..` makes another path of the same file: the limit on their number ends it.
    let _ = project.inputs();
}
