//! The source revision that a service must carry, and the ones that its image, containers and routes do.
//!
//! | file | contents |
//! | --- | --- |
//! | `expected` | the expected revision: git's, a file's, a text |
//! | `carried` | what image and containers carry, and routes answer |
//! | `admission` | what of it may be kept and shown |

mod admission;
mod carried;
mod expected;

pub(super) use carried::{Carried, Revisions};
pub(super) use expected::ExpectedRevisions;

/// How much of a file or an answer is read.
pub(super) const MOST_READ: usize = 64 * 1024;
