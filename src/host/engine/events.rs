//! Changes that the engine reports, as a stream that never ends.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use bollard::{
    models::{EventActor, EventMessage, EventMessageTypeEnum as Type},
    query_parameters::{EventsOptions, EventsOptionsBuilder},
};
use futures_util::{Stream, StreamExt as _, stream};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Engine, EngineError,
    containers::{ONE_OFF, PROJECT},
    lookup::LOOKUP_LABEL,
    mailbox::Mailbox,
    tags::is_own,
};

/// How long the engine may be silent until undrift checks that it is still there, unless set otherwise.
pub const HEARTBEAT: Duration = Duration::from_secs(30);

/// The longest pause between two attempts to reach an unavailable engine, and how long a connection must have held to be
/// renewed without one.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// The first pause.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// How many connections in a row may break before one has held for [`LONGEST_PAUSE`]. Each of them may hide a change; with
/// more, a server in between lets no events through, and every attempt would observe everything.
const BREAKS_BORNE: u32 = 5;

/// The pause between two attempts if connections keep breaking.
const BROKEN_PAUSE: Duration = Duration::from_secs(10);

/// How much earlier than the first ping the request for events is sent. bollard does not show when that request is accepted; an
/// engine or a proxy that refuses it usually does so within this time, and then does not count as back.
const HEAD_START: Duration = Duration::from_millis(100);

/// Container events that an observation can see. Not `kill`, which is a signal sent: `die` follows if it ends the process.
/// `remove` is Podman's word for `destroy`.
const CONTAINER_ACTIONS: [&str; 13] = [
    "create",
    "start",
    "die",
    "stop",
    "destroy",
    "remove",
    "pause",
    "unpause",
    "oom",
    "rename",
    "restart",
    "update",
    "health_status",
];

/// Events that move a reference or remove an image. Not `save` and `push`, which only read. `remove` and `loadfromarchive` are
/// Podman's.
const IMAGE_ACTIONS: [&str; 10] =
    ["tag", "untag", "delete", "load", "pull", "import", "build", "create", "remove", "loadfromarchive"];

/// A possible change. It names the place to observe, never its new state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// A container of this Compose project.
    Project(String),
    /// The target of this image reference (`repository:tag`, as the engine writes it) or ID (`sha256:…`).
    Image(String),
    /// Anything: a connection was made, and earlier events are unknown; or it was lost.
    Everything,
}

impl Engine {
    /// Possible changes, from the engine's own events, with [`HEARTBEAT`].
    ///
    /// Call and drop this within a Tokio runtime: a task reads the events even while the consumer is busy, and ends with the
    /// stream.
    ///
    /// # Guarantees
    /// - [`Change::Everything`] comes once the events are subscribed to, again after each reconnect, and nothing that happens
    ///   after it is missed: undrift asks the engine for events from a moment before the subscription. (An engine on another
    ///   host whose clock is behind leaves a gap of milliseconds.)
    /// - Nothing that undrift's own observations do appears: neither look-up containers nor mounts nor tags that keep an image.
    /// - A slow consumer costs a bounded amount of memory; equal changes come once.
    /// - If connections keep breaking, at most five are reported before one has held for 3 s.
    /// - [`Change::Everything`] comes once when the engine becomes unavailable: its observed state is then unknown. Nothing
    ///   else comes while it is unavailable. Attempts to reach it are at most 3 s apart, and 10 s if each breaks.
    ///
    /// # Caveats
    /// A connection that is dead while others to the same engine live (a firewall that forgot one, on TCP) is not found by the
    /// heartbeat. Observations on a timer make up for it.
    ///
    /// When idle, this sends the engine two requests a minute, and none if it sends an event every 30 s.
    pub fn changes(&self) -> impl Stream<Item = Change> + Send + use<> {
        self.changes_with(HEARTBEAT)
    }

    /// The same with another heartbeat.
    pub fn changes_with(&self, heartbeat: Duration) -> impl Stream<Item = Change> + Send + use<> {
        let mailbox = Arc::<Mailbox>::default();
        let reader = Reader {
            engine: self.clone(),
            heartbeat,
            mailbox: Arc::clone(&mailbox),
            connected: None,
            was_there: false,
            away: false,
            breaks: 0,
        };
        let task = AbortOnDropHandle::new(tokio::spawn(reader.read()));
        stream::unfold((mailbox, task), |(mailbox, task)| async {
            Some((mailbox.take().await, (mailbox, task)))
        })
    }
}

struct Reader {
    engine: Engine,
    heartbeat: Duration,
    mailbox: Arc<Mailbox>,
    /// When this connection was first known to work.
    connected: Option<Instant>,
    /// Whether any connection has worked.
    was_there: bool,
    /// Whether the outage of the engine was logged.
    away: bool,
    /// How many connections in a row have broken off early.
    breaks: u32,
}

impl Reader {
    async fn read(mut self) {
        let mut waits = pauses();
        loop {
            self.connected = None;
            let why = self.follow().await;
            let held = self.connected.map(|since| since.elapsed());
            tracing::debug!(%why, held = ?held, "the engine's events ended");
            if held.is_none() {
                self.gone(&why);
            }
            if held.is_some_and(|held| held >= LONGEST_PAUSE) {
                self.breaks = 0;
                waits = pauses();
                continue;
            }
            if held.is_some() {
                self.broke_off(&why);
            }
            let wait = if self.is_broken() { Some(BROKEN_PAUSE) } else { waits.next() };
            tokio::time::sleep(wait.unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    /// No connection could be made.
    fn gone(&mut self, why: &EngineError) {
        // A connection without events that then fails altogether is another outage.
        if !self.away || self.is_broken() {
            (self.away, self.breaks) = (true, 0);
            let engine = self.engine.endpoint().docker_host();
            tracing::warn!(engine, %why, "the engine's events cannot be read; trying on");
            if self.was_there {
                self.mailbox.put(Change::Everything);
            }
        }
    }

    /// A connection was made and broke before it was reliable.
    fn broke_off(&mut self, why: &EngineError) {
        self.breaks = self.breaks.saturating_add(1);
        if self.breaks == BREAKS_BORNE {
            self.away = true;
            let (engine, s) = (self.engine.endpoint().docker_host(), BROKEN_PAUSE.as_secs());
            tracing::warn!(engine, %why, "the engine's events break off again and again; trying every {s} s");
        }
    }

    const fn is_broken(&self) -> bool {
        self.breaks >= BREAKS_BORNE
    }

    /// Follows one connection until it ends; returns the reason.
    async fn follow(&mut self) -> EngineError {
        let options = options(SystemTime::now());
        let docker = match self.engine.docker().await {
            Ok(docker) => docker,
            Err(error) => return error,
        };
        let engine = self.engine.clone();
        let mut events = docker.events(Some(options));
        let mut pulse = std::pin::pin!(pulse(&engine, HEAD_START));
        let mut lasting = std::pin::pin!(tokio::time::sleep(HEAD_START + LONGEST_PAUSE));
        loop {
            tokio::select! {
                biased;
                // It holds after all.
                () = &mut lasting, if self.is_broken() && self.connected.is_some() => {
                    self.breaks = 0;
                    self.mark_reconnected();
                    continue;
                }
                event = events.next() => match event {
                    Some(Ok(event)) => {
                        self.connected();
                        if let Some(change) = content_changed(&engine, &event).or_else(|| named(&event)) {
                            self.mailbox.put(change);
                        }
                    }
                    Some(Err(error)) => return error.into(),
                    None => return EngineError::Unavailable("it closed the stream".into()),
                },
                answer = &mut pulse => match answer {
                    Ok(()) => self.connected(),
                    Err(error) => return error,
                },
            }
            pulse.set(self::pulse(&engine, self.heartbeat));
        }
    }

    fn connected(&mut self) {
        if self.connected.is_some() {
            return;
        }
        self.connected = Some(Instant::now());
        if !self.is_broken() {
            self.mark_reconnected();
        }
    }

    /// From here on no change is missed.
    fn mark_reconnected(&mut self) {
        self.was_there = true;
        self.engine.content_watch.note_gap();
        self.mailbox.put(Change::Everything);
        if std::mem::take(&mut self.away) {
            tracing::info!(
                engine = self.engine.endpoint().docker_host(),
                "the engine's events are read again"
            );
        }
    }
}

/// Checks the connection after a while.
async fn pulse(engine: &Engine, after: Duration) -> Result<(), EngineError> {
    tokio::time::sleep(after).await;
    engine.call_at_once(async |docker| docker.ping().await).await.map(drop)
}

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_min_delay(SHORTEST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .build()
}

/// The types reduce load on the engine and the network; the decision is made here. Fewer types also mean fewer that bollard
/// does not know, which would end the stream.
fn options(since: SystemTime) -> EventsOptions {
    let types = ["container", "image"].map(str::to_owned).to_vec();
    let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    EventsOptionsBuilder::default()
        .since(&format!("{}.{:09}", since.as_secs(), since.subsec_nanos()))
        .filters(&HashMap::from([("type".to_owned(), types)]))
        .build()
}

fn named(event: &EventMessage) -> Option<Change> {
    let action = event.action.as_deref()?;
    // `health_status: healthy`
    let action = action.split_once(':').map_or(action, |(action, _)| action);
    let actor = event.actor.as_ref()?;
    match event.typ? {
        Type::CONTAINER if CONTAINER_ACTIONS.contains(&action) => project(actor).map(Change::Project),
        Type::IMAGE if IMAGE_ACTIONS.contains(&action) => image(actor).map(Change::Image),
        _ => None,
    }
}

/// A command in a container whose files are compared has ended, or somebody has copied something into it.
fn content_changed(engine: &Engine, event: &EventMessage) -> Option<Change> {
    let is_touched = engine.content_watch.note(event);
    event.actor.as_ref().filter(|_| is_touched).and_then(project).map(Change::Project)
}

/// The project of a container that an observation would see: neither undrift's own look-up nor one of `compose run`.
fn project(actor: &EventActor) -> Option<String> {
    let attributes = actor.attributes.as_ref()?;
    if attributes.contains_key(LOOKUP_LABEL) || attributes.get(ONE_OFF).is_some_and(|value| value == "True") {
        return None;
    }
    attributes.get(PROJECT).filter(|project| !project.is_empty()).cloned()
}

/// As measured on engine 20.10: the name of `tag` is the reference; the name of `untag`, `delete`, `load` and `import`
/// is the ID; that of `pull` is the repository, and its ID the reference.
fn image(actor: &EventActor) -> Option<String> {
    let name = actor.attributes.as_ref().and_then(|attributes| attributes.get("name"));
    let is_reference = |name: &&String| name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let image = name.filter(is_reference).or(actor.id.as_ref())?;
    (!image.is_empty() && !is_own(image)).then(|| image.clone())
}

#[cfg(test)]
mod tests;
