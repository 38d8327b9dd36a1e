//! Holds a tree against the declaration and against the files of the host.

pub(crate) mod disk;
mod unknown;
mod walk;
mod wrong_type;

pub(crate) use walk::{Slot, check};
