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
//! | `git` | revision and dirty state, by git itself |
//! | `head` | the checked-out commit, from git's files |
//! | `work_tree` | the files that name the commit, and the lock of a git that changes the files |
//! | `folders` | the folders of a build context, for a watch |

mod digest;
mod dockerignore;
mod each;
mod file_digests;
mod folders;
mod git;
mod head;
mod modules;
mod walk;
mod work_tree;

pub(super) use digest::FieldHasher;
pub(in crate::host) use digest::context_state;
pub(super) use digest::ignore_file;
pub(crate) use digest::ignore_files;
pub use digest::{DigestError, context_digest, context_files};
pub(super) use dockerignore::{Dockerignore, Matched};
pub use each::entries;
#[cfg(test)]
pub(super) use file_digests::remembered as remembered_digest;
pub(super) use file_digests::{Stamp, digest as digest_of_file, remember as remember_digests};
pub use folders::{ContextFolder, ContextFolders, changed_at, context_folders, stamp};
pub use git::{git_state, is_dirty, last_commit};
pub use head::{Head, WorkTree};
pub use modules::source_presence;
pub use walk::Unreadable;
pub use work_tree::{git_lock, head_files};
