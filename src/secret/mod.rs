//! What a secret is known by where its value is not known: the name beside it, and the form of a URL.
//!
//! | file | says |
//! | --- | --- |
//! | `names` | which names are those of secrets: the one table of them |
//! | `quotation` | where a quotation ends |
//! | `remarks` | what programs print in the place of a value, which is none |
//! | `url` | what is secret of a URL: user info, parameters of the query, the path of a webhook |

pub(crate) mod names;
pub(crate) mod quotation;
pub(crate) mod remarks;
pub(crate) mod url;

/// What stands in for a secret; as long for each, so that it does not tell the length.
pub(crate) const STARS: &str = "********";
