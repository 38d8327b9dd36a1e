//! From YAML to a tree that knows its places.

mod tree;
mod yaml;

pub(crate) use tree::{Key, Node, Value};
pub(crate) use yaml::documents;
