//! `undrift schema`: the JSON Schema of the manifest.

use std::io::{self, Write};

use super::safe;
use crate::manifest;

/// Prints the schema as in `manifests/undrift.schema.json`.
///
/// # Errors
/// The error of `out`.
pub fn schema(out: &mut dyn Write) -> io::Result<()> {
    safe::document(out, &manifest::json_schema())?;
    out.flush()
}
