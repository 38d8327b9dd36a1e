//! The poll of image references on the real engine.

use std::time::{Duration, Instant};

use undrift::host::engine::{Change, keep_reference};

use super::{
    Changes, LIMIT, Labelled, Tag, engine,
    proxy::Proxy,
    reaches,
    support::{BASE, docker, unique},
};

const PERIOD: Duration = Duration::from_millis(100);

/// A stream whose first look is over: it has named a tag that was set after it.
async fn looking(engine: &undrift::host::engine::Engine) -> Changes {
    let mut changes = Changes::new(engine.image_changes(PERIOD));
    let end = Instant::now() + LIMIT;
    loop {
        assert!(Instant::now() < end, "no poll names a tag");
        let tag = Tag::new(BASE, format!("{}:first", unique("poll")));
        let named = tokio::time::timeout(PERIOD * 5, changes.until(&tag.change())).await;
        if named.is_ok() {
            return changes;
        }
    }
}

#[tokio::test]
async fn a_reference_that_comes_moves_or_goes_is_named_within_a_poll() {
    let engine = engine();
    let there = Tag::new(BASE, format!("{}:there", unique("poll")));
    let other = Labelled::run("other", &[]);
    let image = Tag(format!("{}:other", unique("poll")));
    docker(&["commit", &other.id, &image.0]);
    let mut changes = looking(&engine).await;

    let tag = Tag::new(BASE, format!("{}:one", unique("poll")));
    let mut before = changes.until(&tag.change()).await;
    docker(&["tag", &image.0, &tag.0]);
    before.extend(changes.until(&tag.change()).await);
    docker(&["rmi", &tag.0]);
    before.extend(changes.until(&tag.change()).await);
    assert!(!before.contains(&there.change()), "a reference that stays is not named: {before:?}");

    let keep = Tag::new(BASE, keep_reference(&other.project, "a"));
    let marker = Tag::new(BASE, format!("{}:marker", unique("poll")));
    let before = changes.until(&marker.change()).await;
    assert!(!before.contains(&keep.change()), "undrift's own tag: {before:?}");
}

#[tokio::test]
async fn an_engine_that_is_away_changes_no_reference() {
    let mut proxy = Proxy::new().await;
    let there = Tag::new(BASE, format!("{}:there", unique("away")));
    let mut changes = looking(&proxy.engine()).await;
    proxy.cut().await;
    let attempts = std::sync::Arc::clone(&proxy.attempts);
    let meanwhile = Tag::new(BASE, format!("{}:meanwhile", unique("away")));
    let asked = tokio::spawn(async move { (changes.until(&meanwhile.change()).await, meanwhile) });
    reaches("several attempts", move || attempts.load(std::sync::atomic::Ordering::Relaxed) >= 3).await;
    assert!(!asked.is_finished(), "it is away");
    proxy.restore().await;
    let (before, _meanwhile) = asked.await.unwrap();
    assert!(!before.contains(&there.change()), "it was there all the time: {before:?}");
    assert!(!before.contains(&Change::Everything), "{before:?}");
}
