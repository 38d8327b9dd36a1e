//! `undrift schema`: the JSON Schema of the manifest.

use std::io::Write;

use crate::manifest;

/// Prints the schema as `manifests/undrift.schema.json` holds it. Exit code 0; 2 where it could not be written.
pub fn schema(out: &mut dyn Write) -> u8 {
    let text = format!("{:#}\n", manifest::json_schema());
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => 0,
        Err(_) => 2,
    }
}
