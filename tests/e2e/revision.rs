//! The running commit is the committed one: image, container and route carry the revision that is expected.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::{Project, Run, docker, inspect};

/// An image that carries the build argument in every place, and answers with it.
const CARRIES_IT: &str = r#"FROM undrift-example-base
COPY src /src
ARG GIT_SHA
LABEL org.opencontainers.image.revision=$GIT_SHA
ENV GIT_SHA=$GIT_SHA
RUN echo "$GIT_SHA" > /REVISION && mkdir -p /www/cgi-bin && echo "{\"build\": {\"commit\": \"$GIT_SHA\"}}" > /www/version
RUN printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\nX-Revision: %s\\r\\n\\r\\n"\n' "$GIT_SHA" > /www/cgi-bin/version && \
    chmod +x /www/cgi-bin/version
CMD ["httpd", "-f", "-p", "3000", "-h", "/www"]
"#;

const COMPOSE: &str = r#"services:
  api:
    build: { context: ./api, args: { GIT_SHA: "${GIT_SHA:-none}" } }
    init: true
    stop_grace_period: 1s
"#;

const LABEL: &str = "from: { label: org.opencontainers.image.revision }";
const ENV: &str = "from: { env: GIT_SHA }";
const FILE: &str = "from: { file: /REVISION }";
const JSON: &str = "from: { route: { path: /version, port: 3000, json: /build/commit } }";
const HEADER: &str = "from: { route: { path: /cgi-bin/version, port: 3000, header: x-revision } }";

fn manifest(revision: &str) -> String {
    format!(
        "apiVersion: undrift.dev/v1alpha1\nkind: ComposeProject\nmetadata: {{ name: NAME }}\nspec:\n  \
         project: {{ directory: ., name: NAME }}\n  services:\n    - name: api\n      revision: {{ {revision} }}\n  \
         reconcile:\n    verify: {{ timeout: 8s, stableFor: 1s }}\n    backoff: {{ initial: 200ms, max: 1s }}\n    attempts: 3\n"
    )
}

fn git(project: &Project, args: &[&str]) -> String {
    git_in(&project.path(""), args)
}

fn git_in(directory: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]).args(args);
    let output = command.current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Commits everything with this in a file of the source, and returns the commit.
fn commit(project: &Project, text: &str) -> String {
    project.write("api/src/file", text);
    git(project, &["add", "-A"]);
    git(project, &["commit", "-qm", text]);
    git(project, &["rev-parse", "HEAD"])
}

/// A project in a git work tree with this revision, committed and not built.
fn project(revision: &str) -> Project {
    let project = Project::new();
    project.write("api/Dockerfile", CARRIES_IT);
    project.write("compose.yaml", COMPOSE);
    project.manifest(&manifest(revision));
    git(&project, &["init", "-q"]);
    commit(&project, "one");
    project
}

/// The same, built and started by hand as a release of its commit.
fn released(revision: &str) -> Project {
    let project = project(revision);
    by_hand(&project, &git(&project, &["rev-parse", "HEAD"]));
    project
}

/// What a person does who builds and starts it with this commit.
fn by_hand(project: &Project, commit: &str) {
    project.compose_with(&["up", "-d", "--build"], &[("GIT_SHA", commit)]);
}

fn revision(run: &Run) -> Value {
    run.status()["services"][0]["revision"].clone()
}

fn message(run: &Run, kind: &str) -> String {
    let status = run.status();
    let all = [&status["conditions"], &status["services"][0]["conditions"]];
    let mut all = all.into_iter().flat_map(|all| all.as_array().unwrap());
    all.find(|condition| condition["type"] == kind).unwrap()["message"].as_str().unwrap().to_owned()
}

fn notes(run: &Run) -> Vec<String> {
    let notes = run.status()["services"][0]["notes"].clone();
    notes.as_array().unwrap().iter().map(|note| note["reason"].as_str().unwrap().to_owned()).collect()
}

/// The label in the image behind the reference.
fn label(project: &Project) -> String {
    inspect(&project.image(), r#"{{index .Config.Labels "org.opencontainers.image.revision"}}"#).unwrap()
}

#[test]
fn a_new_commit_is_built_and_brought_up_wherever_the_service_carries_it() {
    for (place, layer) in
        [(LABEL, "artifact"), (ENV, "artifact"), (FILE, "artifact"), (JSON, "route"), (HEADER, "route")]
    {
        let project = released(&format!("{place}, variable: GIT_SHA"));
        project.check().expect(0);
        for _ in 0..3 {
            project.apply().expect(0);
        }
        assert_eq!(project.steps(), [""; 0], "{place}: a healthy project is adopted as it is");

        let new = commit(&project, "two");
        let check = project.check().expect(1);
        assert_eq!(check.drift("api"), format!("{layer} RevisionDiffers"), "{place}");
        assert_eq!(check.plan(), ["Build", "Up"], "{place}");
        let apply = project.apply().expect(0);
        assert_eq!(project.steps(), ["Build", "Up"], "{place}");
        let seen = revision(&apply);
        let replicas = if layer == "route" { &seen["routes"] } else { &seen["containers"] };
        assert_eq!((&seen["expected"], &replicas[0]), (&new.clone().into(), &new.clone().into()), "{place}");
        assert_eq!(seen["image"], new, "{place}: the image says so, also where a route is declared");
        assert!(project.runs_its_image() && label(&project) == new, "{place}");
        project.apply().expect(0);
        assert_eq!(project.steps().len(), 2, "{place}");
        let described = project.undrift(&["describe", &project.name]).expect(0).stdout;
        assert!(described.contains("REVISION") && described.contains(&new[..12]), "{described}");
        let wide = project.undrift(&["get", "-o", "wide"]).expect(0).stdout;
        assert!(wide.contains("REVISION") && wide.contains(&new[..12]), "{wide}");
    }
}

#[test]
fn an_image_that_never_carries_it_is_built_once_and_a_new_commit_is_a_new_chance() {
    let project = released(LABEL);
    project.write(
        "api/Dockerfile",
        &CARRIES_IT.replace("LABEL org.opencontainers.image.revision=$GIT_SHA\n", ""),
    );
    commit(&project, "two");
    by_hand(&project, "none");
    let apply = project.apply().expect(1);
    assert_eq!(project.steps(), ["Build"]);
    assert_eq!(apply.condition("Stalled"), "True RepairsExhausted");
    let stalled = message(&apply, "Stalled");
    for part in [
        "it has no label org.opencontainers.image.revision",
        r#"labels: { org.opencontainers.image.revision: "${GIT_SHA}" }"#,
        "`variable: GIT_SHA`",
    ] {
        assert!(stalled.contains(part), "no {part} in {stalled}");
    }
    for _ in 0..2 {
        project.apply().expect(1);
    }
    assert_eq!(project.steps(), ["Build"], "it is not built again");

    // As the message says.
    project.manifest(&manifest(&format!("{LABEL}, variable: GIT_SHA")));
    let with_label =
        COMPOSE.replace("args:", "labels: { org.opencontainers.image.revision: \"${GIT_SHA}\" }, args:");
    project.write("compose.yaml", &with_label);
    let new = commit(&project, "three");
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Build", "Build", "Up"]);
    assert_eq!(label(&project), new);
}

#[test]
fn build_that_is_only_compared_gets_the_expected_revision_too() {
    let project = released(&format!("{LABEL}, variable: GIT_SHA"));
    let artifact = || {
        let check = project.with_manifest("check", &["--build", "-o", "json"]).expect(0);
        let conditions = check.status()["services"][0]["conditions"].clone();
        let mut all = conditions.as_array().unwrap().iter();
        all.find(|c| c["type"] == "ArtifactCurrent").unwrap()["message"].as_str().unwrap().to_owned()
    };
    let same = artifact();
    assert!(same.contains("gives the same image"), "{same}");
    // While git changes the files, there is no build that says anything.
    project.write(".git/index.lock", "");
    let check = project.with_manifest("check", &["--build", "-o", "json"]).expect(1);
    assert!(check.stderr.contains("git is changing the work tree"), "{check:?}");
    fs::remove_file(project.path(".git/index.lock")).unwrap();
    project.write("api/Dockerfile", &format!("{CARRIES_IT}LABEL a=b\n"));
    let differs = artifact();
    assert!(differs.ends_with("its configuration differs (label a)"), "{differs}");
}

#[test]
fn each_new_commit_is_a_chance_of_its_own() {
    let project = released(LABEL);
    project.write(
        "api/Dockerfile",
        &CARRIES_IT.replace("LABEL org.opencontainers.image.revision=$GIT_SHA\n", ""),
    );
    commit(&project, "two");
    for builds in 1..=2 {
        let apply = project.apply().expect(1);
        assert_eq!(apply.condition("Stalled"), "True RepairsExhausted");
        assert_eq!(project.steps(), vec!["Build"; builds]);
        // Nothing of what is built: only the commit is another one.
        project.write("docs/readme", &format!("words of {builds}"));
        git(&project, &["add", "-A"]);
        git(&project, &["commit", "-qm", "docs"]);
    }
}

#[test]
fn a_configuration_that_holds_the_revision_is_built_first_and_then_brought_up() {
    let project = released(&format!("{ENV}, variable: GIT_SHA"));
    let compose = format!("{COMPOSE}    environment: {{ GIT_SHA: \"${{GIT_SHA}}\" }}\n");
    project.write("compose.yaml", &compose);
    let first = commit(&project, "two");
    by_hand(&project, &first);
    for _ in 0..3 {
        project.apply().expect(0);
    }
    assert_eq!(project.steps(), [""; 0]);
    let new = commit(&project, "three");
    let check = project.check().expect(1);
    assert_eq!(
        check.drift("api"),
        "artifact RevisionDiffers",
        "though the container was made otherwise, too"
    );
    assert_eq!(check.plan(), ["Build", "Up"]);
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Build", "Up"]);
    let env = docker(&["exec", &project.containers("api")[0], "sh", "-c", "echo $GIT_SHA"]);
    assert_eq!(env.trim(), new);

    // Only the Compose file holds it: that says nothing of what the image was built from.
    project.write("api/Dockerfile", &CARRIES_IT.replace("ENV GIT_SHA=$GIT_SHA\n", ""));
    commit(&project, "four");
    let apply = project.apply().expect(1);
    assert_eq!(project.steps(), ["Build", "Up", "Build"]);
    let stalled = message(&apply, "Stalled");
    assert!(stalled.contains("`ENV GIT_SHA=$GIT_SHA` into the last stage"), "{stalled}");
}

#[test]
fn a_container_that_differs_from_its_image_is_made_anew_by_force() {
    let project = released(&format!("{FILE}, variable: GIT_SHA"));
    project.apply().expect(0);
    let before = project.containers("api");
    docker(&["exec", &before[0], "sh", "-c", "echo 0000000000000000000000000000000000000000 > /REVISION"]);
    let check = project.check().expect(1);
    assert_eq!(check.drift("api"), "container RevisionDiffers");
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
    assert_ne!(project.containers("api"), before);
    let last = project.undrift(&["audit", "list", "-o", "json"]).expect(0).stdout;
    assert!(last.contains("--force-recreate"), "{last}");
}

#[test]
fn a_container_that_the_compose_file_gives_another_one_is_tried_once() {
    let project = project(&format!("{ENV}, variable: GIT_SHA"));
    project.write("compose.yaml", &format!("{COMPOSE}    environment: {{ GIT_SHA: 1.0.0 }}\n"));
    let commit = commit(&project, "two");
    by_hand(&project, &commit);
    let apply = project.apply().expect(1);
    assert_eq!(apply.drift("api"), "container RevisionDiffers");
    assert_eq!(project.steps(), ["Up"]);
    assert!(
        message(&apply, "Stalled").contains("remove `GIT_SHA` from the service's `environment`"),
        "{apply:?}"
    );
}

#[test]
fn a_route_that_alone_differs_gets_no_step() {
    let project = project(&format!("{JSON}, variable: GIT_SHA"));
    project.write("api/Dockerfile", &CARRIES_IT.replace("\\\"$GIT_SHA\\\"}}\"", "\\\"0000000\\\"}}\""));
    let commit = commit(&project, "two");
    by_hand(&project, &commit);
    let apply = project.apply().expect(1);
    assert_eq!(apply.drift("api"), "route RevisionDiffers");
    assert_eq!(revision(&apply)["routes"], serde_json::json!(["0000000"]));
    assert_eq!(project.steps(), [""; 0]);
    assert!(
        message(&apply, "Stalled").contains("image and container carry the expected revision"),
        "{apply:?}"
    );
}

#[test]
fn an_answer_that_is_no_revision_is_unknown_and_kept_nowhere() {
    const TOKEN: &str = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
    for (answer, json) in [
        (format!(r#"{{"commit": "Bearer {TOKEN}"}}"#), "/commit"),
        (format!(r#"{{"token": "{TOKEN}"}}"#), "/token"),
        (format!(r#"{{"commit": "{TOKEN}"}}"#), "/commit"),
    ] {
        let place = format!("from: {{ route: {{ path: /version, port: 3000, json: {json} }} }}");
        let project = project(&place);
        let serve =
            format!("mkdir -p /www; printf %s '{answer}' > /www/version; exec httpd -f -p 3000 -h /www\n");
        project.write(
            "api/Dockerfile",
            "FROM undrift-example-base\nCOPY src/serve /serve\nCMD [\"sh\", \"/serve\"]\n",
        );
        project.write("api/src/serve", &serve);
        // The service was given it: that it is no revision is not in its form.
        project.write(".env", &format!("UPSTREAM_TOKEN={TOKEN}\n"));
        commit(&project, "two");
        project.compose(&["up", "-d", "--build"]);
        let mut told = String::new();
        for _ in 0..2 {
            let run = run_with_log(&project);
            assert_eq!(run.status()["services"][0]["conditions"][1]["reason"], "AsDeclared", "the container");
            assert_eq!(revision(&run)["routes"], serde_json::json!([null]), "{run:?}");
            let ready = run.condition("Ready");
            assert_eq!(ready, "Unknown NotARevision", "{run:?}");
            told.extend([run.stdout, run.stderr]);
        }
        told += &project.undrift(&["audit", "list", "-o", "json"]).expect(0).stdout;
        assert!(!told.contains(TOKEN) && !told.contains("ghp_"), "{told}");
        assert_eq!(project.steps(), [""; 0]);
        for folder in [project.state_dir(), project.cache_home()] {
            assert_no_file_holds(&folder, TOKEN.as_bytes());
        }
    }
}

/// `apply`, with all that it logs.
fn run_with_log(project: &Project) -> Run {
    let mut command = project.command(&["--log", "trace", "apply", "-f", "undrift.yaml", "-o", "json"]);
    crate::support::run(&mut command)
}

fn assert_no_file_holds(folder: &Path, secret: &[u8]) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            assert_no_file_holds(&path, secret);
        } else {
            let bytes = fs::read(&path).unwrap_or_default();
            assert!(!bytes.windows(secret.len()).any(|part| part == secret), "{}", path.display());
        }
    }
}

#[test]
fn without_a_work_tree_it_is_unknown_and_what_is_down_is_started_all_the_same() {
    let project = released(LABEL);
    fs::remove_dir_all(project.path(".git")).unwrap();
    let check = project.check().expect(1);
    assert_eq!(check.drift("api"), "");
    assert!(message(&check, "ArtifactCurrent").contains("is in no git work tree"), "{check:?}");
    assert_eq!(check.plan(), [""; 0]);
    docker(&["stop", "-t", "0", &project.containers("api")[0]]);
    project.apply();
    assert_eq!(project.steps(), ["Up"]);
    // Where the Compose files need it, the reason is told in place of what Compose says.
    project.manifest(&manifest(&format!("{LABEL}, variable: GIT_SHA")));
    project.write("compose.yaml", &COMPOSE.replace(":-none", ""));
    let check = project.check().expect(2);
    assert!(check.stderr.contains("the expected revision of api, which is not known"), "{check:?}");
}

#[test]
fn a_dirty_work_tree_is_noted_and_git_is_run_only_when_something_has_changed() {
    let project = released(&format!("{LABEL}, variable: GIT_SHA"));
    project.apply().expect(0);
    assert_eq!(notes(&project.check().expect(0)), [""; 0]);
    project.write("api/src/file", "edited");
    let check = project.check().expect(0);
    assert_eq!(notes(&check), ["WorkTreeDirty"]);
    git(&project, &["checkout", "-q", "--", "."]);
    assert_eq!(notes(&project.check().expect(0)), [""; 0]);
    assert_eq!(project.steps(), [""; 0]);

    // From now on git is one that fails.
    let bin = project.path("../bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("git"), "#!/bin/sh\ntouch \"$0.was-run\"\nexit 1\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(bin.join("git"), executable).unwrap();
    let mut command = project.command(&["apply", "-f", "undrift.yaml", "-o", "json"]);
    command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    let apply = crate::support::run(&mut command).expect(0);
    assert!(revision(&apply)["expected"].is_string(), "{apply:?}");
    assert!(!bin.join("git.was-run").exists(), "a warm look has run git");
}

#[test]
fn a_commit_elsewhere_is_as_declared_where_paths_are_named() {
    let project = released(&format!("{LABEL}, variable: GIT_SHA, paths: [api]"));
    let before = git(&project, &["rev-parse", "HEAD"]);
    project.write("docs/readme", "words");
    git(&project, &["add", "-A"]);
    git(&project, &["commit", "-qm", "docs"]);
    let check = project.check().expect(0);
    assert_eq!(revision(&check)["expected"], before);
    let new = commit(&project, "two");
    assert_eq!(project.check().expect(1).drift("api"), "artifact RevisionDiffers");
    project.apply().expect(0);
    assert_eq!((project.steps(), label(&project)), (vec!["Build".to_owned(), "Up".to_owned()], new));

    // A clone whose history ends before that is no answer.
    let shallow = project.path("../shallow");
    let url = format!("file://{}", project.path("").display());
    project.write("docs/readme", "more words");
    git(&project, &["add", "-A"]);
    git(&project, &["commit", "-qm", "docs"]);
    git_in(&project.path(".."), &["clone", "-q", "--depth", "1", &url, shallow.to_str().unwrap()]);
    project.manifest(
        &manifest(&format!("{LABEL}, paths: [api]")).replace("directory: .", "directory: ../shallow"),
    );
    let check = project.check().expect(1);
    assert!(message(&check, "ArtifactCurrent").contains("git fetch --unshallow"), "{check:?}");
}

/// Compose would resolve the other one with the variable's default.
#[test]
fn while_a_variable_is_not_known_no_service_that_uses_it_is_made_anew() {
    let project = project(&format!("{LABEL}, variable: GIT_SHA"));
    let plain = "image: undrift-example-base, command: sleep 1000, init: true, stop_grace_period: 0s";
    let more = format!(
        "  web: {{ {plain}, environment: {{ SHA: \"${{GIT_SHA:-none}}\" }} }}\n  apart: {{ {plain} }}\n"
    );
    project.write("compose.yaml", &format!("{COMPOSE}{more}"));
    // A part of a longer name is another variable.
    project.write(".env", "OLD_GIT_SHA=abc\nGIT_SHA_LENGTH=7\n");
    let services = "    - name: web\n    - name: apart\n  reconcile:";
    project.manifest(&manifest(&format!("{LABEL}, variable: GIT_SHA")).replace("  reconcile:", services));
    let commit = commit(&project, "two");
    by_hand(&project, &commit);
    project.apply().expect(0);
    let before = project.containers("web");

    fs::rename(project.path(".git"), project.path("../git")).unwrap();
    let check = project.check().expect(1);
    assert_eq!((check.drift("web").as_str(), check.plan().len()), ("", 0));
    let status = check.status();
    let conditions = status["services"][1]["conditions"].as_array().unwrap();
    for kind in ["ArtifactCurrent", "ContainerCurrent"] {
        let condition = conditions.iter().find(|condition| condition["type"] == kind).unwrap();
        let told = condition["message"].as_str().unwrap();
        assert!(condition["status"] == "Unknown" && told.contains("GIT_SHA"), "{kind}: {condition}");
    }
    // What is down is started as it is, and what does not use the variable is repaired.
    project.compose_with(&["stop", "web", "apart"], &[("GIT_SHA", &commit)]);
    project.compose_with(&["rm", "-f", "apart"], &[("GIT_SHA", &commit)]);
    project.apply().expect(1);
    assert_eq!(project.containers("web"), before);
    let state = |service: &str| inspect(&project.containers(service)[0], "{{.State.Status}}").unwrap();
    assert_eq!((state("web").as_str(), state("apart").as_str()), ("running", "running"));

    fs::rename(project.path("../git"), project.path(".git")).unwrap();
    project.apply().expect(0);
    assert_eq!(project.containers("web"), before);
}

/// A migration that would run with the variable's default: it is no service of the manifest.
#[test]
fn while_a_variable_is_not_known_nobody_runs_a_job_that_uses_it() {
    let project = project(&format!("{LABEL}, variable: GIT_SHA"));
    let plain = "image: undrift-example-base, init: true, stop_grace_period: 0s";
    let waits = "depends_on: { migrate: { condition: service_completed_successfully } }";
    let more = format!(
        "  migrate: {{ {plain}, command: \"true\", environment: {{ SHA: \"${{RELEASE:-none}}\" }} }}\n  \
         app: {{ {plain}, command: sleep 1000, {waits} }}\n"
    );
    project.write("compose.yaml", &format!("{COMPOSE}{more}"));
    // The job gets it by another name.
    project.write(".env", "RELEASE=r-${GIT_SHA:-none}\n");
    let services = "    - name: app\n  reconcile:";
    project.manifest(&manifest(&format!("{LABEL}, variable: GIT_SHA")).replace("  reconcile:", services));
    let commit = commit(&project, "two");
    by_hand(&project, &commit);
    project.apply().expect(0);
    let job = project.containers("migrate");

    fs::rename(project.path(".git"), project.path("../git")).unwrap();
    project.compose_with(&["rm", "-sf", "app", "migrate"], &[("GIT_SHA", &commit)]);
    assert_ne!(project.containers("migrate"), job);
    let apply = project.apply().expect(1);
    assert!(apply.stdout.contains("migrate") && apply.stdout.contains("GIT_SHA"), "{apply:?}");
    assert_eq!((project.containers("migrate").len(), project.containers("app").len()), (0, 0));

    fs::rename(project.path("../git"), project.path(".git")).unwrap();
    project.apply().expect(0);
    let made = project.containers("migrate");
    let told = inspect(&made[0], "{{.Config.Env}}").unwrap();
    assert!(told.contains(&format!("SHA=r-{commit}")), "{told}");
}

#[test]
fn a_file_or_a_text_is_what_the_service_must_carry() {
    let project = project("from: { env: GIT_SHA }, equals: { file: VERSION }, variable: GIT_SHA");
    project.write("VERSION", "1.4.2\n");
    by_hand(&project, "1.4.2");
    project.apply().expect(0);
    project.write("VERSION", "1.5.0\n");
    let apply = project.apply().expect(0);
    assert_eq!(project.steps(), ["Build", "Up"]);
    assert_eq!(revision(&apply)["image"], "1.5.0");
    project.write("VERSION", "not a revision\n");
    let check = project.check().expect(1);
    assert_eq!(check.condition("Ready"), "Unknown NotARevision");
    project.manifest(&manifest("from: { env: GIT_SHA }, equals: { text: 2.0.0 }"));
    assert_eq!(project.check().expect(1).drift("api"), "artifact RevisionDiffers");
}

#[test]
fn a_repository_of_another_user_is_read_all_the_same() {
    let project = released(&format!("{LABEL}, variable: GIT_SHA"));
    let chown = Command::new("chown").args(["-R", "65534:65534"]).arg(project.path("")).status().unwrap();
    assert!(chown.success());
    let check = project.check().expect(0);
    assert!(revision(&check)["expected"].is_string(), "{check:?}");
    project.manifest(&manifest(&format!("{LABEL}, paths: [api]")));
    let check = project.check().expect(1);
    let message = message(&check, "ArtifactCurrent");
    assert!(message.contains("git config --system --add safe.directory"), "{message}");
}
