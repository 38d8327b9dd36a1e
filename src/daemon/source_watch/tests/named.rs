//! What counts by its name: links on the way, single files, listed folders, the commit.

use super::*;

#[tokio::test]
async fn a_commit_and_a_checkout_are_triggers_in_every_work_tree() {
    let mut shop = Watching::new().await;
    let tree = shop.at.join("tree");
    fs::create_dir_all(tree.join("app")).unwrap();
    git(&tree, &["init", "-q", "-b", "main"]);
    git(&tree, &["commit", "-qm", "one", "--allow-empty"]);
    git(&tree, &["worktree", "add", "-q", "-b", "topic/x", "../linked"]);
    for (at, branch) in [(tree.join("app"), "feature/y"), (shop.at.join("linked"), "feature/z")] {
        shop.watch(SHOP, &SourcePaths { work_trees: [at.clone()].into(), ..SourcePaths::default() });
        shop.all_seen().await;
        git(&at, &["commit", "-qm", "two", "--allow-empty"]);
        shop.triggers("a commit").await;
        git(&at, &["pack-refs", "--all"]);
        shop.all_seen().await;
        git(&at, &["commit", "-qm", "three", "--allow-empty"]);
        shop.triggers("a commit of a branch that was packed").await;
        git(&at, &["checkout", "-qb", branch]);
        shop.triggers("another branch").await;
        git(&at, &["commit", "-qm", "four", "--allow-empty"]);
        shop.triggers("a commit on it").await;
        put(&at.join("untracked"), "1");
        git(&at, &["status"]);
        shop.does_not("a status").await;
    }
}

#[tokio::test]
async fn of_what_is_mounted_single_files_count() {
    let mut shop = Watching::new().await;
    let (file, data, missing) =
        (shop.at.join("etc/nginx.conf"), shop.at.join("data"), shop.at.join("no/such"));
    put(&file, "1");
    put(&data.join("db"), "1");
    let mounted = [file.clone(), data.clone(), missing.clone()].into();
    shop.watch(SHOP, &SourcePaths { mounted, ..SourcePaths::default() });
    shop.all_seen().await;
    fs::write(&file, "2").unwrap();
    shop.triggers("a mounted file").await;
    put(&shop.at.join("etc/new"), "3");
    fs::rename(shop.at.join("etc/new"), &file).unwrap();
    shop.triggers("a mounted file that is replaced").await;
    put(&shop.at.join("etc/other.conf"), "1");
    put(&data.join("db"), "2");
    shop.does_not("its neighbours, and a folder of data").await;
    put(&missing, "1");
    shop.triggers("one that was missing").await;
}

#[tokio::test]
async fn of_a_folder_that_an_each_lists_the_entries_count() {
    let mut shop = Watching::new().await;
    let modules = shop.at.join("modules");
    shop.watch(SHOP, &SourcePaths { listed: [modules.clone()].into(), ..SourcePaths::default() });
    shop.all_seen().await;
    put(&modules.join("workflow/index"), "1");
    shop.triggers("the folder comes with its first entry").await;
    put(&modules.join("billing/index"), "1");
    shop.triggers("another entry").await;
    put(&modules.join("billing/index"), "2");
    shop.does_not("a file in an entry").await;
    fs::rename(modules.join("billing"), shop.at.join("billing")).unwrap();
    shop.triggers("an entry less").await;
}

#[tokio::test]
async fn a_release_that_is_swapped_by_a_link_is_a_trigger_and_watched_from_then_on() {
    let mut shop = Watching::new().await;
    for release in ["1", "2", "3"] {
        put(&shop.at.join("releases").join(release).join("app/a"), release);
    }
    let (current, new) = (shop.at.join("current"), shop.at.join("new"));
    symlink("releases/1", &current).unwrap();
    shop.watch(SHOP, &context(&current.join("app")));
    shop.all_seen().await;
    for (release, before) in [("2", "1"), ("3", "2")] {
        symlink(format!("releases/{release}"), &new).unwrap();
        fs::rename(&new, &current).unwrap();
        shop.triggers("a swap").await;
        put(&shop.at.join("releases").join(release).join("app/a"), "edited");
        shop.triggers("an edit of the new release").await;
        put(&shop.at.join("releases").join(before).join("app/a"), "edited");
        shop.does_not("an edit of the old release").await;
    }
}
