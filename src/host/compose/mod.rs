//! Docker Compose as a child process: argument vectors, never a shell.
//!
//! | file | says |
//! | --- | --- |
//! | `env` | the environment that children get |
//! | `argv` | the commands, as argument vectors |
//! | `command` | running one: limit, cancellation, nothing left behind |
//! | `lines` | what a child prints, as clean lines |
//! | `model` | what is read of `docker compose config --format json` |
//! | `inputs` | everything that Compose reads to make that |
//! | `scan` | what one such file refers to |
//! | `resolve` | the model and the config hashes, remembered until an input changes |
//! | `refusal` | what Compose says, as errors |
//! | `dry_run` | what `up` would do |
//! | `ownership` | whether a project of the same name in another directory made the containers |
//! | `said` | what a dry run says of containers |

pub mod argv;
pub mod command;
mod dry_run;
mod env;
mod inputs;
mod lines;
pub mod model;
mod ownership;
mod refusal;
mod resolve;
mod said;
mod scan;
#[cfg(test)]
mod test_support;

pub use dry_run::{Recreations, up_command, would_recreate};
pub use env::Environment;
pub use model::{BuildModel, Model, ServiceModel};
pub use ownership::{Ownership, ownership};
pub use resolve::{Resolved, resolve, resolve_in};
