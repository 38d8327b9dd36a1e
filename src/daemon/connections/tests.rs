//! Persons who read slowly, say half of what they want, or come at the end.

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
    time::{Instant, advance},
};

use super::*;
use crate::{
    daemon::{
        protocol::ObjectOutcome,
        testing::{DaemonFixture, healthy},
    },
    reconcile::Progress,
};

/// A person whose connection is served.
struct Client {
    stream: BufReader<UnixStream>,
    served: JoinHandle<io::Result<()>>,
}

impl Client {
    fn comes_to(fixture: &DaemonFixture) -> Self {
        let (theirs, ours) = UnixStream::pair().unwrap();
        Self::at(fixture, theirs, ours)
    }

    fn at(fixture: &DaemonFixture, theirs: UnixStream, ours: UnixStream) -> Self {
        let shared = Arc::clone(&fixture.shared);
        let served = tokio::spawn(async move { shared.serve(BufReader::new(ours)).await });
        Self { stream: BufReader::new(theirs), served }
    }

    async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    async fn request(&mut self, what: ControlCommand) {
        let request = serde_json::to_string(&ControlRequest { version: VERSION, what }).unwrap();
        self.write(&format!("{request}\n")).await;
    }

    async fn read_reply(&mut self) -> Option<Reply> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }
}

fn reconcile(fixture: &DaemonFixture) -> ControlCommand {
    let asked = RequestedObject::of(&fixture.shared.objects.get("backoffice").unwrap());
    ControlCommand::Reconcile { objects: vec![asked], colour: false }
}

#[tokio::test(start_paused = true)]
async fn a_person_hears_by_which_folder_the_daemon_knows_the_project() {
    let fixture = DaemonFixture::new(healthy());
    let managed = fixture.shared.objects.get("backoffice").unwrap();
    let mut client = Client::comes_to(&fixture);
    let link = Some("/srv/current".to_owned());
    let asked = RequestedObject {
        spec_digest: "v1:sha256:other".into(),
        directory: link,
        ..RequestedObject::of(&managed)
    };
    client.request(ControlCommand::Reconcile { objects: vec![asked], colour: false }).await;
    let Some(Reply::Refused(why)) = client.read_reply().await else { panic!("it is not the same project") };
    let there = format!(": there the project directory is {}, ", managed.directory.display());
    assert!(why.contains(&there) && why.ends_with("here it is /srv/current"), "{why}");
}

fn outcome() -> ObjectOutcome {
    ObjectOutcome { object: crate::store::testing::object(), reconciled: true, acted: true, error: None }
}

#[tokio::test(start_paused = true)]
async fn one_who_reads_late_loses_lines_and_hears_the_outcome() {
    let fixture = DaemonFixture::new(healthy());
    let mut client = Client::comes_to(&fixture);
    client.request(reconcile(&fixture)).await;
    assert_eq!(client.read_reply().await, Some(Reply::Accepted));
    fixture.shared.subscribers.begin("backoffice");
    // More than the socket holds: who writes must wait for who reads.
    let long: fn(&Progress<'_>, bool) -> Option<(String, bool)> = |_, _| Some(("x".repeat(100_000), false));
    for _ in 0..200 {
        fixture.shared.subscribers.publish("backoffice", &Progress::Observed, long);
        tokio::task::yield_now().await;
    }
    advance(READ_TIMEOUT * 100).await;
    assert!(!client.served.is_finished());
    fixture.shared.subscribers.end("backoffice", |_| outcome());
    let mut last = None;
    while let Some(reply) = client.read_reply().await {
        last = Some(reply);
    }
    assert_eq!(last, Some(Reply::Outcome(Box::new(outcome()))));
    client.served.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_begins_once_somebody_waits_looks_afresh() {
    let fixture = DaemonFixture::new(healthy());
    let long_ago = chrono::DateTime::UNIX_EPOCH;
    fixture.shared.sessions.put("backoffice", crate::reconcile::Session::new(long_ago));
    // No room is left on the way to the person: whatever is said first is waited for.
    let (theirs, ours) = UnixStream::pair().unwrap();
    ours.writable().await.unwrap();
    while ours.try_write(&[b'x'; 4096]).is_ok() {}
    let mut client = Client::at(&fixture, theirs, ours);
    client.request(reconcile(&fixture)).await;
    // A reconcile that begins from here on is an answer: it must not go by what was remembered.
    while !fixture.shared.subscribers.has_subscriber("backoffice") {
        tokio::task::yield_now().await;
    }
    assert!(fixture.shared.sessions.take("backoffice").is_some_and(|session| session.began() > long_ago));
}

#[tokio::test(start_paused = true)]
async fn half_a_request_holds_up_the_end_for_a_moment_only() {
    let fixture = DaemonFixture::new(healthy());
    let mut client = Client::comes_to(&fixture);
    client.write("{\"version\":").await;
    let began = Instant::now();
    fixture.shared.stop.cancel();
    assert_eq!(client.read_reply().await, Some(Reply::Refused(ENDING.into())));
    client.served.await.unwrap().unwrap();
    assert!(began.elapsed() <= LAST_READ_TIMEOUT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn who_comes_while_it_ends_or_stands_before_the_socket_then_hears_that_it_ends() {
    let fixture = DaemonFixture::new(healthy());
    let home = tempfile::tempdir().unwrap();
    let (socket, connections) = (ControlSocket::open(home.path()).unwrap(), TaskTracker::new());
    fixture.shared.stop.cancel();
    let connect = || UnixStream::connect(home.path().join("undrift.sock"));
    let ask = async |stream: UnixStream| {
        let mut client = BufReader::new(stream);
        let request =
            serde_json::to_string(&ControlRequest { version: VERSION, what: reconcile(&fixture) }).unwrap();
        client.write_all(format!("{request}\n").as_bytes()).await.unwrap();
        let mut line = String::new();
        client.read_line(&mut line).await.unwrap();
        serde_json::from_str::<Reply>(&line).unwrap()
    };
    let refused = Reply::Refused(ENDING.into());
    tokio::select! {
        reply = async { ask(connect().await.unwrap()).await } => assert_eq!(reply, refused),
        never = fixture.shared.accept_connections(&socket, &connections) => match never {},
    }
    let before_the_door = connect().await.unwrap();
    fixture.shared.reject_pending(socket, &connections);
    assert_eq!(ask(before_the_door).await, refused);
    assert!(connect().await.is_err(), "it is closed");
    connections.close();
    connections.wait().await;
}
