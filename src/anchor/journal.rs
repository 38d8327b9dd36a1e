//! systemd's journal, by its native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): one datagram of fields.
//!
//! By hand: the crates for the journal are sinks of a logger, which block where the journal hangs and hide that it did not take an
//! entry, and a checkpoint is far below the size from which the protocol needs more than a datagram.

use std::{io, os::unix::net::UnixDatagram, path::Path, time::Duration};

use crate::store::StoredCheckpoint;

/// Where the journal listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// How long the journal may take to accept a datagram: its queue is full while it hangs.
const LIMIT: Duration = Duration::from_secs(10);

/// The syslog level "informational" (RFC 5424).
const PRIORITY: &str = "6";

/// How long to wait while its queue is full. Nothing wakes then: a datagram socket counts as writable whoever it sends to.
const PAUSE: Duration = Duration::from_millis(100);

/// Sends one entry. The journal has accepted it when this returns; it writes to its disk within five minutes (`SyncIntervalSec=`).
pub(super) async fn send(socket: &Path, checkpoint: &StoredCheckpoint) -> io::Result<()> {
    let (entry, sender) = (entry(checkpoint), UnixDatagram::unbound()?);
    sender.set_nonblocking(true)?;
    let sending = async {
        loop {
            match sender.send_to(&entry, socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(PAUSE).await,
                sent => return sent.map(drop),
            }
        }
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", LIMIT.as_secs()));
    tokio::time::timeout(LIMIT, sending).await.unwrap_or_else(|_| Err(late()))
}

fn entry(StoredCheckpoint { head, note }: &StoredCheckpoint) -> Vec<u8> {
    let message = format!("the audit trail has {} records, root {}", head.size, head.root);
    let mut entry = Vec::new();
    for (field, value) in [
        ("MESSAGE", &*message),
        ("PRIORITY", PRIORITY),
        ("SYSLOG_IDENTIFIER", "undrift"),
        ("UNDRIFT_CHECKPOINT", &note.to_string()),
    ] {
        entry.extend_from_slice(field.as_bytes());
        // A value of several lines has its length before it: 64 bits, little endian.
        if value.contains('\n') {
            entry.push(b'\n');
            entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            entry.push(b'=');
        }
        entry.extend_from_slice(value.as_bytes());
        entry.push(b'\n');
    }
    entry
}
