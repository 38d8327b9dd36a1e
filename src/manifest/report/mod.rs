//! What is said of a manifest that is not right: the fault, its place, the line without its secrets.

mod continued;
mod error;
mod excerpt;
mod fault;
mod lines;

pub(crate) use error::count;
pub use error::{Excerpt, ManifestError, ManifestErrors, Warning};
pub(crate) use excerpt::excerpt;
pub(crate) use fault::{Excerpted, Fault, Report, short};
pub(crate) use lines::{LineIndex, Spot};
