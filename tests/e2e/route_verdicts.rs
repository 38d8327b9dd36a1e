//! What servers answer for a route that is there and for one that is not, and what is concluded from it: each against a server
//! of Python's standard library, or of a framework.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use axum::{
    Router,
    extract::{Path as PathOf, Request},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::Value;

use crate::support::{Project, Run, run};

/// `tests/routes/server.py`, of the kind that a test wants, which it may change.
pub(crate) struct Server {
    process: Child,
    folder: tempfile::TempDir,
    pub(crate) port: u16,
}

/// A request that the server has answered.
#[derive(Debug)]
pub(crate) struct Asked {
    at: f64,
    method: String,
    path: String,
    has_credentials: bool,
    pub(crate) status: u16,
}

fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/routes").join(name)
}

impl Server {
    pub(crate) fn new(kind: &str) -> Self {
        Self::start(kind, &[])
    }

    /// One that speaks TLS with a certificate of `tests/routes/tls`.
    pub(crate) fn with_tls(certificate: &str) -> Self {
        let files = ["pem", "key"].map(|kind| file(&format!("tls/{certificate}.{kind}")));
        Self::start("ordinary", &files)
    }

    fn start(kind: &str, tls: &[std::path::PathBuf]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kind"), kind).unwrap();
        fs::write(folder.path().join("log"), "").unwrap();
        let mut command = Command::new("python3");
        command
            .arg(file("server.py"))
            .arg(folder.path())
            .args(tls)
            .stdout(Stdio::piped())
            .stdin(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, folder, port: line.trim().parse().unwrap() }
    }

    pub(crate) fn becomes(&self, kind: &str) {
        // Replaced as a whole: a request reads one or the other.
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join("kind"));
        fs::write(&new, kind).unwrap();
        fs::rename(new, file).unwrap();
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        let asked = log.lines().map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [at, method, path, credentials, status] = words[..] else { panic!("{line}") };
            Asked {
                at: at.parse().unwrap(),
                method: method.to_owned(),
                path: path.to_owned(),
                has_credentials: credentials == "with",
                status: status.parse().unwrap(),
            }
        });
        asked.collect()
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const AUTH: &str = "auth: { basic: { username: ops, passwordFrom: { env: E2E_PASSWORD } }, expect: 200 }";

/// A project of one container that only waits, with one route elsewhere; the container is down.
fn down() -> Project {
    let project = Project::new();
    project.write(
        "compose.yaml",
        "services:\n  api: { image: undrift-example-base, init: true, stop_grace_period: 1s, command: sleep 86400 }\n",
    );
    project.compose(&["create"]);
    project
}

fn up() -> Project {
    let project = down();
    project.compose(&["start"]);
    project
}

fn declare(project: &Project, route: &str) {
    project.manifest(&format!(
        "apiVersion: undrift.dev/v1alpha1
kind: ComposeProject
metadata: {{ name: NAME }}
spec:
  project: {{ directory: ., name: NAME }}
  services:
    - name: api
      routes:
        - {{ {route} }}
  reconcile:
    verify: {{ timeout: 10s, stableFor: 1s }}
    backoff: {{ initial: 200ms, max: 1s }}
    attempts: 3
"
    ));
}

fn declare_at(project: &Project, server: &Server, more: &str) {
    declare(project, &format!("name: flow, url: \"{}\", {more}", server.url("/api/workflow")));
}

#[track_caller]
fn route(run: &Run) -> Value {
    run.status()["services"][0]["routes"][0].clone()
}

/// The message of a condition of the service.
#[track_caller]
fn message(run: &Run, kind: &str) -> String {
    let status = run.status();
    let conditions = status["services"][0]["conditions"].as_array().unwrap().clone();
    let found = conditions.iter().find(|condition| condition["type"] == kind).unwrap();
    found["message"].as_str().unwrap().to_owned()
}

fn notes(run: &Run) -> Vec<String> {
    let status = run.status();
    let notes = status["services"][0]["notes"].as_array().unwrap();
    notes.iter().map(|note| note["reason"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_neighbour_that_answers_for_a_route_that_is_gone_is_no_reconciliation() {
    let server = Server::new("narrow, there");
    let project = down();
    declare_at(&project, &server, "expect: 401");
    // A container that is down is repaired; the route is not there any more, and its neighbour answers 401 in its place.
    server.becomes("narrow, gone");
    let apply = project.apply().expect(1);
    assert_eq!(apply.drift("api"), "route Indistinguishable");
    assert_eq!(project.steps(), ["Up"], "{}", apply.stderr);
    let answered = route(&apply);
    assert_eq!((&answered["observed"], &answered["control"]), (&401.into(), &404.into()));
    assert!(server.asked().iter().all(|asked| !asked.has_credentials));
}

#[test]
fn a_neighbour_beside_a_route_that_never_went_is_a_note() {
    let server = Server::new("narrow, there");
    let project = up();
    declare_at(&project, &server, "expect: 401");
    let check = project.check().expect(0);
    assert_eq!((check.drift("api").as_str(), notes(&check)), ("", vec!["ControlAmbiguous".to_owned()]));
    let asked = server.asked();
    let shape = asked.iter().find(|asked| {
        asked.path.strip_prefix("/api/").is_some_and(|name| {
            name != "workflow" && name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_lowercase())
        })
    });
    assert!(shape.is_some_and(|shape| shape.status == 401 && !shape.has_credentials), "{asked:?}");
    assert!(asked.iter().all(|asked| matches!(asked.method.as_str(), "GET" | "OPTIONS")), "{asked:?}");
    // With a control of that form, and credentials, the two are told apart.
    declare_at(&project, &server, &format!("expect: 401, control: /api/nothings, {AUTH}"));
    assert_eq!(notes(&project.check().expect(0)), [""; 0]);
}

#[test]
fn a_status_of_absence_with_credentials_is_an_absent_route() {
    let server = Server::new("narrow, gone");
    let project = up();
    declare_at(&project, &server, &format!("expect: 401, {AUTH}"));
    let check = project.check().expect(1);
    assert_eq!(check.drift("api"), "route Absent");
    let answered = route(&check);
    assert_eq!((&answered["observed"], &answered["auth"]["observed"]), (&401.into(), &404.into()));
    // Where a person declares that it says something else, it is nobody's rebuild.
    let auth = AUTH.replace("expect: 200", "expect: 200, absent: 410");
    declare_at(&project, &server, &format!("expect: 401, {auth}"));
    assert_eq!(project.check().expect(1).drift("api"), "auth Rejected");
}

#[test]
fn a_hidden_route_is_rebuilt_by_nobody_and_can_be_declared() {
    let server = Server::new("hidden");
    let project = down();
    declare_at(&project, &server, &format!("expect: 401, {AUTH}"));
    let apply = project.apply().expect(1);
    assert_eq!(apply.drift("api"), "route UnexpectedStatus");
    assert!(message(&apply, "RouteExposed").contains("`expect: 404`"), "{}", apply.stderr);
    assert_eq!(project.steps(), ["Up"]);
    declare_at(&project, &server, &format!("expect: 404, absent: 410, {AUTH}"));
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
}

#[test]
fn an_absence_by_another_status_is_named_with_what_to_declare() {
    let server = Server::new("absence is 405, gone");
    let project = up();
    declare_at(&project, &server, "expect: 401");
    let check = project.check().expect(1);
    assert_eq!(check.drift("api"), "route UnexpectedStatus");
    let words = message(&check, "RouteExposed");
    assert!(words.contains("declare `absent: [404, 405]`"), "{words}");
    declare_at(&project, &server, "expect: 401, absent: [404, 405]");
    assert_eq!(project.check().expect(1).drift("api"), "route Absent");
    server.becomes("absence is 405");
    project.check().expect(0);
}

#[test]
fn head_that_a_server_does_not_support_is_repeated_as_get_and_is_no_drift() {
    let server = Server::new("not for HEAD");
    let project = up();
    declare_at(&project, &server, "method: HEAD, expect: 401");
    let check = project.check().expect(0);
    let words = message(&check, "RouteExposed");
    assert!(words.contains("answers HEAD with 405, and GET as declared"), "{words}");
    let asked = server.asked();
    let by = |method: &str| {
        asked.iter().filter(|asked| asked.method == method && asked.path == "/api/workflow").count()
    };
    assert_eq!((by("HEAD"), by("GET")), (1, 1), "{asked:?}");
}

#[test]
fn the_controls_of_a_path_that_ends_in_a_slash_stand_beside_it() {
    let server = Server::new("everything below");
    let project = up();
    declare(&project, &format!("name: flow, url: \"{}\", expect: 401", server.url("/api/workflow/")));
    project.check().expect(0);
    let asked = server.asked();
    let beside =
        |path: &str| path.strip_prefix("/api/").and_then(|rest| rest.strip_suffix('/')).map(str::len);
    let controls: Vec<_> = asked.iter().filter(|asked| asked.path != "/api/workflow/").collect();
    assert_eq!(controls.len(), 2, "{asked:?}");
    assert!(controls.iter().all(|asked| beside(&asked.path).is_some_and(|length| length >= 8)), "{asked:?}");
}

#[test]
fn a_server_behind_that_is_away_makes_the_route_unknown() {
    let server = Server::new("away");
    let project = up();
    declare_at(&project, &server, &format!("expect: 401, {AUTH}"));
    let check = project.check().expect(1);
    assert_eq!((check.drift("api").as_str(), check.condition("Ready").as_str()), ("", "Unknown NotKnown"));
    let words = message(&check, "RouteExposed");
    assert!(words.contains("is away") && !words.contains("declare"), "{words}");
    server.becomes("blanket");
    project.check().expect(0);
    server.becomes("blanket, gone");
    assert_eq!(project.check().expect(1).drift("api"), "route Absent");
}

#[test]
fn a_safe_method_distinguishes_what_nothing_else_does() {
    let server = Server::new("named to OPTIONS");
    let project = up();
    declare_at(&project, &server, "expect: 401");
    let check = project.check().expect(0);
    assert!(message(&check, "RouteExposed").contains("OPTIONS"), "{}", check.stdout);
    server.becomes("blanket");
    let check = project.check().expect(1);
    assert_eq!(check.drift("api"), "route Indistinguishable");
    assert!(message(&check, "RouteExposed").contains("declare `auth`"));
}

/// Serves until the test's process ends.
fn serve(router: Router) -> u16 {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap().port()).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    receive.recv().unwrap()
}

async fn content() -> &'static str {
    "ok"
}

/// Takes names of at most sixteen letters, and asks for credentials.
async fn narrow(PathOf(name): PathOf<String>) -> StatusCode {
    let fits = name.len() <= 16 && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    if fits { StatusCode::UNAUTHORIZED } else { StatusCode::NOT_FOUND }
}

async fn authenticate(request: Request, next: Next) -> Response {
    if request.headers().contains_key(AUTHORIZATION) {
        next.run(request).await
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

/// axum, with the layer around the whole router: 401 for every path, and `Allow` in what OPTIONS is answered at the route.
#[test]
fn a_real_framework_that_guards_every_path_is_distinguished_by_allow() {
    let guarded = |router: Router| router.layer(from_fn(authenticate));
    let there = serve(guarded(Router::new().route("/api/workflow", get(content))));
    let gone = serve(guarded(Router::new().route("/api/invoices", get(content))));
    let project = up();
    for (port, code, drift) in [(there, 0, ""), (gone, 1, "route Indistinguishable")] {
        declare(&project, &format!("url: \"http://127.0.0.1:{port}/api/workflow\", expect: 401"));
        assert_eq!(project.check().expect(code).drift("api"), drift);
    }
    declare(&project, &format!("url: \"http://127.0.0.1:{gone}/api/workflow\", expect: 401, {AUTH}"));
    assert_eq!(project.check().expect(1).drift("api"), "route Absent", "credentials settle it");
}

/// The same framework with a route whose parameter is narrow, which takes the path of one that is gone.
#[test]
fn a_real_framework_whose_narrow_route_answers_in_place_of_another_is_not_reconciled() {
    let port = serve(Router::new().route("/api/{name}", get(narrow)));
    let project = down();
    declare(&project, &format!("url: \"http://127.0.0.1:{port}/api/workflow\", expect: 401"));
    let apply = project.apply().expect(1);
    assert_eq!(
        (apply.drift("api").as_str(), project.steps()),
        ("route Indistinguishable", vec!["Up".to_owned()])
    );
}

/// The most requests within any second, and how many there were.
fn busiest_second(asked: &[Asked]) -> (usize, usize) {
    let within = |from: f64| asked.iter().filter(|asked| (from..from + 1.0).contains(&asked.at)).count();
    (asked.iter().map(|asked| within(asked.at)).max().unwrap_or(0), asked.len())
}

#[test]
fn a_server_of_eight_requests_a_second_is_verified_with_a_handful_of_refusals() {
    let server = Server::new("eight in a second");
    let project = down();
    declare_at(&project, &server, &format!("expect: 401, {AUTH}"));
    let manifest = fs::read_to_string(project.path("undrift.yaml")).unwrap();
    project.write(
        "undrift.yaml",
        &manifest.replace("timeout: 10s, stableFor: 1s", "timeout: 60s, stableFor: 3s"),
    );
    let began = Instant::now();
    project.apply().expect(0);
    let asked = server.asked();
    let refused = asked.iter().filter(|asked| asked.status == 429).count();
    let (busiest, all) = busiest_second(&asked);
    assert!(refused <= 5, "{refused} of {all}, {busiest} within a second, in {:?}", began.elapsed());
}

#[test]
fn a_pause_that_a_server_asks_for_is_kept_whether_in_seconds_or_as_a_date() {
    for kind in ["pause in seconds", "pause as a date"] {
        let server = Server::new(kind);
        let project = down();
        declare_at(&project, &server, "expect: 401");
        let manifest = fs::read_to_string(project.path("undrift.yaml")).unwrap();
        project.write("undrift.yaml", &manifest.replace("timeout: 10s", "timeout: 60s"));
        project.apply().expect(0);
        let asked = server.asked();
        let first = asked.iter().find(|asked| asked.status == 429).expect("it refuses at first").at;
        // Requests that were on their way side by side come at once.
        let early = asked.iter().filter(|asked| (first + 0.5..first + 3.5).contains(&asked.at)).count();
        assert_eq!(early, 0, "{kind}: {asked:?}");
    }
}

#[test]
fn heads_that_curl_reads_are_read() {
    let server = Server::new("odd heads");
    let project = up();
    declare_at(&project, &server, "expect: 401");
    project.check().expect(0);
}

#[test]
fn a_server_that_always_answers_429_is_unknown_and_probed_ever_less_often() {
    let server = Server::new("never enough");
    let project = down();
    declare_at(&project, &server, &format!("expect: 401, {AUTH}"));
    let apply = project.apply().expect(1);
    assert_eq!((apply.drift("api").as_str(), apply.condition("Ready").as_str()), ("", "Unknown RateLimited"));
    assert_eq!(apply.condition("Stalled"), "True RateLimited");
    assert_eq!(project.steps(), ["Up"], "nothing is repaired on it");
    let asked = server.asked();
    assert!(asked.len() <= 16, "in ten seconds: {asked:?}");
    server.becomes("ordinary");
    project.apply().expect(0);
}

#[test]
fn a_certificate_that_nobody_trusts_is_named_in_plain_words_and_can_be_declared() {
    let server = Server::with_tls("self");
    let project = up();
    project.write("self.pem", &fs::read_to_string(file("tls/self.pem")).unwrap());
    let at = |more: &str| {
        declare(
            &project,
            &format!("url: \"https://127.0.0.1:{}/api/workflow\", expect: 401{more}", server.port),
        );
    };
    at("");
    let check = project.check().expect(1);
    assert_eq!(check.drift("api"), "route Untrusted");
    let words = message(&check, "RouteExposed");
    assert!(words.contains("`tls.caFile`") && !words.contains("InvalidCertificate"), "{words}");
    assert!(!check.stderr.contains("ERROR"), "no library's own words: {}", check.stderr);
    // As the unit file has it.
    let check = run(project.command(&["check", "-f", "undrift.yaml"]).env("UNDRIFT_LOG", "info")).expect(1);
    assert!(!check.stderr.contains("ERROR"), "no library's own words: {}", check.stderr);
    let apply = project.apply().expect(1);
    assert_eq!(apply.condition("Stalled"), "True Untrusted");
    assert!(!apply.stderr.contains("ERROR"), "{}", apply.stderr);
    assert_eq!(project.steps(), [""; 0]);
    at(", tls: { caFile: self.pem }");
    project.check().expect(0);
    at(", tls: { verify: false }");
    project.check().expect(0);
    let shop = Server::with_tls("shop");
    project.write("ca.pem", &fs::read_to_string(file("tls/ca.pem")).unwrap());
    let url = format!("url: \"https://127.0.0.1:{}/api/workflow\"", shop.port);
    declare(&project, &format!("{url}, expect: 401, tls: {{ caFile: ca.pem, serverName: shop.example }}"));
    project.check().expect(0);
}
