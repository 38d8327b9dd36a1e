//! The socket in the state folder, from both sides.

use std::{
    fs::{File, Permissions},
    io,
    os::{fd::AsRawFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::mpsc,
};

use super::protocol::{ControlCommand, ControlRequest, LONGEST, Reply, VERSION};
use crate::files::trust::{self, Others};

const FILE: &str = "undrift.sock";

/// How long a request may take to arrive, and a first reply to be taken.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The socket of the daemon that holds the state folder; removed when this is dropped.
#[derive(Debug)]
pub(super) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Opens it. To be called under the state folder's lock: a socket that is there is then a dead daemon's.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let folder = File::open(dir)?;
        let listener = UnixListener::bind(short(&folder))?;
        // The folder is its owner's alone already; this is for one that was made by other hands.
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// The next connection.
    pub(super) async fn next(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The socket's path by way of the open folder. A socket's address has 108 bytes, a folder's path may have more.
fn short(folder: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{FILE}", folder.as_raw_fd()))
}

/// Reads what the person wants.
pub(super) async fn read_request(stream: &mut BufReader<UnixStream>) -> io::Result<ControlRequest> {
    let request = tokio::time::timeout(READ_TIMEOUT, read(stream)).await??;
    request.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Answers. A person who does not read is left alone after a while.
pub(super) async fn write_first_reply(
    stream: &mut (impl AsyncWrite + Unpin),
    reply: &Reply,
) -> io::Result<()> {
    tokio::time::timeout(READ_TIMEOUT, write(stream, reply)).await?
}

/// Answers one who may take as long as they want to read it.
pub(super) async fn write_reply(stream: &mut (impl AsyncWrite + Unpin), reply: &Reply) -> io::Result<()> {
    write(stream, reply).await
}

/// Asks the daemon that holds this state folder; `None` where there is none, or it is a stranger's: neither a folder that
/// another user could change is believed in, nor a process of one. Each reply comes to `read_request`; the first
/// one is [`Reply::Accepted`] or [`Reply::Refused`].
///
/// # Errors
/// Where the connection breaks.
pub(crate) async fn ask(
    dir: &Path,
    what: ControlCommand,
    replies: mpsc::Sender<Reply>,
) -> io::Result<Option<()>> {
    let stream = match connect(dir).await {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut stream = BufReader::new(stream);
    write(&mut stream, &ControlRequest { version: VERSION, what }).await?;
    // A daemon that is stopped or stuck still lets people in.
    let mut reply = tokio::time::timeout(READ_TIMEOUT, read(&mut stream)).await??;
    while let Some(received) = reply {
        if replies.send(received).await.is_err() {
            break;
        }
        reply = read(&mut stream).await?;
    }
    Ok(Some(()))
}

/// Whether anybody accepts at the socket of this state folder, where no stranger could have put it. Blocks no longer than the
/// kernel takes.
pub(crate) fn is_listening(dir: &Path) -> bool {
    let connect = || std::os::unix::net::UnixStream::connect(short(&trusted_folder(dir)?));
    connect().is_ok()
}

async fn connect(dir: &Path) -> io::Result<UnixStream> {
    let folder = trusted_folder(dir)?;
    let stream = UnixStream::connect(short(&folder)).await?;
    refuse_stranger(stream.peer_cred()?.uid())?;
    Ok(stream)
}

/// The folder, which no stranger could change: else whoever did could answer for the daemon.
fn trusted_folder(dir: &Path) -> io::Result<File> {
    match trust::exposed(dir, Others::WorldAndGroup)? {
        None => File::open(dir),
        Some(exposed) => Err(io::Error::new(io::ErrorKind::PermissionDenied, exposed.to_string())),
    }
}

/// Refuses to ask a process of another user, which could answer anything. Who listens the kernel says (`SO_PEERCRED`, `unix(7)`).
fn refuse_stranger(listens: u32) -> io::Result<()> {
    if [0, rustix::process::geteuid().as_raw()].contains(&listens) {
        return Ok(());
    }
    let message =
        format!("a process of the user {listens} listens at its socket, and that is no undrift of yours");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.flush().await
}

async fn read<T: DeserializeOwned>(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    stream.take(LONGEST).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_request_comes_through_a_path_of_any_length_and_only_its_owner_may_ask() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("x".repeat(200));
        std::fs::create_dir(&dir).unwrap();
        runtime().block_on(async {
            let socket = ControlSocket::open(&dir).unwrap();
            assert_eq!(dir.join(FILE).metadata().unwrap().permissions().mode() & 0o777, 0o600);
            let (replies, mut request) = mpsc::channel(4);
            let asking = ask(&dir, ControlCommand::Look("shop".into()), replies);
            let serving = async {
                let mut stream = BufReader::new(socket.next().await.unwrap());
                let request = read_request(&mut stream).await.unwrap();
                assert_eq!(
                    request,
                    ControlRequest { version: VERSION, what: ControlCommand::Look("shop".into()) }
                );
                write_first_reply(&mut stream, &Reply::Accepted).await.unwrap();
            };
            let (asked, ()) = tokio::join!(asking, serving);
            assert_eq!(asked.unwrap(), Some(()));
            assert_eq!(request.recv().await, Some(Reply::Accepted));
        });
    }

    #[test]
    fn without_a_daemon_nobody_answers_and_a_dead_ones_socket_is_in_nobodys_way() {
        let home = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let (replies, _heard) = mpsc::channel(4);
            let look = || ControlCommand::Look("shop".into());
            assert_eq!(ask(home.path(), look(), replies.clone()).await.unwrap(), None);
            // What a killed daemon leaves.
            drop(std::os::unix::net::UnixListener::bind(home.path().join(FILE)).unwrap());
            assert_eq!(ask(home.path(), look(), replies).await.unwrap(), None);
            let socket = ControlSocket::open(home.path()).unwrap();
            drop(socket);
            assert!(!home.path().join(FILE).exists());
        });
    }

    #[test]
    fn a_link_at_the_sockets_place_is_replaced_and_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let other = home.path().join("other");
        std::fs::write(&other, "kept").unwrap();
        symlink(&other, home.path().join(FILE)).unwrap();
        runtime().block_on(async {
            let _door = ControlSocket::open(home.path()).unwrap();
            assert_eq!(std::fs::read_to_string(&other).unwrap(), "kept");
        });
    }

    #[test]
    fn a_stranger_is_not_asked() {
        assert!(refuse_stranger(0).is_ok() && refuse_stranger(rustix::process::geteuid().as_raw()).is_ok());
        assert!(refuse_stranger(12_345).unwrap_err().to_string().contains("the user 12345"));
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), Permissions::from_mode(0o777)).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(home.path().join(FILE)).unwrap();
        listener.set_nonblocking(true).unwrap();
        runtime().block_on(async {
            let (replies, _heard) = mpsc::channel(4);
            let error = ask(home.path(), ControlCommand::Look("shop".into()), replies).await.unwrap_err();
            assert!(error.to_string().contains("others can write"), "{error}");
        });
        assert!(!is_listening(home.path()));
        assert!(listener.accept().is_err(), "nobody has even connected");
    }

    #[test]
    fn an_endless_line_is_not_read_to_its_end() {
        runtime().block_on(async {
            let mut endless = BufReader::new(tokio::io::repeat(b'x'));
            assert!(read::<ControlRequest>(&mut endless).await.is_err());
        });
    }
}
