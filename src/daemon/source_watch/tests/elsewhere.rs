//! Other folders at the same paths, and other paths of the same folders. The kernel watches folders, and not paths.

use std::sync::mpsc;

use super::{super::identity::Identity, *};

/// Moves `outer`, far above the context, away, and makes another one. Of that there is no event.
fn replace_outer(at: &Path) {
    fs::rename(at.join("outer"), at.join("old")).unwrap();
    put(&at.join("outer/inner/app/src/a"), "1");
}

#[tokio::test]
async fn a_folder_far_above_that_is_moved_and_replaced_is_found_by_the_next_look() {
    let mut shop = Watching::new().await;
    put(&shop.at.join("outer/inner/app/src/a"), "1");
    let paths = context(&shop.at.join("outer/inner/app"));
    shop.watch(SHOP, &paths);
    shop.all_seen().await;
    replace_outer(&shop.at);
    shop.does_not("what the kernel does not report").await;
    shop.watch(SHOP, &paths);
    shop.triggers("a look at other folders than those that are watched").await;
    put(&shop.at.join("outer/inner/app/src/a"), "2");
    shop.triggers("an edit in what is there now").await;
    put(&shop.at.join("old/inner/app/src/a"), "2");
    shop.does_not("an edit in what was there before").await;
    shop.watch(SHOP, &paths);
    shop.does_not("a further look").await;
}

#[tokio::test]
async fn a_folder_far_above_that_is_moved_and_replaced_is_found_without_a_look() {
    let timing = Timing { poll: Duration::from_millis(20), ..QUICK };
    let mut shop = Watching::with(timing, Kernel::new(connect)).await;
    let (file, other) = (shop.at.join("outer/inner/etc/one.conf"), shop.at.join("outer/inner/app"));
    put(&file, "1");
    put(&other.join("src/a"), "1");
    for paths in [SourcePaths { files: [file.clone()].into(), ..SourcePaths::default() }, context(&other)] {
        shop.watch(SHOP, &paths);
        shop.all_seen().await;
        fs::rename(shop.at.join("outer/inner"), shop.at.join("old")).unwrap();
        fs::rename(shop.at.join("outer"), shop.at.join("older")).unwrap();
        put(&file, "2");
        put(&other.join("src/a"), "2");
        shop.triggers("other folders").await;
        fs::write(&file, "3").unwrap();
        fs::write(other.join("src/a"), "3").unwrap();
        shop.triggers("an edit in them").await;
        fs::remove_dir_all(shop.at.join("old")).unwrap();
        fs::remove_dir_all(shop.at.join("older")).unwrap();
        shop.all_seen().await;
    }
}

/// A kernel, its events, and a folder to watch.
struct OneFolder {
    kernel: Kernel,
    events: mpsc::Receiver<PathBuf>,
    sender: mpsc::Sender<PathBuf>,
    at: PathBuf,
    _folder: TempDir,
}

impl OneFolder {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let at = folder.path().canonicalize().unwrap();
        fs::create_dir(at.join("a")).unwrap();
        let (sender, events) = mpsc::channel();
        Self { kernel: Kernel::new(connect), events, sender, at, _folder: folder }
    }

    fn watch(&mut self, name: &str) -> kernel::Watching {
        let path = self.at.join(name);
        let identity = Identity::of(&path);
        let sender = self.sender.clone();
        let handler = || -> Handler {
            Box::new(move |event| {
                let event = event.unwrap();
                if !kernel_watch::only_reads(event.kind) {
                    event.paths.into_iter().for_each(|path| drop(sender.send(path)));
                }
            })
        };
        self.kernel.watch(&[(path, identity)], handler).unwrap()
    }

    /// Whether the kernel reports a new file in a folder by this path.
    fn reports(&self, folder: &str, file: &str) {
        let path = self.at.join(folder).join(file);
        put(&path, "1");
        let reported = || self.events.recv_timeout(Duration::from_secs(20)).expect("no event");
        while reported() != path {}
    }
}

const NEW: kernel::Watching = kernel::Watching { is_new: true, has_twice: false };
const KNOWN: kernel::Watching = kernel::Watching { is_new: false, has_twice: false };
const TWICE: kernel::Watching = kernel::Watching { is_new: false, has_twice: true };

#[test]
fn a_folder_that_is_made_again_is_a_new_one() {
    let mut one = OneFolder::new();
    assert_eq!((one.watch("a"), one.watch("a")), (NEW, KNOWN));
    fs::remove_dir(one.at.join("a")).unwrap();
    // Often with the same inode.
    fs::create_dir(one.at.join("a")).unwrap();
    assert_eq!((one.watch("a"), one.watch("a")), (NEW, KNOWN));
    one.reports("a", "file");
    fs::create_dir(one.at.join("b")).unwrap();
    fs::rename(one.at.join("a"), one.at.join("gone")).unwrap();
    fs::rename(one.at.join("b"), one.at.join("a")).unwrap();
    assert_eq!((one.watch("a"), one.watch("a")), (NEW, KNOWN));
    one.reports("a", "other");
}

#[test]
fn a_second_path_to_a_watched_folder_is_told_apart_and_takes_no_watch_away() {
    let mut one = OneFolder::new();
    // The kernel follows it, as it follows a bind mount.
    symlink("a", one.at.join("link")).unwrap();
    assert_eq!((one.watch("a"), one.watch("link")), (NEW, TWICE));
    let (a, link) = (one.at.join("a"), one.at.join("link"));
    assert_eq!(one.kernel.folders().keys().collect::<Vec<_>>(), [&a]);
    one.kernel.unwatch_all([&link]);
    one.reports("a", "file");
    one.kernel.unwatch_all([&a]);
    assert_eq!(one.watch("link"), NEW, "it is the only one now");
    one.reports("link", "other");
}

#[test]
fn a_folder_that_was_watched_by_its_old_path_is_watched_by_its_new_one() {
    let mut one = OneFolder::new();
    one.watch("a");
    fs::rename(one.at.join("a"), one.at.join("b")).unwrap();
    assert_eq!(one.watch("b"), NEW);
    one.kernel.unwatch_all([&one.at.join("a")]);
    one.reports("b", "file");
}
