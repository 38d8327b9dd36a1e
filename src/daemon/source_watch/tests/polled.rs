//! Where the kernel does not wake.

use super::*;
use crate::testing::kernel::{Exhausted, logged};

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
