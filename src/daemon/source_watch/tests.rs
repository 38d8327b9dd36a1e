//! Real files, and the kernel's own events.

mod echoes;
mod elsewhere;
mod named;
mod polled;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    pin::Pin,
    process::Command,
};

use futures_util::{FutureExt as _, Stream};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};

use super::*;
use crate::{api::WatchedContext, reconcile::now};

/// Without polls: what is a trigger, the kernel has reported.
const QUICK: Timing = Timing {
    quiet: Duration::from_millis(100),
    latest: Duration::from_secs(2),
    at_once: 10_000,
    echo: Duration::from_hours(1),
    poll: Duration::from_hours(1),
};

/// The object under test, and the one whose trigger shows that all events before it were seen.
const SHOP: &str = "shop";
const MARKER: &str = "marker";

/// A watch of the build context `at/app` for `shop`, and of another folder for `marker`.
struct Watching {
    at: PathBuf,
    watch: SourceWatch,
    names: Pin<Box<dyn Stream<Item = String> + Send>>,
    task: JoinHandle<()>,
    _folder: TempDir,
}

impl Watching {
    async fn new() -> Self {
        Self::with(QUICK, Kernel::new(connect)).await
    }

    async fn with(timing: Timing, kernel: Kernel) -> Self {
        let folder = TempDir::new().unwrap();
        let at = folder.path().canonicalize().unwrap();
        put(&at.join("app/src/deep/a"), "1");
        put(&at.join("app/node_modules/x/y"), "1");
        put(&at.join("app/.dockerignore"), "node_modules\n*.log\n");
        put(&at.join("mark/a"), "1");
        let (watch, queue) = (SourceWatch::default(), WorkQueue::default());
        let names = Box::pin(queue.stream());
        let apart = vec![at.join("app/state")];
        let task = tokio::spawn(run_with(watch.0.clone(), queue, apart, timing, kernel));
        let mut watching = Self { at, watch, names, task, _folder: folder };
        // Everything has changed since then.
        let long_ago = chrono::DateTime::UNIX_EPOCH;
        watching.watch.watch(MARKER, (long_ago, context(&watching.at.join("mark"))));
        watching.watch(SHOP, &context(&watching.at.join("app")));
        watching.until_marked().await;
        watching
    }

    /// As after a look that began long ago, so that only events count.
    fn watch(&self, object: &str, paths: &SourcePaths) {
        self.watch.watch(object, (now() + chrono::TimeDelta::days(1), paths.clone()));
    }

    fn app(&self, path: &str) -> PathBuf {
        self.at.join("app").join(path)
    }

    async fn next(&mut self) -> String {
        timeout(Duration::from_secs(20), self.names.next()).await.expect("no trigger").unwrap()
    }

    /// Waits until everything until now was seen; returns how often it was a trigger for `shop`.
    async fn all_seen(&mut self) -> usize {
        let mut shop = 0;
        // Twice: of two bursts that end within a millisecond, either may be the first.
        for _ in 0..2 {
            // By a rename, so that it is one burst.
            put(&self.at.join("unmarked"), "1");
            fs::rename(self.at.join("unmarked"), self.at.join("mark/a")).unwrap();
            shop += self.until_marked().await;
        }
        shop
    }

    async fn until_marked(&mut self) -> usize {
        let mut shop = 0;
        while self.next().await != MARKER {
            shop += 1;
        }
        shop
    }

    async fn triggers(&mut self, what: &str) {
        let name = timeout(Duration::from_secs(20), self.names.next()).await;
        assert_eq!(name.unwrap_or_else(|_| panic!("no trigger: {what}")).as_deref(), Some(SHOP), "{what}");
        self.all_seen().await;
    }

    async fn does_not(&mut self, what: &str) {
        assert_eq!(self.all_seen().await, 0, "a trigger: {what}");
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn context(folder: &Path) -> SourcePaths {
    let context = WatchedContext { folder: folder.to_owned(), dockerfile: None };
    SourcePaths { contexts: [context].into(), ..SourcePaths::default() }
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn git(directory: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]);
    let output = command.current_dir(directory).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn every_way_to_change_a_context_is_a_trigger() {
    let mut shop = Watching::new().await;
    let file = shop.app("src/deep/a");
    fs::write(&file, "2").unwrap();
    shop.triggers("an edit").await;
    fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"3").unwrap();
    shop.triggers("an append").await;
    put(&shop.app("src/deep/.a.swp"), "4");
    shop.triggers("a new file").await;
    fs::rename(shop.app("src/deep/.a.swp"), &file).unwrap();
    shop.triggers("a replacement by rename, as editors do it").await;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    shop.triggers("an executable bit").await;
    symlink("a", shop.app("src/link")).unwrap();
    shop.triggers("a link").await;
    fs::remove_file(&file).unwrap();
    shop.triggers("a removal").await;
    fs::remove_dir_all(shop.app("src/deep")).unwrap();
    shop.triggers("a removed folder").await;
}

#[tokio::test]
async fn folders_that_come_later_are_watched_as_deep_as_they_go() {
    let mut shop = Watching::new().await;
    put(&shop.app("new/one/two/three/a"), "1");
    shop.triggers("a new folder").await;
    fs::write(shop.app("new/one/two/three/a"), "2").unwrap();
    shop.triggers("an edit in it").await;
    fs::rename(shop.app("new"), shop.app("other")).unwrap();
    shop.triggers("a renamed folder").await;
    fs::write(shop.app("other/one/two/three/a"), "3").unwrap();
    shop.triggers("an edit under its new name").await;
    fs::rename(shop.app("other"), shop.at.join("outside")).unwrap();
    shop.triggers("a folder that is moved out").await;
    fs::write(shop.at.join("outside/one/two/three/a"), "4").unwrap();
    shop.does_not("an edit of what was moved out").await;
    fs::rename(shop.at.join("outside"), shop.app("back")).unwrap();
    shop.triggers("a folder that is moved in").await;
    fs::write(shop.app("back/one/two/three/a"), "5").unwrap();
    shop.triggers("an edit of what was moved in").await;
}

#[tokio::test]
async fn what_no_build_sees_and_what_is_only_read_is_no_trigger() {
    let mut shop = Watching::new().await;
    git(&shop.app(""), &["init", "-q"]);
    shop.all_seen().await;
    put(&shop.app("node_modules/x/y"), "2");
    put(&shop.app("node_modules/new/z"), "2");
    put(&shop.app("src/deep/b.log"), "out of it: only *.log at the top is ignored");
    shop.triggers("a log below").await;
    put(&shop.app("b.log"), "2");
    fs::rename(shop.app("b.log"), shop.app("c.log")).unwrap();
    shop.does_not("ignored files and folders").await;
    git(&shop.app(""), &["add", "."]);
    git(&shop.app(""), &["status"]);
    shop.does_not("git's own files").await;
    put(&shop.app("state/db"), "1");
    shop.all_seen().await;
    put(&shop.app("state/db"), "2");
    shop.does_not("undrift's own folder").await;
    put(&shop.at.join("neighbour"), "1");
    shop.does_not("what lies beside the context").await;
    fs::read(shop.app("src/deep/a")).unwrap();
    fs::read_dir(shop.app("src")).unwrap().count();
    let found = scan(&roots::Root::Context(context(&shop.app("")).contexts.pop_first().unwrap()), &[]);
    assert!(found.is_some_and(|found| found.folders.len() > 2));
    shop.does_not("a look").await;
}

#[tokio::test]
async fn another_ignore_file_counts_at_once() {
    let mut shop = Watching::new().await;
    put(&shop.app(".dockerignore"), "src\n");
    shop.triggers("the ignore file").await;
    put(&shop.app("src/deep/a"), "2");
    shop.does_not("what is ignored now").await;
    put(&shop.app("node_modules/x/y"), "2");
    shop.triggers("what is no longer ignored").await;
}

#[tokio::test]
async fn a_context_that_goes_and_comes_back_is_watched_again() {
    let mut shop = Watching::new().await;
    for _ in 0..2 {
        fs::remove_dir_all(shop.app("")).unwrap();
        shop.triggers("a context that is gone").await;
        put(&shop.app("src/a"), "1");
        shop.triggers("a context that is back").await;
        put(&shop.app("src/a"), "2");
        shop.triggers("an edit in it").await;
    }
    // Between two looks.
    fs::remove_dir_all(shop.app("")).unwrap();
    put(&shop.app("src/a"), "3");
    shop.triggers("a context that is made again at once").await;
    put(&shop.app("src/a"), "4");
    shop.triggers("an edit in it").await;

    shop.watch(SHOP, &context(&shop.at.join("not/yet")));
    shop.all_seen().await;
    put(&shop.at.join("not/yet/a"), "1");
    shop.triggers("a context that was not there").await;
    put(&shop.at.join("not/yet/a"), "2");
    shop.triggers("an edit in it").await;
}

#[tokio::test]
async fn a_change_between_the_look_and_the_watch_is_a_trigger() {
    let mut shop = Watching::new().await;
    let other = shop.at.join("other");
    put(&other.join("src/a"), "1");
    let began = now();
    fs::write(other.join("src/a"), "2").unwrap();
    shop.watch.watch(SHOP, (began, context(&other)));
    shop.triggers("a change of which there is no event").await;
    // The same paths after each look are nothing new.
    shop.watch.watch(SHOP, (began, context(&other)));
    shop.does_not("a further look").await;
}

#[tokio::test]
async fn a_checkout_of_two_thousand_files_is_one_trigger() {
    let mut shop = Watching::with(TIMING, Kernel::new(connect)).await;
    let began = std::time::Instant::now();
    let src = shop.app("src");
    let write = move || {
        for file in 0..2_000 {
            put(&src.join(format!("{}/{file}", file % 50)), "1");
        }
    };
    tokio::task::spawn_blocking(write).await.unwrap();
    let took = began.elapsed();
    assert_eq!(shop.next().await, SHOP);
    let more = shop.all_seen().await;
    // A machine under load may keep the writer from its work for as long as a burst needs to end.
    assert!(more == 0 || took > TIMING.quiet, "{more} more after {took:?}");
}

#[tokio::test]
async fn a_source_that_never_keeps_still_is_looked_at_and_not_at_each_event() {
    let timing =
        Timing { quiet: Duration::from_millis(40), latest: Duration::from_millis(400), at_once: 2, ..QUICK };
    let mut shop = Watching::with(timing, Kernel::new(connect)).await;
    let log = shop.app("src/access");
    let writer = tokio::spawn(async move {
        for line in 0_u64.. {
            fs::write(&log, line.to_string()).unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let began = Instant::now();
    for _ in 0..6 {
        assert_eq!(shop.next().await, SHOP);
    }
    let took = began.elapsed();
    writer.abort();
    assert!(took >= timing.latest * 4, "two at once, four that wait: {took:?}");
}

#[tokio::test]
async fn a_forgotten_object_is_watched_no_more() {
    let mut shop = Watching::new().await;
    shop.watch.forget(SHOP);
    shop.all_seen().await;
    put(&shop.app("src/deep/a"), "2");
    shop.does_not("an edit").await;
}

#[tokio::test]
async fn where_events_were_lost_every_object_is_looked_at() {
    let hits = Arc::<Hits>::default();
    hits.note(&Ok(Event::new(notify::EventKind::Other).set_flag(notify::event::Flag::Rescan)));
    assert!(hits.lost.notified().now_or_never().is_some());
    hits.note(&Err(notify::Error::generic("broken")));
    assert!(hits.lost.notified().now_or_never().is_some());
    let mut watched = Watched::new(Arc::clone(&hits), Kernel::new(connect), vec![], Duration::from_secs(30));
    let folder = TempDir::new().unwrap();
    let request = Request::Watch(now() + chrono::TimeDelta::days(1), context(folder.path()));
    watched = watched.apply(SHOP.to_owned(), request).await;
    assert!(!hits.changed.has(SHOP));
    watched.suspect_all();
    assert!(hits.changed.has(SHOP) && hits.moved().contains(SHOP));
}
