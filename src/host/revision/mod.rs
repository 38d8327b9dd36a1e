//! The source revision that a service must carry, and the ones that its image, containers and routes do.
//!
//! | file | contents |
//! | --- | --- |
//! | `expected` | the expected revision: git's, a file's, a text |
//! | `carried` | what image and containers carry, and routes answer |
//! | `unknown_variable` | which services depend on a revision that is not known |
//! | `admission` | what of it may be kept and shown |

mod admission;
mod carried;
mod expected;
mod unknown_variable;

pub(super) use carried::{Carried, Revisions};
pub(super) use expected::ExpectedRevisions;
pub(super) use unknown_variable::{withhold, withhold_related};

/// How much of a file or an answer is read.
pub(super) const MOST_READ: usize = 64 * 1024;
