//! Docker Compose as a child process: argument vectors, never a shell.
//!
//! | file | contents |
//! | --- | --- |
//! | `env` | the environment that children get |
//! | `argv` | the commands, as argument vectors |
//! | `command` | running one: time limit, cancellation, no process left behind |
//! | `lines` | the output of a child, as clean lines |
//! | `model` | the fields read from `docker compose config --format json` |
//! | `declared` | the fields of it that config hashes leave out |
//! | `overlay` | one more Compose file for a single question or build |
//! | `provided` | the variables that programs gave a service's container |
//! | `given` | the same, as Compose hashes it |
//! | `build_elsewhere` | a build whose image has another name |
//! | `builds` | which services build one image, and which files and services a build names |
//! | `made_of` | which services build the bases of another one's image |
//! | `variable_use` | the services that may depend on one variable |
//! | `configuration` | the project with its values, to show which keys of a container differ |
//! | `build_order` | the order in which services are built, by the bases of their images |
//! | `dockerfile` | the base images of a Dockerfile |
//! | `order` | the order that the files declare among services |
//! | `upgrade` | whether a container differs only because another version of Compose made it |
//! | `inputs` | everything that Compose reads to resolve a project |
//! | `keyed` | the inputs that a project was resolved from, as digests under a key |
//! | `scan` | the references in one such file |
//! | `secrets` | the values of a project that may be secrets |
//! | `question` | asking Compose through the gate |
//! | `resolve` | the model and the config hashes, cached until an input changes |
//! | `refusal` | Compose's messages, as errors, without the values that it quotes |
//! | `dry_run` | the effect that `up` would have |
//! | `ownership` | whether a project of the same name in another directory made the containers |
//! | `dry_run_output` | the lines of a dry run that concern containers |

pub mod argv;
mod build_elsewhere;
mod build_order;
mod builds;
mod configuration;
pub mod declared;
mod dockerfile;
mod dry_run;
mod dry_run_output;
mod env;
mod given;
mod inputs;
mod interpolation;
mod keyed;
mod made_of;
pub mod model;
mod order;
mod overlay;
mod ownership;
mod provided;
mod question;
mod refusal;
mod resolve;
mod scan;
mod secrets;
#[cfg(test)]
mod test_support;
mod upgrade;
mod variable_use;

pub(super) use build_elsewhere::BuildElsewhere;
pub(super) use configuration::{Configuration, values};
pub use declared::{Declared, DeclaredContent, DeclaredService, NetworkModel, Subnet, VolumeModel};
pub use dry_run::{Recreations, up_command, would_recreate, would_recreate_beside};
pub use made_of::Builds;
#[cfg(test)]
pub(super) use made_of::builds_of;
pub use model::{BuildModel, BuildSettings, Model, Program, ServiceModel};
pub(super) use overlay::FILE as OVERLAY_FILE;
pub use ownership::{Ownership, ownership};
pub use provided::Provided;
pub(crate) use resolve::unreadable;
pub use resolve::{Resolved, printed_hashes, resolve, resolve_in};
pub(super) use secrets::{Found as SecretsFound, of_env_files, of_project, words_of};
pub use upgrade::{Made, judge_by_hash, made_from_this_model};
pub(super) use variable_use::VariableUse;

/// The SHA-256 of some bytes.
fn digest(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

/// The digest of a possible secret, in hexadecimal. It includes the name, so that equal values do not show.
pub(super) fn secret_digest(name: &str, value: &[u8]) -> String {
    hex::encode(digest(&[b"undrift-v1\0", name.as_bytes(), b"\0", value].concat()))
}
