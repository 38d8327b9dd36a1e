//! What a server or the journal does not accept, in words; the targets are tried through the real binary in `tests/cli/anchors.rs`.

use std::os::unix::net::UnixDatagram;

use tokio::net::TcpListener;

use super::*;
use crate::tlog::{checkpoint::Checkpoint, hash::Hash, key::SigningKey, tree::TreeHead};

fn checkpoint() -> StoredCheckpoint {
    let head = TreeHead { size: 7, root: Hash::of_leaf(b"") };
    let key = SigningKey::from_seed("undrift/host/A".parse().unwrap(), &[1; 32]).unwrap();
    StoredCheckpoint { head, note: Checkpoint::sign(head, &key) }
}

async fn delivered_to(target: Target) -> Result<(), String> {
    let anchor = Anchor { name: "an anchor".into(), target };
    anchor.deliver(&checkpoint()).await.map_err(|error| error.to_string())
}

/// In paused time: it passes at once where everybody waits.
#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_given_up_after_half_a_minute() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a-token", listener.local_addr().unwrap());
    let began = tokio::time::Instant::now();
    let answer = delivered_to(Target::Web(url.parse().unwrap())).await;
    assert_eq!(answer, Err("no answer within 30s".into()));
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn what_speaks_no_tls_is_no_anchor_over_https() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/a-token", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.writable().await.unwrap();
        stream.try_write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        stream
    });
    let answer = delivered_to(Target::Web(url.parse().unwrap())).await;
    assert_eq!(answer, Err("what answers does not speak TLS".into()));
    drop(server.await.unwrap());
}

/// A journal that hangs takes datagrams until its queue is full, and no more.
#[tokio::test(start_paused = true)]
async fn a_journal_whose_queue_is_full_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let journal = UnixDatagram::bind(&path).unwrap();
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"x", &path).is_ok() {}
    let answer = delivered_to(Target::Journal(path)).await;
    assert_eq!(answer, Err("the journal does not take it: no answer within 10 s".into()));
    drop(journal);
}
