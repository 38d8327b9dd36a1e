//! Child processes: one command run to its end or ended, its lines of output, its environment. Nothing here knows Docker.

pub mod command;
mod environment;
pub(super) mod lines;

pub use command::{Finished, GRACE, Invocation};
pub use environment::Environment;
