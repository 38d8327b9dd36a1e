//! A listing as it is kept between processes.

use std::sync::Arc;

use super::{
    Listing, NoListing,
    listing::{Entry, EntryPath},
    memory::Kept,
};

/// A listing as bytes: of each entry its kind, the length of its path, the path, and what its kind has. A text where there is
/// too much.
pub(super) fn written(kept: &Kept) -> Vec<u8> {
    let listing = match kept {
        Ok(listing) => listing,
        Err(NoListing::TooLarge(why) | NoListing::Unknown(why)) => return [b"!", why.as_bytes()].concat(),
    };
    let mut bytes = vec![b'='];
    let text = |bytes: &mut Vec<u8>, text: &[u8]| {
        bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(text);
    };
    for (path, entry) in listing.entries() {
        let (kind, rest) = entry.parts();
        bytes.push(kind);
        text(&mut bytes, path);
        text(&mut bytes, rest);
    }
    bytes
}

/// The listing that was written so; `None` if it is damaged.
pub(super) fn read(bytes: &[u8]) -> Option<Kept> {
    let (kind, mut rest) = bytes.split_first()?;
    if *kind == b'!' {
        return Some(Err(NoListing::TooLarge(String::from_utf8_lossy(rest).into_owned())));
    }
    let text = |bytes: &mut &[u8]| -> Option<EntryPath> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        *bytes = rest;
        Some(text.into())
    };
    let mut entries = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        rest = after;
        let (path, of_kind) = (text(&mut rest)?, text(&mut rest)?);
        let entry = match kind {
            b'd' => Entry::Folder,
            b'f' => Entry::File(of_kind.as_ref().try_into().ok()?),
            b'l' => Entry::Link(of_kind),
            b'o' => Entry::Other,
            _ => return None,
        };
        entries.push((path, entry));
    }
    Some(Ok(Arc::new(Listing::of(entries))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read_back_as_it_was_written() {
        let entries = vec![
            (EntryPath::default(), Entry::Folder),
            (b"a\xff"[..].into(), Entry::File([7; 32])),
            (b"b"[..].into(), Entry::Link(b"../x"[..].into())),
            (b"c"[..].into(), Entry::Other),
        ];
        let kept: Kept = Ok(Arc::new(Listing::of(entries)));
        let bytes = written(&kept);
        assert_eq!(read(&bytes), Some(kept));
        assert!(
            (2..bytes.len()).all(|end| read(&bytes[..end]).is_none_or(|cut| cut != read(&bytes).unwrap()))
        );
        let large: Kept = Err(NoListing::TooLarge("x has more".into()));
        assert_eq!(read(&written(&large)), Some(large));
        assert_eq!((read(b""), read(b"=x")), (None, None));
    }
}
