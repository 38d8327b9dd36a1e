//! The content of the project directory: build contexts, modules, the git work tree.
//!
//! | file | contents |
//! | --- | --- |
//! | `dockerignore` | a whole `.dockerignore` |
//! | `walk` | the files of a build context that Docker would send |
//! | `digest` | one digest over them |
//! | `file_digests` | the digests of single files, remembered while these are unchanged |
//! | `each` | the entries of a folder that an `each` gives |
//! | `modules` | whether a module's source exists |
//! | `git` | revision and dirty state |

mod digest;
mod dockerignore;
mod each;
mod file_digests;
mod git;
mod modules;
mod walk;

pub(super) use digest::FieldHasher;
pub use digest::{DigestError, context_digest, context_files};
pub(super) use digest::{ignore_file, ignore_files};
pub(super) use dockerignore::{Dockerignore, Matched};
pub use each::entries;
#[cfg(test)]
pub(super) use file_digests::remembered as remembered_digest;
pub(super) use file_digests::{Stamp, digest as digest_of_file, remember as remember_digests};
pub use git::git_state;
pub use modules::source_presence;
pub use walk::Unreadable;
