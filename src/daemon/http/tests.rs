//! Requests to a daemon whose host is in memory, over a real socket.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    task::JoinHandle,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    api::{AuditKind, ConditionStatus, ConditionType, Event, NewRecord},
    daemon::{
        client,
        protocol::{ObjectOutcome, ReportedEvent},
        testing::{DaemonFixture, healthy},
    },
    store::testing,
};

/// A connected client. It uses HTTP/1.0, so that an answer ends with its connection.
struct Client {
    stream: UnixStream,
    served: JoinHandle<()>,
}

impl Client {
    fn of(fixture: &DaemonFixture) -> Self {
        let (theirs, ours) = UnixStream::pair().unwrap();
        Self::at(fixture, theirs, ours)
    }

    fn at(fixture: &DaemonFixture, stream: UnixStream, ours: UnixStream) -> Self {
        let shared = Arc::clone(&fixture.shared);
        Self { stream, served: tokio::spawn(async move { serve(&shared, ours).await }) }
    }

    async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    async fn request(&mut self, method: &str, path: &str, body: &str) {
        let length = body.len();
        let media = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        self.write(&format!("{method} {path} HTTP/1.0\r\n{media}Content-Length: {length}\r\n\r\n{body}"))
            .await;
    }

    /// The rest of the answer.
    async fn read(&mut self) -> String {
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// The head of the answer.
    async fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    /// The answer until it contains this, with a whole message at its end.
    async fn read_until(&mut self, text: &str) -> String {
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let read = self.stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "it ended: {}", String::from_utf8_lossy(&answer));
            answer.extend(&buffer[..read]);
            let so_far = String::from_utf8_lossy(&answer);
            if so_far.contains(text) && so_far.ends_with("\n\n") {
                return so_far.into_owned();
            }
        }
    }
}

/// The status, and the body as JSON.
async fn ask(fixture: &DaemonFixture, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut client = Client::of(fixture);
    client.request(method, path, body).await;
    let answer = client.read().await;
    client.served.await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(concat!("server: undrift/", env!("CARGO_PKG_VERSION"))), "{head}");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| json!(body)))
}

/// A daemon whose two objects are recorded.
fn recorded() -> DaemonFixture {
    let fixture = DaemonFixture::new(healthy());
    for name in ["backoffice", "other"] {
        let mut object = testing::object();
        object.declared.metadata.name = name.into();
        fixture.shared.store.save_object(&object).unwrap();
    }
    fixture
}

fn append(fixture: &DaemonFixture, kind: AuditKind) -> u64 {
    fixture
        .shared
        .store
        .append(&NewRecord { object: Some("backoffice".into()), ..NewRecord::of(kind) })
        .unwrap()
}

#[tokio::test]
async fn the_recorded_objects_are_given_as_they_stand() {
    let fixture = recorded();
    fixture.shared.store.suspend("other", None, "a migration").unwrap();
    let (status, list) = ask(&fixture, "GET", "/api/v1/objects", "").await;
    assert_eq!((status, &list["kind"]), (200, &json!("List")));
    let names: Vec<&Value> =
        list["items"].as_array().unwrap().iter().map(|object| &object["metadata"]["name"]).collect();
    assert_eq!(names, ["backoffice", "other"]);
    let (status, other) = ask(&fixture, "GET", "/api/v1/objects/other", "").await;
    assert_eq!((status, &other["status"]["suspension"]["reason"]), (200, &json!("a migration")));
}

#[tokio::test]
async fn what_cannot_be_answered_is_an_error_with_its_reason() {
    let fixture = recorded();
    let large = format!("{{\"reason\": \"{}\"}}", "x".repeat(LARGEST_BODY));
    for (method, path, body, expected) in [
        ("GET", "/api/v1/objects/nobody", "", (404, "NoSuchObject")),
        ("POST", "/api/v1/objects/nobody/suspend", "{\"reason\": \"x\"}", (404, "NoSuchObject")),
        ("POST", "/api/v1/objects/nobody/reconcile", "{}", (404, "NoSuchObject")),
        ("POST", "/api/v1/objects/other/suspend", "{\"reason\": \" \"}", (400, "Usage")),
        ("POST", "/api/v1/objects/other/suspend", "", (400, "Usage")),
        ("POST", "/api/v1/objects/other/suspend", "{\"reason\": \"x\", \"for\": \"soon\"}", (400, "Usage")),
        ("POST", "/api/v1/objects/other/suspend", "{\"reason\": \"x\", \"until\": 3}", (400, "Usage")),
        ("POST", "/api/v1/objects/other/suspend", "{\"reason\"", (400, "Usage")),
        ("POST", "/api/v1/objects/other/suspend", &large, (413, "Usage")),
        ("POST", "/api/v1/objects/other/resume", "{\"reason\": \"x\"}", (400, "Usage")),
        (
            "POST",
            "/api/v1/objects/other/reconcile",
            "{\"specDigest\": \"v1:sha256:0\"}",
            (409, "SpecDiffers"),
        ),
        ("GET", "/api/v1/incidents/01ABC", "", (404, "NoSuchIncident")),
        ("GET", "/api/v1/incidents/01ABC/export", "", (404, "NoSuchIncident")),
        ("GET", "/api/v1/incidents/01ABC/export?format=pdf", "", (400, "Usage")),
        ("GET", "/api/v1/incidents?limit=101", "", (400, "Usage")),
        ("GET", "/api/v1/incidents?since=1", "", (400, "Usage")),
        ("GET", "/api/v1/records?limit=0", "", (400, "Usage")),
        ("GET", "/api/v1/records?limit=1001", "", (400, "Usage")),
        ("GET", "/api/v1/records?after=x", "", (400, "Usage")),
        ("GET", "/api/v1/events?after=x", "", (400, "Usage")),
        ("GET", "/api/v1/events?after=7", "", (400, "Usage")),
        ("GET", "/api/v1/incidents?before=01ABC", "", (404, "NoSuchIncident")),
        ("GET", "/api/v1/objects/%FF", "", (400, "Usage")),
        ("GET", "/api/v2/objects", "", (404, "NoSuchPath")),
        ("GET", "/api/v1/objects/other/suspend", "", (405, "MethodNotAllowed")),
        ("DELETE", "/api/v1/objects/other", "", (405, "MethodNotAllowed")),
    ] {
        let (status, error) = ask(&fixture, method, path, body).await;
        let found = (status, error["reason"].as_str().unwrap_or_default());
        assert_eq!(found, expected, "{method} {path}: {error}");
        assert_eq!((&error["kind"], &error["apiVersion"]), (&json!("Error"), &json!("undrift.dev/v1alpha1")));
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    }
    assert!(fixture.shared.store.records(&crate::store::RecordFilter::default()).unwrap().is_empty());
}

#[tokio::test]
async fn a_body_that_a_form_could_have_sent_is_refused() {
    let fixture = recorded();
    let mut client = Client::of(&fixture);
    let body = "{\"reason\": \"x\"}";
    let head = format!("POST /api/v1/objects/other/suspend HTTP/1.0\r\nContent-Length: {}", body.len());
    client.write(&format!("{head}\r\nContent-Type: text/plain\r\n\r\n{body}")).await;
    let answer = client.read().await;
    assert!(answer.starts_with("HTTP/1.0 400") && answer.contains("application/json"), "{answer}");
    assert_eq!(fixture.shared.store.suspension("other").unwrap(), None);
}

#[tokio::test]
async fn what_a_person_wants_is_recorded_under_their_name_and_looked_at() {
    let fixture = recorded();
    let user = crate::files::user_name(rustix::process::geteuid().as_raw());
    let path = |verb: &str| format!("/api/v1/objects/other/{verb}");
    let asked = json!({ "reason": "a migration", "for": "2h" }).to_string();
    let (status, object) = ask(&fixture, "POST", &path("suspend"), &asked).await;
    let suspension = &object["status"]["suspension"];
    assert_eq!(
        (status, &suspension["reason"], &suspension["actor"]),
        (200, &json!("a migration"), &json!(user))
    );
    let held = fixture.shared.store.suspension("other").unwrap().unwrap();
    let seconds = (held.until.unwrap() - held.since).num_seconds();
    assert!((7_190..=7_200).contains(&seconds), "{seconds}");

    let (status, object) = ask(&fixture, "POST", &path("resume"), "").await;
    assert_eq!((status, &object["status"]["suspension"]), (200, &Value::Null));
    let mut quiet = fixture.shared.store.object("other").unwrap().unwrap();
    let ready = quiet.status.conditions.iter_mut().find(|c| c.kind == ConditionType::Ready).unwrap();
    ready.status = ConditionStatus::True;
    fixture.shared.store.save_object(&quiet).unwrap();
    let (status, error) = ask(&fixture, "POST", &path("retry"), "").await;
    assert_eq!((status, &error["reason"]), (409, &json!("NotStalled")));
    let mut attempt = testing::attempt(3);
    attempt.object = "other".into();
    fixture.shared.store.save_attempt(&attempt).unwrap();
    assert_eq!(ask(&fixture, "POST", &path("retry"), "{}").await.0, 200);

    let (_, trail) = ask(&fixture, "GET", "/api/v1/records?object=other", "").await;
    let of = |record: &Value| (record["kind"].clone(), record["actor"].clone());
    let found: Vec<_> = trail["items"].as_array().unwrap().iter().map(of).collect();
    let by_person = |kind: &str| (json!(kind), json!(user));
    assert_eq!(found, ["Suspended", "Resumed", "Retried"].map(by_person));
    assert!(fixture.shared.queue.has("other"), "it is looked at");
}

#[tokio::test]
async fn records_and_incidents_come_page_by_page() {
    let fixture = recorded();
    for _ in 0..5 {
        append(&fixture, AuditKind::Retried);
    }
    let (mut after, mut seen) = (json!(0), Vec::new());
    while !after.is_null() {
        let (_, page) = ask(&fixture, "GET", &format!("/api/v1/records?limit=2&after={after}"), "").await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|record| record["seq"].as_u64().unwrap()));
        after = page["next"].clone();
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);

    let none = json!({});
    let mut opened = Vec::new();
    for minute in 0..3 {
        let at = testing::start() + chrono::TimeDelta::minutes(minute);
        let id = testing::incident(&fixture.shared.store, "other", at, &none, &none).id;
        let outcome = crate::api::IncidentOutcome::Reconciled;
        fixture.shared.store.close_incident(&id, at, outcome, None).unwrap();
        opened.insert(0, id);
    }
    let (mut query, mut seen) = (String::new(), Vec::new());
    loop {
        let (_, page) =
            ask(&fixture, "GET", &format!("/api/v1/incidents?limit=1&object=other{query}"), "").await;
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        query = format!("&before={next}");
    }
    assert_eq!(seen, opened);
    assert_eq!(ask(&fixture, "GET", "/api/v1/incidents?object=backoffice", "").await.1["items"], json!([]));
    let (_, one) = ask(&fixture, "GET", &format!("/api/v1/incidents/{}", seen[0]), "").await;
    assert_eq!((&one["id"], &one["timeline"]), (&json!(seen[0]), &json!([])));
    let (status, document) =
        ask(&fixture, "GET", &format!("/api/v1/incidents/{}/export?format=json", seen[0]), "").await;
    assert_eq!((status, &document["report"]["incident"]), (200, &json!(seen[0])));
}

fn reported(event: Event) -> Arc<ReportedEvent> {
    Arc::new(ReportedEvent { object: "backoffice".into(), event })
}

/// The events that a client receives, a line for each: the name, and the `id` or the output.
fn summary(text: &str) -> Vec<String> {
    let messages = text.split("\n\n").filter(|message| message.contains("event: "));
    let field = |message: &str, name: &str| {
        message.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    let line = |message: &str| {
        let (event, id) = (field(message, "event:"), field(message, "id:"));
        let data: Value = serde_json::from_str(&field(message, "data:")).unwrap();
        format!("{event} {id}{}", data["line"].as_str().unwrap_or_default())
    };
    messages.map(line).collect()
}

#[tokio::test]
async fn one_who_follows_receives_each_record_once_and_output_where_it_belongs() {
    let fixture = recorded();
    append(&fixture, AuditKind::Suspended);
    append(&fixture, AuditKind::Resumed);
    let mut client = Client::of(&fixture);
    client.request("GET", "/api/v1/events?after=1", "").await;
    let mut text = client.read_until("id: 2\n").await;
    // As in a reconcile: the record, then its consequences.
    append(&fixture, AuditKind::StepIntended);
    let services = vec!["api".into()];
    let _ =
        fixture.shared.feed.send(reported(Event::StepIntended { step: crate::api::Step::Restart, services }));
    let _ = fixture.shared.feed.send(reported(Event::Output { line: "#5 COPY".into() }));
    text += &client.read_until("#5 COPY").await;
    append(&fixture, AuditKind::StepFinished);
    // No event announces this one: another process wrote it.
    text += &client.read_until("id: 4\n").await;
    assert_eq!(summary(&text), ["record 2", "record 3", "output #5 COPY", "record 4"]);
    drop(client);

    let mut back = Client::of(&fixture);
    back.write("GET /api/v1/events?after=1 HTTP/1.0\r\nLast-Event-ID: 3\r\n\r\n").await;
    assert_eq!(summary(&back.read_until("id: 4\n").await), ["record 4"]);

    let mut new = Client::of(&fixture);
    new.request("GET", "/api/v1/events", "").await;
    assert!(new.read_head().await.contains("text/event-stream"));
    append(&fixture, AuditKind::Retried);
    assert_eq!(summary(&new.read_until("id: 5\n").await), ["record 5"]);
    fixture.shared.stop.cancel();
    assert_eq!(summary(&new.read().await), [""; 0], "the end of undrift is the end of it");
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_is_woken_by_what_is_recorded_and_not_by_output() {
    let fixture = recorded();
    let (theirs, ours) = UnixStream::pair().unwrap();
    let shared = Arc::clone(&fixture.shared);
    let _served = tokio::spawn(async move { serve(&shared, ours).await });
    let mut events = client::follow_at(fixture.dir.path(), theirs).await.unwrap();
    for event in [Event::Output { line: "#5 COPY".into() }, Event::Observed] {
        let _ = fixture.shared.feed.send(reported(event));
    }
    assert!(events.next().await);
    let idle = tokio::time::timeout(Duration::from_secs(60), events.next()).await;
    assert!(idle.is_err(), "nothing more has happened");
    append(&fixture, AuditKind::Suspended);
    assert!(events.next().await, "another process wrote it");
    fixture.shared.stop.cancel();
    assert!(!events.next().await);
}

#[tokio::test]
async fn a_long_trail_comes_whole() {
    let fixture = recorded();
    for _ in 0..600 {
        append(&fixture, AuditKind::Retried);
    }
    let mut client = Client::of(&fixture);
    client.request("GET", "/api/v1/events?after=0", "").await;
    let text = client.read_until("id: 600\n").await;
    let expected: Vec<String> = (1..=600).map(|seq| format!("record {seq}")).collect();
    assert_eq!(summary(&text), expected);
}

fn outcome() -> ObjectOutcome {
    ObjectOutcome { object: testing::object(), reconciled: true, acted: true, error: None }
}

async fn reconcile(fixture: &DaemonFixture) -> Client {
    let mut client = Client::of(fixture);
    client.request("POST", "/api/v1/objects/backoffice/reconcile", "{}").await;
    while !fixture.shared.subscribers.has_subscriber("backoffice") {
        tokio::task::yield_now().await;
    }
    client
}

#[tokio::test]
async fn a_reconcile_is_answered_with_what_happens_and_at_last_the_result() {
    let fixture = recorded();
    let mut client = reconcile(&fixture).await;
    assert!(client.read_head().await.contains("application/x-ndjson"));
    fixture.shared.subscribers.begin("backoffice");
    fixture.shared.subscribers.publish(&reported(Event::Output { line: "#5 COPY".into() }));
    fixture.shared.subscribers.end("backoffice", |_| outcome());
    let lines = client.read().await;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({ "object": "backoffice", "kind": "Output", "line": "#5 COPY" }));
    assert_eq!((&lines[1]["kind"], &lines[1]["ready"], lines.len()), (&json!("Result"), &json!(true), 2));
}

#[tokio::test]
async fn one_who_reads_late_loses_events_and_receives_the_result() {
    let fixture = recorded();
    let mut client = reconcile(&fixture).await;
    fixture.shared.subscribers.begin("backoffice");
    // More than the socket holds: the writer must wait for the reader.
    let long = reported(Event::Output { line: "x".repeat(100_000) });
    for _ in 0..600 {
        fixture.shared.subscribers.publish(&long);
        tokio::task::yield_now().await;
    }
    fixture.shared.subscribers.end("backoffice", |_| outcome());
    let answer = client.read().await;
    assert!(answer.lines().count() < 600);
    let last: Value = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
    assert_eq!(last["kind"], "Result");
    client.served.await.unwrap();
}

#[tokio::test]
async fn a_result_that_is_there_is_passed_on_though_undrift_ends() {
    let fixture = recorded();
    let mut client = reconcile(&fixture).await;
    client.read_head().await;
    fixture.shared.subscribers.begin("backoffice");
    fixture.shared.subscribers.publish(&reported(Event::Output { line: "#5 COPY".into() }));
    fixture.shared.subscribers.end("backoffice", |_| outcome());
    fixture.shared.stop.cancel();
    let answer = client.read().await;
    assert!(answer.lines().last().is_some_and(|line| line.contains("\"kind\":\"Result\"")), "{answer}");
}

#[tokio::test]
async fn a_dry_run_is_answered_without_a_reconcile() {
    let fixture = recorded();
    let path = "/api/v1/objects/backoffice/reconcile";
    assert_eq!(ask(&fixture, "POST", path, "{\"dryRun\": true}").await, (200, json!("")));
    assert!(
        !fixture.shared.subscribers.has_subscriber("backoffice") && !fixture.shared.queue.has("backoffice")
    );
}

#[tokio::test]
async fn an_object_that_could_not_be_looked_at_may_be_retried() {
    let fixture = recorded();
    let mut quiet = fixture.shared.store.object("other").unwrap().unwrap();
    let mut save = |ready, stalled| {
        for condition in &mut quiet.status.conditions {
            condition.status = if condition.kind == ConditionType::Ready { ready } else { stalled };
        }
        fixture.shared.store.save_object(&quiet).unwrap();
    };
    let retry = || ask(&fixture, "POST", "/api/v1/objects/other/retry", "");
    save(ConditionStatus::True, ConditionStatus::True);
    assert_eq!(retry().await.0, 200, "as declared, and never for the whole window");
    save(ConditionStatus::True, ConditionStatus::False);
    assert_eq!(retry().await.0, 409);
    // Its engine is another one, for instance: only a retry accepts this one from now on.
    fixture.shared.sessions.failed("other");
    assert_eq!(retry().await.0, 200);
}

#[tokio::test]
async fn a_refused_reconcile_names_the_project_directory_of_the_daemon() {
    let fixture = recorded();
    let managed = fixture.shared.objects.get("backoffice").unwrap();
    let asked = json!({ "specDigest": "v1:sha256:other", "directory": "/srv/current" }).to_string();
    let (_, error) = ask(&fixture, "POST", "/api/v1/objects/backoffice/reconcile", &asked).await;
    let why = error["message"].as_str().unwrap();
    let there = format!(": there the project directory is {}, ", managed.directory.display());
    assert!(why.contains(&there) && why.ends_with("here it is /srv/current"), "{why}");
}

#[tokio::test]
async fn a_reconcile_that_begins_once_somebody_waits_looks_afresh() {
    let fixture = recorded();
    let long_ago = chrono::DateTime::UNIX_EPOCH;
    fixture.shared.sessions.put("backoffice", crate::reconcile::Session::new(long_ago));
    let _client = reconcile(&fixture).await;
    assert!(
        fixture
            .shared
            .sessions
            .take("backoffice", crate::reconcile::now())
            .is_some_and(|session| session.began() > long_ago)
    );
}

#[tokio::test]
async fn readiness_names_the_objects_that_are_not_yet_observed() {
    let fixture = recorded();
    assert_eq!(ask(&fixture, "GET", "/healthz", "").await, (200, json!("ok\n")));
    fixture.shared.readiness.expect(vec!["backoffice".into(), "other".into()]);
    fixture.shared.readiness.observed("other");
    let (status, error) = ask(&fixture, "GET", "/readyz", "").await;
    assert_eq!((status, &error["reason"]), (503, &json!("NotYetObserved")));
    assert!(error["message"].as_str().unwrap().ends_with(": backoffice"), "{error}");
    fixture.shared.readiness.observed("backoffice");
    assert_eq!(ask(&fixture, "GET", "/readyz", "").await, (200, json!("ok\n")));
}

#[tokio::test(start_paused = true)]
async fn a_hung_loop_is_reported_by_healthz() {
    let fixture = recorded();
    fixture.shared.heartbeat.beat();
    assert_eq!(fixture.shared.heartbeat.stuck_for(), None);
    tokio::time::advance(Duration::from_secs(31)).await;
    let (status, error) = ask(&fixture, "GET", "/healthz", "").await;
    assert_eq!((status, &error["reason"]), (503, &json!("LoopStuck")));
}

#[tokio::test]
async fn once_it_is_to_end_that_is_all_it_answers() {
    let fixture = recorded();
    fixture.shared.stop.cancel();
    let (status, error) = ask(&fixture, "POST", "/api/v1/objects/other/suspend", "{\"reason\": \"x\"}").await;
    assert_eq!((status, &error["reason"]), (503, &json!("Ending")));
    assert_eq!(fixture.shared.store.suspension("other").unwrap(), None);
    assert_eq!(ask(&fixture, "GET", "/healthz", "").await, (200, json!("ok\n")), "it lives all the same");
}

#[tokio::test(start_paused = true)]
async fn half_a_request_holds_up_the_end_for_a_moment_only() {
    let fixture = recorded();
    let mut client = Client::of(&fixture);
    client.write("GET /api/v1/obj").await;
    tokio::task::yield_now().await;
    let began = Instant::now();
    fixture.shared.stop.cancel();
    client.read().await;
    client.served.await.unwrap();
    assert!(began.elapsed() <= serve::LAST_REQUEST * 2, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn half_a_request_is_waited_for_with_a_limit() {
    let fixture = recorded();
    let mut client = Client::of(&fixture);
    client.write("POST /api/v1/objects/other/suspend HTTP/1.0\r\nContent-Length: 10\r\n").await;
    client.read().await;
    client.served.await.unwrap();
}
