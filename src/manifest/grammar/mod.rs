//! What a manifest may say: the one declaration, and the JSON Schema from it.

mod cross_field;
pub(crate) mod formats;
mod http_formats;
#[cfg(test)]
mod reference;
mod rules;
mod sameness_formats;
mod sameness_rules;
mod schema;
mod shape;

pub(crate) use rules::PROJECT;
pub use schema::json_schema;
pub(crate) use shape::{Field, PairFormat, Record, Requirement, STATUSES, Shape, TextFormat, one_of};
