//! Looks that make a service write into its own source.

use super::*;

/// A look that has just begun, during which its service writes a log.
async fn look_that_writes(shop: &mut Watching, log: &str) {
    let began = now();
    put(&shop.app(log), &began.to_rfc3339());
    shop.triggers("the log").await;
    shop.watch.watch(SHOP, (began, context(&shop.app(""))));
}

#[tokio::test]
async fn what_each_look_changes_does_not_wake_and_other_changes_do() {
    let timing = Timing { latest: Duration::from_hours(1), ..QUICK };
    let mut shop = Watching::with(timing, Kernel::new(connect)).await;
    for _ in 0..3 {
        look_that_writes(&mut shop, "src/access").await;
    }
    shop.all_seen().await;
    put(&shop.app("src/access"), "4");
    shop.does_not("what three looks in a row have changed").await;
    put(&shop.app("src/access"), "5");
    put(&shop.app("src/deep/a"), "2");
    shop.triggers("an edit").await;
    // A look without a line in the log.
    shop.watch.watch(SHOP, (now(), context(&shop.app(""))));
    shop.all_seen().await;
    put(&shop.app("src/access"), "6");
    shop.triggers("the log, which this look has not changed").await;
}
