//! Whether somebody else is working on a Compose project right now, and the leftovers of a killed command there: judged from
//! facts, without an engine.
//!
//! | question | facts |
//! | --- | --- |
//! | is an `up` running? `compose_up` | the list of containers, the youngest network, grace periods |
//! | is the project being taken down? `compose_down` | the engine's events |
//! | is a service being rolled out? `roll_out` | replicas and their ages |
//! | what did a killed recreate leave? `leftovers` | the list of containers |
//!
//! undrift's own steps are not external activity (`OwnSteps`). Times are in seconds since 1970, as the engine reports them.

pub(crate) mod compose_down;
pub(crate) mod compose_up;
pub(crate) mod leftovers;
mod own_steps;
pub(crate) mod roll_out;
mod row;

pub use leftovers::Leftover;
pub(crate) use own_steps::{OwnActivity, OwnSteps};
pub(crate) use row::ContainerRow;
pub use row::Origin;
