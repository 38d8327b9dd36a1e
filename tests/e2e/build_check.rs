//! `check --build`: what an image was built from, by a build that leaves nothing.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    builds::{API, on_a_base},
    compose_binaries::Compose,
    daemon::Daemon,
    processes::Running,
    support::{MANIFEST, Project, Run, docker, every_second, inspect, run, wait_for},
};

const SERVICE: &str = "api: { build: ./api, init: true, stop_grace_period: 1s }";

/// The same, without the cache: two builds never have one ID, and no stale cache plays a part (see `stale_builds`).
const UNCACHED: &str =
    "api: { build: { context: ./api, no_cache: true }, init: true, stop_grace_period: 1s }";

/// The declared module, for a manifest without any.
const MODULES: &str = "      modules: [{ source: api/src/workflow, path: /app/dist/modules/workflow }]\n";

const ANOTHER: &str = "a build of the source as it is now gives another image than";

impl Project {
    /// [`Project::healthy`] under `source.drift` by this policy, with this service.
    fn checked_by(policy: &str, service: &str) -> Self {
        let project = Self::healthy();
        project.drift(policy);
        project.write("compose.yaml", &format!("services:\n  {service}\n"));
        fs::create_dir_all(project.path("tmp")).unwrap();
        project
    }

    fn drift(&self, policy: &str) {
        let drift = format!("  source: {{ drift: {policy} }}\n  reconcile:\n");
        self.manifest(&MANIFEST.replace("  reconcile:\n", &drift));
    }

    /// Takes the declared modules out of the manifest, so that all files count.
    fn declare_no_module(&self) {
        let manifest = fs::read_to_string(self.path("undrift.yaml")).unwrap();
        self.write("undrift.yaml", &manifest.replace(MODULES, ""));
    }

    /// `check --build`, with a folder for temporary files of its own.
    fn build_check(&self) -> Command {
        let mut command = self.command(&["check", "-f", "undrift.yaml", "--build", "-o", "json"]);
        command.env("TMPDIR", self.path("tmp"));
        command
    }

    fn check_build(&self) -> Run {
        run(&mut self.build_check())
    }

    /// The same with a Compose that first makes the file `building`, where it builds.
    fn build_check_that_tells(&self) -> Command {
        let (plugin, tells) = (self.path("docker/cli-plugins/docker-compose"), self.path("building"));
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *' build '*) touch '{}';; esac\nexec {} \"$@\"\n",
            tells.display(),
            Compose::own().path()
        );
        self.write("docker/cli-plugins/docker-compose", &script);
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = self.build_check();
        command.env("DOCKER_CONFIG", self.path("docker"));
        command
    }

    /// Starts one whose build takes this long, and waits until it builds.
    fn begin_build(&self, seconds: u32) -> Running {
        self.slow_down_build(seconds);
        let mut command = self.build_check_that_tells();
        let running = Running(
            command
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap(),
        );
        wait_for("the build", || self.path("building").exists());
        running
    }

    /// All that a build could have changed on the engine: containers, and images by name and ID.
    fn on_the_engine(&self) -> Vec<String> {
        let label = format!("label=com.docker.compose.project={}", self.name);
        let of = |args: &[&str]| docker(args).lines().map(str::to_owned).collect::<Vec<_>>();
        let containers =
            of(&["ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}", "--filter", &label]);
        let images = of(&["images", "-a", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]);
        let own = images.into_iter().filter(|image| image.contains(&self.name));
        let nameless = of(&["images", "-q", "--no-trunc", "--filter", "dangling=true", "--filter", &label]);
        let mut all: Vec<String> = containers.into_iter().chain(own).chain(nameless).collect();
        all.sort();
        all
    }

    fn temporary_files(&self) -> Vec<PathBuf> {
        fs::read_dir(self.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// `check --build` as it ends, which leaves all as it was.
    #[track_caller]
    fn check_leaves_all(&self, code: i32) -> Run {
        let before = self.on_the_engine();
        let check = self.check_build().expect(code);
        assert_eq!(self.on_the_engine(), before, "{check:?}");
        assert_eq!(self.temporary_files(), Vec::<PathBuf>::new());
        check
    }
}

impl Run {
    /// What is said of the artifact layer of a service.
    #[track_caller]
    fn artifact(&self, service: usize) -> String {
        let conditions = self.status()["services"][service]["conditions"].clone();
        let all = conditions.as_array().unwrap().iter();
        let artifact = all.into_iter().find(|condition| condition["type"] == "ArtifactCurrent").unwrap();
        format!("{} {}", artifact["status"].as_str().unwrap(), artifact["message"].as_str().unwrap())
    }
}

#[test]
fn adopted_image_is_known_by_one_build_as_if_undrift_had_built_it() {
    let project = Project::checked_by("enforce", SERVICE);
    project.apply().expect(0);
    let check = project.check_leaves_all(0);
    assert!(
        check.artifact(0).starts_with("True a build of the source as it is now gives the same image"),
        "{check:?}"
    );
    assert!(check.stderr.contains("api: builds it under another name"), "{check:?}");
    assert_eq!(project.check().expect(0).artifact(0), "True ", "nothing more is to be said");
    assert_eq!(project.steps(), [""; 0]);
    project.append("api/src/workflow/index", "changed\n");
    let drift = project.check().expect(1);
    assert_eq!(drift.drift("api"), "artifact SourceChanged");
    assert!(drift.artifact(0).contains("the source has changed since the image"), "{drift:?}");
    assert!(drift.artifact(0).contains("was built"), "{drift:?}");
    project.assert_trail_is_whole();
}

#[test]
fn build_that_the_cache_has_gives_the_same_id() {
    let project = Project::checked_by("report", SERVICE);
    project.rebuild();
    let check = project.check_build().expect(1);
    // The container runs the image from before.
    assert_eq!(check.drift("api"), "container ImageOutdated");
    assert!(check.artifact(0).ends_with(": the same ID"), "{check:?}");
}

#[test]
fn image_of_an_older_source_is_drift_until_it_is_built_and_what_differs_is_named() {
    let project = Project::checked_by("enforce", UNCACHED);
    project.write("api/src/workflow/index", "changed\n");
    project.write("api/src/workflow/more", "new\n");
    // Adopted as it is: undrift has never seen the image with another source.
    project.apply().expect(0);
    let check = project.check_leaves_all(1);
    assert_eq!(check.drift("api"), "artifact SourceChanged");
    let words = "of its files 1 differs, 1 is missing (/app/dist/modules/workflow/index, /app/dist/modules/workflow/more)";
    assert!(check.artifact(0).contains(ANOTHER) && check.artifact(0).ends_with(words), "{check:?}");
    assert_eq!(project.check().expect(1).artifact(0), check.artifact(0), "it is remembered, with its time");
    project.drift("report");
    let reported = project.check().expect(0);
    assert!(
        reported.artifact(0).starts_with("True ") && reported.artifact(0).contains(ANOTHER),
        "{reported:?}"
    );
    project.drift("ignore");
    assert_eq!(project.check().expect(0).artifact(0), "True ");
    project.drift("enforce");
    // Of another source it says nothing: what is known is that the source changed after the first look.
    project.write("api/src/workflow/more", "newer\n");
    let since = project.check().expect(1);
    assert!(since.artifact(0).contains("was seen first"), "{since:?}");
    project.write("api/src/workflow/more", "new\n");
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Build", "Up"]);
    assert_eq!(project.check_leaves_all(0).drift("api"), "");
}

#[test]
fn source_that_goes_back_to_what_was_built_is_the_same() {
    let project = Project::checked_by("enforce", UNCACHED);
    project.declare_no_module();
    let before = fs::read_to_string(project.path("api/src/workflow/index")).unwrap();
    project.write("api/src/workflow/index", "changed\n");
    project.apply().expect(0);
    project.check_leaves_all(1);
    project.write("api/src/workflow/index", &before);
    let since = project.check().expect(1);
    assert!(since.artifact(0).contains("was seen first"), "it cannot know better: {since:?}");
    let check = project.check_leaves_all(0);
    assert!(check.artifact(0).ends_with("the same configuration and files"), "{check:?}");
    project.check().expect(0);
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn image_that_is_the_same_in_its_modules_is_not_taken_for_built_from_all_of_the_source() {
    let project = Project::checked_by("enforce", UNCACHED);
    project.append("api/Dockerfile", "COPY server* /srv/\n");
    project.write("api/server", "old\n");
    project.compose(&["up", "-d", "--build"]);
    project.apply().expect(0);
    // Outside of the module, and after the image was seen first.
    project.write("api/server", "new\n");
    project.check().expect(1);
    let check = project.check_leaves_all(1);
    let words = "as far as they were compared";
    assert!(check.stderr.contains(words), "{check:?}");
    assert!(check.artifact(0).contains("was seen first"), "the image cannot hold it: {check:?}");
    // Nor later, in words that say what was compared.
    assert_eq!(project.check().expect(1).drift("api"), "artifact SourceChanged");
    project.write("api/server", "old\n");
    assert_eq!(project.check().expect(0).artifact(0), "True ", "of another source it says nothing");
    let check = project.check_leaves_all(0);
    assert!(check.artifact(0).contains(words), "{check:?}");
    assert_eq!(project.check().expect(0).artifact(0), check.artifact(0), "it is remembered, with its time");
}

#[test]
fn module_that_neither_image_has_proves_nothing() {
    let project = Project::checked_by("report", UNCACHED);
    project.compose(&["up", "-d", "--build"]);
    let manifest = fs::read_to_string(project.path("undrift.yaml")).unwrap();
    project.write("undrift.yaml", &manifest.replace(MODULES, "      modules: [{ path: /app/none }]\n"));
    let check = project.check_build().expect(1);
    assert!(
        check.stderr.contains("is not known")
            && check.stderr.contains("neither of the two has the declared module /app/none"),
        "{check:?}"
    );
}

#[test]
fn image_that_differs_in_its_configuration_only_is_named_without_a_value() {
    let project = Project::checked_by("enforce", UNCACHED);
    project.append("api/Dockerfile", "ENV MODE=hunter2-of-the-build\nLABEL tier=hunter3\n");
    project.apply().expect(0);
    let mut command = project.build_check();
    let check = run(command.args(["--log", "undrift=debug"])).expect(1);
    let words = "its configuration differs (environment MODE, label tier)";
    assert!(check.artifact(0).ends_with(words), "{check:?}");
    assert!(!check.stdout.contains("hunter"), "{check:?}");
    let said = check.stderr.lines().filter(|line| !line.contains("ENV ") && !line.contains("LABEL "));
    assert!(said.into_iter().all(|line| !line.contains("hunter")), "{check:?}");
}

#[test]
fn build_that_stamps_a_date_is_the_same_in_its_modules_and_another_in_all_files() {
    let project = Project::checked_by("enforce", UNCACHED);
    project.append("api/Dockerfile", "RUN date +%s%N > /stamp; touch /x.pyc; date > /y.pyc\n");
    project.compose(&["up", "-d", "--build"]);
    project.apply().expect(0);
    let check = project.check_leaves_all(0);
    assert!(check.artifact(0).ends_with("the same files in the declared modules"), "{check:?}");
    project.declare_no_module();
    let check = project.check_leaves_all(1);
    assert_eq!(check.drift("api"), "artifact SourceChanged");
    assert!(check.artifact(0).ends_with("of its files 1 differs (/stamp)"), "{check:?}");
    // What undrift builds differs in the stamp again, and is known to be of this source.
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Build", "Up"]);
    let own = project.check_leaves_all(0);
    assert!(own.artifact(0).contains("undrift built that image from this very source"), "{own:?}");
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Build", "Up"]);
}

#[test]
fn without_a_module_the_whole_file_system_is_compared() {
    let project = Project::checked_by("report", UNCACHED);
    project.declare_no_module();
    let check = project.check_leaves_all(0);
    assert!(check.artifact(0).ends_with(": the same configuration and files"), "{check:?}");
    project.append("api/Dockerfile", "RUN echo x > /more && rm /serve && cp /bin/sh /serve\n");
    let check = project.check_leaves_all(0);
    assert!(check.artifact(0).ends_with("of its files 1 differs, 1 is missing (/more, /serve)"), "{check:?}");
}

#[test]
fn services_are_answered_each_by_its_own_build_and_those_of_one_image_by_one() {
    let project = Project::checked_by("report", UNCACHED);
    project.add_service("web");
    let image = format!("{}-jobs", project.name);
    let job = format!(
        "{{ image: {image}, build: {{ context: ./web, no_cache: true }}, init: true, stop_grace_period: 1s }}"
    );
    project.write("compose.yaml", &format!("services:\n  {UNCACHED}\n  one: &one {job}\n  two: *one\n  plain: {{ image: undrift-example-base, command: [sleep, infinity], init: true }}\n"));
    let more =
        "    - name: one\n    - { name: two, modules: [{ path: /app/dist/modules }] }\n    - name: plain\n";
    let manifest = fs::read_to_string(project.path("undrift.yaml")).unwrap();
    project.write("undrift.yaml", &manifest.replace("  source:", &format!("{more}  source:")));
    project.compose(&["build", "one"]);
    project.compose(&["up", "-d"]);
    project.write("web/src/x", "new\n");
    let check = project.check_leaves_all(0);
    assert!(check.artifact(0).contains("gives the same as"), "{check:?}");
    assert!(
        check.artifact(1).ends_with("of its files 2 are missing (/app/dist/modules/x, /src/x)"),
        "{check:?}"
    );
    assert!(check.artifact(2).ends_with("of its files 1 is missing (/app/dist/modules/x)"), "{check:?}");
    assert_eq!(check.stderr.matches("builds it under another name").count(), 2, "{check:?}");
    assert!(!check.stderr.contains("plain"), "it is not built: {check:?}");
}

#[test]
fn image_on_anothers_image_is_only_judged_where_that_one_is_the_same() {
    let project = on_a_base("FROM BASE_IMAGE\nRUN true\n", API);
    fs::create_dir_all(project.path("tmp")).unwrap();
    // Something of the base that no layer of it has.
    project.append("base/Dockerfile", "LABEL tier=old\n");
    project.compose(&["build", "--no-cache", "base"]);
    project.compose(&["build", "--no-cache", "api"]);
    project.compose(&["up", "-d", "--no-build", "api"]);
    let check = project.check_leaves_all(0);
    assert!(check.artifact(0).contains("gives the same image"), "{check:?}");
    assert!(
        check.stderr.contains("base: a build of the source as it is now gives the same image"),
        "{check:?}"
    );
    let dockerfile = fs::read_to_string(project.path("base/Dockerfile")).unwrap();
    project.write("base/Dockerfile", &dockerfile.replace("tier=old", "tier=new"));
    let check = project.check_leaves_all(1);
    let words = format!(
        "it would be built on the image {}-base of base, and a build of that is another one",
        project.name
    );
    assert!(check.artifact(0).starts_with("Unknown ") && check.artifact(0).ends_with(&words), "{check:?}");
    assert!(check.stderr.contains("its configuration differs (label tier)"), "{check:?}");
}

#[test]
fn build_that_fails_is_unknown_and_no_drift() {
    let project = Project::checked_by("report", SERVICE);
    project.append("api/Dockerfile", "RUN echo the reason; exit 3\n");
    let check = project.check_leaves_all(1);
    assert_eq!(check.drift("api"), "");
    assert!(check.artifact(0).starts_with("Unknown "), "{check:?}");
    assert!(
        check.artifact(0).contains("the build fails: ") && check.artifact(0).contains("exit code: 3"),
        "{check:?}"
    );
    assert_eq!(project.check().expect(0).drift("api"), "", "it is not remembered");
}

#[test]
fn names_that_the_files_give_a_build_besides_stay_where_they_are() {
    let project = Project::checked_by("report", SERVICE);
    let extra = format!("{}-extra:1", project.name);
    docker(&["tag", "undrift-example-base", &extra]);
    let tags = format!(
        "api: {{ build: {{ context: ./api, tags: [\"{extra}\"] }}, init: true, stop_grace_period: 1s }}"
    );
    project.write("compose.yaml", &format!("services:\n  {tags}\n"));
    project.append("api/Dockerfile", "LABEL a=b\n");
    let check = project.check_leaves_all(0);
    assert!(check.artifact(0).contains("its configuration differs (label a)"), "{check:?}");
}

#[test]
fn source_that_changes_during_the_build_has_no_answer() {
    let project = Project::checked_by("enforce", UNCACHED);
    project.slow_down_build(0);
    project.compose(&["up", "-d", "--build"]);
    project.apply().expect(0);
    let mut running = project.begin_build(4);
    project.write("api/src/workflow/index", "changed\n");
    let output = running.0.wait().unwrap();
    assert_eq!(output.code(), Some(1));
    let mut stderr = String::new();
    std::io::Read::read_to_string(running.0.stderr.as_mut().unwrap(), &mut stderr).unwrap();
    assert!(stderr.contains("the source has changed meanwhile"), "{stderr}");
    // What is known is that it has changed after the first look.
    assert!(project.check().expect(1).artifact(0).contains("was seen first"));
}

#[test]
fn base_image_that_moves_during_the_build_has_no_answer() {
    let project = Project::checked_by("enforce", UNCACHED);
    let base = format!("{}-foreign:1", project.name);
    docker(&["tag", "undrift-example-base", &base]);
    let dockerfile = fs::read_to_string(project.path("api/Dockerfile")).unwrap();
    project
        .write("api/Dockerfile", &dockerfile.replace("FROM undrift-example-base", &format!("FROM {base}")));
    project.slow_down_build(0);
    project.compose(&["up", "-d", "--build"]);
    project.apply().expect(0);
    let check = project.check_leaves_all(0);
    assert!(check.artifact(0).starts_with("True "), "{check:?}");
    let mut running = project.begin_build(4);
    docker(&["tag", &format!("{}-api", project.name), &base]);
    assert_eq!(running.0.wait().unwrap().code(), Some(1));
    let mut stderr = String::new();
    std::io::Read::read_to_string(running.0.stderr.as_mut().unwrap(), &mut stderr).unwrap();
    let words = format!("the image {base}, which it is built on, has changed meanwhile");
    assert!(stderr.contains(&words), "{stderr}");
}

#[test]
fn build_whose_reference_another_profile_builds_otherwise_is_compared_and_not_remembered() {
    let project = Project::checked_by("report", UNCACHED);
    project.declare_no_module();
    let image = format!("{}-jobs", project.name);
    project.write("web/Dockerfile", "FROM undrift-example-base\nCOPY . /web\n");
    let of = |rest: &str| UNCACHED.replace("{ build", &format!("{{ image: {image}, {rest}build"));
    let web = of("profiles: [other], ").replace("api:", "web:").replace("./api", "./web");
    project.write("compose.yaml", &format!("services:\n  {}\n  {web}\n", of("")));
    project.compose(&["up", "-d", "--build"]);
    project.apply().expect(0);
    let check = project.check_leaves_all(0);
    let words = format!("the builds of web write {image}, too");
    assert!(
        check.artifact(0).contains("gives the same image") && check.artifact(0).contains(&words),
        "{check:?}"
    );
    // Otherwise it would be known what the image was built from.
    project.append("api/src/workflow/index", "changed\n");
    let later = project.check().expect(0);
    assert!(later.artifact(0).contains("was seen first"), "{later:?}");
    project.compose(&["build", "web"]);
    let check = project.check_leaves_all(1);
    assert!(check.artifact(0).contains(ANOTHER) && check.artifact(0).contains(&words), "{check:?}");
}

#[test]
fn interrupted_build_leaves_nothing() {
    let project = Project::checked_by("report", UNCACHED);
    let before = project.on_the_engine();
    let mut running = project.begin_build(30);
    kill_process(Pid::from_child(&running.0), Signal::INT).unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(2));
    assert_eq!((project.on_the_engine(), project.temporary_files()), (before, vec![]));
    assert!(!project.is_at(" build "), "{:?}", project.processes());
}

#[test]
fn killed_check_leaves_nothing_after_the_next_look() {
    let project = Project::checked_by("report", UNCACHED);
    let before = project.on_the_engine();
    let mut running = project.begin_build(60);
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    assert!(project.is_at(" build "), "Compose builds on");
    let [folder] = &project
        .temporary_files()
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("undrift-check-"))
        .collect::<Vec<_>>()[..]
    else {
        panic!("{:?}", project.temporary_files());
    };
    // As if it had come as far as the name, for the image that runs and for one of its own.
    let name = folder.file_name().unwrap().to_str().unwrap().strip_prefix("undrift-check-").unwrap();
    let (name, _) = name.rsplit_once('-').unwrap();
    for service in ["api", "other"] {
        docker(&["tag", &project.image(), &format!("undrift-check/{}/{service}:{name}", project.name)]);
    }
    // And as if it had looked into an image that nothing else has: of process 1, which began at another time.
    let own = format!("undrift-check/{}/own:{name}", project.name);
    docker(&["commit", &project.containers("api")[0], &own]);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap();
    let mark = format!("dev.undrift.lookup={} {} 1 1", host.trim(), namespace.display());
    let no_service = ["--label", "com.docker.compose.project=", "--label", "com.docker.compose.service="];
    let look_up = docker(&[&["create", "--label", &mark], &no_service[..], &[&own]].concat());
    let mut look = project.command(&["check", "-f", "undrift.yaml"]);
    run(look.env("TMPDIR", project.path("tmp"))).expect(0);
    assert_eq!((project.on_the_engine(), project.temporary_files()), (before, vec![]));
    assert_eq!(inspect(look_up.trim(), "{{.Id}}"), None);
    assert!(!project.is_at(" build "), "{:?}", project.processes());
}

#[test]
fn check_waits_for_the_build_of_an_undrift_that_runs() {
    let project = Project::checked_by("enforce", UNCACHED);
    let enforce = "  source: { drift: enforce }\n  reconcile:\n";
    project.manifest(&every_second().replace("  reconcile:\n", enforce));
    let _daemon = Daemon::start(&project);
    project.slow_down_build(6);
    wait_for("its build", || project.is_at(" build "));
    let check = project.check_build();
    assert!(check.stderr.contains(&format!("waits: undrift builds {} now", project.name)), "{check:?}");
    assert!(check.artifact(0).contains("gives the same as"), "{check:?}");
}

#[test]
fn image_without_another_name_stays_where_it_runs() {
    let project = Project::checked_by("report", SERVICE);
    let runs = project.image();
    // The name of a process that is long gone, and of no host that is known.
    let name = format!("undrift-check/{}/api:0123456789abcdef.1.1.1", project.name);
    docker(&["tag", &runs, &name]);
    docker(&["rmi", &format!("{}-api", project.name)]);
    project.check();
    assert_eq!(
        docker(&["image", "inspect", "-f", "{{.Id}} {{.RepoTags}}", &runs]).trim(),
        format!("{runs} []")
    );
    assert!(
        !docker(&["images", "--format", "{{.Repository}}"])
            .contains(&format!("undrift-check/{}", project.name))
    );
}

#[test]
fn without_a_state_folder_the_answer_is_shown_and_not_remembered() {
    let project = Project::checked_by("enforce", UNCACHED);
    project.append("api/Dockerfile", "LABEL a=b\n");
    let check = project.check_leaves_all(1);
    assert_eq!(check.drift("api"), "artifact SourceChanged");
    assert!(check.stderr.contains("what was built is not remembered: there is no state in"), "{check:?}");
    assert!(!project.state_dir().exists());
    project.check().expect(0);
}

#[test]
fn daemon_that_runs_knows_the_answer_from_its_next_look_on() {
    let project = Project::checked_by("enforce", UNCACHED);
    project.append("api/Dockerfile", "LABEL a=b\n");
    project
        .manifest(&every_second().replace("  reconcile:\n", "  source: { drift: enforce }\n  reconcile:\n"));
    let _daemon = Daemon::start(&project);
    assert_eq!(project.steps(), [""; 0]);
    let check = project.check_build().expect(1);
    assert!(check.artifact(0).contains("its configuration differs (label a)"), "{check:?}");
    wait_for("the repair", || project.steps_that_counted() == ["Build", "Up"]);
    wait_for("the label", || {
        docker(&["image", "inspect", "-f", "{{.Config.Labels.a}}", &format!("{}-api", project.name)]).trim()
            == "b"
    });
}

#[test]
fn suspended_object_is_checked_all_the_same() {
    let project = Project::checked_by("enforce", UNCACHED);
    project.apply().expect(0);
    project.undrift(&["suspend", &project.name, "--reason", "a migration"]).expect(0);
    let check = project.check_leaves_all(0);
    assert!(check.artifact(0).contains("gives the same as"), "{check:?}");
}
