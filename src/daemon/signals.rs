//! The signals that a daemon handles.

use futures_util::{Stream, stream};
use tokio::signal::unix;

/// Listens to signals from its creation: one that comes before anybody awaits it is kept.
///
/// Create it before anything else is done. Once the process has listened to a signal and stops, the signal is swallowed and
/// no longer deadly.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: Option<unix::Signal>,
}

impl Signals {
    /// Call it within a Tokio runtime.
    ///
    /// # Errors
    /// The operating system's error.
    pub(crate) fn new() -> std::io::Result<Self> {
        let listen = |kind| unix::signal(kind);
        Ok(Self {
            terminate: listen(unix::SignalKind::terminate())?,
            interrupt: listen(unix::SignalKind::interrupt())?,
            hangup: Some(listen(unix::SignalKind::hangup())?),
        })
    }

    /// Returns the name of the signal once one asks the process to end. Dropping the future loses nothing.
    pub(crate) async fn end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// A stream of SIGHUPs; for one consumer.
    pub(super) fn hangups(&mut self) -> impl Stream<Item = ()> + Send + use<> {
        stream::unfold(self.hangup.take(), |hangup| async {
            let mut hangup = hangup?;
            hangup.recv().await?;
            Some(((), Some(hangup)))
        })
    }
}
