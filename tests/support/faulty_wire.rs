//! A wire to the engine that answers some questions wrongly, late or not at all.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use fastrand::Rng;
use serde_json::Value;
use tempfile::TempDir;

/// What a question meets.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The connection ends without an answer.
    Cut,
    /// The connection ends after so many bytes of the answer.
    CutAfter(usize),
    /// The answer comes so much later.
    Late(Duration),
    /// 500.
    Fails,
    /// 200 with this body.
    Says(&'static str),
    /// 404 with this body.
    NotFound(&'static str),
    /// The true answer in good form, but only so much of its body, in percent.
    Part(usize),
    /// The true answer in good form, without what this JSON pointer leads to; of a list in each of its items.
    Without(&'static str),
    /// The head of an answer, and then a byte of its body each time that so much has passed, without end.
    Drips(Duration),
}

/// Which questions meet it: those whose path holds `about`, in which `*` is anything, so often of a hundred.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) fault: Fault,
    pub(crate) about: &'static str,
    pub(crate) often: u64,
    pub(crate) seed: u64,
}

#[derive(Default)]
struct Shared {
    plan: Mutex<Option<Plan>>,
    asked: Mutex<HashMap<String, u64>>,
    met: AtomicUsize,
}

pub(crate) struct Wire {
    folder: TempDir,
    shared: Arc<Shared>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        let (folder, shared) = (TempDir::new().unwrap(), Arc::<Shared>::default());
        let listener = UnixListener::bind(folder.path().join("engine.sock")).unwrap();
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&of_thread);
                // An end of either side ends the connection.
                thread::spawn(move || drop(serve(client, &shared)));
            }
        });
        Self { folder, shared }
    }

    pub(crate) fn docker_host(&self) -> String {
        format!("unix://{}", self.folder.path().join("engine.sock").display())
    }

    /// From now on; nothing is wrong without a plan.
    pub(crate) fn set(&self, plan: Option<Plan>) {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// How many questions met a fault.
    pub(crate) fn met(&self) -> usize {
        self.shared.met.load(Relaxed)
    }
}

impl Shared {
    /// What this question meets: the same for the same seed, path and how often it was asked.
    fn fault(&self, path: &str) -> Option<Fault> {
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let asked = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let count = asked.entry(path.to_owned()).or_default();
            *count += 1;
            *count
        };
        let name = path.bytes().fold(plan.seed, |sum, byte| sum.wrapping_mul(31) ^ u64::from(byte));
        let meets = holds(path, plan.about) && Rng::with_seed(name ^ asked).u64(..100) < plan.often;
        meets.then(|| {
            self.met.fetch_add(1, Relaxed);
            plan.fault
        })
    }
}

fn holds(path: &str, about: &str) -> bool {
    let mut rest = path;
    about.split('*').all(|piece| {
        let found = rest.split_once(piece);
        rest = found.map_or("", |(_, after)| after);
        found.is_some()
    })
}

fn engine() -> io::Result<UnixStream> {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    UnixStream::connect(PathBuf::from(host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock")))
}

fn serve(mut client: UnixStream, shared: &Shared) -> io::Result<()> {
    let (head, rest) = read_head(&mut client)?;
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_head = method == "HEAD";
    match shared.fault(path) {
        None => relay(client, &head, &rest, usize::MAX),
        Some(Fault::Cut) => Ok(()),
        Some(Fault::CutAfter(bytes)) => relay(client, &head, &rest, bytes),
        Some(Fault::Late(by)) => {
            thread::sleep(by);
            relay(client, &head, &rest, usize::MAX)
        }
        Some(Fault::Fails) => {
            answer(client, "500 Internal Server Error", br#"{"message":"a fault"}"#, is_head)
        }
        Some(Fault::Says(body)) => answer(client, "200 OK", body.as_bytes(), is_head),
        Some(Fault::NotFound(body)) => answer(client, "404 Not Found", body.as_bytes(), is_head),
        Some(Fault::Part(percent)) => {
            let body = whole(&head, &rest)?;
            answer(client, "200 OK", &body[..body.len() * percent / 100], is_head)
        }
        Some(Fault::Without(pointer)) => {
            let mut body: Value = serde_json::from_slice(&whole(&head, &rest)?)?;
            match body.as_array_mut() {
                Some(items) => items.iter_mut().for_each(|item| remove(item, pointer)),
                None => remove(&mut body, pointer),
            }
            answer(client, "200 OK", body.to_string().as_bytes(), is_head)
        }
        Some(Fault::Drips(pause)) => drip(client, pause),
    }
}

/// The head of a request with its empty line, and what was read beyond it.
fn read_head(client: &mut UnixStream) -> io::Result<(String, Vec<u8>)> {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let length = client.read(&mut piece)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        all.extend_from_slice(&piece[..length]);
        if let Some(at) = all.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = all.split_off(at + 4);
            return Ok((String::from_utf8_lossy(&all).into_owned(), rest));
        }
    }
}

/// Carries question and answer, and at most so many bytes of the answer. Each connection has one question, so that every one
/// can meet its fault; one that is upgraded is carried as it is.
fn relay(mut client: UnixStream, head: &str, rest: &[u8], most: usize) -> io::Result<()> {
    let mut engine = engine()?;
    let closing = head.trim_end().to_owned() + "\r\nConnection: close\r\n\r\n";
    let upgrades = head.to_ascii_lowercase().contains("\r\nupgrade:");
    engine.write_all(if upgrades { head } else { &closing }.as_bytes())?;
    engine.write_all(rest)?;
    let (mut from, mut to) = (client.try_clone()?, engine.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let carried = io::copy(&mut (&mut engine).take(most as u64), &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = engine.shutdown(Shutdown::Both);
    carried.map(drop)
}

/// The body of the true answer. To HTTP/1.0 it comes in one piece.
fn whole(head: &str, rest: &[u8]) -> io::Result<Vec<u8>> {
    let mut engine = engine()?;
    engine.write_all(head.replacen(" HTTP/1.1\r\n", " HTTP/1.0\r\n", 1).as_bytes())?;
    engine.write_all(rest)?;
    let mut answer = Vec::new();
    engine.read_to_end(&mut answer)?;
    let at = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    Ok(answer.split_off(at))
}

fn remove(value: &mut Value, pointer: &str) {
    let (above, name) = pointer.rsplit_once('/').unwrap();
    if let Some(Value::Object(above)) = value.pointer_mut(above) {
        above.remove(name);
    }
}

/// A body of blanks, in chunks of one, which every reader of JSON waits to the end of.
fn drip(mut client: UnixStream, pause: Duration) -> io::Result<()> {
    client.write_all(
        b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    loop {
        client.write_all(b"1\r\n \r\n")?;
        thread::sleep(pause);
    }
}

fn answer(mut client: UnixStream, status: &str, body: &[u8], is_head: bool) -> io::Result<()> {
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    if is_head { Ok(()) } else { client.write_all(body) }
}
