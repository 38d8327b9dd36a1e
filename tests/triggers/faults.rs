//! An engine that says what none should.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, StreamExt as _};
use undrift::host::engine::Change;

use super::{Changes, proxy::Fake, reaches};

/// An event of a type that bollard does not know: it ends the stream.
const UNKNOWN: &str = r#"{"Type":"sandbox","Action":"start","Actor":{"ID":"1","Attributes":{}}}"#;

fn project(name: &str) -> Change {
    Change::Project(name.to_owned())
}

#[tokio::test]
async fn an_unknown_event_leads_to_a_new_connection() {
    let fake = Fake::new();
    let mut changes = Changes::new(fake.engine().changes());
    assert_eq!(changes.next().await, Change::Everything);
    fake.send_project_event("before").await;
    assert_eq!(changes.next().await, project("before"));
    fake.send_event(UNKNOWN).await;
    assert_eq!(changes.next().await, Change::Everything, "of the new connection");
    assert_eq!(fake.asked.events.load(Relaxed), 2);
    fake.send_project_event("after").await;
    assert_eq!(changes.next().await, project("after"));
}

#[tokio::test]
async fn unknown_events_without_end_make_no_hot_loop() {
    let fake = Fake::new();
    let asked = std::sync::Arc::clone(&fake.asked);
    let _changes = Changes::new(fake.engine().changes());
    let began = Instant::now();
    let spoken = async {
        loop {
            fake.send_event(UNKNOWN).await;
        }
    };
    tokio::select! {
        () = spoken => {}
        () = reaches("five connections", move || asked.events.load(Relaxed) >= 5) => {}
    }
    // 100, 200, 400 and 800 ms lie between them.
    assert!(began.elapsed() >= Duration::from_millis(1_500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_engine_that_refuses_its_events_is_not_taken_for_one_that_is_back() {
    let fake = Fake::new();
    fake.refuses.send_replace(true);
    let mut changes = Changes::new(fake.engine().changes());
    let asked = std::sync::Arc::clone(&fake.asked);
    reaches("several attempts", move || asked.events.load(Relaxed) >= 4).await;
    assert_eq!(changes.0.next().now_or_never(), None, "it refuses");
    fake.refuses.send_replace(false);
    assert_eq!(changes.next().await, Change::Everything);
}

#[tokio::test]
async fn an_engine_that_refuses_its_events_late_each_time_is_not_taken_for_one_that_is_back_each_time() {
    let fake = Fake::new();
    // Long after it has answered a ping.
    fake.refuses_after.send_replace(Duration::from_millis(300));
    fake.refuses.send_replace(true);
    let mut changes = Changes::new(fake.engine().changes());
    let asked = std::sync::Arc::clone(&fake.asked);
    reaches("five attempts", move || asked.events.load(Relaxed) == 5).await;
    // Longer than the pause before another attempt would be.
    let mut notices = 0;
    while let Ok(change) = tokio::time::timeout(Duration::from_secs(4), changes.0.next()).await {
        assert_eq!(change, Some(Change::Everything));
        notices += 1;
        assert!(notices <= 5, "at each attempt");
    }
    assert!(notices > 0);
    assert_eq!(fake.asked.events.load(Relaxed), 5, "it is left alone for a while");
    fake.refuses.send_replace(false);
    assert_eq!(changes.next().await, Change::Everything, "of a connection that lasts");
    assert_eq!(fake.asked.events.load(Relaxed), 6);
    fake.send_project_event("after").await;
    assert_eq!(changes.next().await, project("after"));
}

#[tokio::test]
async fn a_consumer_that_does_not_read_holds_up_nothing_and_gathers_nothing() {
    let fake = Fake::new();
    let mut changes = Changes::new(fake.engine().changes());
    assert_eq!(changes.next().await, Change::Everything);
    // More than the socket's buffers hold: it is read though nobody takes anything.
    for number in 0..20_000 {
        fake.send_project_event(&format!("p{number}")).await;
    }
    assert_eq!(changes.next().await, Change::Everything);
    fake.send_project_event("last").await;
    changes.until(&project("last")).await;
}

#[tokio::test]
async fn an_engine_that_sends_events_is_not_pinged() {
    let fake = Fake::new();
    let heartbeat = Duration::from_millis(300);
    let began = Instant::now();
    let mut changes = Changes::new(fake.engine().changes_with(heartbeat));
    assert_eq!(changes.next().await, Change::Everything);
    let before = fake.asked.pings.load(Relaxed);
    // On a busy machine it may be silent for longer than is meant here: then it is asked.
    let (mut silences, mut last) = (0, began);
    while began.elapsed() < heartbeat * 10 {
        let now = Instant::now();
        fake.send_project_event("p").await;
        changes.until(&project("p")).await;
        silences += last.elapsed().as_millis() / heartbeat.as_millis();
        last = now;
    }
    let pings = fake.asked.pings.load(Relaxed) - before;
    assert!(pings as u128 <= silences, "{pings} pings, and {silences} heartbeats of silence in ten");
    let asked = std::sync::Arc::clone(&fake.asked);
    reaches("a ping once it is silent", move || asked.pings.load(Relaxed) > before + pings).await;
}
