//! When a delivery is tried again, and when no more, in paused time.

use std::path::Path;

use super::*;
use crate::{
    api::{AuditKind, RecordedEvent},
    store::{RecordFilter, testing},
};

/// The kinds of the records of deliveries.
fn kinds(store: &Store) -> Vec<String> {
    let records = store.records(&RecordFilter::default()).unwrap();
    let of_anchor = |kind: &String| kind.starts_with("Anchor");
    records.into_iter().map(|record| record.kind).filter(of_anchor).collect()
}

/// Signs a checkpoint, and returns its tree.
fn signed(store: &Store) -> Option<TreeHead> {
    store.append(&NewRecord::of(AuditKind::Stalled)).unwrap();
    store.stored_checkpoint().unwrap().map(|newest| newest.head)
}

fn delivery(store: &Arc<Store>, path: &Path) -> Delivery {
    let anchor = Anchor::all([&*format!("file:{}", path.display())]).unwrap().remove(0);
    Delivery {
        anchor,
        state: AnchorState::default(),
        store: Arc::clone(store),
        recording: TaskTracker::new(),
    }
}

#[test]
fn the_retries_take_about_a_day() {
    let hours = |seconds: u64| Duration::from_secs(seconds * 3600);
    let whole: Duration = waits().sum();
    assert!((hours(16)..hours(33)).contains(&whole), "{whole:?}");
    assert!(waits().next() < Some(Duration::from_secs(3)));
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_is_tried_anew_at_the_next_checkpoint_with_one_record_of_the_failure() {
    let (_home, store) = testing::store();
    let store = Arc::new(store);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mount/anchor");
    let (found, newest) = watch::channel(signed(&store));
    let mut delivery = delivery(&store, &path);
    delivery.deliver().await;
    assert_eq!(kinds(&store), ["AnchorFailed"]);
    std::fs::create_dir(folder.path().join("mount")).unwrap();
    signed(&store);
    let delivering = tokio::spawn(delivery.run(newest));
    found.send(signed(&store)).unwrap();
    while kinds(&store).len() < 2 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(kinds(&store), ["AnchorFailed", "Anchored"]);
    delivering.abort();
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(kept, store.newest_checkpoint().unwrap().unwrap(), "the newest alone");
}

#[tokio::test(start_paused = true)]
async fn what_the_trail_says_an_anchor_has_is_not_delivered_again() {
    let (_home, store) = testing::store();
    let store = Arc::new(store);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anchor");
    let head = signed(&store);
    delivery(&store, &path).deliver().await;
    let name = format!("file:{}", path.display());
    let state = store.anchor_states(std::slice::from_ref(&name)).unwrap()[&name];
    assert_eq!(state.delivered, head);
    Delivery { state, ..delivery(&store, &path) }.deliver().await;
    assert_eq!(kinds(&store), ["Anchored"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), store.newest_checkpoint().unwrap().unwrap());
    let records = store.records(&RecordFilter::default()).unwrap();
    assert!(records.iter().all(|record| RecordedEvent::try_from(record).is_ok()));
}
