//! Access control lists (`acl(5)`): further users and groups that may write to a folder or file.
//!
//! The mode shows such a list as the rights of the group, which are then the maximum for every entry. So it shows neither
//! who they are nor whether the group itself may write.

use std::{io, path::Path};

use rustix::{fs::lgetxattr, io::Errno};

/// The attribute in which the kernel keeps a list (`xattr(7)`).
const NAME: &str = "system.posix_acl_access";

/// The format of its value: Linux's `posix_acl_xattr.h`. All numbers are little-endian.
const VERSION: [u8; 4] = 2_u32.to_le_bytes();
const ENTRY: usize = 8;
const MAY_WRITE: u16 = 2;
const USER: u16 = 0x02;
const OWN_GROUP: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;

/// More entries than a list has on any file system.
const LARGEST: usize = 64 * 1024;

/// A user or group that may write by a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    User(u32),
    Group(u32),
    /// The group of the folder or file itself.
    OwnGroup,
}

/// The writers besides the owner and the world; `None` without a list, because then the mode has it.
///
/// # Errors
/// The operating system's error.
pub(super) fn writers(path: &Path) -> io::Result<Option<Vec<Writer>>> {
    let mut value = Vec::with_capacity(LARGEST);
    match lgetxattr(path, NAME, rustix::buffer::spare_capacity(&mut value)) {
        Ok(_) => Ok(read(&value)),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `None` also for another format.
fn read(value: &[u8]) -> Option<Vec<Writer>> {
    let entries = value.strip_prefix(&VERSION)?.chunks_exact(ENTRY).map(|entry| {
        let number = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        (number(0), number(2), u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]))
    });
    // Without one there is only the group.
    let most = entries.clone().find_map(|(tag, may, _)| (tag == MASK).then_some(may)).unwrap_or(u16::MAX);
    let writers = entries.filter(|(_, may, _)| may & most & MAY_WRITE != 0);
    let writers = writers.filter_map(|(tag, _, id)| match tag {
        USER => Some(Writer::User(id)),
        GROUP => Some(Writer::Group(id)),
        OWN_GROUP => Some(Writer::OwnGroup),
        _ => None,
    });
    Some(writers.collect())
}

/// A list in the kernel's format: the rights of the folder's own group, then users and groups, then the maximum.
#[cfg(test)]
pub(super) fn list(own_group: u16, listed: &[(Writer, u16)], mask: u16) -> Vec<u8> {
    let nobody = u32::MAX;
    let owner = (0x01, 7, nobody);
    let listed = listed.iter().map(|(writer, may)| match writer {
        Writer::User(uid) => (USER, *may, *uid),
        Writer::Group(gid) => (GROUP, *may, *gid),
        Writer::OwnGroup => (OWN_GROUP, *may, nobody),
    });
    // The kernel requires them in the order of their tags.
    let mut entries: Vec<(u16, u16, u32)> = listed.collect();
    entries.extend([owner, (OWN_GROUP, own_group, nobody), (MASK, mask, nobody), (0x20, 0, nobody)]);
    entries.sort_unstable();
    let bytes = entries
        .into_iter()
        .flat_map(|(tag, may, id)| [&tag.to_le_bytes()[..], &may.to_le_bytes(), &id.to_le_bytes()].concat());
    VERSION.into_iter().chain(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_write_is_read_with_the_mask() {
        let listed = [(Writer::User(7), 7), (Writer::User(8), 5), (Writer::Group(9), 6)];
        let all = Some(vec![Writer::User(7), Writer::OwnGroup, Writer::Group(9)]);
        assert_eq!(read(&list(7, &listed, 7)), all);
        assert_eq!(read(&list(5, &listed[1..2], 7)), Some(vec![]), "the mode says 770, and nobody may");
        assert_eq!(read(&list(7, &listed, 5)), Some(vec![]), "the mask takes it away");
        assert_eq!((read(b""), read(&[3, 0, 0, 0])), (None, None), "another format");
    }
}
