//! YAML to typed objects, with errors that show the line.
//!
//! A file is read within limits ([`ManifestSource`]), its documents become trees that know their places (`syntax`), each tree
//! is held against the one declaration of what a manifest may say (`grammar`) and against the host's files (`check`), and
//! only a tree without a fault becomes a typed object. So all faults of all files are found at once, and each can name
//! its line (`report`). A room knows only those before it: report, syntax, grammar, check.
//!
//! # Guarantees
//! No manifest, of any content or size, makes this module panic, hang or eat memory. A password that a person wrote
//! into a manifest by mistake is in no error.

mod check;
mod digest;
mod exposed;
mod grammar;
mod object;
mod point;
mod read;
mod report;
mod syntax;
mod warning;
mod watch;

use std::{collections::HashMap, path::Path};

pub(crate) use digest::is_of_its_digest;
pub use exposed::exposed;
pub use grammar::json_schema;
pub use point::point;
pub use read::ManifestSource;
pub(crate) use read::NO_MANIFESTS;
pub(crate) use report::count;
pub use report::{Excerpt, ManifestError, ManifestErrors, Warning};
pub use warning::Valid;
pub(crate) use warning::unreadable;
pub use watch::watch;

use crate::api::Desired;
use object::{CredentialsAt, NameAt, Parsed};
use report::{Excerpted, Fault};

/// Loads everything that is named, each file once, standard input once.
///
/// The objects come in order of file name and document; those of standard input last.
///
/// # Errors
/// All errors of all files at once; no object is returned where one file has an error.
pub fn load(sources: &[ManifestSource]) -> Result<Vec<Desired>, ManifestErrors> {
    load_for_validation(sources).map(|valid| valid.objects)
}

/// As [`load`], with what is needed to say what the writer should know of manifests that are right.
///
/// # Errors
/// As [`load`].
pub fn load_for_validation(sources: &[ManifestSource]) -> Result<Valid, ManifestErrors> {
    let All { desired, credentials, errors } = load_all(sources);
    ManifestErrors::of(errors).map_or(Ok(Valid { objects: desired, credentials }), Err)
}

/// As [`load`], but an error takes nothing away from what is right elsewhere: every object without one, and all errors
/// of all files. Of objects that share a name all are given; that they do is an error.
#[must_use]
pub fn load_partly(sources: &[ManifestSource]) -> (Vec<Desired>, Vec<ManifestError>) {
    let All { desired, errors, .. } = load_all(sources);
    (desired, errors)
}

/// Everything that is in some manifests.
struct All {
    desired: Vec<Desired>,
    credentials: Vec<CredentialsAt>,
    errors: Vec<ManifestError>,
}

fn load_all(sources: &[ManifestSource]) -> All {
    let (texts, mut errors) = read::all(sources);
    let mut desired = Vec::new();
    let mut credentials = Vec::new();
    let mut names = Vec::new();
    for text in &texts {
        match object::decode(text) {
            Ok(readable) => {
                let parsed = object::parse(readable, &text.origin, &text.base);
                let before = desired.len();
                credentials.extend(
                    parsed
                        .credentials
                        .into_iter()
                        .map(|at| CredentialsAt { object: before + at.object, ..at }),
                );
                desired.extend(parsed.desired);
                errors.extend(parsed.errors);
                names.extend(parsed.names);
            }
            Err(error) => errors.push(error),
        }
    }
    errors.extend(taken_names(&names));
    errors.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    All { desired, credentials, errors }
}

/// Parses the text of one manifest: the objects that are right, and all that is wrong with the others.
///
/// `origin` names the manifest in messages; `base` is the folder that its relative paths start at.
#[must_use]
pub fn parse(text: &str, origin: &str, base: &Path) -> (Vec<Desired>, Vec<ManifestError>) {
    let Parsed { desired, mut errors, names, .. } = object::parse(text, origin, base);
    errors.extend(taken_names(&names));
    errors.sort_by_key(|error| (error.line, error.column));
    (desired, errors)
}

/// An error for each name that an object before it has.
fn taken_names(names: &[NameAt]) -> Vec<ManifestError> {
    let mut first: HashMap<&str, &NameAt> = HashMap::new();
    let mut errors = Vec::new();
    for named in names {
        match first.get(named.name.as_str()) {
            Some(other) => {
                let Excerpted { file, line, column, .. } = &other.place;
                let message = format!("the name `{}` is taken: {file}:{line}:{column} has it", named.name);
                errors
                    .push(named.place.error(Fault::new(message).help("give each object a name of its own")));
            }
            None => {
                first.insert(&named.name, named);
            }
        }
    }
    errors
}
