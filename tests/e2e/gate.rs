//! A look changes nothing, whatever Compose does with a flag: a wrapper around its plugin does with `--dry-run` what it
//! likes, as the docker CLI finds it.

use std::{
    fs, io,
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    process::Command,
    thread,
};

use crate::{
    compose_binaries::Compose,
    support::{MANIFEST, Project, Run, docker, run},
};

/// What the wrappers do to the words that they are called with, before they call Compose.
const DROPS_THE_FLAG: &str = r#"for word do shift; [ "$word" = --dry-run ] || set -- "$@" "$word"; done"#;

/// As declared and brought up by hand, but for an environment value that was changed since; observed only.
fn changed() -> Project {
    let project = Project::new();
    // What is unknown is looked at again for `verify.timeout`.
    let observe = "    mode: observe\n    verify: { timeout: 1s, stableFor: 500ms }\n";
    let (head, _) = MANIFEST.split_once("    verify:").unwrap();
    project.manifest(&format!("{head}{observe}"));
    project.add_module("api", "workflow");
    with_value(&project, "one");
    project.compose(&["up", "-d", "--build"]);
    with_value(&project, "two");
    project
}

fn with_value(project: &Project, value: &str) {
    let service = "{ build: ./api, init: true, stop_grace_period: 1s, environment: { V: VALUE } }";
    project.write("compose.yaml", &format!("services:\n  api: {}\n", service.replace("VALUE", value)));
}

/// Puts a script in its place; `COMPOSE` in it is the real one.
fn wrap(project: &Project, script: &str) {
    project.write(
        "docker/cli-plugins/docker-compose",
        &format!("#!/bin/sh\n{script}\n").replace("COMPOSE", &Compose::own().path()),
    );
    let path = project.path("docker/cli-plugins/docker-compose");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A verb with the wrapper in place.
fn wrapped(project: &Project, verb: &str) -> Command {
    let mut command = project.command(&[verb, "-f", "undrift.yaml", "-o", "json"]);
    command.env("DOCKER_CONFIG", project.path("docker"));
    command
}

/// Looks in each way that undrift has; nothing may have changed after any of them. Gives what `check` says.
#[track_caller]
fn looks(project: &Project, code: i32) -> Run {
    let before = (project.containers("api"), project.image());
    let [check, _, _] = ["check", "plan", "apply"].map(|verb| {
        let output = run(&mut wrapped(project, verb)).expect(code);
        assert_eq!((project.containers("api"), project.image()), before, "{verb}: {}", output.stdout);
        output
    });
    assert_eq!(project.steps().len(), 0);
    check
}

/// The configuration is unknown, and the reason names what was refused.
#[track_caller]
fn is_unknown(check: &Run, why: &str) {
    assert!(check.condition("Ready").starts_with("Unknown"), "{}", check.stdout);
    assert_eq!(check.condition("Stalled"), "False NotStalled");
    assert!(check.stdout.contains(why), "no {why}: {}", check.stdout);
}

#[test]
fn look_with_a_compose_that_drops_the_flag_recreates_nothing() {
    let project = changed();
    wrap(&project, &format!("{DROPS_THE_FLAG}\nexec COMPOSE \"$@\""));
    is_unknown(&looks(&project, 1), "POST /containers/create was refused");
    // It is the wrapper that is not believed, and not the gate that makes all unknown.
    assert_eq!(project.check().expect(1).drift("api"), "container ConfigChanged");
}

#[test]
fn look_with_a_compose_that_builds_moves_no_image() {
    let project = changed();
    project.write("api/src/workflow/index", "another\n");
    let builds = r#"for word do shift
  case "$word" in --dry-run) ;; --no-build) set -- "$@" --build ;; *) set -- "$@" "$word" ;; esac
done
exec COMPOSE "$@""#;
    wrap(&project, builds);
    is_unknown(&looks(&project, 1), " was refused");
}

#[test]
fn dry_run_that_removes_a_container_is_unknown_whatever_it_prints() {
    let project = changed();
    let container = format!("{}-api-1", project.name);
    let removes =
        format!("case \"$*\" in *--dry-run*) docker rm -f {container} ;; esac\nexec COMPOSE \"$@\"");
    wrap(&project, &removes);
    is_unknown(&looks(&project, 1), &format!("DELETE /containers/{container} was refused"));
}

#[test]
fn look_with_a_compose_that_pulls_asks_no_registry() {
    let project = changed();
    wrap(&project, "case \"$*\" in *--dry-run*) docker pull 127.0.0.1:1/x ;; esac\nexec COMPOSE \"$@\"");
    is_unknown(&looks(&project, 1), "POST /images/create was refused");
}

#[test]
fn look_over_tcp_changes_nothing_either() {
    let project = changed();
    wrap(&project, &format!("{DROPS_THE_FLAG}\nexec COMPOSE \"$@\""));
    let before = project.containers("api");
    let engine = engine_on_tcp();
    let over_tcp = |command: &mut Command| run(command.env("DOCKER_HOST", &engine)).expect(1);
    is_unknown(&over_tcp(&mut wrapped(&project, "check")), "POST /containers/create was refused");
    let plain = over_tcp(&mut project.command(&["check", "-f", "undrift.yaml", "-o", "json"]));
    assert_eq!(plain.drift("api"), "container ConfigChanged");
    assert_eq!(project.containers("api"), before);
}

#[test]
fn lines_of_another_shape_and_of_others_take_no_verdict_away() {
    let project = changed();
    let talks = r#"case "$*" in *--dry-run*) ;; *) exec COMPOSE "$@" ;; esac
printf ' database Creating \n Executing command ["x"] in x-1 (detached mode)\n' >&2
COMPOSE "$@" 2>&1 | sed 's/ DRY-RUN MODE - / /; s/  */ /g; s/$/ /' >&2
echo 'interactive exec is not supported in dry-run mode' >&2
exit 1"#;
    wrap(&project, talks);
    assert_eq!(looks(&project, 1).drift("api"), "container ConfigChanged");
}

#[test]
fn dry_run_without_output_is_not_taken_for_as_declared() {
    let project = changed();
    wrap(&project, "case \"$*\" in *--dry-run*) exit 0 ;; esac\nexec COMPOSE \"$@\"");
    is_unknown(&looks(&project, 1), "prints nothing of the container");
}

#[test]
fn dry_run_that_never_ends_counts_by_what_it_has_printed() {
    let project = changed();
    let hangs =
        "case \"$*\" in *--dry-run*) COMPOSE \"$@\"; while :; do sleep 1; done ;; esac\nexec COMPOSE \"$@\"";
    wrap(&project, hangs);
    assert_eq!(run(&mut wrapped(&project, "check")).expect(1).drift("api"), "container ConfigChanged");
    wrap(&project, "case \"$*\" in *--dry-run*) while :; do sleep 1; done ;; esac\nexec COMPOSE \"$@\"");
    is_unknown(&run(&mut wrapped(&project, "check")).expect(1), "did not end within 10 s");
}

#[test]
fn question_about_files_changes_nothing_whatever_stands_in_the_plugins_place() {
    let project = changed();
    let container = format!("{}-api-1", project.name);
    // Each question but a dry run: `config` and `version`.
    let removes = format!(
        "case \" $* \" in *' config '*|*' version '*) docker rm -f {container} >&2 ;; esac\nexec COMPOSE \"$@\""
    );
    wrap(&project, &removes);
    let before = project.containers("api");
    for verb in ["check", "plan", "apply"] {
        // What the files say is said all the same.
        assert_eq!(run(&mut wrapped(&project, verb)).expect(1).drift("api"), "container ConfigChanged");
        assert_eq!(project.containers("api"), before, "{verb}");
    }
}

#[test]
fn questions_about_files_ask_the_engine_for_nothing_that_the_gate_refuses() {
    let project = changed();
    let mut check = project.command(&["check", "-f", "undrift.yaml", "-o", "json"]);
    let output = run(check.env("UNDRIFT_LOG", "undrift=debug")).expect(1);
    let through: Vec<&str> =
        output.stderr.lines().filter(|line| line.contains("gone through the gate")).collect();
    // The project, its hashes, Compose's version, and the dry run.
    assert!(through.len() >= 4, "{}", output.stderr);
    assert!(through.iter().all(|line| line.contains("refused=0")), "{through:#?}");
}

/// A Compose file that names the engine: through the gate it would seem to be another file.
#[test]
fn file_that_names_the_engine_means_what_it_means_to_the_caller() {
    let project = Project::new();
    let (head, _) = MANIFEST.split_once("    verify:").unwrap();
    project.manifest(&format!("{head}    verify: {{ timeout: 5s, stableFor: 500ms }}\n"));
    project.add_module("api", "workflow");
    project.write("api.env", "A=1\n");
    let write = |value: &str| {
        let service = "{ build: ./api, init: true, stop_grace_period: 1s, env_file: api.env, \
                       environment: { ENGINE: \"${DOCKER_HOST:-none}\", V: VALUE } }";
        project.write("compose.yaml", &format!("services:\n  api: {}\n", service.replace("VALUE", value)));
    };
    write("one");
    // Where the variable is not set, and where it is.
    for engine in [None, Some("unix:///var/run/docker.sock")] {
        let env: Vec<(&str, &str)> = engine.iter().map(|engine| ("DOCKER_HOST", *engine)).collect();
        project.compose_with(&["up", "-d", "--build"], &env);
        let verb = |verb: &str| {
            let mut command = project.command(&[verb, "-f", "undrift.yaml", "-o", "json"]);
            run(command.env_remove("DOCKER_HOST").envs(env.iter().copied()))
        };
        verb("check").expect(0);
        verb("apply").expect(0);
        assert!(project.steps().is_empty(), "{engine:?}");
        write("two");
        assert_eq!(verb("check").expect(1).drift("api"), "container ConfigChanged", "{engine:?}");
        write("one");
    }
    // One that would change something is not asked a second time.
    write("two");
    let container = format!("{}-api-1", project.name);
    wrap(
        &project,
        &format!("case \"$*\" in *--dry-run*) docker rm -f {container} ;; esac\nexec COMPOSE \"$@\""),
    );
    let before = project.containers("api");
    let mut check = wrapped(&project, "check");
    let output = run(check.env("DOCKER_HOST", "unix:///var/run/docker.sock")).expect(1);
    is_unknown(&output, " was refused");
    assert_eq!(project.containers("api"), before);
}

/// A service with hooks, and one that gets a variable of a provider, which writes down each time that it is run.
fn with_a_provider(value: &str) -> (Project, impl Fn(&str)) {
    let project = Project::new();
    project.manifest(
        "apiVersion: undrift.dev/v1alpha1\nkind: ComposeProject\nmetadata: { name: NAME }\nspec:\n  \
         project: { directory: ., name: NAME }\n  services: [{ name: api }, { name: hooked }]\n  \
         reconcile: { mode: observe, verify: { timeout: 1s, stableFor: 500ms } }\n",
    );
    let [provider, log] = ["provider", "provider.log"].map(|name| project.path(name).display().to_string());
    project.write(
        "provider",
        &format!(
            "#!/bin/sh\necho \"$@\" >> {log}\necho '{{\"type\":\"setenv\",\"message\":\"URL=db://given\"}}'\n"
        ),
    );
    fs::set_permissions(&provider, fs::Permissions::from_mode(0o755)).unwrap();
    let path = project.path("compose.yaml");
    let write = move |value: &str| {
        let base = format!(
            "image: undrift-example-base, command: sleep 1000, init: true, environment: {{ V: {value}, DATABASE_NAME: {value} }}"
        );
        let text = format!(
            "services:\n  database: {{ provider: {{ type: {provider} }} }}\n  api: {{ {base}, depends_on: [database] }}\n  \
             hooked: {{ {base}, post_start: [{{ command: \"true\" }}], pre_stop: [{{ command: \"true\" }}] }}\n"
        );
        fs::write(&path, text).unwrap();
    };
    write(value);
    (project, write)
}

/// Whether Compose knows providers, which began with 2.36.
fn compose_has_providers() -> bool {
    let output = docker(&["compose", "version", "--short"]);
    let mut numbers =
        output.trim().trim_start_matches('v').split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (2, 36)
}

#[test]
fn provider_is_run_by_no_look_and_what_it_gave_is_no_drift() {
    let (project, write) = with_a_provider("one");
    if !compose_has_providers() {
        // An older Compose refuses such a project, and so does undrift.
        let output = run(&mut project.command(&["check", "-f", "undrift.yaml"])).expect(2);
        assert!(output.stderr.contains("provider"), "{}", output.stderr);
        return;
    }
    let runs = || fs::read_to_string(project.path("provider.log")).unwrap();
    let seen = || (runs(), project.containers("api"), project.containers("hooked"));
    project.compose(&["up", "-d"]);
    let before = seen();
    project.check().expect(0);
    project.apply().expect(0);
    assert_eq!(seen(), before, "as declared, and the provider was not run");
    write("two");
    let check = project.check().expect(1);
    for service in ["api", "hooked"] {
        assert_eq!(check.drift(service), "container ConfigChanged");
    }
    project.apply().expect(1);
    assert_eq!(seen(), before, "observed only, and the provider was not run");
}

/// This engine at a TCP address of this process; it ends with the process.
fn engine_on_tcp() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let engine = UnixStream::connect("/var/run/docker.sock").unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            thread::spawn(move || answer(engine, client));
        }
    });
    address
}

fn answer(mut engine: UnixStream, mut client: TcpStream) {
    let _ = io::copy(&mut engine, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}
