//! One file per verb: how things look on a terminal and as JSON.

pub mod audit;
pub mod describe;
pub mod get;
pub mod incident;
pub mod recorded;
pub mod style;
