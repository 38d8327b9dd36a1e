use proptest::prelude::*;
use tar::{Builder, Header};

use super::{super::scope::tests::scope, *};

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header
}

/// A member with a name that `tar` itself would refuse to write.
fn member(name: &[u8], kind: EntryType, link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = header(kind, content.len() as u64);
    let fields = header.as_old_mut();
    fields.name[..name.len()].copy_from_slice(name);
    fields.linkname[..link.len()].copy_from_slice(link);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, content: &str) -> Vec<u8> {
    member(name.as_bytes(), EntryType::Regular, b"", content.as_bytes())
}

fn folder(name: &str) -> Vec<u8> {
    member(name.as_bytes(), EntryType::Directory, b"", b"")
}

/// The members with the end mark.
fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 1024]].concat()
}

fn listed(bytes: &[u8]) -> Result<Vec<(String, Entry)>, NoListing> {
    let listing = read(bytes, &scope("", None, &["*.bak"]), "the module")?;
    let entries = listing.entries().iter();
    Ok(entries.map(|(path, entry)| (String::from_utf8_lossy(path).into_owned(), entry.clone())).collect())
}

fn digest(text: &str) -> Entry {
    Entry::File(Sha256::digest(text).into())
}

fn paths(bytes: &[u8]) -> Vec<String> {
    listed(bytes).unwrap().into_iter().map(|(path, _)| path).collect()
}

#[track_caller]
fn is_refused(bytes: &[u8], why: &str) {
    let error = listed(bytes).unwrap_err();
    assert!(matches!(&error, NoListing::Unknown(words) if words.contains(why)), "{error:?}");
}

#[test]
fn members_of_each_kind_are_listed_below_the_path_that_was_asked_for() {
    let bytes = archive(&[
        folder("d/"),
        file("d/a", "1"),
        folder("d/e/"),
        member(b"d/e/hard", EntryType::Link, b"d/a", b""),
        member(b"d/l", EntryType::Symlink, b"/etc/passwd", b""),
        member(b"d/ff", EntryType::Fifo, b"", b""),
        file("d/x.bak", "2"),
    ]);
    let expected = [
        ("", Entry::Folder),
        ("a", digest("1")),
        ("e", Entry::Folder),
        ("e/hard", digest("1")),
        ("ff", Entry::Other),
        ("l", Entry::Link(b"/etc/passwd"[..].into())),
    ];
    assert_eq!(listed(&bytes).unwrap(), expected.map(|(path, entry)| (path.to_owned(), entry)));
    assert_eq!(paths(&archive(&[file("a", "1")])), [""], "a single file");
    assert_eq!(
        paths(&archive(&[folder("/"), folder("/d/"), file("/d/a", "1")])),
        ["", "d", "d/a"],
        "the root"
    );
}

#[test]
fn long_names_and_names_with_a_line_break_are_whole() {
    let long = format!("d/{}/end", "x".repeat(200));
    let mut builder = Builder::new(Vec::new());
    builder.append_data(&mut header(EntryType::Regular, 1), &long, &b"1"[..]).unwrap();
    let records = [("path", "d/a\nb".as_bytes()), ("SCHILY.xattr.user.x", b"\n1 =\n\xff")];
    builder.append_pax_extensions(records).unwrap();
    let mut plain = header(EntryType::Regular, 1);
    plain.set_cksum();
    builder.append(&plain, &b"2"[..]).unwrap();
    let bytes = builder.into_inner().unwrap();
    let expected = [("a\nb".to_owned(), digest("2")), (long[2..].to_owned(), digest("1"))];
    assert_eq!(listed(&bytes).unwrap(), expected);
}

#[test]
fn an_archive_that_is_cut_off_is_none() {
    let bytes = archive(&[folder("d/"), file("d/a", &"1".repeat(2000)), file("d/b", "2")]);
    assert_eq!(paths(&bytes), ["", "a", "b"]);
    // Also where a member ends: what follows would look missing.
    for end in (0..bytes.len() - 1023).step_by(256) {
        is_refused(&bytes[..end], "cannot be read");
    }
    assert_eq!(paths(&bytes[..bytes.len() - 512]), ["", "a", "b"], "one block of zeros is an end");
}

#[test]
fn what_is_hostile_is_refused_in_words() {
    is_refused(&archive(&[file("d/../../x", "1")]), "leads out of it");
    is_refused(&archive(&[member(b"d/h", EntryType::Link, b"d/gone", b"")]), "hard link");
    is_refused(&archive(&[member(b"d/h", EntryType::Link, b"../../etc/passwd", b"")]), "leads out of it");
    is_refused(&archive(&[member(b"d/s", EntryType::GNUSparse, b"", b"")]), "does not know");
    is_refused(&archive(&[member(b"d/x", EntryType::XHeader, b"", b"99999 path=a\n")]), "damaged");
    is_refused(
        &archive(&[member(b"d/x", EntryType::XHeader, b"", b"18446744073709551615 path=a\n")]),
        "damaged",
    );
    let long = vec![b'x'; LONGEST_PATH + 1];
    is_refused(&archive(&[member(b"L", EntryType::GNULongName, b"", &long), file("d/a", "1")]), "too long");
    let mut damaged = archive(&[file("d/a", "1")]);
    damaged[0] ^= 1;
    is_refused(&damaged, "checksum");
}

/// A stream that goes on for ever: a header, and whatever follows it.
struct Endless(Vec<u8>, usize);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in buffer.iter_mut() {
            *byte = self.0.get(self.1).copied().unwrap_or(b'x');
            self.1 += 1;
        }
        Ok(buffer.len())
    }
}

fn endless(kind: EntryType) -> Endless {
    let mut header = header(kind, 1 << 40);
    header.as_old_mut().name[..3].copy_from_slice(b"d/a");
    header.set_cksum();
    Endless(header.as_bytes().to_vec(), 0)
}

#[test]
fn a_header_of_a_terabyte_costs_no_memory_and_a_file_of_one_is_too_large() {
    for kind in [EntryType::XHeader, EntryType::GNULongName, EntryType::GNULongLink] {
        let mut stream = endless(kind);
        let refused = read(&mut stream, &scope("", None, &[]), "x").unwrap_err();
        assert!(matches!(&refused, NoListing::Unknown(why) if why.contains("too long")), "{refused:?}");
        assert!(stream.1 < 2 << 20, "{} bytes were read", stream.1);
    }
    let mut stream = endless(EntryType::Regular);
    assert!(matches!(read(&mut stream, &scope("", None, &[]), "x"), Err(NoListing::TooLarge(_))));
    assert!(stream.1 < 2 << 20, "it is not read at all");
}

#[test]
fn a_stream_that_does_not_end_is_left_alone_at_the_limit() {
    let of = scope("", None, &["a"]);
    let reader = ArchiveReader {
        judge: of.judge().unwrap(),
        count: Count::default(),
        entries: Vec::new(),
        files: HashMap::new(),
        place: "x",
    };
    let mut stream = endless(EntryType::Regular);
    assert!(
        matches!(reader.read(&mut stream, 1 << 20), Err(NoListing::TooLarge(_))),
        "what is ignored counts, too"
    );
    assert_eq!(stream.1, 1 << 20);
}

#[test]
fn more_files_than_are_compared_are_too_many() {
    let members: Vec<Vec<u8>> = (0..=crate::api::MOST_FILES).map(|n| file(&format!("d/{n}"), "")).collect();
    assert!(matches!(listed(&archive(&members)), Err(NoListing::TooLarge(_))));
}

#[test]
fn pieces_of_any_size_are_one_stream_and_an_error_ends_it() {
    let (sender, pieces) = mpsc::channel(8);
    for piece in [Ok(&b"ab"[..]), Ok(b""), Ok(b"c"), Err("gone".to_owned())] {
        sender.blocking_send(piece).unwrap();
    }
    let mut reader = PieceReader::new(pieces);
    let mut read = Vec::new();
    let error = reader.read_to_end(&mut read).unwrap_err();
    assert_eq!((read.as_slice(), error.to_string()), (&b"abc"[..], "gone".to_owned()));
}

proptest! {
    /// Whatever the engine sends, the answer is a listing or an error.
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let _ = listed(&bytes);
    }

    /// The same of an archive in which a few bytes are others, with checksums that fit.
    #[test]
    fn no_damage_makes_it_panic(damage in proptest::collection::vec((0..3_usize, 0..512_usize, any::<u8>()), 0..6)) {
        let mut members =
            [folder("d/"), member(b"x", EntryType::XHeader, b"", b"9 path=a\n"), file("d/a", "1")];
        for (which, at, byte) in damage {
            members[which][at] = byte;
        }
        for member in &mut members {
            let mut header = Header::new_old();
            header.as_mut_bytes().copy_from_slice(&member[..512]);
            header.set_cksum();
            member[..512].copy_from_slice(header.as_bytes());
        }
        let _ = listed(&archive(&members));
    }
}
