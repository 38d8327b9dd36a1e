//! What a container printed last, and how it ended, is in the trail before a step takes the container away.

use serde_json::Value;

use crate::support::{MANIFEST, Project, SERVE, docker, wait_for};

/// The containers of the evidence of each intent of this step.
fn last_words(project: &Project, step: &str) -> Vec<Value> {
    let intents = project.trail().into_iter();
    let intents = intents.filter(|record| record["kind"] == "StepIntended" && record["step"] == step);
    intents.map(|record| record["evidence"]["containers"].clone()).collect()
}

fn output(words: &Value) -> Vec<String> {
    words["output"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[test]
fn crash_of_a_new_image_is_in_the_trail_when_it_is_rolled_back() {
    let project = Project::new();
    let environment = "environment: { DB_PASSWORD: \"correct-horse-battery\", GREETING: \"good-morning\" }";
    project.write(
        "compose.yaml",
        &format!("services:\n  api: {{ build: ./api, init: true, stop_grace_period: 1s, {environment} }}\n"),
    );
    // The old one says something, too, before it is replaced.
    project.write("api/serve", &format!("echo hello of the old one\n{SERVE}"));
    project.compose(&["up", "-d", "--build"]);
    wait_for("the server to have begun", || {
        docker(&["logs", &project.containers("api")[0]]).contains("hello of the old one")
    });
    project.add_module("api", "workflow");
    project.write(
        "api/serve",
        "echo 'starting with \"secret\"'\necho \"connect as shop:$DB_PASSWORD, $GREETING\"\necho 'API_TOKEN=abc123'\n\
         echo 'FATAL: cannot bind db' >&2\nexit 3\n",
    );
    project.manifest(&MANIFEST.replace("timeout: 60s", "timeout: 10s"));
    project.apply().expect(1);
    assert!(project.steps().contains(&"Rollback".to_owned()), "{:?}", project.steps());
    let ups = last_words(&project, "Up");
    let old = &ups[0][0];
    assert_eq!((old["service"].as_str(), old["state"].as_str()), (Some("api"), Some("running")));
    assert_eq!(output(old), ["hello of the old one"]);
    let [rollback] = &last_words(&project, "Rollback")[..] else { panic!("one rollback") };
    let crashed = &rollback[0];
    let lines = output(crashed);
    assert_eq!(crashed["exitCode"], 3, "{crashed}");
    assert!(lines.contains(&"FATAL: cannot bind db".to_owned()), "{lines:?}");
    assert!(lines.contains(&"connect as shop:********, good-morning".to_owned()), "{lines:?}");
    assert!(lines.contains(&"API_TOKEN=********".to_owned()), "{lines:?}");
    assert!(
        lines.contains(&"starting with \"********\"".to_owned()),
        "the declared password, too: {lines:?}"
    );
    let whole = project.trail().iter().map(Value::to_string).collect::<String>();
    assert!(!whole.contains("correct-horse-battery") && !whole.contains("abc123"), "{whole}");
    project.assert_trail_is_whole();
    // A person reads it in the incident.
    let id =
        project.trail().iter().find_map(|record| record["incident"].as_str().map(str::to_owned)).unwrap();
    let shown = project.undrift(&["incident", "show", &id]).expect(0).stdout;
    assert!(shown.contains("with code 3") && shown.contains("FATAL: cannot bind db"), "{shown}");
}

#[test]
fn signal_that_ended_a_container_is_in_the_trail_and_so_is_a_log_that_cannot_be_read() {
    let project = Project::healthy();
    project.write(
        "compose.yaml",
        "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, logging: { driver: none } }\n",
    );
    project.compose(&["up", "-d"]);
    project.apply().expect(0);
    docker(&["kill", &project.containers("api")[0]]);
    project.apply().expect(0);
    let ups = last_words(&project, "Up");
    let killed = &ups.last().unwrap()[0];
    assert_eq!(
        (&killed["state"], &killed["exitCode"], &killed["signal"]),
        (&"exited".into(), &137.into(), &9.into())
    );
    assert_eq!(output(killed), [""; 0]);
    let why = killed["outputUnknown"].as_str().unwrap();
    assert!(why.contains("logging driver"), "{why}");
}
