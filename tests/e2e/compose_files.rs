//! Compose files of the shape of well-known projects, in `tests/compose-files`, brought up by hand and looked at: the verdict
//! is a person's, twice the same, and nothing is changed by the look. `NAME` in a file is the project's name.

use std::{fs, path::Path};

use crate::support::{Project, Run, docker, wait_for};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compose-files");

/// Copies a folder, the project's name put in.
fn copy(project: &Project, from: &Path, below: &str) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            copy(project, &entry.path(), &format!("{path}/"));
        } else {
            let text = fs::read_to_string(entry.path()).unwrap();
            project.write(&path, &text.replace("NAME", &project.name));
            fs::set_permissions(project.path(&path), fs::metadata(entry.path()).unwrap().permissions())
                .unwrap();
        }
    }
}

/// The project of a folder, brought up by hand, with a manifest that declares these services.
fn brought_up(folder: &str, services: &[&str]) -> Project {
    let project = Project::new();
    fs::remove_file(project.path("compose.yaml")).unwrap();
    fs::remove_dir_all(project.path("api")).unwrap();
    copy(&project, &Path::new(FILES).join(folder), "");
    declare(&project, services, "");
    // One after the other: on containerd's store one build of two that make the same reference fails at the same moment.
    for service in services {
        project.compose(&["build", service]);
    }
    project.compose(&["up", "-d"]);
    let label = format!("label=com.docker.compose.project={}", project.name);
    wait_for("the health checks to have passed", || {
        docker(&["ps", "-q", "--filter", &label, "--filter", "health=starting"]).is_empty()
    });
    project
}

fn declare(project: &Project, services: &[&str], more: &str) {
    let names: Vec<String> = services.iter().map(|service| format!("    - name: {service}\n")).collect();
    let names = names.concat();
    project.manifest(&format!(
        "apiVersion: undrift.dev/v1alpha1\nkind: ComposeProject\nmetadata: {{ name: NAME }}\nspec:\n  project: {{ directory: ., \
         name: NAME }}\n  source: {{ drift: enforce }}\n  services:\n{names}{more}"
    ));
}

/// Everything of the project that a look must leave as it is.
fn everything(project: &Project) -> String {
    let label = format!("label=com.docker.compose.project={}", project.name);
    let ids = docker(&["ps", "-aq", "--no-trunc", "--filter", &label]);
    let mut ids: Vec<&str> = ids.lines().collect();
    ids.sort_unstable();
    let format = "{{.Id}} {{.State.Status}} {{.State.StartedAt}} {{.RestartCount}} {{.Image}}";
    let containers = docker(&[&["inspect", "-f", format], &ids[..]].concat());
    let networks = docker(&["network", "ls", "-q", "--no-trunc", "--filter", &label]);
    let volumes = docker(&["volume", "ls", "-q", "--filter", &label]);
    [containers, networks, volumes].concat()
}

/// Two looks that say the same and change nothing: the drifts of all services, `service: layer DriftReason`.
#[track_caller]
fn drifts(project: &Project, code: i32) -> Vec<String> {
    let before = everything(project);
    let verdict = |run: &Run| -> Vec<String> {
        let services = run.status()["services"].as_array().unwrap().clone();
        let conditions = services.iter().map(|service| {
            let drift = &service["drift"];
            let words = if drift.is_null() {
                "-".to_owned()
            } else {
                format!("{} {}", drift["layer"], drift["reason"])
            };
            format!("{}: {}", service["name"], words).replace('"', "")
        });
        conditions.collect()
    };
    let (first, second) = (project.check(), project.check());
    assert_eq!(verdict(&first), verdict(&second));
    let first = first.expect(code);
    second.expect(code);
    assert_eq!(everything(project), before, "a look changes nothing");
    verdict(&first).into_iter().filter(|words| !words.ends_with(": -")).collect()
}

/// All of these services are as declared.
#[track_caller]
fn as_declared(folder: &str, services: &[&str]) -> Project {
    let project = brought_up(folder, services);
    assert_eq!(drifts(&project, 0), [""; 0]);
    assert!(project.check().stderr.is_empty(), "and nothing is complained of");
    project
}

#[test]
fn nextcloud() {
    let project = as_declared("nextcloud", &["db", "redis", "app", "cron"]);
    project.compose(&["rm", "-s", "-f", "cron"]);
    assert_eq!(drifts(&project, 1), ["cron: container Missing"]);
}

#[test]
fn immich() {
    as_declared("immich", &["server", "machine-learning", "redis", "database"]);
}

#[test]
fn paperless() {
    as_declared("paperless", &["broker", "db", "webserver", "gotenberg"]);
}

#[test]
fn gitea() {
    as_declared("gitea", &["server", "db"]);
}

#[test]
fn monitoring() {
    as_declared("monitoring", &["prometheus", "grafana", "loki", "node-exporter"]);
}

#[test]
fn plausible() {
    as_declared("plausible", &["plausible", "plausible_db", "plausible_events_db"]);
}

#[test]
fn authentik() {
    let project = as_declared("authentik", &["postgresql", "server", "worker"]);
    // A variable that must be set is an error, not a drift. What the project says of it stands beside the name of a secret.
    project.write(".env", "PG_PASS=p\n");
    let check = project.check().expect(2);
    let expected = "required variable AUTHENTIK_SECRET_KEY is missing a value";
    assert!(check.stderr.contains(expected), "{check:?}");
}

#[test]
fn mastodon() {
    let project = as_declared("mastodon", &["db", "web", "sidekiq"]);
    project.write(
        "Dockerfile",
        "FROM undrift-example-base\nRUN mkdir /www && echo OK > /www/health\n# edited\n",
    );
    assert_eq!(drifts(&project, 0), [""; 0], "without a state nobody knows what the image was built from");
    declare(&project, &["es"], "");
    project.check().expect(2);
}

#[test]
fn ghost() {
    let project = as_declared("ghost", &["ghost", "db"]);
    project
        .write("compose.override.yaml", "services: { ghost: { environment: { NODE_ENV: production } } }\n");
    assert_eq!(drifts(&project, 1), ["ghost: container ConfigChanged"]);
}

#[test]
fn vaultwarden() {
    let project = as_declared("vaultwarden", &["vaultwarden", "caddy"]);
    let route = |path: &str| format!("      routes: [{{ path: {path}, port: 80, expect: 200 }}]\n");
    declare(&project, &["caddy", "vaultwarden"], &route("/alive"));
    assert_eq!(drifts(&project, 0), [""; 0]);
    declare(&project, &["caddy", "vaultwarden"], &route("/dead"));
    assert_eq!(drifts(&project, 1), ["vaultwarden: route Absent"]);
}

#[test]
fn traefik() {
    as_declared("traefik", &["traefik", "whoami"]);
}

#[test]
fn n8n() {
    let project = as_declared("n8n", &["postgres", "redis", "n8n", "n8n-worker"]);
    docker(&["stop", "-t", "1", &format!("{}-n8n-worker-2", project.name)]);
    assert_eq!(drifts(&project, 1), ["n8n-worker: container NotRunning"]);
}

#[test]
fn outline() {
    as_declared("outline", &["outline", "redis", "postgres"]);
}

#[test]
fn home_assistant() {
    as_declared("home-assistant", &["homeassistant", "mosquitto", "zigbee2mqtt"]);
}

#[test]
fn gluetun() {
    as_declared("gluetun", &["gluetun", "qbittorrent", "prowlarr"]);
}

#[test]
fn elk() {
    let project = brought_up("elk", &["es01", "kibana"]);
    let setup = project.containers("setup").remove(0);
    wait_for("the job to end", || docker(&["inspect", "-f", "{{.State.Status}}", &setup]).trim() == "exited");
    assert_eq!(drifts(&project, 0), [""; 0], "a job that nobody declares is nobody's drift");
}

#[test]
fn keycloak() {
    let project = as_declared("keycloak", &["postgres", "keycloak"]);
    project.compose(&["pause", "keycloak"]);
    assert_eq!(drifts(&project, 1), ["keycloak: container Paused"]);
}

#[test]
fn supabase() {
    let project = as_declared("supabase", &["studio", "kong", "analytics", "db", "vector"]);
    let env = fs::read_to_string(project.path(".env")).unwrap();
    project.write(".env", &env.replace("JWT_EXPIRY=3600", "JWT_EXPIRY=7200"));
    assert_eq!(drifts(&project, 1), ["db: container ConfigChanged"]);
}

#[test]
fn sentry() {
    as_declared("sentry", &["redis", "web", "worker", "cleanup"]);
}

#[test]
fn airflow() {
    as_declared("airflow", &["postgres", "airflow-scheduler", "airflow-init"]);
}
