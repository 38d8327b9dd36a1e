//! Nothing secret passes, from whoever prints it: values are planted wherever a project may have some, everything that can
//! print them does, and then all that undrift has said and kept is searched for them.

use std::{fs, path::Path};

use crate::{
    daemon::Daemon,
    support::{MANIFEST, Project, Run, SERVE, run, wait_for},
};

/// What stands in a secret's place.
const STARS: &str = "********";

/// All of a folder's files, as text.
fn contents(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if let Ok(bytes) = fs::read(&path) {
            found.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    found
}

/// None of these is in a text.
#[track_caller]
fn assert_without(secrets: &[&str], whence: &str, text: &str) {
    for secret in secrets {
        let at = text.find(secret);
        let around = at.map(|at| {
            let before: Vec<char> = text[..at].chars().rev().take(200).collect();
            before.into_iter().rev().chain(text[at..].chars().take(200)).collect::<String>()
        });
        assert!(at.is_none(), "{secret} is in {whence}: {around:?}");
    }
}

/// None of these is in what was kept: state, cache, log.
#[track_caller]
fn assert_not_kept(project: &Project, secrets: &[&str]) {
    for folder in [project.state_dir(), project.cache_home()] {
        for (path, text) in contents(&folder) {
            assert_without(secrets, &path, &text);
        }
    }
}

/// Runs a verb with these variables: nothing of the secrets is in what it prints.
#[track_caller]
fn run_masked(project: &Project, args: &[&str], env: &[(&str, &str)], secrets: &[&str]) -> Run {
    let ran = run(project.command(args).envs(env.iter().copied()));
    let whence = args.join(" ");
    assert_without(secrets, &format!("standard output of {whence}"), &ran.stdout);
    assert_without(secrets, &format!("standard error of {whence}"), &ran.stderr);
    ran
}

/// The verbs that look, and those that show what is recorded.
const LOOKING: [&[&str]; 7] = [
    &["validate", "-f", "undrift.yaml"],
    &["--log", "trace", "check", "-f", "undrift.yaml"],
    &["check", "-f", "undrift.yaml", "-o", "json"],
    &["plan", "-f", "undrift.yaml"],
    &["--log-format", "json", "plan", "-f", "undrift.yaml", "-o", "json"],
    &["doctor", "-f", "undrift.yaml"],
    &["doctor", "-f", "undrift.yaml", "-o", "json"],
];

const SHOWING: [&[&str]; 8] = [
    &["get"],
    &["get", "-o", "json"],
    &["describe", "NAME"],
    &["describe", "NAME", "-o", "json"],
    &["audit", "list"],
    &["audit", "list", "-o", "json"],
    &["audit", "verify"],
    &["incident", "list", "-o", "json"],
];

/// Runs all that shows what is recorded, each incident as well.
#[track_caller]
fn show_all(project: &Project, secrets: &[&str]) -> String {
    let mut output = String::new();
    for args in SHOWING {
        let args: Vec<&str> =
            args.iter().map(|arg| if *arg == "NAME" { project.name.as_str() } else { arg }).collect();
        output.push_str(&run_masked(project, &args, &[], secrets).expect(0).stdout);
    }
    let incidents: Vec<String> =
        project.trail().iter().filter_map(|record| record["incident"].as_str().map(str::to_owned)).collect();
    for incident in incidents.iter().collect::<std::collections::BTreeSet<_>>() {
        for format in ["text", "json"] {
            output.push_str(
                &run_masked(project, &["incident", "show", incident, "-o", format], &[], secrets)
                    .expect(0)
                    .stdout,
            );
        }
    }
    output
}

/// Has a project with these files refused by every verb and by the daemon: its value is told and kept nowhere, and each of these
/// parts of its place is.
#[track_caller]
fn refused_without_the_value(files: &[(&str, &str)], places: &[&str]) {
    const SECRET: &str = "SeededS3cret99x";
    let project = Project::new();
    for (name, text) in files {
        project.write(name, &text.replace("SECRET", SECRET));
    }
    let secrets = [SECRET];
    for args in LOOKING {
        let ran = run_masked(&project, args, &[], &secrets);
        if args.contains(&"check") {
            for place in places {
                assert!(ran.stderr.contains(place), "no {place} in {}", ran.stderr);
            }
            assert_eq!(ran.code, Some(2), "{ran:?}");
        }
    }
    run_masked(&project, &["apply", "-f", "undrift.yaml"], &[], &secrets).expect(2);
    let daemon = Daemon::spawn(
        &mut project.command(&["--log", "undrift=debug", "run", "-f", "undrift.yaml"]),
        &project,
    );
    wait_for("the refusal in the status", || {
        let ready = project.condition("Ready");
        ready == "Unknown ComposeRefused" || ready == "Unknown UnsetVariables"
    });
    let shown = show_all(&project, &secrets);
    for place in places {
        assert!(shown.contains(place), "no {place} in {shown}");
    }
    assert_without(&secrets, "the log", &daemon.log());
    daemon.end();
    assert_not_kept(&project, &secrets);
}

const PLAIN: &str = "services:\n  api: { build: ./api }\n";

#[test]
fn unclosed_quote_in_the_env_file_of_the_project() {
    refused_without_the_value(
        &[("compose.yaml", PLAIN), (".env", "A=1\nDB_PASSWORD=\"SECRET\nMORE=2\n")],
        &[".env: line 4: unterminated quoted value"],
    );
}

#[test]
fn unclosed_quote_in_the_env_file_of_a_service() {
    refused_without_the_value(
        &[
            ("compose.yaml", "services:\n  api: { build: ./api, env_file: a.env }\n"),
            ("a.env", "DB_PASSWORD='SECRET\n"),
        ],
        &["line 2: unterminated quoted value"],
    );
}

#[test]
fn dollar_sign_in_a_password_that_is_not_doubled() {
    refused_without_the_value(
        &[(
            "compose.yaml",
            "services:\n  api:\n    build: ./api\n    environment:\n      DB_PASSWORD: ab$SECRET\n",
        )],
        &["compose.yaml:5"],
    );
}

#[test]
fn brace_in_a_password_of_an_env_file() {
    refused_without_the_value(
        &[("compose.yaml", PLAIN), (".env", "DB_PASSWORD=ab${SECRET\n")],
        &[".env: Invalid template"],
    );
}

#[test]
fn value_of_a_wrong_type_bad_port_and_bad_duration() {
    for (key, place) in [
        ("ports: [\"${P}:80\"]", "ostPort"),
        ("stop_grace_period: ${P}", "stop_grace_period"),
        ("scale: ${P}", "services.api.scale"),
        ("extra_hosts: [\"${P}\"]", "extra_hosts"),
    ] {
        let compose = format!("services:\n  api:\n    build: ./api\n    {key}\n");
        refused_without_the_value(&[("compose.yaml", &compose), (".env", "P=SECRET\n")], &[place]);
    }
}

#[test]
fn what_a_build_prints_is_kept_without_what_is_secret_in_it() {
    let project = Project::new();
    project.add_module("api", "workflow");
    let secrets = [
        "declared-pass-1",
        "npm-t0ken-value-2",
        "a1b2c3d4e5f6g7",
        "in-the-url-44",
        "of-the-env-file-5",
        "key-line-one-66",
    ];
    project.write(
        "compose.yaml",
        "services:\n  api:\n    build:\n      context: ./api\n      args: { OPS: \"${E2E_PASSWORD}\", NPM_TOKEN: npm-t0ken-value-2, ODD: a1b2c3d4e5f6g7, \
         FROM_URL: \"https://u:in-the-url-44@example.org/x\", FROM_FILE: \"${OF_FILE}\", KEY: \"${DEPLOY_KEY}\" }\n      secrets: [deploy]\n\
         secrets: { deploy: { file: ./deploy.key } }\n",
    );
    project.write(
        ".env",
        "OF_FILE=of-the-env-file-5\nFILE_TOKEN=of-the-env-file-5\nDEPLOY_KEY=key-line-one-66\n",
    );
    project.write("deploy.key", "key-line-one-66\nkey-line-two\n");
    project.append(
        "api/Dockerfile",
        "ARG OPS\nARG NPM_TOKEN\nARG ODD\nARG FROM_URL\nARG FROM_FILE\nARG KEY\n\
         RUN echo \"seen: $OPS $NPM_TOKEN$ODD $FROM_URL $FROM_FILE $KEY\"; printf 'ops:%s' \"$OPS\" | base64; \
         printf '{\\\"p\\\": \\\"%s\\\"}\\n' \"$OPS\" >&2; exit 3\n",
    );
    project.manifest(&MANIFEST.replace("attempts: 3", "attempts: 1"));
    let env = [("E2E_PASSWORD", "declared-pass-1")];
    let mut secrets = secrets.to_vec();
    secrets.push("b3BzOmRlY2xhcmVkLXBhc3Mt");
    let ran = run_masked(&project, &["apply", "-f", "undrift.yaml"], &env, &secrets).expect(1);
    assert!(ran.stderr.contains(&format!("seen: {STARS}")), "the failure is told: {}", ran.stderr);
    let shown = show_all(&project, &secrets);
    assert!(shown.contains(&format!("seen: {STARS}")), "{shown}");
    assert_not_kept(&project, &secrets);
    project.assert_trail_is_whole();
}

#[test]
fn credentials_over_plain_http_to_another_host_are_remarked_on_by_a_look() {
    let project = Project::healthy();
    let declared = |more: &str| {
        let url = MANIFEST.replace(
            "path: /api/workflow\n          port: 3000",
            "url: http://192.0.2.1:9/x\n          timeout: 200ms",
        );
        project.manifest(&url.replace("expect: [200] }", &format!("expect: [200]{more} }}")));
        project.check()
    };
    let notes = |run: &Run| run.status()["services"][0]["notes"].to_string();
    // Nobody answers at an address that is set aside for documentation (RFC 5737).
    let found = declared("");
    assert!(notes(&found).contains("PlainHttp"), "{found:?}");
    let output = project.with_manifest("check", &[]).stdout;
    assert!(output.contains("cross the network in plain HTTP"), "{output}");
    assert!(!notes(&declared(", allowPlainHttp: true")).contains("PlainHttp"));
}

/// What is planted, each in a place of its own.
const PLANTED: [&str; 14] = [
    "of-dot-env-aa1",
    "of-svc-env-bb2",
    "of-process-cc3",
    "t&k/n=4+5 \"dd4",
    "e5f6g7h8i9j0",
    "key-line-ff6",
    "of-env-secret-gg7",
    "declared-pass-hh8",
    "in-url-ii9",
    "Jj10LettersAndDigits",
    "in-command-kk11",
    "in-config-ll12",
    "in-label-mm13",
    "of-a-webhook-nn14",
];

/// The same as other programs write some of them.
const ENCODED: [&str; 14] = [
    "t&k/n=4+5",
    "t%26k%2Fn",
    "t\\u0026k",
    // Of `ops:declared-pass-hh8`, and of the password alone.
    "b3BzOmRlY2xhcmVkLXBhc3MtaGg4",
    "ZGVjbGFyZWQtcGFzcy1oaDg",
    "t&amp;k",
    "&quot;dd4",
    // Of `in-config-ll12`, of `in-url-ii9` and of `of-svc-env-bb2`.
    "\\151\\156\\055\\143",
    "105 110 45 117 114 108",
    "0x69, 0x6e, 0x2d, 0x75",
    "b2Ytc3ZjLWVudi1iYjI",
    // The same behind another letter, and in lines of twelve.
    "eG9mLXN2Yy1lbnYtYmIy",
    "YWJvZi1zdmMt",
    // Of the first line of a file.
    "a2V5LWxpbmUtZmY2",
];

/// What undrift's process, and Compose by hand, are given.
const GIVEN: [(&str, &str); 3] =
    [("E2E_PASSWORD", PLANTED[7]), ("PROC_SECRET", PLANTED[2]), ("DB_SECRET", PLANTED[6])];

/// A project with a secret of each kind, whose build and whose container print all that they have.
fn planted() -> Project {
    let [env, svc, _, token, odd, key, _, _, url, inline, command, config, label, hook] = PLANTED;
    let project = Project::new();
    project.write(
        "compose.yaml",
        &format!(
            "services:
  api:
    build:
      context: ./api
      args: {{ NPM_TOKEN: '{token}', ODD: {odd}, OPS: \"${{E2E_PASSWORD}}\" }}
      secrets: [deploy]
    init: true
    stop_grace_period: 1s
    command: [/bin/sh, /serve, --api-key={command}]
    env_file: [svc.env]
    environment:
      OPS_PASSWORD: ${{E2E_PASSWORD}}
      FROM_FILE: ${{ENV_FILE_PASSWORD}}
      PROC_SECRET:
      DATABASE_URL: postgres://shop:{url}@db/shop
      DB_PASSWORD: {inline}
      ALERT_WEBHOOK_URL: https://chat.example.org/in/{hook}
    labels: {{ auth.token: {label} }}
    secrets: [db]
    configs: [{{ source: app, target: /app.conf }}]
secrets:
  deploy: {{ file: ./deploy.key }}
  db: {{ environment: DB_SECRET }}
configs:
  app: {{ content: \"db_password={config}\" }}
"
        ),
    );
    project.write(".env", &format!("ENV_FILE_PASSWORD={env}\n"));
    project.write("svc.env", &format!("SVC_TOKEN={svc}\n"));
    project.write("deploy.key", &format!("{key}\nkey-line-two\n"));
    let output = "echo \"all: $*\"; env; cat /run/secrets/db /app.conf; echo; echo 't%26k%2Fn%3D4%2B5%20%22dd4'\n\
                echo 'Authorization: Basic b3BzOmRlY2xhcmVkLXBhc3MtaGg4'; echo 'basic b3BzOmRlY2xhcmVkLXBhc3MtaGg4'\n\
                echo 'html t&amp;k/n=4+5 &quot;dd4'; echo 'octal \\151\\156\\055\\143\\157\\156\\146\\151\\147\\055\\154\\154\\061\\062'\n\
                echo 'bytes [105 110 45 117 114 108 45 105 105 57]'; echo '0x69, 0x6e, 0x2d, 0x75, 0x72, 0x6c, 0x2d, 0x69, 0x69, 0x39'\n\
                printf 'x%s' \"$SVC_TOKEN\" | base64; printf 'ab%s' \"$SVC_TOKEN\" | base64 -w 12; printf '%s' \"$SVC_TOKEN\" | base64\n";
    project.write("api/serve", &format!("{output}{}", SERVE.replace("ops:secret", "ops:$OPS_PASSWORD")));
    project.append(
        "api/Dockerfile",
        "ARG NPM_TOKEN\nARG ODD\nARG OPS\nRUN --mount=type=secret,id=deploy cat /run/secrets/deploy; base64 /run/secrets/deploy; echo \"built with $NPM_TOKEN, $ODD$OPS\"\n",
    );
    project
}

#[test]
fn nothing_planted_passes_any_verb() {
    let project = planted();
    let secrets: Vec<&str> = PLANTED.into_iter().chain(ENCODED).collect();
    let run_masked = |args: &[&str]| run_masked(&project, args, &GIVEN, &secrets);
    project.compose_with(&["up", "-d", "--build"], &GIVEN);
    // Twice: what was remembered is read again.
    for args in LOOKING.into_iter().chain(LOOKING) {
        run_masked(args);
    }
    assert_not_kept(&project, &secrets);
    project.add_module("api", "workflow");
    run_masked(&["apply", "-f", "undrift.yaml"]).expect(0);
    let shown = show_all(&project, &secrets);
    let trail = project.trail();
    assert!(shown.contains(&format!("PROC_SECRET={STARS}")), "the container's words are kept: {shown}");
    let built =
        trail.iter().any(|record| record["evidence"]["output"].to_string().contains("built with ********"));
    assert!(built, "and the build's: {trail:#?}");
    for args in [
        &["suspend", project.name.as_str(), "--reason", "work"][..],
        &["resume", project.name.as_str()],
        &["retry", project.name.as_str()],
    ] {
        run_masked(args).expect(0);
    }

    // What the daemon heals and logs, and a project that Compose refuses from then on.
    let mut run = project.command(&["--log", "trace", "run", "-f", "undrift.yaml"]);
    let daemon = Daemon::spawn(run.envs(GIVEN), &project);
    daemon.wait_until_ready();
    let healed = trail.iter().filter(|record| record["kind"] == "Reconciled").count();
    crate::support::docker(&["kill", &project.containers("api")[0]]);
    project.wait_for_healed(healed + 1);
    project.append(".env", &format!("BROKEN_PASSWORD=\"{}\n", PLANTED[0]));
    // Nothing watches that file.
    run_masked(&["apply", "-f", "undrift.yaml"]).expect(2);
    wait_for("the refusal in the status", || project.condition("Ready") == "Unknown ComposeRefused");
    for args in LOOKING {
        run_masked(args);
    }
    show_all(&project, &secrets);
    assert_without(&secrets, "the log", &daemon.log());
    daemon.end();
    assert_not_kept(&project, &secrets);
    project.assert_trail_is_whole();
}

#[test]
fn names_that_a_secret_is_filled_into_are_shown_and_kept_without_it() {
    let secret = "filled-in-token-77";
    let project = Project::new();
    let name = &project.name;
    project.write(".env", &format!("APP_TOKEN={secret}\n"));
    project.write(
        "compose.yaml",
        &format!(
            "services:\n  api:\n    build: ./api\n    image: {name}-app:${{APP_TOKEN}}\n    container_name: {name}-${{APP_TOKEN}}\n    \
             init: true\n    stop_grace_period: 1s\n    networks: [default, inner]\n\
             networks:\n  inner: {{ name: \"{name}-${{APP_TOKEN}}\" }}\n"
        ),
    );
    project.add_module("api", "workflow");
    let env = [("E2E_PASSWORD", "secret")];
    let run_masked = |args: &[&str]| run_masked(&project, args, &env, &[secret]);
    for args in LOOKING {
        run_masked(args);
    }
    run_masked(&["--log", "trace", "apply", "-f", "undrift.yaml"]).expect(0);
    crate::support::docker(&[
        "network",
        "disconnect",
        "-f",
        &format!("{name}-{secret}"),
        &project.containers("api")[0],
    ]);
    let found = run_masked(&["check", "-f", "undrift.yaml", "-o", "json"]).expect(1);
    assert!(found.stdout.contains(&format!("{name}-{STARS}")), "it is said of what: {}", found.stdout);
    run_masked(&["apply", "-f", "undrift.yaml", "-o", "json"]).expect(0);
    for args in LOOKING {
        run_masked(args);
    }
    show_all(&project, &[secret]);
    assert_not_kept(&project, &[secret]);
    project.assert_trail_is_whole();
}

#[test]
fn what_is_printed_is_withheld_where_a_secret_cannot_be_read() {
    let project = Project::new();
    project.add_module("api", "workflow");
    project.write(
        "compose.yaml",
        "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, secrets: [large] }\n\
         secrets: { large: { file: ./large.key } }\n",
    );
    fs::File::create(project.path("large.key")).unwrap().set_len((16 << 20) + 1).unwrap();
    project.append("api/Dockerfile", "RUN echo of-the-large-one; exit 3\n");
    project.manifest(&MANIFEST.replace("attempts: 3", "attempts: 1"));
    let ran = run_masked(&project, &["apply", "-f", "undrift.yaml"], &[], &["of-the-large-one"]).expect(1);
    assert!(
        ran.stderr.contains("large.key has 16777217 bytes, and 16 MiB at most are read"),
        "{}",
        ran.stderr
    );
    let shown = show_all(&project, &["of-the-large-one"]);
    assert!(shown.contains("what was printed is withheld"), "{shown}");
    assert_not_kept(&project, &["of-the-large-one"]);
}

#[test]
fn digests_that_are_kept_are_of_a_key_that_only_the_state_has() {
    let project = planted();
    project.compose_with(&["up", "-d", "--build"], &GIVEN);
    run_masked(&project, &["apply", "-f", "undrift.yaml"], &GIVEN, &PLANTED);
    // What Compose itself makes of the values, and whoever reads the trail could try out.
    let container = &project.containers("api")[0];
    let label = "{{index .Config.Labels \"com.docker.compose.config-hash\"}}";
    let hash = crate::support::docker(&["inspect", "-f", label, container]).trim().to_owned();
    assert_eq!(hash.len(), 64);
    assert_not_kept(&project, &[hash.as_str()]);
    let key = project.state_dir().join("digest.key");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(key).unwrap()) & 0o777, 0o600);
}
