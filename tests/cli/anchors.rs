//! `run --anchor`, through the real binary and without an engine: a daemon signs and delivers while it waits for one.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;
use undrift::{
    api::{AuditKind, NewRecord},
    store::Store,
    tlog::{checkpoint::Checkpoint, collected::CollectedNotes, note::SignedNote},
};

use crate::home::Home;

/// How long anything may take that is waited for.
const LONG: Duration = Duration::from_secs(60);

#[track_caller]
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A running `undrift run`; killed where the test ends before it does.
struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// On a new log, with these anchors.
    fn start(home: &Home, anchors: &[&str]) -> Self {
        Self::spawn(home, home.command(&[]), anchors)
    }

    fn spawn(home: &Home, mut command: Command, anchors: &[&str]) -> Self {
        home.manifest("shop");
        let log = home.0.path().join("log");
        command.args(["--log", "undrift=debug", "run", "-f", "shop.yaml"]);
        for anchor in anchors {
            command.args(["--anchor", anchor]);
        }
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Self { child: command.spawn().unwrap(), log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        wait_until(text, || self.log().contains(text));
    }

    /// Asks it to end as a service manager does.
    fn end(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        wait_until("it ends", || self.child.try_wait().unwrap().is_some());
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The records of this kind.
fn records(home: &Home, kind: &str) -> Vec<Value> {
    let list: Value = home.undrift(&["audit", "list", "-o", "json"]).expect(0).json();
    let of_kind = |record: &&Value| record["kind"] == kind;
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(of_kind)
        .map(|record| record["evidence"].clone())
        .collect()
}

/// Makes the next record one that a checkpoint is signed with, and writes it.
fn sign_again(home: &Home) {
    let db = Connection::open(home.state().join("state.db")).unwrap();
    let times: Vec<(i64, String)> = {
        let mut query = db.prepare("SELECT size, time FROM checkpoints").unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    };
    let an_hour_ago = "DROP TRIGGER IF EXISTS checkpoints_no_update; UPDATE checkpoints SET time = '2020-01-01T00:00:00.000000Z'";
    db.execute_batch(an_hour_ago).unwrap();
    // It is, once the daemon has looked for its engine.
    wait_until("the object is recorded", || home.undrift(&["get", "shop"]).code == Some(0));
    home.undrift(&["suspend", "shop", "--reason", "a migration"]).expect(0);
    // `audit verify` compares the times with the records.
    for (size, time) in times {
        db.execute("UPDATE checkpoints SET time = ?2 WHERE size = ?1", (size, time)).unwrap();
    }
}

fn newest(home: &Home) -> String {
    home.undrift(&["audit", "checkpoint"]).expect(0).stdout
}

/// The notes in an anchor's file.
fn notes(path: &Path) -> CollectedNotes {
    CollectedNotes::of(&fs::read_to_string(path).unwrap_or_default())
}

fn sizes(path: &Path) -> Vec<u64> {
    notes(path).notes.iter().map(|note| Checkpoint::stated(note).unwrap().head.size).collect()
}

#[test]
fn a_file_gets_each_checkpoint_once_also_across_a_restart() {
    let home = Home::new();
    let path = home.0.path().join("anchor");
    let anchor = format!("file:{}", path.display());
    let daemon = Daemon::start(&home, &[&anchor]);
    wait_until("the first note", || records(&home, "Anchored").len() == 1);
    daemon.end();
    let daemon = Daemon::start(&home, &[&anchor]);
    daemon.wait_for("started objects=");
    sign_again(&home);
    wait_until("the second note", || records(&home, "Anchored").len() == 2);
    assert_eq!(fs::read_to_string(&path).unwrap().matches("\n\n\n").count(), 0, "an empty line between two");
    daemon.end();
    let anchored = records(&home, "Anchored");
    let recorded: Vec<u64> = anchored.iter().map(|record| record["size"].as_u64().unwrap()).collect();
    assert_eq!(sizes(&path), recorded);
    assert!(anchored.iter().all(|record| record["anchor"] == *anchor));
    assert_eq!(notes(&path).notes[1].to_string(), newest(&home));
    assert_eq!(records(&home, "AnchorFailed"), [Value::Null; 0]);
    home.undrift(&["audit", "verify", "--deep", "--checkpoint", &path.display().to_string()]).expect(0);
}

#[test]
fn a_checkpoint_that_could_not_be_delivered_is_after_a_restart_and_a_failing_period_is_recorded_once() {
    let home = Home::new();
    let folder = home.0.path().join("mount");
    let path = folder.join("anchor");
    let anchor = format!("file:{}", path.display());
    for _ in 0..2 {
        let daemon = Daemon::start(&home, &[&anchor]);
        wait_until("retries", || daemon.log().matches("still not anchored").count() >= 2);
        daemon.end();
    }
    let failed = records(&home, "AnchorFailed");
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0]["message"].as_str().unwrap().contains("No such file"), "{failed:?}");
    fs::create_dir(&folder).unwrap();
    let daemon = Daemon::start(&home, &[&anchor]);
    wait_until("the recovery", || records(&home, "Anchored").len() == 1);
    daemon.end();
    assert_eq!(notes(&path).notes[0].to_string(), newest(&home));
    assert_eq!(records(&home, "AnchorFailed").len(), 1);
}

/// Only root can mount.
struct Mount(PathBuf);

impl Mount {
    fn small(at: PathBuf) -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        fs::create_dir(&at).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=16k", "tmpfs"]).arg(&at).status();
        assert!(mounted.unwrap().success());
        Some(Self(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_takes_no_note_and_tears_none_that_comes_later() {
    let home = Home::new();
    let Some(mount) = Mount::small(home.0.path().join("vault")) else { return };
    let (path, filler) = (mount.0.join("anchor"), mount.0.join("filler"));
    // The rest of its page is free: a first part of a note fits, and the disk is full after it.
    fs::write(&path, "x".repeat(4_000)).unwrap();
    assert!(fs::write(&filler, vec![0; 64 * 1024]).is_err(), "the disk is not full");
    let daemon = Daemon::start(&home, &[&format!("file:{}", path.display())]);
    wait_until("the failure", || records(&home, "AnchorFailed").len() == 1);
    let failed = records(&home, "AnchorFailed").remove(0);
    assert!(failed["message"].as_str().unwrap().contains("No space left"), "{failed}");
    fs::remove_file(&filler).unwrap();
    wait_until("the recovery", || records(&home, "Anchored").len() == 1);
    daemon.end();
    let kept = notes(&path);
    assert_eq!(kept.notes.iter().map(SignedNote::to_string).collect::<Vec<_>>(), [newest(&home)]);
    assert!(kept.torn >= 1);
    let verified = home.undrift(&["audit", "verify", "--checkpoint", &path.display().to_string()]).expect(0);
    assert!(verified.stderr.contains("not compared in"), "{verified:?}");
}

/// How the server answers.
#[derive(Clone, Copy)]
enum Reply {
    Status(u16),
    Late(u16),
    Hang,
}

/// A server on this host.
struct Server {
    url: String,
    reply: Arc<Mutex<Reply>>,
    /// The head and the body of each request.
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    fn start(reply: Reply) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), reply)
    }

    fn on(listener: TcpListener, reply: Reply) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (reply, requests) = (Arc::new(Mutex::new(reply)), Arc::new(Mutex::new(Vec::new())));
        let server = Self { url, reply: Arc::clone(&reply), requests: Arc::clone(&requests) };
        thread::spawn(move || {
            let mut hanging = Vec::new();
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let now = *reply.lock().unwrap();
                match now {
                    Reply::Hang => hanging.push(stream),
                    Reply::Status(status) => answer(stream, status, &requests, Duration::ZERO),
                    Reply::Late(status) => answer(stream, status, &requests, Duration::from_millis(1_500)),
                }
            }
        });
        server
    }

    fn reply(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    fn requests(&self) -> Vec<(String, String)> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(stream: TcpStream, status: u16, requests: &Mutex<Vec<(String, String)>>, after: Duration) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let length = head.to_lowercase();
    let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap()];
    reader.read_exact(&mut body).unwrap();
    requests.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
    thread::sleep(after);
    let location = if status == 302 { "Location: /elsewhere\r\n" } else { "" };
    let reply = format!("HTTP/1.1 {status} X\r\n{location}Content-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = reader.get_mut().write_all(reply.as_bytes());
}

const TOKEN: &str = "tok3n-of-the-vault";

/// Whether the token is in a file of the state folder, or in what undrift logs and prints.
fn shows_token(home: &Home, daemon: &Daemon) -> bool {
    let holds = |bytes: &[u8]| bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
    let files = fs::read_dir(home.state()).unwrap().flatten().map(|entry| entry.path());
    let list = home.undrift(&["audit", "list", "-o", "json"]).expect(0).stdout;
    files.into_iter().filter(|path| path.is_file()).any(|path| holds(&fs::read(path).unwrap()))
        || daemon.log().contains(TOKEN)
        || list.contains(TOKEN)
}

#[test]
fn a_server_that_refuses_then_redirects_then_accepts_gets_the_note_and_its_token_shows_nowhere() {
    let (home, server) = (Home::new(), Server::start(Reply::Status(500)));
    let daemon = Daemon::start(&home, &[&format!("{}/{TOKEN}?key={TOKEN}", server.url)]);
    wait_until("the failure", || records(&home, "AnchorFailed").len() == 1);
    server.reply(Reply::Status(302));
    daemon.wait_for("it redirects (302)");
    server.reply(Reply::Status(204));
    wait_until("the delivery", || records(&home, "Anchored").len() == 1);
    let failed = records(&home, "AnchorFailed");
    assert_eq!((failed.len(), &failed[0]["message"]), (1, &"it answers 500".into()));
    assert_eq!(records(&home, "Anchored")[0]["anchor"], *server.url, "scheme, host and port alone");
    let requests = server.requests();
    let (head, body) = requests.last().unwrap();
    assert!(head.starts_with(&format!("POST /{TOKEN}?key={TOKEN} HTTP/1.1\r\n")), "{head}");
    assert!(head.to_lowercase().contains("\r\ncontent-type: text/plain; charset=utf-8\r\n"), "{head}");
    assert_eq!(*body, newest(&home));
    assert!(requests.iter().all(|(head, _)| !head.contains("/elsewhere")), "a redirect was followed");
    assert!(!shows_token(&home, &daemon));
    daemon.end();
}

#[test]
fn a_server_that_hangs_holds_nothing_up_and_one_that_is_late_has_the_note() {
    let (home, server) = (Home::new(), Server::start(Reply::Hang));
    let path = home.0.path().join("anchor");
    let daemon = Daemon::start(&home, &[&server.url, &format!("file:{}", path.display())]);
    wait_until("the other anchor", || records(&home, "Anchored").len() == 1);
    assert_eq!(server.requests().len(), 0);
    let began = Instant::now();
    daemon.end();
    assert!(began.elapsed() < Duration::from_secs(20), "the end waits for no anchor");
    server.reply(Reply::Late(200));
    let daemon = Daemon::start(&home, &[&server.url]);
    wait_until("the late answer", || records(&home, "Anchored").len() == 2);
    daemon.end();
}

#[test]
fn a_server_that_is_away_gets_the_newest_checkpoint_and_none_that_it_covers() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let daemon = Daemon::start(&home, &[&format!("http://{address}")]);
    wait_until("the failure", || records(&home, "AnchorFailed").len() == 1);
    assert_eq!(records(&home, "AnchorFailed")[0]["message"], "connection refused");
    let first = newest(&home);
    sign_again(&home);
    assert_ne!(newest(&home), first);
    let server = Server::on(TcpListener::bind(address).unwrap(), Reply::Status(200));
    wait_until("the delivery", || records(&home, "Anchored").len() == 1);
    daemon.end();
    assert_eq!(server.requests().iter().map(|(_, body)| body.clone()).collect::<Vec<_>>(), [newest(&home)]);
}

/// A command in a mount namespace where `folder` is `/run/systemd/journal`. Only root can do that.
fn with_journal_at(home: &Home, folder: &Path) -> Option<Command> {
    const SCRIPT: &str = "mkdir -p /run/systemd && mount -t tmpfs tmpfs /run/systemd && mkdir /run/systemd/journal && \
                          mount --bind \"$1\" /run/systemd/journal && shift && exec \"$@\"";
    let plain = home.command(&[]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", SCRIPT, "sh"]).arg(folder).arg(plain.get_program());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(home.0.path()).stdin(Stdio::null());
    geteuid().is_root().then_some(command)
}

#[test]
fn a_host_without_a_journal_is_told_and_the_journal_gets_the_whole_note() {
    let home = Home::new();
    let folder = home.0.path().join("journal");
    fs::create_dir(&folder).unwrap();
    let Some(command) = with_journal_at(&home, &folder) else { return };
    let daemon = Daemon::spawn(&home, command, &["journal"]);
    wait_until("the failure", || records(&home, "AnchorFailed").len() == 1);
    let failed = records(&home, "AnchorFailed").remove(0);
    assert!(failed["message"].as_str().unwrap().starts_with("the journal does not take it: "), "{failed}");
    let journal = UnixDatagram::bind(folder.join("socket")).unwrap();
    journal.set_read_timeout(Some(LONG)).unwrap();
    let mut entry = vec![0; 65_536];
    let length = journal.recv(&mut entry).unwrap();
    entry.truncate(length);
    let note = newest(&home);
    let size = Checkpoint::stated(&note.parse().unwrap()).unwrap().head;
    let mut expected = format!(
        "MESSAGE=the audit trail has {} records, root {}\nPRIORITY=6\nSYSLOG_IDENTIFIER=undrift\nUNDRIFT_CHECKPOINT\n",
        size.size, size.root
    )
    .into_bytes();
    expected.extend((note.len() as u64).to_le_bytes());
    expected.extend(note.bytes());
    expected.push(b'\n');
    assert_eq!(String::from_utf8_lossy(&entry), String::from_utf8_lossy(&expected));
    wait_until("the delivery", || records(&home, "Anchored").len() == 1);
    daemon.end();
}

/// The trail of a state with every record after the first made anew, by somebody who has the key and undrift itself.
fn rewrite(home: &Home) {
    let origin: String = Connection::open(home.state().join("state.db"))
        .unwrap()
        .query_row("SELECT origin FROM trail_origin", [], |row| row.get(0))
        .unwrap();
    let other = tempfile::tempdir().unwrap();
    let open = || Store::open(other.path(), "root@host undrift[1] run".into()).unwrap();
    drop(open());
    fs::copy(home.state().join("digest.key"), other.path().join("digest.key")).unwrap();
    let store = open();
    for _ in 0..20 {
        store.append(&NewRecord::of(AuditKind::Retried)).unwrap();
    }
    drop(store);
    let db = Connection::open(other.path().join("state.db")).unwrap();
    db.execute_batch(&format!(
        "DROP TRIGGER trail_origin_no_update; DROP TRIGGER checkpoints_no_delete; DROP TRIGGER checkpoint_keys_no_delete;
         UPDATE trail_origin SET origin = '{origin}'; DELETE FROM checkpoints; DELETE FROM checkpoint_keys;
         PRAGMA wal_checkpoint(TRUNCATE)"
    ))
    .unwrap();
    drop(db);
    for file in ["state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(home.state().join(file));
    }
    fs::copy(other.path().join("state.db"), home.state().join("state.db")).unwrap();
}

#[test]
fn a_rewrite_of_the_trail_is_found_by_the_file_of_an_anchor_and_by_nothing_else() {
    let home = Home::new();
    let path = home.0.path().join("anchor");
    let daemon = Daemon::start(&home, &[&format!("file:{}", path.display())]);
    wait_until("the first note", || sizes(&path).len() == 1);
    daemon.wait_for("started objects=");
    sign_again(&home);
    wait_until("the second note", || sizes(&path).len() == 2);
    daemon.end();
    let shown = path.display().to_string();
    let against = || home.undrift(&["audit", "verify", "--checkpoint", &shown]);
    against().expect(0);
    rewrite(&home);
    home.undrift(&["audit", "verify"]).expect(0);
    let found = against().expect(1);
    assert!(found.stdout.contains(&format!("checkpoint 2 of {shown} does not fit")), "{found:?}");
    // A note that a crash has torn hides none of those before it.
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&newest_bytes(&path)[..60]).unwrap();
    let found = against().expect(1);
    assert!(found.stdout.contains("does not fit") && found.stderr.contains("not compared in"), "{found:?}");
}

fn newest_bytes(path: &Path) -> Vec<u8> {
    format!("\n{}", notes(path).notes.last().unwrap()).into_bytes()
}

#[test]
fn what_is_no_anchor_is_refused_without_a_word_of_its_url() {
    let home = Home::new();
    home.manifest("shop");
    for (anchors, expected) in [
        (
            &["https://ops:tok3n-of-the-vault@vault.example/"][..],
            "https://vault.example has a user name or a password",
        ),
        (&["http://vault.example/tok3n-of-the-vault"], "the anchor http://vault.example needs https://"),
        (&["ftp://vault.example/tok3n-of-the-vault"], "an anchor is file:PATH, journal, or a URL"),
        (&["tok3n-of-the-vault"], "an anchor is file:PATH, journal, or a URL"),
        (&["file:anchor"], "the path of an anchor's file is absolute, and anchor is not"),
        (&["journal", "journal"], "two anchors are journal"),
        (
            &["https://v.example/tok3n-of-the-vault", "https://v.example:443/"],
            "two anchors are https://v.example;",
        ),
    ] {
        let mut args = vec!["run", "-f", "shop.yaml"];
        args.extend(anchors.iter().flat_map(|anchor| ["--anchor", anchor]));
        let refused = home.undrift(&args).expect(2);
        assert!(refused.stderr.contains(expected), "{anchors:?}: {refused:?}");
        assert!(!format!("{refused:?}").contains(TOKEN), "{anchors:?}: {refused:?}");
    }
    let anchor = format!("https://vault.example/{TOKEN}");
    let help = crate::home::run(home.command(&["run", "--help"]).env("UNDRIFT_ANCHOR", anchor)).expect(0);
    assert!(help.stdout.contains("UNDRIFT_ANCHOR") && !help.stdout.contains(TOKEN), "{help:?}");
}
