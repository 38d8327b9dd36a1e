//! What the verbs take from the machine that they run on: its terminal, its time, its user and its host.
//!
//! The verbs know nothing else of it, so the tests give them another machine and read what a person would.

use std::{
    future::Future,
    io::{self, BufWriter, IsTerminal as _, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    cache,
    context::{self, colour},
    style::Style,
};
use crate::{
    host::{Cache, Host, HostError, LOOK_LIMIT, LocalHost},
    reconcile::{self, Clock},
    store::{StepLock, Store},
};

/// How long the removal of look-up containers may take at the end of a verb.
pub(super) const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// One end of the terminal.
pub(super) struct Stream {
    /// Where the bytes go.
    pub(super) out: Box<dyn Write + Send>,
    /// Whether there are colours.
    pub(super) style: Style,
    /// Whether a person looks on, so that a line may take the place of the one before.
    pub(super) is_terminal: bool,
}

/// How much time has passed since it was made.
pub(super) type Stopwatch = Box<dyn Fn() -> Duration + Send>;

/// A machine that verbs run on.
pub(super) trait Machine {
    /// Its host.
    type Host: Host + 'static;

    /// Standard output.
    fn stdout(&self) -> Stream;

    /// Standard error.
    fn stderr(&self) -> Stream;

    /// What time it is.
    fn clock(&self) -> Clock;

    /// A stopwatch, which nobody sets back.
    fn stopwatch(&self) -> Stopwatch;

    /// Who runs undrift: `root@host undrift[1234]`.
    fn user(&self) -> String;

    /// Waits for the work.
    ///
    /// # Errors
    /// Where there is nothing to wait with.
    fn block_on<F: Future>(&self, work: F) -> io::Result<F::Output>;

    /// Whether nobody reads standard output any more.
    fn is_unread(&self) -> bool;

    /// Returns when the user or the system asks undrift to end.
    fn interrupted(&self) -> impl Future<Output = ()>;

    /// The host for who only looks, with what is known of it already.
    ///
    /// # Errors
    /// Where no host can be named.
    fn host_for_looking(&self, store: Option<&Arc<Store>>) -> Result<Self::Host, HostError>;

    /// The host for who takes steps, each under the lock on steps.
    ///
    /// # Errors
    /// Where no host can be named.
    fn host_for_steps(&self, store: &Arc<Store>, steps: &Arc<StepLock>) -> Result<Self::Host, HostError>;

    /// Waits until nothing of undrift's own is left on the host; to be called before the verb ends.
    fn settle(&self, host: &Self::Host) -> impl Future<Output = ()>;
}

/// The machine of this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalMachine;

impl Machine for LocalMachine {
    type Host = LocalHost;

    fn stdout(&self) -> Stream {
        let (out, is_terminal) = (io::stdout(), io::stdout().is_terminal());
        Stream {
            out: Box::new(BufWriter::new(out)),
            style: Style { colour: colour(is_terminal) },
            is_terminal,
        }
    }

    fn stderr(&self) -> Stream {
        let (out, is_terminal) = (io::stderr(), io::stderr().is_terminal());
        Stream { out: Box::new(out), style: Style { colour: colour(is_terminal) }, is_terminal }
    }

    fn clock(&self) -> Clock {
        Arc::new(reconcile::now)
    }

    fn stopwatch(&self) -> Stopwatch {
        let began = Instant::now();
        Box::new(move || began.elapsed())
    }

    fn user(&self) -> String {
        context::user()
    }

    fn block_on<F: Future>(&self, work: F) -> io::Result<F::Output> {
        Ok(context::runtime()?.block_on(work))
    }

    fn is_unread(&self) -> bool {
        let stdout = io::stdout();
        let mut ends = [PollFd::new(&stdout, PollFlags::empty())];
        poll(&mut ends, Some(&Timespec::default())).is_ok_and(|ended| ended > 0)
    }

    async fn interrupted(&self) {
        context::interrupted().await;
    }

    fn host_for_looking(&self, store: Option<&Arc<Store>>) -> Result<LocalHost, HostError> {
        let (cache, key) = cache::of_look(store);
        Ok(LocalHost::connect(cache, None)?.with_digests(key).with_look_limit(LOOK_LIMIT))
    }

    fn host_for_steps(&self, store: &Arc<Store>, steps: &Arc<StepLock>) -> Result<LocalHost, HostError> {
        let cache = Arc::clone(store) as Arc<dyn Cache>;
        let host = LocalHost::connect(cache, Some(context::inheritable(steps)))?;
        Ok(host.with_digests(context::digests(store)).with_look_limit(LOOK_LIMIT))
    }

    async fn settle(&self, host: &LocalHost) {
        host.settle(SETTLE_LIMIT).await;
    }
}
