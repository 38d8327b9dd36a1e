//! The signals that a daemon knows.

use futures_util::{Stream, stream};
use tokio::signal::unix;

/// Listens to signals from when it is made: one that comes before somebody asks for it waits.
///
/// To be made before anything else is done. Once the process has listened to a signal and does so no longer, the signal is
/// swallowed and not deadly as before.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: Option<unix::Signal>,
}

impl Signals {
    /// To be called within a Tokio runtime.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn new() -> std::io::Result<Self> {
        let listen = |kind| unix::signal(kind);
        Ok(Self {
            terminate: listen(unix::SignalKind::terminate())?,
            interrupt: listen(unix::SignalKind::interrupt())?,
            hangup: Some(listen(unix::SignalKind::hangup())?),
        })
    }

    /// Returns, with its name, once a signal has asked to end. Nothing is lost where the future is dropped.
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
