//! Where the kernel does not wake.

use super::*;
use crate::{
    files::mounts,
    testing::kernel::{Exhausted, logged},
};

/// What a kernel without inotify instances, or without watches, answers.
fn without() -> [Kernel; 2] {
    [
        Kernel::new(|_| Err(notify::Error::io(std::io::Error::from_raw_os_error(24)))),
        Kernel::new(|_| Ok(Box::new(Exhausted))),
    ]
}

fn often() -> Timing {
    Timing { poll: Duration::from_millis(20), ..QUICK }
}

#[tokio::test]
async fn without_the_kernel_the_metadata_is_polled() {
    for kernel in without() {
        let mut shop = Watching::with(often(), kernel).await;
        for round in 0..3 {
            fs::write(shop.app("src/deep/a"), format!("round {round}")).unwrap();
            shop.triggers("an edit").await;
        }
        put(&shop.app("new/folder/a"), "1");
        shop.triggers("a new folder").await;
        put(&shop.app("node_modules/x/y"), "2");
        put(&shop.app("b.log"), "2");
        shop.does_not("what is ignored").await;
    }
}

#[tokio::test]
async fn a_context_of_too_many_folders_is_polled_and_others_are_watched() {
    let mut shop = Watching::with(often(), Kernel::new(connect).with_most(6)).await;
    for folder in 0..10 {
        put(&shop.app(&format!("many/{folder}/a")), "1");
    }
    shop.triggers("more folders than may be watched").await;
    put(&shop.app("many/9/a"), "22");
    shop.triggers("an edit that only a poll sees").await;
    shop.watch(SHOP, &context(&shop.at.join("few")));
    shop.all_seen().await;
    put(&shop.at.join("few/a"), "1");
    shop.triggers("another context").await;
}

/// The mounts, with one of another host's at this path.
fn with_shared(at: PathBuf) -> Kernel {
    let mounted = move || {
        mounts::read(&format!(
            "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 / {} rw - nfs4 host:/ rw",
            at.display()
        ))
    };
    Kernel::new(connect).with_mounts(mounted)
}

#[tokio::test]
async fn what_is_mounted_from_another_host_below_a_context_is_polled_and_the_rest_is_watched() {
    for (timing, is_seen) in [(QUICK, false), (often(), true)] {
        let folder = TempDir::new().unwrap();
        let at = folder.path().canonicalize().unwrap();
        put(&at.join("app/shared/deep/a"), "1");
        put(&at.join("app/src/a"), "1");
        let mut shop = Watching::with(timing, with_shared(at.join("app/shared"))).await;
        shop.watch(SHOP, &context(&at.join("app")));
        shop.all_seen().await;
        shop.all_seen().await;
        put(&at.join("app/shared/deep/a"), "22");
        if is_seen {
            shop.triggers("what a poll sees").await;
        } else {
            shop.does_not("what the kernel would not report").await;
            put(&at.join("app/src/a"), "22");
            shop.triggers("what is on this host").await;
        }
        shop.watch(SHOP, &context(&at.join("app")));
        shop.does_not("a further look").await;
    }
}

#[tokio::test]
async fn a_link_to_what_is_mounted_from_another_host_is_polled() {
    let folder = TempDir::new().unwrap();
    let at = folder.path().canonicalize().unwrap();
    put(&at.join("mounted/release/a"), "1");
    symlink("mounted/release", at.join("current")).unwrap();
    let conf = SourcePaths { files: [at.join("current/a")].into(), ..SourcePaths::default() };
    for paths in [context(&at.join("current")), conf] {
        let mut shop = Watching::with(QUICK, with_shared(at.join("mounted"))).await;
        shop.watch(SHOP, &paths);
        shop.all_seen().await;
        put(&at.join("mounted/release/a"), "22");
        shop.does_not("what the kernel would not report").await;
        let mut shop = Watching::with(often(), with_shared(at.join("mounted"))).await;
        shop.watch(SHOP, &paths);
        shop.all_seen().await;
        put(&at.join("mounted/release/a"), "333");
        shop.triggers("what a poll sees").await;
    }
}

#[test]
fn that_it_is_polled_is_said_once_with_what_helps() {
    let folder = TempDir::new().unwrap();
    put(&folder.path().join("a"), "1");
    for kernel in without() {
        let mut watched = Watched::new(Arc::default(), kernel, vec![], Duration::from_secs(30));
        let text = logged(|| {
            for _ in 0..3 {
                watched.watch_now(SHOP, context(folder.path()));
            }
        });
        let root = folder.path().canonicalize().unwrap();
        let of_context = text.lines().filter(|line| line.contains(&format!("root=\"{}\"", root.display())));
        let line = of_context.collect::<Vec<_>>();
        assert_eq!(line.len(), 1, "{text}");
        assert!(
            line[0].contains("looking at it every 30 s") && line[0].contains("max_user_watches"),
            "{text}"
        );
    }
}
