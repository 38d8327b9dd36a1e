//! Children: one command run to its end or ended, the lines that it prints, the environment that it gets. Nothing here knows
//! Docker.

pub mod command;
mod environment;
pub(super) mod lines;

pub use command::{Finished, GRACE, Invocation};
pub use environment::Environment;
