use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn path(text: &str) -> EntryPath {
    text.as_bytes().into()
}

fn listing(entries: &[(&str, Entry)]) -> Listing {
    Listing::of(entries.iter().map(|(at, entry)| (path(at), entry.clone())).collect())
}

fn file(byte: u8) -> Entry {
    Entry::File([byte; 32])
}

#[test]
fn names_types_targets_and_bytes_count() {
    let source = listing(&[
        ("", Entry::Folder),
        ("a", file(1)),
        ("b", file(1)),
        ("c", Entry::Link(path("a"))),
        ("d", Entry::Folder),
        ("e", file(1)),
    ]);
    assert!(source.compare(&source.clone(), &[]).is_same());
    let other = listing(&[
        ("", Entry::Folder),
        ("a", file(2)),
        ("b", Entry::Folder),
        ("c", Entry::Link(path("b"))),
        ("d", Entry::Folder),
        ("x", file(1)),
    ]);
    let compared = source.compare(&other, &[]);
    assert_eq!((compared.differing, compared.missing, compared.added), (3, 1, 1));
    assert_eq!(
        (&compared.named[..], &compared.named_added[..]),
        (&["a", "b", "c"].map(String::from)[..], &["x".into()][..])
    );
}

#[test]
fn what_is_under_a_mount_does_not_count() {
    let source =
        listing(&[("", Entry::Folder), ("data", Entry::Folder), ("data/a", file(1)), ("database", file(1))]);
    let other = listing(&[("", Entry::Folder), ("data", Entry::Folder), ("data/b", file(1))]);
    let compared = source.compare(&other, &["data".into()]);
    assert_eq!((compared.missing, compared.added, &compared.named[..]), (1, 0, &["database".into()][..]));
}

#[test]
fn names_are_printable_and_not_endless() {
    let source = listing(&[("", Entry::Folder)]);
    let long = "x".repeat(1000);
    let other = Listing::of(vec![
        (path("a\u{1b}[31m\u{202e}"), file(1)),
        (path(&long), file(1)),
        (b"\xff"[..].into(), file(1)),
    ]);
    let compared = source.compare(&other, &[]);
    assert_eq!(compared.named, ["the module itself"]);
    let [escape, long, bytes] = &compared.named_added[..] else { panic!("{compared:?}") };
    assert_eq!(
        (escape.as_str(), long.len(), bytes.as_str()),
        ("a\\u{1b}[31m\\u{202e}", LONGEST_NAME, "\u{fffd}")
    );
}

#[test]
fn of_one_path_the_last_entry_counts() {
    assert_eq!(
        listing(&[("a", file(1)), ("b", file(1)), ("a", file(2))]),
        listing(&[("a", file(2)), ("b", file(1))])
    );
}

#[test]
fn there_is_an_end_to_what_is_compared() {
    let mut count = Count::default();
    for _ in 0..MOST_FILES {
        count.add(false, 0, "x").unwrap();
        count.add(true, 0, "x").unwrap();
    }
    assert!(matches!(count.add(false, 0, "x"), Err(NoListing::TooLarge(why)) if why.contains("50000 files")));
    let mut count = Count::default();
    count.add(false, MOST_BYTES, "x").unwrap();
    assert!(
        matches!(count.add(false, u64::MAX, "x"), Err(NoListing::TooLarge(why)) if why.contains("1 GiB"))
    );
}

fn any_entries() -> impl Strategy<Value = Vec<(EntryPath, Entry)>> {
    let entry = prop_oneof![
        Just(Entry::Folder),
        (0..3_u8).prop_map(file),
        "[ab]{1,2}".prop_map(|target| Entry::Link(path(&target))),
        Just(Entry::Other)
    ];
    proptest::collection::vec(("[ab/]{0,3}".prop_map(|at| path(&at)), entry), 0..12)
}

proptest! {
    /// The merge of two sorted lists finds what a look-up of each path finds.
    #[test]
    fn a_comparison_is_what_a_look_up_of_each_path_gives(ours in any_entries(), theirs in any_entries()) {
        let compared = Listing::of(ours.clone()).compare(&Listing::of(theirs.clone()), &[]);
        let (ours, theirs): (BTreeMap<_, _>, BTreeMap<_, _>) = (ours.into_iter().collect(), theirs.into_iter().collect());
        let differing = ours.iter().filter(|(at, entry)| theirs.get(*at).is_some_and(|other| other != *entry));
        let missing = ours.keys().filter(|at| !theirs.contains_key(*at)).count();
        let added = theirs.keys().filter(|at| !ours.contains_key(*at)).count();
        prop_assert_eq!((compared.differing, compared.missing, compared.added), (differing.count(), missing, added));
        prop_assert_eq!(compared.named.len(), (compared.differing + missing).min(MOST_NAMED));
        prop_assert_eq!(compared.is_same(), ours == theirs);
    }

    /// Seen from the other side, what is missing is more.
    #[test]
    fn a_comparison_has_two_sides(ours in any_entries(), theirs in any_entries()) {
        let (ours, theirs) = (Listing::of(ours), Listing::of(theirs));
        let (there, back) = (ours.compare(&theirs, &[]), theirs.compare(&ours, &[]));
        prop_assert_eq!((there.differing, there.missing, there.added), (back.differing, back.added, back.missing));
    }
}
