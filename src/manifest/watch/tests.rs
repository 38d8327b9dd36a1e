mod blind;

use std::{fs, io::Write as _, os::unix::fs::symlink, path::Path, pin::Pin, sync::mpsc};

use futures_util::{FutureExt as _, StreamExt as _};
use notify::{
    Config, EventKind, RecommendedWatcher,
    event::{AccessKind, AccessMode},
};
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

/// Without the looks of a timer: what is told of, the kernel has told of. Quiet for longer than a tick, so that no look
/// is taken for one that came too soon.
const QUICK: Timing = Timing {
    quiet: Duration::from_millis(120),
    latest: Duration::from_secs(2),
    spare: Duration::from_hours(1),
    blind: Duration::from_hours(1),
};

struct Watching(Pin<Box<dyn Stream<Item = ()> + Send>>);

impl Watching {
    fn new(paths: &[&Path], timing: Timing, connect: Connect) -> Self {
        let sources: Vec<ManifestSource> =
            paths.iter().map(|path| ManifestSource::Path(path.to_path_buf())).collect();
        Self(Box::pin(watch_with(&sources, timing, connect)))
    }

    fn of(path: &Path) -> Self {
        Self::new(&[path], QUICK, inotify)
    }

    async fn notified_of(&mut self, what: &str) {
        let woken = timeout(Duration::from_secs(20), self.0.next()).await;
        assert_eq!(woken.unwrap_or_else(|_| panic!("not told of: {what}")), Some(()), "{what}");
        // A look that came too soon after a change is followed by another one, which is told of as well.
        while self.0.next().now_or_never().is_some() {}
    }
}

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().canonicalize().unwrap();
    (folder, path)
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// As editors and `kubectl` replace things.
fn swap(new: &Path, old: &Path) {
    fs::rename(new, old).unwrap();
}

#[tokio::test]
async fn every_way_to_change_a_file_in_a_folder_is_notified() {
    let (_folder, at) = folder();
    let file = at.join("a.yaml");
    put(&file, "1");
    let mut watching = Watching::of(&at);
    fs::write(&file, "2").unwrap();
    watching.notified_of("a change between the start and the first wait").await;
    fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"3").unwrap();
    watching.notified_of("an append").await;
    put(&at.join(".a.yaml.new"), "2");
    swap(&at.join(".a.yaml.new"), &file);
    watching.notified_of("a replacement by rename, as editors do it").await;
    put(&at.join("b.yml"), "");
    watching.notified_of("a new file").await;
    fs::remove_file(&file).unwrap();
    watching.notified_of("a removed file").await;
}

#[tokio::test]
async fn a_file_that_is_named_is_followed_through_replacements() {
    let (_folder, at) = folder();
    let file = at.join("a.yaml");
    put(&file, "1");
    let mut watching = Watching::of(&file);
    for text in ["2", "3", "4"] {
        put(&at.join("new"), text);
        swap(&at.join("new"), &file);
        watching.notified_of("a replacement").await;
        fs::write(&file, "in place").unwrap();
        watching.notified_of("an edit of the replacement").await;
    }
}

/// `a.yaml → ..data/a.yaml`, `..data → ..1`: so the kubelet mounts a `ConfigMap`, and swaps `..data`.
#[tokio::test]
async fn a_swap_of_links_as_of_a_config_map_is_notified() {
    let (_folder, at) = folder();
    put(&at.join("..0/a.yaml"), "0");
    symlink("..0", at.join("..data")).unwrap();
    symlink("..data/a.yaml", at.join("a.yaml")).unwrap();
    for named in [at.clone(), at.join("a.yaml")] {
        let mut watching = Watching::of(&named);
        for round in 1..4 {
            put(&at.join(format!("..{round}/a.yaml")), "x");
            let _ = fs::remove_file(at.join("..data_tmp"));
            symlink(format!("..{round}"), at.join("..data_tmp")).unwrap();
            swap(&at.join("..data_tmp"), &at.join("..data"));
            fs::remove_dir_all(at.join(format!("..{}", round - 1))).unwrap();
            watching.notified_of("a swap").await;
        }
        put(&at.join("..0/a.yaml"), "0");
        symlink("..0", at.join("..data_tmp")).unwrap();
        swap(&at.join("..data_tmp"), &at.join("..data"));
    }
}

#[tokio::test]
async fn a_link_is_watched_at_both_its_ends() {
    let (_folder, at) = folder();
    put(&at.join("one/real.yaml"), "1");
    put(&at.join("two/real.yaml"), "1");
    fs::create_dir(at.join("named")).unwrap();
    symlink("../one", at.join("named/link")).unwrap();
    symlink(at.join("named/link/../one/real.yaml"), at.join("named/a.yaml")).unwrap();
    fs::create_dir(at.join("way")).unwrap();
    symlink("../one", at.join("way/link")).unwrap();
    let mut on_the_way = Watching::of(&at.join("way/link/real.yaml"));
    symlink("../two", at.join("way/new")).unwrap();
    swap(&at.join("way/new"), &at.join("way/link"));
    on_the_way.notified_of("a folder's link on the way").await;

    let mut watching = Watching::of(&at.join("named/a.yaml"));
    fs::write(at.join("one/real.yaml"), "2").unwrap();
    watching.notified_of("an edit at the link's end").await;
    symlink("../two/real.yaml", at.join("named/new")).unwrap();
    swap(&at.join("named/new"), &at.join("named/a.yaml"));
    watching.notified_of("a link that leads elsewhere").await;
    fs::write(at.join("two/real.yaml"), "2").unwrap();
    watching.notified_of("an edit at the new end").await;
}

#[tokio::test]
async fn a_folder_that_is_removed_and_made_again_is_watched_again() {
    let (_folder, at) = folder();
    let named = at.join("deep/manifests");
    put(&named.join("a.yaml"), "1");
    let mut watching = Watching::of(&named);
    for round in 0..3 {
        fs::remove_dir_all(if round == 1 { at.join("deep") } else { named.clone() }).unwrap();
        watching.notified_of("a removed folder").await;
        put(&named.join("a.yaml"), "1");
        watching.notified_of("a folder made again").await;
        fs::write(named.join("a.yaml"), "2").unwrap();
        watching.notified_of("an edit in it").await;
    }
    // Removed and made again between two looks.
    fs::remove_dir_all(&named).unwrap();
    put(&named.join("a.yaml"), "3");
    watching.notified_of("a folder made again at once").await;
    fs::write(named.join("a.yaml"), "4").unwrap();
    watching.notified_of("an edit in it").await;
}

#[tokio::test]
async fn a_file_that_does_not_exist_yet_is_notified_once_it_does() {
    let (_folder, at) = folder();
    let file = at.join("not/yet/a.yaml");
    let mut watching = Watching::of(&file);
    put(&file, "1");
    watching.notified_of("a file whose folders were not there").await;
    fs::write(&file, "2").unwrap();
    watching.notified_of("an edit of it").await;
}

#[tokio::test]
async fn a_thousand_edits_are_few_tellings_and_the_last_one_is_among_them() {
    let (_folder, at) = folder();
    let file = at.join("a.yaml");
    put(&file, "");
    let mut watching = Watching::new(&[&at], TIMING, inotify);
    let began = Instant::now();
    let writer = tokio::task::spawn_blocking({
        let file = file.clone();
        move || (1..=1_000).for_each(|edit| fs::write(&file, edit.to_string()).unwrap())
    });
    let mut woken = 0;
    while fs::read_to_string(&file).unwrap() != "1000" || woken == 0 {
        timeout(Duration::from_secs(20), watching.0.next()).await.expect("the last edit is told of");
        woken += 1;
    }
    writer.await.unwrap();
    // One for each quiet that a writer may have made on a busy machine.
    let most = 2 + began.elapsed().as_millis() / TIMING.quiet.as_millis();
    assert!(woken <= most, "{woken} in {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_burst_ends_when_it_is_quiet_and_one_without_end_is_looked_at_all_the_same() {
    let wake = Arc::<Notify>::default();
    let began = Instant::now();
    (0..1_000).for_each(|_| wake.notify_one());
    settled(&wake, TIMING.spare, TIMING).await;
    assert!(began.elapsed() < TIMING.quiet * 2, "{:?}", began.elapsed());
    settled(&wake, TIMING.spare, TIMING).await;
    assert!(began.elapsed() >= TIMING.spare, "the burst is over: {:?}", began.elapsed());

    let endless = tokio::spawn({
        let wake = Arc::clone(&wake);
        async move {
            loop {
                wake.notify_one();
                tokio::time::sleep(TIMING.quiet / 2).await;
            }
        }
    });
    for _ in 0..5 {
        let began = Instant::now();
        settled(&wake, TIMING.spare, TIMING).await;
        let took = began.elapsed();
        assert!(took >= TIMING.latest && took <= TIMING.latest + TIMING.quiet, "{took:?}");
    }
    endless.abort();
}

fn watched(path: &Path, connect: Connect) -> WatchedPaths {
    WatchedPaths::new(vec![path.to_path_buf()], connect)
}

/// Looks until the manifest is old enough to be trusted.
fn trusted(watched: &mut WatchedPaths) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while watched.look() {
        assert!(Instant::now() < deadline, "each look finds a change");
    }
}

#[test]
fn a_busy_neighbour_is_no_change() {
    let (_folder, at) = folder();
    put(&at.join("a.yaml"), "1");
    for named in [at.clone(), at.join("a.yaml")] {
        let mut watched = watched(&named, inotify);
        trusted(&mut watched);
        put(&at.join("neighbour.log"), "x");
        put(&at.join(".a.yaml.swp"), "x");
        assert!(!watched.look(), "neighbours of {}", named.display());
        fs::read_to_string(at.join("a.yaml")).unwrap();
        assert!(!watched.look(), "a reader of {}", named.display());
        fs::write(at.join("a.yaml"), "1").unwrap();
        assert!(watched.look(), "an edit that changes neither size nor content");
    }
}

#[test]
fn a_look_right_after_a_change_is_not_trusted() {
    let (_folder, at) = folder();
    put(&at.join("a.yaml"), "1");
    let mut watched = watched(&at, inotify);
    trusted(&mut watched);
    // A look that comes later, because the machine was busy, may be trusted.
    let right_after = |watched: &mut WatchedPaths| {
        let began = Instant::now();
        fs::write(at.join("a.yaml"), "2").unwrap();
        assert!(watched.look());
        began.elapsed() < Duration::from_millis(50)
    };
    assert!((0..100).any(|_| right_after(&mut watched)), "no look comes in time");
    assert!(watched.look(), "it may have been written again within the tick of its time");
}

#[test]
fn whatever_may_change_a_file_wakes() {
    let wakes = |event| {
        let wake = Notify::new();
        wake_on_change(&wake, event);
        wake.notified().now_or_never().is_some()
    };
    let of = |kind| Ok(Event::new(kind));
    assert!(!wakes(of(EventKind::Access(AccessKind::Open(AccessMode::Any)))));
    assert!(!wakes(of(EventKind::Access(AccessKind::Close(AccessMode::Read)))));
    assert!(
        wakes(of(EventKind::Access(AccessKind::Close(AccessMode::Write)))),
        "after a write through memory"
    );
    assert!(wakes(of(EventKind::Other)), "events were lost");
    assert!(wakes(Err(notify::Error::generic("broken"))));
}

#[test]
fn reading_wakes_nobody() {
    let (_folder, at) = folder();
    let file = at.join("a.yaml");
    put(&file, "1");
    let (sender, woken) = mpsc::channel();
    let mut kernel =
        RecommendedWatcher::new(move |event| sender.send(event).unwrap(), Config::default()).unwrap();
    kernel.watch(&at, RecursiveMode::NonRecursive).unwrap();
    let before = woken.try_iter().count();
    let _ =
        (Stamps::take(std::slice::from_ref(&at)), crate::manifest::load(&[ManifestSource::Path(at.clone())]));
    put(&at.join("marker"), "x");
    let mut reads = 0;
    let waking = loop {
        let event: Event = woken.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
        if !kernel_watch::only_reads(event.kind) {
            break event;
        }
        reads += 1;
    };
    assert_eq!(waking.paths, [at.join("marker")]);
    assert!(before + reads > 0, "the kernel does tell of reading");
}
