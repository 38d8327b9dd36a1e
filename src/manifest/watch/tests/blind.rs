//! Where the kernel does not wake.

use super::*;
use crate::testing::kernel::{Exhausted, logged};

/// What a kernel without inotify instances, or without watches, answers.
const WITHOUT: [Connect; 2] =
    [|_| Err(notify::Error::new(ErrorKind::MaxFilesWatch)), |_| Ok(Box::new(Exhausted))];

#[tokio::test]
async fn without_the_kernel_the_files_are_looked_at() {
    for connect in WITHOUT {
        let (_folder, at) = folder();
        put(&at.join("a.yaml"), "1");
        let timing = Timing { blind: Duration::from_millis(20), ..QUICK };
        let mut watching = Watching::new(&[&at], timing, connect);
        for round in 0..3 {
            fs::write(at.join("a.yaml"), format!("{round}")).unwrap();
            watching.notified_of("an edit").await;
        }
    }
}

#[tokio::test]
async fn a_change_without_a_kernel_event_is_found_by_the_timer() {
    let (_folder, at) = folder();
    put(&at.join("parent/folder/manifests/a.yaml"), "1");
    let timing = Timing { spare: Duration::from_millis(20), ..QUICK };
    let mut watching = Watching::new(&[&at.join("parent/folder/manifests")], timing, inotify);
    fs::rename(at.join("parent"), at.join("moved")).unwrap();
    watching.notified_of("a folder far above that was moved").await;
}

#[test]
fn a_missing_kernel_watch_is_logged_once() {
    let (_folder, at) = folder();
    for connect in WITHOUT {
        let text = logged(|| {
            let mut watched = watched(&at, connect);
            for _ in 0..3 {
                watched.look();
                assert!(watched.blind);
            }
        });
        assert_eq!(text.matches("cannot be watched").count(), 1, "{text}");
    }
}
