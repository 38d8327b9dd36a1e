//! Persons who read slowly, say half of what they want, or come at the end.

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
    time::{Instant, advance},
};

use super::*;
use crate::{
    daemon::{
        protocol::Outcome,
        testing::{Bench, healthy},
    },
    reconcile::Progress,
};

/// A person whose connection is served.
struct Person {
    stream: BufReader<UnixStream>,
    served: JoinHandle<io::Result<()>>,
}

impl Person {
    fn comes_to(bench: &Bench) -> Self {
        let (theirs, ours) = UnixStream::pair().unwrap();
        Self::at(bench, theirs, ours)
    }

    fn at(bench: &Bench, theirs: UnixStream, ours: UnixStream) -> Self {
        let shared = Arc::clone(&bench.shared);
        let served = tokio::spawn(async move { shared.serve(BufReader::new(ours)).await });
        Self { stream: BufReader::new(theirs), served }
    }

    async fn says(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    async fn asks(&mut self, what: What) {
        let request = serde_json::to_string(&Request { version: VERSION, what }).unwrap();
        self.says(&format!("{request}\n")).await;
    }

    async fn hears(&mut self) -> Option<Reply> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }
}

fn reconcile(bench: &Bench) -> What {
    let asked = Asked::of(&bench.shared.objects.get("backoffice").unwrap());
    What::Reconcile { objects: vec![asked], colour: false }
}

#[tokio::test(start_paused = true)]
async fn a_person_hears_by_which_folder_the_daemon_knows_the_project() {
    let bench = Bench::new(healthy());
    let watched = bench.shared.objects.get("backoffice").unwrap();
    let mut person = Person::comes_to(&bench);
    let link = Some("/srv/current".to_owned());
    let asked = Asked { spec_digest: "v1:sha256:other".into(), directory: link, ..Asked::of(&watched) };
    person.asks(What::Reconcile { objects: vec![asked], colour: false }).await;
    let Some(Reply::Refused(why)) = person.hears().await else { panic!("it is not the same project") };
    let there = format!(": there the project directory is {}, ", watched.directory.display());
    assert!(why.contains(&there) && why.ends_with("here it is /srv/current"), "{why}");
}

fn outcome() -> Outcome {
    Outcome { object: crate::store::testing::object(), reconciled: true, acted: true, error: None }
}

#[tokio::test(start_paused = true)]
async fn one_who_reads_late_loses_lines_and_hears_the_outcome() {
    let bench = Bench::new(healthy());
    let mut person = Person::comes_to(&bench);
    person.asks(reconcile(&bench)).await;
    assert_eq!(person.hears().await, Some(Reply::Accepted));
    bench.shared.waiters.begin("backoffice");
    // More than the socket holds: who writes must wait for who reads.
    let long: fn(&Progress<'_>, bool) -> Option<(String, bool)> = |_, _| Some(("x".repeat(100_000), false));
    for _ in 0..200 {
        bench.shared.waiters.tell("backoffice", &Progress::Looked, long);
        tokio::task::yield_now().await;
    }
    advance(PATIENCE * 100).await;
    assert!(!person.served.is_finished());
    bench.shared.waiters.end("backoffice", |_| outcome());
    let mut last = None;
    while let Some(reply) = person.hears().await {
        last = Some(reply);
    }
    assert_eq!(last, Some(Reply::Outcome(Box::new(outcome()))));
    person.served.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_begins_once_somebody_waits_looks_afresh() {
    let bench = Bench::new(healthy());
    let long_ago = chrono::DateTime::UNIX_EPOCH;
    bench.shared.memory.put("backoffice", crate::reconcile::Session::new(long_ago));
    // No room is left on the way to the person: whatever is said first is waited for.
    let (theirs, ours) = UnixStream::pair().unwrap();
    ours.writable().await.unwrap();
    while ours.try_write(&[b'x'; 4096]).is_ok() {}
    let mut person = Person::at(&bench, theirs, ours);
    person.asks(reconcile(&bench)).await;
    // A turn that begins from here on is an answer: it must not go by what was remembered.
    while !bench.shared.waiters.is_awaited("backoffice") {
        tokio::task::yield_now().await;
    }
    assert!(bench.shared.memory.take("backoffice").is_some_and(|session| session.began() > long_ago));
}

#[tokio::test(start_paused = true)]
async fn half_a_request_holds_up_the_end_for_a_moment_only() {
    let bench = Bench::new(healthy());
    let mut person = Person::comes_to(&bench);
    person.says("{\"version\":").await;
    let began = Instant::now();
    bench.shared.stop.cancel();
    assert_eq!(person.hears().await, Some(Reply::Refused(ENDING.into())));
    person.served.await.unwrap().unwrap();
    assert!(began.elapsed() <= LAST_PATIENCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn who_comes_while_it_ends_or_stands_before_the_door_then_hears_that_it_ends() {
    let bench = Bench::new(healthy());
    let home = tempfile::tempdir().unwrap();
    let (door, visits) = (Door::open(home.path()).unwrap(), TaskTracker::new());
    bench.shared.stop.cancel();
    let connect = || UnixStream::connect(home.path().join("undrift.sock"));
    let ask = async |stream: UnixStream| {
        let mut person = BufReader::new(stream);
        let request = serde_json::to_string(&Request { version: VERSION, what: reconcile(&bench) }).unwrap();
        person.write_all(format!("{request}\n").as_bytes()).await.unwrap();
        let mut line = String::new();
        person.read_line(&mut line).await.unwrap();
        serde_json::from_str::<Reply>(&line).unwrap()
    };
    let refused = Reply::Refused(ENDING.into());
    tokio::select! {
        heard = async { ask(connect().await.unwrap()).await } => assert_eq!(heard, refused),
        never = bench.shared.receive(&door, &visits) => match never {},
    }
    let before_the_door = connect().await.unwrap();
    bench.shared.turn_away(door, &visits);
    assert_eq!(ask(before_the_door).await, refused);
    assert!(connect().await.is_err(), "it is closed");
    visits.close();
    visits.wait().await;
}
