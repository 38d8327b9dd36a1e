use std::{
    fs::Permissions,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
};

use super::*;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn words(path: &Path) -> String {
    exposed(path, Others::WorldAndGroup).unwrap().map(|found| found.to_string()).unwrap_or_default()
}

/// `home/a/b/state`, all of it this user's alone.
fn folders() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("a/b/state");
    fs::create_dir_all(&state).unwrap();
    for folder in ["a", "a/b", "a/b/state"] {
        mode(&home.path().join(folder), 0o700);
    }
    (home, state)
}

#[test]
fn what_is_this_users_alone_is_exposed_to_nobody_whether_it_exists_or_not() {
    let (home, state) = folders();
    assert_eq!(words(&state), "");
    assert_eq!(words(&state.join("not/yet")), "");
    // As distributions link /var/lib elsewhere.
    symlink(home.path().join("a/b"), home.path().join("link")).unwrap();
    symlink("link/state", home.path().join("relative")).unwrap();
    assert_eq!(
        (words(&home.path().join("link/state")), words(&home.path().join("relative"))),
        (String::new(), String::new())
    );
    symlink("loop", home.path().join("loop")).unwrap();
    assert!(exposed(&home.path().join("loop"), Others::World).is_err());
}

#[test]
fn a_component_that_others_may_write_is_named_and_so_is_one_behind_a_link() {
    let (home, state) = folders();
    let above = home.path().join("a");
    for (bits, sticky_helps) in [(0o777, false), (0o702, false), (0o1777, true)] {
        mode(&above, bits);
        let expected = format!("others can write {}: it has mode {bits:03o}", above.display());
        assert_eq!(words(&state), if sticky_helps { String::new() } else { expected.clone() });
        symlink(&state, home.path().join("link")).unwrap();
        assert_eq!(words(&home.path().join("link")), if sticky_helps { String::new() } else { expected });
        fs::remove_file(home.path().join("link")).unwrap();
    }
    mode(&above, 0o700);
    mode(&state, 0o1777);
    assert!(words(&state).contains("it has mode 1777"), "in the folder itself no bit helps");
}

#[test]
fn a_group_counts_for_the_state_and_not_for_a_manifest() {
    let (_home, state) = folders();
    mode(&state, 0o770);
    assert_eq!(exposed(&state, Others::World).unwrap(), None);
    if chown(&state, None, Some(12_345)).is_ok() {
        assert!(words(&state).contains("it has mode 770"));
        assert_eq!(exposed(&state, Others::World).unwrap(), None);
    }
}

/// The fault of a folder that its group may write, for its owner beside root, if the host has these accounts.
fn judged(state: &Path, (owner, gid): (u32, u32), passwd: &str, group: &str) -> Option<How> {
    let accounts = Accounts { passwd: passwd.to_owned(), group: group.to_owned() };
    let (trusted, accounts) = (vec![0, owner], OnceCell::from(accounts));
    let walk = PathWalk { others: Others::WorldAndGroup, trusted, accounts, links: 0 };
    chown(state, Some(owner), Some(gid)).unwrap();
    walk.judge(state, &fs::metadata(state).unwrap(), true).unwrap().map(|exposed| exposed.how)
}

#[test]
fn a_group_counts_where_others_are_in_it_whatever_its_number() {
    // Only root can give a folder to any group.
    if !geteuid().is_root() {
        return;
    }
    let (_home, state) = folders();
    mode(&state, 0o770);
    let roots = |members: &str, gid| {
        let passwd = "root:x:0:0:::\nann:x:1000:1000:::\nbob:x:1001:1002:::\n";
        let group = format!("root:x:0:\nstaff:x:50:{members}\nann:x:1000:\nbob:x:1002:\n");
        judged(&state, (0, gid), passwd, &group)
    };
    let counts = Some(How::Mode(0o40_770));
    assert_eq!(roots("", 50), counts, "who is in it is not known here");
    assert_eq!(roots("root", 50), None);
    assert_eq!(roots("root,bob", 50), counts);
    assert_eq!(roots("", 1002), counts, "bob's own, and the folder is root's");
    assert_eq!(roots("", 77), counts, "of a number that the host does not know");
    assert_eq!(roots("", 0), None);

    let bobs = |passwd: &str, gid| judged(&state, (1001, gid), passwd, "bob:x:1002:\n");
    assert_eq!(bobs("bob:x:1001:1002:::\n", 1002), None, "his own, of another number than his");
    assert_eq!(bobs("bob:x:1001:1002:::\nann:x:1000:1002:::\n", 1002), counts, "it is ann's as well");
    assert_eq!(bobs("", 1001), None, "of his number, where the host knows neither");
}

#[test]
fn whoever_a_list_lets_write_counts_and_whom_it_only_lets_read_does_not() {
    let (_home, state) = folders();
    let listed = |own_group, listed: &[(Writer, u16)]| {
        let list = acl::list(own_group, listed, 7);
        match rustix::fs::setxattr(&state, "system.posix_acl_access", &list, rustix::fs::XattrFlags::empty())
        {
            Err(rustix::io::Errno::OPNOTSUPP) => None,
            set => {
                set.unwrap();
                assert_eq!(
                    fs::metadata(&state).unwrap().mode() & 0o777,
                    0o770,
                    "all that the mode says of it"
                );
                Some(words(&state))
            }
        }
    };
    let Some(found) = listed(0, &[(Writer::User(12_345), 7)]) else { return };
    let expected =
        format!("others can write {}: its access control list lets the user 12345", state.display());
    assert_eq!(found, expected);
    let group = listed(0, &[(Writer::Group(12_345), 3)]).unwrap();
    assert!(group.ends_with("its access control list lets the group 12345"), "{group}");
    assert_eq!(listed(0, &[(Writer::User(12_345), 5), (Writer::Group(12_345), 5)]).unwrap(), "");
    assert_eq!(listed(0, &[(Writer::User(0), 7), (Writer::Group(0), 7)]).unwrap(), "");
    assert_eq!(exposed(&state, Others::World).unwrap(), None);
    if chown(&state, None, Some(12_345)).is_ok() {
        assert!(listed(7, &[]).unwrap().ends_with("its access control list lets its group"));
        assert_eq!(listed(5, &[]).unwrap(), "", "the group itself may only read");
    }
}

#[test]
fn another_users_folder_or_link_is_named_with_its_owner() {
    let (home, state) = folders();
    let above = home.path().join("a/b");
    // Only root can give a folder away.
    if chown(&above, Some(12_345), None).is_err() {
        return;
    }
    let expected =
        format!("{} is owned by the user 12345, which is neither this user nor root", above.display());
    assert_eq!(words(&state), expected);
    chown(&above, Some(0), None).unwrap();
    let link = home.path().join("link");
    symlink(&state, &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(12_345), None).unwrap();
    assert!(words(&link).starts_with(&link.display().to_string()), "{}", words(&link));
}

#[test]
fn a_file_of_the_state_is_no_link_and_nobody_elses() {
    let (_home, state) = folders();
    let file = state.join("lock");
    let words = || exposed_file(&file).unwrap().map(|found| found.to_string()).unwrap_or_default();
    assert_eq!(words(), "");
    fs::write(&file, "").unwrap();
    mode(&file, 0o600);
    assert_eq!(words(), "");
    mode(&file, 0o666);
    assert!(words().contains("it has mode 666"), "{}", words());
    fs::remove_file(&file).unwrap();
    symlink("/nowhere", &file).unwrap();
    assert!(words().contains("is a symbolic link"), "{}", words());
}
