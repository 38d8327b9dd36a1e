use std::{
    fs,
    os::unix::net::UnixListener,
    sync::{
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

/// The longest that a test waits for something that would otherwise block without end.
const LONG: Duration = Duration::from_secs(30);

const fn limits(milliseconds: u64, on_a_mount: usize, hanging: usize) -> Limits {
    let time = Duration::from_millis(milliseconds);
    Limits { time, time_beside: time, on_a_mount, hanging }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::yield_now();
    }
}

/// An access that hangs until the sender is dropped.
fn hang(accesses: &'static Accesses, path: &'static str) -> (mpsc::Sender<()>, io::Result<()>) {
    let (release, held) = mpsc::channel();
    let wait = move |_: &Path, _: &accesses::Access| {
        let _ = held.recv();
        Ok(())
    };
    (release, at(accesses, path, wait))
}

fn at<T: Send + 'static>(
    accesses: &'static Accesses,
    path: &'static str,
    work: impl FnOnce(&Path, &accesses::Access) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let access = move || workers::access(Path::new(path), Sharing::Alone, work);
    workers::run(accesses, access).unwrap_or_else(|hangs| Err(hangs.into()))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands for an access that can fail")]
fn seven(_: &Path, _: &accesses::Access) -> io::Result<u8> {
    Ok(7)
}

fn error_of<T: std::fmt::Debug>(result: io::Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn only_regular_files_are_read_and_what_else_is_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _socket = UnixListener::bind(path("socket")).unwrap();
    fs::write(path("file"), "text").unwrap();
    fs::write(path("binary"), b"\xff").unwrap();
    for (name, what) in [
        ("pipe", "is a named pipe and not a regular file"),
        ("socket", "is a socket and not a regular file"),
        ("/dev/zero", "/dev/zero is a device and not a regular file"),
        ("", "is a folder and not a regular file"),
        ("gone", "No such file"),
    ] {
        let error = error_of(read(&path(name), 10));
        assert!(error.contains(what), "{name}: {error}");
    }
    assert_eq!(read_to_string(&path("file"), 4).unwrap(), "text");
    let too_large = format!("{} has 4 bytes, and 3 bytes at most are read", path("file").display());
    assert_eq!(error_of(read(&path("file"), 3)), too_large);
    assert_eq!(error_of(is_readable(&path("file"), 3)), too_large);
    assert_eq!(error_of(read_to_string(&path("binary"), 3)), "it is not UTF-8");
    assert_eq!(read(Path::new("/dev/null"), 3).unwrap(), b"", "how an empty file is written");
    // A folder blocks nobody, and may be where Compose would look for a file.
    let is_trap = |name: &str| read(&path(name), 10).is_err_and(|error| super::is_trap(&error));
    assert_eq!(["pipe", "socket", "/dev/zero", "", "gone"].map(is_trap), [true, true, true, false, false]);
}

#[test]
fn a_file_that_is_too_large_is_refused_by_its_size_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("sparse"), folder.path().join("link"));
    fs::File::create(&path).unwrap().set_len(3 << 30).unwrap();
    std::os::unix::fs::symlink("sparse", &link).unwrap();
    for (asked, named) in [
        (&path, path.display().to_string()),
        (&link, format!("{} (a symbolic link to {})", link.display(), path.display())),
    ] {
        let error = read(asked, LARGEST_TEXT).unwrap_err();
        assert_eq!((error.kind(), super::is_trap(&error)), (io::ErrorKind::FileTooLarge, true));
        assert_eq!(error.to_string(), format!("{named} has 3 GiB, and 16 MiB at most are read"));
    }
    // A file without a size has a limit all the same.
    let endless = error_of(read(Path::new("/proc/version"), 3));
    assert_eq!(endless, "/proc/version has more, and 3 bytes at most are read");
}

#[test]
fn what_is_odd_behind_a_link_is_named_by_both() {
    let folder = tempfile::tempdir().unwrap();
    let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    std::os::unix::fs::symlink(&pipe, &link).unwrap();
    let named = format!("{} (a symbolic link to {})", link.display(), pipe.display());
    assert_eq!(error_of(read(&link, 3)), format!("{named} is a named pipe and not a regular file"));
    assert_eq!(error_of(is_folder_or_absent(&link)), format!("{named} is a named pipe and not a folder"));
}

#[test]
fn what_hangs_behind_a_link_is_named_by_both_also_to_who_comes_later() {
    static ACCESSES: Accesses = Accesses::new(limits(1_000, 8, 8));
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("target"), folder.path().join("link"));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let path: &'static str = link.display().to_string().leak();
    let expected =
        format!("{path} (a symbolic link to {}) does not answer: what it is on hangs", target.display());
    let (release, given_up) = hang(&ACCESSES, path);
    assert_eq!(error_of(given_up), expected);
    assert_eq!(error_of(at(&ACCESSES, path, seven)), expected);
    drop(release);
}

#[test]
fn a_large_file_is_read_whole_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    let content: Vec<u8> = (0..700_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    fs::write(&path, &content).unwrap();
    let read = look(move || {
        let mut read = Vec::new();
        read_in_pieces(&path, |piece| read.extend_from_slice(piece)).map(|()| read)
    });
    assert!(read.unwrap().unwrap() == content);
}

#[test]
fn what_hangs_is_given_up_and_not_asked_again_before_it_comes_back() {
    static ACCESSES: Accesses = Accesses::new(limits(10, 8, 8));
    let (release, given_up) = hang(&ACCESSES, "/hangs");
    assert_eq!(error_of(given_up), "/hangs does not answer: what it is on hangs");
    assert_eq!(error_of(at(&ACCESSES, "/hangs", seven)), "/hangs does not answer: what it is on hangs");
    assert_eq!(at(&ACCESSES, "/answers", seven).unwrap(), 7, "others go on");
    drop(release);
    wait_until("what has come back does not hang", || at(&ACCESSES, "/hangs", seven).is_ok());
}

#[tokio::test]
async fn a_caller_that_may_not_block_gets_the_same_answer() {
    static ACCESSES: Accesses = Accesses::new(limits(10, 8, 8));
    let (release, held) = mpsc::channel::<()>();
    let hangs = move || {
        workers::access(Path::new("/hangs"), Sharing::Alone, |_, _| {
            let _ = held.recv();
            Ok(())
        })
    };
    let hangs = workers::run_beside(&ACCESSES, hangs).await.unwrap_err();
    assert_eq!(hangs, Hangs::Path("/hangs".into()));
    assert_eq!(workers::run_beside(&ACCESSES, || 7).await, Ok(7));
    drop(release);
}

#[test]
fn of_many_that_begin_at_once_one_hangs_at_a_path() {
    static ACCESSES: Accesses = Accesses::new(limits(50, 100, 100));
    static BLOCKED: AtomicUsize = AtomicUsize::new(0);
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    let threads: Vec<_> = (0..10)
        .map(|_| {
            let held = std::sync::Arc::clone(&held);
            let block = move |_: &Path, _: &accesses::Access| {
                BLOCKED.fetch_add(1, Relaxed);
                let _ = held.lock().unwrap().recv();
                Ok(())
            };
            thread::spawn(move || at(&ACCESSES, "/hangs", block).is_err())
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap()), "none waits without end");
    assert_eq!(BLOCKED.load(Relaxed), 1);
    drop(release);
}

#[test]
fn an_access_that_makes_progress_no_longer_counts_as_hanging() {
    static ACCESSES: Accesses = Accesses::new(limits(10, 8, 8));
    let begun = ACCESSES.begin(Path::new("/slow"), Sharing::Alone, |_| true).unwrap();
    for _ in 0..3 {
        wait_until("it hangs", || begun.access.left().is_zero());
        assert_eq!(ACCESSES.hanging(), [Path::new("/slow")]);
        wait_until("it gets on", || {
            begun.access.touch();
            !begun.access.left().is_zero()
        });
    }
}

#[test]
fn who_waits_for_what_gets_on_waits_beyond_the_limit() {
    static ACCESSES: Accesses = Accesses::new(limits(1_000, 8, 8));
    let slow = at(&ACCESSES, "/slow", |_, access| {
        let began = Instant::now();
        // A machine under load may keep a thread from its work for a while, and never for as long as the limit.
        wait_until("more time has passed than the limit", || {
            access.touch();
            began.elapsed() > Duration::from_millis(1_100)
        });
        Ok(())
    });
    slow.unwrap();
}

#[test]
fn a_look_that_breaks_off_finds_nothing_and_hangs_nowhere() {
    static ACCESSES: Accesses = Accesses::new(limits(10, 8, 8));
    let broken = at::<u8>(&ACCESSES, "/breaks", |_, _| std::panic::resume_unwind(Box::new(())));
    assert_eq!(error_of(broken), "the look at the files broke off");
    assert_eq!(at(&ACCESSES, "/breaks", seven).unwrap(), 7);
}

#[test]
fn a_look_at_many_goes_on_past_what_hangs() {
    static ACCESSES: Accesses = Accesses::new(limits(10, 8, 8));
    let (release, given_up) = hang(&ACCESSES, "/second");
    assert!(given_up.is_err());
    let all = move || {
        ["/first", "/second", "/third"]
            .map(|path| workers::access(Path::new(path), Sharing::Alone, seven).is_ok())
    };
    assert_eq!(workers::run_past(&ACCESSES, all).unwrap(), [true, false, true]);
    drop(release);
    // The first time it hangs itself, and the next one knows.
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    let all = move || {
        let hangs = workers::access(Path::new("/other"), Sharing::Alone, |_, _| {
            let _ = held.lock().unwrap().recv();
            Ok(7)
        });
        (hangs.is_ok(), workers::access(Path::new("/third"), Sharing::Alone, seven).is_ok())
    };
    assert_eq!(workers::run_past(&ACCESSES, all).unwrap(), (false, true));
    drop(release);
}

#[test]
fn a_file_system_on_which_many_hang_is_asked_whether_it_answers() {
    static ACCESSES: Accesses = Accesses::new(limits(10, 2, 100));
    let hanging = ["/hangs/a", "/hangs/b"].map(|path| hang(&ACCESSES, path).0);
    // It answers: two files hang there, and not all.
    assert_eq!(at(&ACCESSES, "/answers", seven).unwrap(), 7);
    let begin = |answers| ACCESSES.begin(Path::new("/other"), Sharing::Alone, move |_| answers).map(drop);
    let mount = PathBuf::from("/");
    assert_eq!(begin(false), Err(Hangs::Mount { path: "/other".into(), mount }));
    assert_eq!(begin(true), Ok(()));
    // Paths on another one are not affected.
    assert!(ACCESSES.begin(Path::new("/proc/self"), Sharing::Alone, |_| false).is_ok());
    drop(hanging);
    wait_until("all to come back", || begin(false).is_ok());
}

#[test]
fn no_more_than_a_few_are_at_one_file_system_at_once() {
    static ACCESSES: Accesses = Accesses::new(limits(30_000, 2, 100));
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let threads = ["/a", "/b", "/c", "/d", "/e", "/f"].map(|path| {
        thread::spawn(move || {
            at(&ACCESSES, path, |_, _| {
                MOST.fetch_max(NOW.fetch_add(1, Relaxed) + 1, Relaxed);
                thread::sleep(Duration::from_millis(10));
                NOW.fetch_sub(1, Relaxed);
                Ok(())
            })
        })
    });
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    assert_eq!(MOST.load(Relaxed), 2);
}

#[tokio::test]
async fn too_many_hanging_accesses_are_reported() {
    static ACCESSES: Accesses = Accesses::new(limits(10, 100, 2));
    let hanging = ["/hangs/a", "/hangs/b"].map(|path| hang(&ACCESSES, path).0);
    let refused = error_of(at(&ACCESSES, "/answers", seven));
    assert!(refused.contains("only a new start of undrift helps"), "{refused}");
    tokio::time::timeout(LONG, ACCESSES.spent()).await.unwrap();
    drop(hanging);
}

#[test]
fn a_mount_is_found_without_a_look_at_the_path() {
    let point = |path: &str| mounts::of(Path::new(path)).map(|mount| mount.point);
    assert_eq!(point("/proc/self/none/at/all"), Some("/proc".into()));
    assert_eq!(point("/none/at/all"), Some("/".into()));
    assert_eq!(point("/none/at/../../proc/x/../none"), Some("/proc".into()), "as it is once it is followed");
}

/// The code that accesses files in another way, and why that is right.
const OWN_WAYS: [(&str, &str); 10] = [
    ("src/files/", "this room"),
    ("src/store/", "the state folder, which is asked for before it is opened (`cli::context`)"),
    ("src/daemon/socket.rs", "the same"),
    ("src/doctor/state.rs", "the same, with a limit of its own"),
    ("src/doctor/engine.rs", "/run"),
    ("src/doctor/manifests.rs", "/proc"),
    ("src/host/engine/", "/proc"),
    ("src/host/gate/", "undrift's own folders for temporary files"),
    ("src/host/build_check/leftovers.rs", "/proc, and undrift's own folders for temporary files"),
    ("src/host/cache_folder.rs", "the cache folder, with flags of its own"),
];

#[test]
fn nobody_reaches_a_file_around_this_room() {
    const CALLS: [&str; 12] = [
        "fs::read(",
        "fs::read_to_string(",
        "fs::metadata(",
        "fs::canonicalize(",
        "fs::read_dir(",
        "fs::read_link(",
        "File::open(",
        ".canonicalize()",
        ".read_dir()",
        ".try_exists()",
        ".exists()",
        "tokio::fs",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut open, mut read) = (vec![root.join("src")], 0);
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let is_test = ["test", "transcripts", "grammar/reference"].iter().any(|word| name.contains(word));
            if is_test || OWN_WAYS.iter().any(|(own, _)| name.starts_with(own)) {
                continue;
            }
            read += 1;
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            found.extend(
                code.lines()
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .filter(|line| CALLS.iter().any(|call| line.contains(call)))
                    .map(|line| format!("{name}: {}", line.trim())),
            );
        }
    }
    assert!(read > 100, "the source was looked for in vain");
    assert!(found.is_empty(), "use crate::files instead: {found:#?}");
}
