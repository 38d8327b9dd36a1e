//! undrift: a Kubernetes-style reconciling operator for Docker Compose hosts.
//!
//! A platform team declares, in YAML, which services a host must run, which modules must exist inside the running containers
//! and which status each route must answer. undrift observes the host, names the first [layer](api::Layer) at which the host
//! differs from the declaration, repairs exactly that, and verifies the repair before it reports *reconciled*.
//!
//! Dependencies point downwards only:
//!
//! | room | holds | may |
//! | --- | --- | --- |
//! | `cli` | one file per verb, the screen and the JSON | print |
//! | `doctor` | whether what undrift depends on is there and in order, with help for each fault | call the rooms below, and ask the host |
//! | [`standing`] | whether a recorded status still holds: the age of the last observation, and whether a daemon runs | call the rooms below |
//! | `daemon` | what the loop runs for: triggers become names of objects, a name a reconcile; requests at the socket | call the rooms below |
//! | `anchor` | places elsewhere that keep the signed checkpoints of the trail: a file, the journal, a server | I/O, HTTP by the prober's client |
//! | [`runtime`] | the loop: which key runs when, and never twice at once; knows no Docker and no manifest | tasks and timers |
//! | [`reconcile`] | the only glue: observe, decide, record, execute, observe | call the rooms below |
//! | [`host`] | every effect on the host behind one narrow trait | I/O |
//! | [`store`] | SQLite: audit trail, incidents, status, attempts | I/O in the state folder |
//! | [`tlog`] | pure: a Merkle tree over records, signed checkpoints, proofs and statements, in public formats | nothing |
//! | [`manifest`] | YAML to typed objects, errors that show the line, when to read them again | read and watch files |
//! | `files` | files at paths that somebody else chose: regular ones only, within limits of size and time | read files |
//! | `secret` | pure: names of secrets, and the secret parts of a URL | nothing |
//! | [`decide`] | pure: from an observation to what should happen | nothing |
//! | [`interference`] | pure: whether somebody else is working on a project, and the leftovers of a killed command there | nothing |
//! | [`oracle`] | pure: what the answers of a route mean, and which request would settle it | nothing |
//! | `reference` | pure: image references in one form | nothing |
//! | `nearest` | pure: the right word for a misspelt one | nothing |
//! | `pattern` | pure: a pattern of a `.dockerignore`, by moby's rules | nothing |
//! | `times` | pure: times and spans in words | nothing |
//! | `plain` | pure: text without what steers a terminal | nothing |
//! | `causes`, `documents` | pure: an error with its causes; the JSON documents that `cli` and `daemon` answer with | nothing |
//! | [`api`] | pure types | nothing |
//! | `testing` | for tests alone: fixtures, a host in memory, the model, the comparison with a real engine | anything |

mod anchor;
pub mod api;
mod causes;
pub mod cli;
mod daemon;
pub mod decide;
mod doctor;
mod documents;
mod event_words;
mod files;
pub mod host;
mod incident_report;
pub mod interference;
pub mod manifest;
mod nearest;
pub mod oracle;
mod pattern;
mod plain;
pub mod reconcile;
mod reference;
pub mod runtime;
mod secret;
pub mod standing;
pub mod store;
#[cfg(test)]
mod testing;
mod times;
pub mod tlog;
