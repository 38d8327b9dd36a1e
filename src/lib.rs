//! undrift: a Kubernetes-style reconciling operator for Docker Compose hosts.
//!
//! A platform team declares, in YAML, which services a host must run, which modules must exist inside the
//! running containers and which status each route must answer. undrift observes the host, names the first
//! [layer](api::Layer) at which the declaration and the host part, repairs exactly that, and proves the repair
//! before it says *reconciled*.
//!
//! Dependencies point downwards only:
//!
//! | room | what it holds | what it may do |
//! | --- | --- | --- |
//! | `cli` | one file per verb, the screen and the JSON | print |
//! | `daemon` | what the loop runs for: triggers become names of objects, a name a reconcile; persons at the socket | call the rooms below |
//! | [`runtime`] | the loop: which key runs when, and never twice at once; knows no Docker and no manifest | tasks and timers |
//! | [`reconcile`] | the only glue: observe, decide, record, execute, observe | call the rooms below |
//! | [`host`] | every effect on the host behind one narrow trait | I/O |
//! | [`store`] | SQLite: audit trail, incidents, status, attempts | I/O in the state folder |
//! | [`manifest`] | YAML to typed objects, errors that show the line, when to read them again | read and watch files |
//! | `files` | files that somebody else names: regular ones only, within limits of size and time | read files |
//! | `secret` | pure: names of secrets, and what is secret of a URL | nothing |
//! | [`decide`] | pure: what was observed to what should happen | nothing |
//! | [`interference`] | pure: whether somebody else is at work on a project, and what a killed command has left there | nothing |
//! | [`oracle`] | pure: what the answers of a route say, and which request would settle it | nothing |
//! | `nearest` | pure: what was meant by a misspelt word | nothing |
//! | [`api`] | pure types | nothing |

pub mod api;
mod causes;
pub mod cli;
mod daemon;
pub mod decide;
mod documents;
mod files;
#[cfg(test)]
mod fixtures;
pub mod host;
pub mod interference;
pub mod manifest;
mod nearest;
pub mod oracle;
mod plain;
pub mod reconcile;
pub mod runtime;
mod secret;
pub mod store;
