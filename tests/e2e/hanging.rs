//! Files that somebody names and that hang: a pipe without a writer, a file system whose server is gone. Every verb ends, and
//! what does not need them is healed.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    daemon::Daemon,
    dead_mount::DeadMount,
    support::{EVERY_SECOND, MANIFEST, Project, Run, docker, run, wait_for},
};

/// What the manifests of other tests read their password from.
const FROM_ENV: &str = "{ env: E2E_PASSWORD }";

/// How long a verb may take that would otherwise not end.
const LONG: Duration = Duration::from_secs(100);

fn password_from(file: &Path) -> String {
    MANIFEST.replace(FROM_ENV, &format!("{{ file: {} }}", file.display()))
}

fn pipe_at(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// Runs a verb to its end, which must come.
#[track_caller]
fn ends(project: &Project, verb: &[&str]) -> Run {
    let mut command = project.command(verb);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child: Child = command.spawn().unwrap();
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if since.elapsed() > LONG {
            child.kill().unwrap();
            panic!("{verb:?} does not end");
        }
        thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// What the only route with credentials answered, in words.
fn auth_verified(run: &Run) -> String {
    let service = &run.status()["services"][0];
    let conditions = service["conditions"].as_array().unwrap();
    let auth = conditions.iter().find(|condition| condition["type"] == "AuthVerified").unwrap();
    format!("{} {}", auth["status"].as_str().unwrap(), auth["message"].as_str().unwrap())
}

#[test]
fn password_file_that_is_a_pipe_ends_every_verb_and_is_read_once_it_is_a_file() {
    let project = Project::healthy();
    let secret = project.path("secret");
    pipe_at(&secret);
    project.manifest(&password_from(&secret).replace("timeout: 60s", "timeout: 2s"));
    let f = ["-f", "undrift.yaml"];
    for (verb, code) in [("validate", 0), ("check", 1), ("plan", 1), ("apply", 1), ("doctor", 1)] {
        let ended = ends(&project, &[&[verb], &f[..]].concat()).expect(code);
        let output = format!("{}{}", ended.stdout, ended.stderr);
        assert!(verb == "validate" || output.contains("is a named pipe"), "{verb}: {output}");
    }
    let check = project.check().expect(1);
    assert!(auth_verified(&check).starts_with("Unknown "), "{check:?}");
    assert!(project.steps().is_empty());

    let daemon = Daemon::start(&project);
    docker(&["kill", &project.containers("api")[0]]);
    wait_for("what is down to be started", || project.runs_its_image());
    fs::remove_file(&secret).unwrap();
    fs::write(&secret, "secret\n").unwrap();
    wait_for("the password to be read", || project.apply().code == Some(0));
    assert!(daemon.end().success());
}

/// Neighbours: certificates, and a file system in the pipe's place.
#[test]
fn secrets_and_certificates_on_a_dead_file_system_end_every_verb() {
    let project = Project::healthy();
    let dead = DeadMount::over(&project.path("dead"));
    // What is not known is not waited for longer than this.
    let briefly = |manifest: String| manifest.replace("timeout: 60s", "timeout: 2s");
    for manifest in [
        password_from(Path::new("dead/secret")),
        MANIFEST.replace(
            "          expect: [401]",
            "          scheme: https\n          tls: { caFile: dead/ca.pem }\n          expect: [401]",
        ),
    ] {
        project.manifest(&briefly(manifest.clone()));
        for (verb, code) in [("validate", 0), ("check", 1), ("plan", 1), ("apply", 1)] {
            let ended = ends(&project, &[verb, "-f", "undrift.yaml"]).expect(code);
            let output = format!("{}{}", ended.stdout, ended.stderr);
            assert!(verb == "validate" || output.contains("does not answer"), "{verb}: {output}");
        }
        ends(&project, &["doctor", "-f", "undrift.yaml"]).expect(1);
    }
    assert!(project.steps().is_empty());
    drop(dead);
}

#[test]
fn compose_inputs_that_hang_are_unknown_with_their_names_and_no_step_is_taken() {
    let project = Project::in_incident();
    let f = ["-f", "undrift.yaml"];
    pipe_at(&project.path(".env"));
    for verb in ["check", "plan", "apply"] {
        let ended = ends(&project, &[&[verb], &f[..]].concat()).expect(2);
        assert!(ended.stderr.contains("/.env is a named pipe and not a regular file"), "{ended:?}");
    }
    assert_eq!(project.check().condition("Ready"), "Unknown FileUnusable");
    let doctor = ends(&project, &["doctor", "-f", "undrift.yaml"]).expect(1);
    assert!(doctor.stdout.contains("/.env is a named pipe"), "{doctor:?}");
    fs::remove_file(project.path(".env")).unwrap();

    let dead = DeadMount::over(&project.path("dead"));
    let compose = fs::read_to_string(project.path("compose.yaml")).unwrap();
    for hangs in [
        compose.replace("init: true", "init: true, env_file: dead/x.env"),
        format!("include: [dead/compose.yaml]\n{compose}"),
    ] {
        project.write("compose.yaml", &hangs);
        for verb in ["check", "apply"] {
            let ended = ends(&project, &[&[verb], &f[..]].concat()).expect(2);
            assert!(ended.stderr.contains("does not answer"), "{ended:?}");
        }
        assert_eq!(project.check().condition("Ready"), "Unknown FileHangs");
    }
    // What the build reads is known to nobody, and no build is begun that would wait for it; all else is seen.
    let dockerfile = "build: { context: ./api, dockerfile: ../dead/D }";
    project.write("compose.yaml", &compose.replace("build: ./api", dockerfile));
    let check = ends(&project, &[&["check", "-o", "json"], &f[..]].concat()).expect(1);
    assert_eq!(check.drift("api"), "artifact ModuleMissing");
    docker(&["kill", &project.containers("api")[0]]);
    let apply = ends(&project, &[&["apply"], &f[..]].concat()).expect(1);
    assert!(apply.stdout.contains("does not answer: what it is on hangs, so no build can work"), "{apply:?}");
    assert!(!project.steps().contains(&"Build".to_owned()), "{:?}", project.steps());
    assert!(project.runs_its_image(), "what is down is started");
    drop(dead);
    project.write("compose.yaml", &compose);
    project.apply().expect(0);
}

#[test]
fn build_files_that_are_too_large_are_named_and_no_build_begins() {
    for name in ["api/.dockerignore", "api/Dockerfile"] {
        let project = Project::in_incident();
        let file = fs::File::create(project.path(name)).unwrap();
        file.set_len(3 << 30).unwrap();
        let apply = ends(&project, &["apply", "-f", "undrift.yaml"]).expect(1);
        let output = format!("{} has 3 GiB, and", fs::canonicalize(project.path(name)).unwrap().display());
        assert!(apply.stdout.contains(&output) && apply.stdout.contains("so no build can work"), "{apply:?}");
        assert_eq!(project.steps(), [""; 0], "{name}");
    }
}

/// The name of a link in a circle is told, whatever Compose says of it.
#[test]
fn compose_files_whose_links_lead_in_a_circle_are_refused_by_their_names() {
    let project = Project::healthy();
    let compose = fs::read_to_string(project.path("compose.yaml")).unwrap();
    std::os::unix::fs::symlink("circle.yaml", project.path("circle.yaml")).unwrap();
    let circle = fs::canonicalize(project.path("")).unwrap().join("circle.yaml");
    for refers in [
        format!("include: [circle.yaml]\n{compose}"),
        compose.replace("init: true", "init: true, env_file: circle.yaml"),
        compose.replace("init: true", "init: true, extends: { file: circle.yaml, service: api }"),
    ] {
        assert_ne!(refers, compose);
        project.write("compose.yaml", &refers);
        for verb in ["check", "apply"] {
            let ended = ends(&project, &[verb, "-f", "undrift.yaml"]).expect(2);
            let output = format!("{}: too many levels of symbolic links", circle.display());
            assert!(ended.stderr.contains(&output), "{refers}: {ended:?}");
        }
    }
}

#[test]
fn manifests_and_projects_on_a_dead_file_system_are_errors_of_their_own() {
    let project = Project::healthy();
    let dead = DeadMount::over(&project.path("dead"));
    fs::create_dir(project.path("manifests")).unwrap();
    fs::rename(project.path("undrift.yaml"), project.path("manifests/a.yaml")).unwrap();
    let text = fs::read_to_string(project.path("manifests/a.yaml")).unwrap();
    project.write("manifests/a.yaml", &text.replace("directory: .", "directory: .."));
    std::os::unix::fs::symlink(project.path("dead/b.yaml"), project.path("manifests/b.yaml")).unwrap();
    let other = text.replace(&project.name, "other").replace("directory: .", "directory: ../dead");
    project.write("manifests/c.yaml", &other);
    let invalid = ends(&project, &["validate", "-f", "manifests"]).expect(2);
    let target = project.path("dead/b.yaml");
    let by_both = format!("manifests/b.yaml (a symbolic link to {}) does not answer", target.display());
    assert!(invalid.stderr.contains(&format!("this file cannot be read: {by_both}")), "{invalid:?}");
    assert!(invalid.stderr.contains("manifests/c.yaml:5:"), "{invalid:?}");
    assert_eq!(invalid.stderr.matches("does not answer").count(), 2, "{invalid:?}");
    for verb in ["check", "apply", "doctor"] {
        let code = if verb == "doctor" { 1 } else { 2 };
        ends(&project, &[verb, "-f", "manifests"]).expect(code);
    }
    // The state and the engine's context, too.
    let state = project.path("dead/state");
    let mut check = project.command(&["apply", "-f", "manifests/a.yaml"]);
    let refused = run(check.arg("--state-dir").arg(&state)).expect(2);
    assert!(refused.stderr.contains("cannot use the state folder"), "{refused:?}");
    let mut check = project.command(&["check", "-f", "manifests/a.yaml"]);
    let refused =
        run(check.env("DOCKER_CONFIG", project.path("dead/docker")).env_remove("DOCKER_HOST")).expect(2);
    assert!(refused.stderr.contains("dead/docker/config.json"), "{refused:?}");
    drop(dead);
}

/// More than may hang on one file system: a look at them takes longer than one access, and names each.
#[test]
fn doctor_names_manifests_and_env_files_that_hang_and_examines_all_else() {
    const LINKS: usize = 10;
    let project = Project::healthy();
    let dead = DeadMount::over(&project.path("dead"));
    let text = fs::read_to_string(project.path("undrift.yaml")).unwrap();
    project.write("manifests/a.yaml", &text.replace("directory: .", "directory: .."));
    for number in 0..LINKS {
        let link = project.path(&format!("manifests/m{number}.yaml"));
        std::os::unix::fs::symlink(project.path(&format!("dead/{number}.yaml")), link).unwrap();
    }
    let compose = fs::read_to_string(project.path("compose.yaml")).unwrap();
    project
        .write("other/compose.yaml", &compose.replace("init: true", "init: true, env_file: ../dead/x.env"));
    project.write("other/api/Dockerfile", "FROM undrift-example-base\n");
    let other = text.replace(&project.name, "other").replace("directory: .", "directory: ../other");
    project.write("manifests/z.yaml", &other);

    let doctor = ends(&project, &["doctor", "-f", "manifests", "-o", "json"]).expect(1).json();
    let checks = doctor["checks"].as_array().unwrap();
    let of = |name: &str| {
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        (check["status"].as_str().unwrap().to_owned(), check["found"].as_str().unwrap().to_owned())
    };
    let (status, found) = of("ManifestsValid");
    assert_eq!(status, "failed", "{found}");
    let by_both =
        format!("m0.yaml (a symbolic link to {}) does not answer", project.path("dead/0.yaml").display());
    assert!(found.starts_with("10 errors: ") && found.contains(&by_both), "{found}");
    let (status, found) = of("ComposeProjectsAccepted");
    assert_eq!(status, "failed", "{found}");
    assert!(found.starts_with("other: ") && found.contains("dead/x.env does not answer"), "{found}");
    for name in ["CredentialsReadable", "RoutesReachable", "BuildsPossible", "EngineReachable"] {
        assert_eq!(of(name).0, "ok", "{name} is examined all the same: {checks:?}");
    }
    drop(dead);
}

/// The threads of a process that look at files.
fn file_threads(daemon: &Daemon) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().flatten();
    tasks
        .filter(|task| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "undrift-files")
        })
        .count()
}

/// How often the daemon has decided what is next for this project.
fn looks_at(daemon: &Daemon, project: &Project) -> usize {
    let of_it = format!("object=\"{}\"", project.name);
    daemon.log().lines().filter(|line| line.contains(&of_it) && line.contains(" decided next=")).count()
}

#[test]
fn a_daemon_asks_once_for_what_hangs_heals_all_else_and_reads_it_when_it_is_back() {
    let (project, well) = (Project::healthy(), Project::healthy());
    let dead = DeadMount::over(&project.path("dead"));
    project.manifest(&password_from(Path::new("dead/secret")).replace(EVERY_SECOND.0, EVERY_SECOND.1));
    let mut command = project.command(&["--log", "undrift=debug", "run", "-f", "undrift.yaml", "-f"]);
    let daemon = Daemon::spawn(command.arg(well.path("undrift.yaml")), &project);
    daemon.wait_until_ready();
    wait_for("many looks at what hangs", || looks_at(&daemon, &project) >= 12);
    // The file, and the folder that it is in, which somebody else could change. A thread that is at work on what does
    // not hang may be seen beside them; had each look left one behind, they would never be two again.
    wait_for("two threads to hang, and no more", || file_threads(&daemon) == 2);
    docker(&["kill", &well.containers("api")[0]]);
    wait_for("the other to be healed", || well.runs_its_image());
    let unknown = || project.condition("Ready").starts_with("Unknown");
    wait_for("its status", unknown);

    // Mounted anew: nobody has told the thread that waits, and nobody waits for it.
    dead.unmount();
    project.write("dead/secret", "secret\n");
    wait_for("the password to be read", || {
        let all = project.undrift(&["get", "-o", "json"]).json();
        all["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|item| item["status"]["conditions"][0]["status"] == "True")
    });
    wait_for("the two to hang on, and no more", || file_threads(&daemon) == 2);
    drop(dead);
    wait_for("the thread to end", || file_threads(&daemon) == 0);
    assert!(daemon.end().success());
}

/// Far more objects than are worked on at once: each path that hangs is asked for once, and what does not hang is served.
#[test]
fn a_daemon_with_many_objects_that_hang_serves_the_others() {
    const HUNG: usize = 60;
    let (project, well) = (Project::healthy(), Project::healthy());
    let dead = DeadMount::over(&project.path("dead"));
    let compose = fs::read_to_string(project.path("compose.yaml")).unwrap();
    let text =
        fs::read_to_string(project.path("undrift.yaml")).unwrap().replace(EVERY_SECOND.0, EVERY_SECOND.1);
    for number in 0..HUNG {
        let env_file = format!("init: true, env_file: ../dead/{number}.env");
        project.write(&format!("p{number}/compose.yaml"), &compose.replace("init: true", &env_file));
        project.write(&format!("p{number}/api/Dockerfile"), "FROM undrift-example-base\n");
        let object = text.replace(&project.name, &format!("hung{number}"));
        let object = object.replace("directory: .", &format!("directory: ../p{number}"));
        project.write(&format!("manifests/{number}.yaml"), &object);
    }
    let mut command = project.command(&["run", "--concurrency", "2", "-f", "manifests", "-f"]);
    let daemon = Daemon::spawn(command.arg(well.path("undrift.yaml")), &project);
    wait_for("every object to be looked at", || {
        daemon.log().matches("nothing can be said of the object").count() == HUNG
    });
    // Were each path waited for at each look, one round over all of them took longer than this waits: sixty times five
    // seconds, two at once.
    for _ in 0..3 {
        docker(&["kill", &well.containers("api")[0]]);
        wait_for("the other to be healed", || well.runs_its_image());
    }
    // Eight on one file system, and one that tries whether it answers.
    wait_for("the others to end", || file_threads(&daemon) <= 9 + 2);
    assert!(daemon.end().success());
    drop(dead);
}

#[test]
fn a_daemon_whose_threads_are_spent_reports_it_and_ends_with_an_error() {
    // As many dead file systems as it takes, each with more files than may hang on one.
    const MOUNTS: usize = 17;
    let project = Project::healthy();
    let dead: Vec<_> =
        (0..MOUNTS).map(|number| DeadMount::over(&project.path(&format!("dead{number}")))).collect();
    let route = |number: usize| {
        let file = format!("dead{}/{number}", number % MOUNTS);
        format!(
            "        - {{ name: r{number}, path: /api/workflow, port: 3000, expect: 401, control: off, auth: {{ basic: {{ \
             username: ops, passwordFrom: {{ file: {file} }} }}, expect: 200 }} }}\n"
        )
    };
    let routes = (0..MOUNTS * 9).map(route).collect::<Vec<_>>().concat();
    let manifest = MANIFEST.replace("      routes:\n", &format!("      routes:\n{routes}"));
    project.manifest(&manifest.replace(EVERY_SECOND.0, EVERY_SECOND.1));
    let notify = tempfile::tempdir().unwrap();
    let socket = std::os::unix::net::UnixDatagram::bind(notify.path().join("notify")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut command = project.command(&["run", "-f", "undrift.yaml"]);
    let mut daemon = Daemon::spawn(command.env("NOTIFY_SOCKET", notify.path().join("notify")), &project);
    assert_eq!(daemon.wait_for_end().code(), Some(2), "{}", daemon.log());
    assert!(daemon.log().contains("so many files hang that no more can be looked at"), "{}", daemon.log());
    let mut messages = Vec::new();
    let mut message = [0; 4096];
    while let Ok(length) = socket.recv(&mut message) {
        messages.push(String::from_utf8_lossy(&message[..length]).into_owned());
    }
    assert!(messages.iter().any(|message| message.contains("STOPPING=1")), "{messages:?}");
    let stopped = project.trail().into_iter().find(|record| record["kind"] == "Stopped").unwrap();
    assert!(
        stopped["evidence"]["reason"].as_str().is_some_and(|why| why.contains("files hang")),
        "{stopped}"
    );
    drop(dead);
}
