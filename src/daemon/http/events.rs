//! Events as server-sent events: the records of the trail without a gap, and live-only events as they come.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::sse::{Event as Message, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Interval, MissedTickBehavior},
};

use super::{
    super::reconciler::DaemonContext,
    errors::ApiError,
    input::{Parameters, read},
};
use crate::{
    api::{AuditRecord, Event},
    daemon::protocol::ReportedEvent,
    host::Host,
    store::RecordFilter,
};

/// How many records are read at a time.
const PAGE: usize = 256;

/// How soon to send a record that another process wrote: a person's `suspend`, for instance.
const POLL: Duration = Duration::from_secs(1);

/// The starting point.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    /// From the record after this one; without it from the next one that is written.
    after: Option<u64>,
}

/// Every record as `event: record` with its number as `id`; the output of a running command as `event: output`, and other
/// events that are not in the trail as `event: progress`, both without an `id`. A client that reconnects names the last `id`
/// that it received, and misses no record.
pub(super) async fn events<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
    Parameters(From { after }): Parameters<From>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, ApiError> {
    let after = match headers.get("last-event-id") {
        None => after,
        Some(id) => {
            let number = id.to_str().ok().and_then(|id| id.parse().ok());
            Some(number.ok_or_else(|| ApiError::usage("Last-Event-ID is no number of a record"))?)
        }
    };
    // Before reading the trail: records written between the two are sent.
    let reported = shared.feed.subscribe();
    let head = read(&shared, |store| Ok(store.last_seq()?)).await?;
    let last = after.unwrap_or(head);
    if last > head {
        // Another trail: a backup was restored. Its records under these numbers were never sent.
        return Err(ApiError::usage(format!(
            "the trail ends with record {head}, and has none of number {last}"
        )));
    }
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let follower = Follower { shared, reported, poll, last, is_behind: true, messages: VecDeque::new() };
    let messages = stream::unfold(follower, |mut follower| async move {
        let message = follower.next().await?;
        Some((Ok(message), follower))
    });
    Ok(Sse::new(messages).keep_alive(KeepAlive::default()))
}

/// One client's position in the trail.
struct Follower<H> {
    shared: Arc<DaemonContext<H>>,
    reported: broadcast::Receiver<Arc<ReportedEvent>>,
    /// When to read the trail, whatever is reported: a command may print without a pause.
    poll: Interval,
    /// The number of the last record that was sent.
    last: u64,
    /// Whether there may be records after it.
    is_behind: bool,
    messages: VecDeque<Message>,
}

impl<H: Host + 'static> Follower<H> {
    /// The next message; `None` at the end: undrift ends, or the trail cannot be read.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Some(message);
            }
            if self.is_behind {
                self.read_trail().await?;
                continue;
            }
            let stop = self.shared.stop.clone();
            let reported = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                _ = self.poll.tick() => {
                    self.is_behind = true;
                    continue;
                }
                reported = self.reported.recv() => reported,
            };
            match reported {
                // It is sent from the trail, and before anything that comes after it.
                Ok(reported) if reported.event.is_recorded() => self.is_behind = true,
                Ok(reported) => return live(&reported),
                // A slow client loses lines of output, but never records.
                Err(RecvError::Lagged(_)) => self.is_behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Takes the next records.
    async fn read_trail(&mut self) -> Option<()> {
        let filter = RecordFilter { after: Some(self.last), limit: Some(PAGE), ..RecordFilter::default() };
        let records = match read(&self.shared, move |store| Ok(store.records(&filter)?)).await {
            Ok(records) => records,
            Err(error) => {
                tracing::warn!(error = error.message, "a client that follows the trail is left");
                return None;
            }
        };
        self.is_behind = records.len() == PAGE;
        for record in &records {
            self.last = record.seq;
            self.messages.push_back(recorded(record)?);
        }
        Some(())
    }
}

fn recorded(record: &AuditRecord) -> Option<Message> {
    Message::default().event("record").id(record.seq.to_string()).json_data(record).ok()
}

fn live(reported: &ReportedEvent) -> Option<Message> {
    let name = if matches!(reported.event, Event::Output { .. }) { "output" } else { "progress" };
    Message::default().event(name).json_data(reported).ok()
}
