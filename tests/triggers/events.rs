//! The real engine's events.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use futures_util::{FutureExt as _, StreamExt as _};
use undrift::{
    api::ModuleType,
    host::{
        Cache, NoCache,
        engine::{Change, keep_reference},
    },
};

use super::{
    Changes, Duration, Labelled, Tag, engine,
    proxy::Proxy,
    reaches,
    support::{BASE, docker, unique},
};

#[tokio::test]
async fn a_container_that_starts_or_stops_names_its_project() {
    let mut changes = Changes::new(engine().changes());
    assert_eq!(changes.next().await, Change::Everything, "once the events are subscribed to");
    let labelled = Labelled::run("events", &[]);
    for verb in ["pause", "unpause", "kill", "start", "rm"] {
        changes.until(&labelled.change()).await;
        // Of each verb at least one event comes, and equal ones that wait together are one.
        docker(&if verb == "rm" { vec!["rm", "--force", &labelled.id] } else { vec![verb, &labelled.id] });
    }
    changes.until(&labelled.change()).await;
}

#[tokio::test]
async fn an_image_that_is_tagged_is_named_by_its_reference() {
    let mut changes = Changes::new(engine().changes());
    assert_eq!(changes.next().await, Change::Everything);
    let tag = Tag::new(BASE, format!("{}:one", unique("tagged")));
    changes.until(&tag.change()).await;
}

#[tokio::test]
async fn undrifts_own_containers_trigger_nothing() {
    let engine = engine();
    let volume = unique("volume");
    let seen = Labelled::run("seen", &["--volume", "/data"]);
    // An image of the project, as Compose would label it: its look-up container inherits the labels.
    let image = docker(&[
        "commit",
        "--change",
        &format!("LABEL com.docker.compose.project={}", seen.project),
        &seen.id,
    ]);
    let _image = Tag::new(&image, format!("{volume}:one"));
    let mut changes = Changes::new(engine.changes());
    assert_eq!(changes.next().await, Change::Everything);

    let cache: Arc<dyn Cache> = Arc::new(NoCache);
    engine.modules_in_image(&image, &[("/bin", ModuleType::Any), ("/none", ModuleType::Any)], &cache).await;
    let container = engine.container(&seen.id).await.unwrap().unwrap();
    for path in ["/data", "/bin/busybox", "/none"] {
        engine.module_in_container(&container, path, ModuleType::Any).await;
    }
    docker(&["exec", &seen.id, "true"]);
    docker(&["top", &seen.id]);
    docker(&["cp", &format!("{}:/bin/busybox", seen.id), "-"]);
    let keep = Tag::new(&image, keep_reference(&seen.project, "a"));
    let marker = Labelled::run("marker", &[]);
    let before = changes.until(&marker.change()).await;
    for own in [seen.change(), keep.change(), Change::Project(String::new()), Change::Everything] {
        assert!(!before.contains(&own), "{own:?} in {before:?}");
    }
    assert!(!before.contains(&Change::Image(image)), "{before:?}");
}

#[tokio::test]
async fn an_engine_that_was_away_and_is_back_may_have_changed_in_everything() {
    let mut proxy = Proxy::new().await;
    let mut changes = Changes::new(proxy.engine().changes());
    assert_eq!(changes.next().await, Change::Everything);
    let before = Labelled::run("before", &[]);
    changes.until(&before.change()).await;

    proxy.cut().await;
    docker(&["rm", "--force", &before.id]);
    let attempts = Arc::clone(&proxy.attempts);
    reaches("several attempts", move || attempts.load(Relaxed) >= 3).await;
    assert_eq!(changes.next().await, Change::Everything, "what was seen is not known any more");
    assert_eq!(changes.0.next().now_or_never(), None, "nothing else comes while it is away");
    proxy.restore().await;
    assert_eq!(changes.next().await, Change::Everything, "what happened meanwhile is in it");
    let after = Labelled::run("after", &[]);
    changes.until(&after.change()).await;
}

#[tokio::test]
async fn a_stream_that_hangs_is_dropped_by_the_heartbeat() {
    let proxy = Proxy::new().await;
    let engine = proxy.engine().with_limit(Duration::from_secs(2));
    let mut changes = Changes::new(engine.changes_with(Duration::from_millis(100)));
    assert_eq!(changes.next().await, Change::Everything);
    let opened = proxy.asked.events.load(Relaxed);
    proxy.hangs.send_replace(true);
    let asked = Arc::clone(&proxy.asked);
    reaches("a new stream", move || asked.events.load(Relaxed) > opened).await;
    proxy.hangs.send_replace(false);
    changes.until(&Change::Everything).await;
}
