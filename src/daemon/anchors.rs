//! Delivers each new checkpoint of the trail to the anchors, beside the reconciles: no failure of an anchor touches one.
//!
//! Only the newest checkpoint matters, because it covers what every older one covers: an anchor that was away gets that one, and
//! none of those in between. What an anchor has is in the trail (`Anchored`), so that a restart goes on from there. A checkpoint may
//! be delivered twice, if undrift ends between a delivery and its record.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::future::join_all;
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::task::TaskTracker;

use crate::{
    anchor::{Anchor, DeliveryError},
    api::{Anchored, NewRecord},
    store::{AnchorState, Store, StoreError, StoredCheckpoint},
    tlog::tree::TreeHead,
};

/// How often to look for a new checkpoint, which another process may have signed.
const LOOK: Duration = Duration::from_secs(2);

/// The waits after a failure, doubling.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// How often to try again: for about a day. The next checkpoint is tried from the beginning.
const MOST_RETRIES: usize = 200;

/// The pause between two portions of records that the tree takes in, so that reconciles get to write.
const PORTION_PAUSE: Duration = Duration::from_millis(100);

/// Wakes when there is another checkpoint.
type Newest = watch::Receiver<Option<TreeHead>>;

/// The deliveries of a daemon.
pub(super) struct Deliveries {
    pub(super) store: Arc<Store>,
    pub(super) anchors: Vec<Anchor>,
    /// The records that are being written, which the end of the daemon waits for.
    pub(super) recording: TaskTracker,
}

impl Deliveries {
    /// Delivers until it is dropped.
    pub(super) async fn run(self) {
        if self.anchors.is_empty() {
            return;
        }
        let names: Vec<String> = self.anchors.iter().map(|anchor| anchor.name().to_owned()).collect();
        let states = in_store(&self.store, move |store| store.anchor_states(&names)).await;
        let mut states = states.unwrap_or_else(|error| {
            tracing::warn!(%error, "the trail does not say what the anchors have: they get the newest checkpoint");
            BTreeMap::default()
        });
        let (found, newest) = watch::channel(None);
        let deliveries = self.anchors.into_iter().map(|anchor| {
            let state = states.remove(anchor.name()).unwrap_or_default();
            let (store, recording) = (Arc::clone(&self.store), self.recording.clone());
            Delivery { anchor, state, store, recording }.run(newest.clone())
        });
        tokio::join!(look(&self.store, &found), join_all(deliveries));
    }
}

/// Looks for the newest checkpoint, for ever.
async fn look(store: &Arc<Store>, found: &watch::Sender<Option<TreeHead>>) {
    let mut clock = tokio::time::interval(LOOK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        if let Some(newest) = newest_in(store).await {
            found.send_if_modified(|known| known.replace(newest.head) != Some(newest.head));
        }
    }
}

/// The newest checkpoint; `None` also if it cannot be read.
async fn newest_in(store: &Arc<Store>) -> Option<StoredCheckpoint> {
    in_store(store, Store::stored_checkpoint).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "no checkpoint was looked for");
        None
    })
}

/// The waits after the failures of a delivery.
fn waits() -> impl Iterator<Item = Duration> + Send {
    let (shortest, longest) = WAITS;
    ExponentialBuilder::new()
        .with_min_delay(shortest)
        .with_max_delay(longest)
        .with_max_times(MOST_RETRIES)
        .with_jitter()
        .build()
}

/// The deliveries to one anchor.
struct Delivery {
    anchor: Anchor,
    state: AnchorState,
    store: Arc<Store>,
    recording: TaskTracker,
}

impl Delivery {
    async fn run(mut self, mut newest: Newest) {
        loop {
            // Before the look: a checkpoint that is signed after it wakes.
            newest.borrow_and_update();
            self.deliver().await;
            if newest.changed().await.is_err() {
                return;
            }
        }
    }

    /// Delivers the newest checkpoint, unless the anchor has it. Each attempt delivers the one that is the newest then.
    async fn deliver(&mut self) {
        let mut waits = waits();
        while let Some(checkpoint) = newest_in(&self.store).await
            && self.state.delivered != Some(checkpoint.head)
        {
            match self.anchor.deliver(&checkpoint).await {
                Ok(()) => return self.succeeded(&checkpoint).await,
                Err(error) => self.failed(&checkpoint, &error).await,
            }
            let Some(wait) = waits.next() else {
                tracing::warn!(anchor = self.anchor.name(), "given up until the next checkpoint");
                return;
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn succeeded(&mut self, checkpoint: &StoredCheckpoint) {
        let (anchor, head) = (self.anchor.name().to_owned(), checkpoint.head);
        tracing::info!(anchor, records = head.size, "a checkpoint is anchored");
        self.state = AnchorState { delivered: Some(head), is_failing: false };
        let anchored = Anchored { anchor, size: head.size, root: head.root.to_base64() };
        self.record(NewRecord::anchored(&anchored)).await;
    }

    /// Records a failure if the anchor was reached before it.
    async fn failed(&mut self, checkpoint: &StoredCheckpoint, error: &DeliveryError) {
        let (anchor, size) = (self.anchor.name(), checkpoint.head.size);
        if self.state.is_failing {
            tracing::debug!(anchor, records = size, %error, "the checkpoint is still not anchored");
            return;
        }
        tracing::warn!(anchor, records = size, %error, "a checkpoint is not anchored; undrift tries again");
        let record = NewRecord::anchor_failed(anchor, size, &error.to_string());
        self.state.is_failing = self.record(record).await;
    }

    /// Returns whether it was written.
    async fn record(&self, record: NewRecord) -> bool {
        let store = Arc::clone(&self.store);
        let write = move || store.append(&record).map(drop).map_err(|error| store.in_full(&error));
        let written = self.recording.spawn_blocking(write).await;
        let written = written.unwrap_or_else(|broken_off| Err(broken_off.to_string()));
        if let Err(error) = &written {
            tracing::warn!(
                anchor = self.anchor.name(),
                error,
                "the delivery of a checkpoint could not be recorded"
            );
        }
        written.is_ok()
    }
}

/// Takes all records of an earlier undrift into the tree, so that the first checkpoint does not wait for further records.
pub(super) async fn grow_tree(store: Arc<Store>) {
    loop {
        match in_store(&store, Store::grow_tree).await {
            Ok(growth) if growth.is_complete() => return,
            Ok(_) => tokio::time::sleep(PORTION_PAUSE).await,
            Err(error) => {
                tracing::warn!(%error, "the tree over the trail grows no further for now");
                return;
            }
        }
    }
}

/// Works with the state on a thread that may block.
async fn in_store<T: Send + 'static>(
    store: &Arc<Store>,
    work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, String> {
    let store = Arc::clone(store);
    let worked =
        tokio::task::spawn_blocking(move || work(&store).map_err(|error| store.in_full(&error))).await;
    worked.unwrap_or_else(|broken_off| Err(broken_off.to_string()))
}

#[cfg(test)]
#[path = "anchors_tests.rs"]
mod tests;
