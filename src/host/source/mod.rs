//! The content of the project directory: build contexts, modules, the git work tree.
//!
//! | file | contents |
//! | --- | --- |
//! | `pattern` | one pattern of a `.dockerignore`, by Docker's rules |
//! | `dockerignore` | a whole `.dockerignore` |
//! | `walk` | the files of a build context that Docker would send |
//! | `digest` | one digest over them |
//! | `each` | the entries of a folder that an `each` gives |
//! | `modules` | whether a module's source exists |
//! | `git` | revision and dirty state |

mod digest;
mod dockerignore;
mod each;
mod git;
mod modules;
mod pattern;
mod walk;

pub(super) use digest::FieldHasher;
pub(super) use digest::ignore_files;
pub use digest::{DigestError, context_digest, context_files};
pub use each::entries;
pub use git::git_state;
pub use modules::source_presence;
pub use walk::Unreadable;
