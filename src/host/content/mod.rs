//! `content: same`: the files of a module in its source, in the image and in the containers, and how they compare.
//!
//! Of each place undrift makes a [`Listing`]: names, types, link targets and digests. A listing is compared anew at every
//! observation; it is made anew only if something may have changed:
//!
//! | place | read anew |
//! | --- | --- |
//! | source | if anything in its build context changed, or may have; a file's bytes only if its size, times or inode differ, or are too young to be trusted |
//! | image | once: an image ID never changes its content |
//! | container | when it is new or was started, after a command in it or a copy into it, and at each resync |
//!
//! | file | contents |
//! | --- | --- |
//! | `scope` | which entries of a module are compared |
//! | `listing` | the entries of one place, and the comparison of two |
//! | `folder` | the listing of a folder of this host |
//! | `archive` | the listing of a tar stream, which is never kept |
//! | `memory` | the listings between observations |
//! | `stored` | a listing as the cache has it |
//! | `mounted` | what a mount over a module holds |
//! | `observed` | all of it for one observation |

mod archive;
mod folder;
mod listing;
mod memory;
mod mounted;
mod observed;
mod scope;
mod stored;

pub(super) use archive::{PieceReader, read};
pub(super) use listing::{Listing, MODULE_ITSELF};
pub(super) use memory::{ContentMemory, ImageListings};
pub(super) use observed::{ModuleContents, ServiceContents};
pub(super) use scope::Scope;

use crate::{
    api::{ContentObservation, MOST_BYTES, MOST_FILES},
    files::Hangs,
};

/// Why there is no listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoListing {
    /// There is more than is compared; in words.
    TooLarge(String),
    /// It could not be read; in words.
    Unknown(String),
}

impl NoListing {
    fn too_many_files(place: &str) -> Self {
        Self::TooLarge(format!("{place} has more than {MOST_FILES} files, and no more are compared"))
    }

    fn too_many_bytes(place: &str) -> Self {
        Self::TooLarge(format!("{place} has more than {} GiB, and no more is compared", MOST_BYTES >> 30))
    }
}

impl From<Hangs> for NoListing {
    fn from(hangs: Hangs) -> Self {
        Self::Unknown(hangs.to_string())
    }
}

impl From<NoListing> for ContentObservation {
    fn from(none: NoListing) -> Self {
        match none {
            NoListing::TooLarge(why) => Self::TooLarge(why),
            NoListing::Unknown(why) => Self::Unknown(why),
        }
    }
}
