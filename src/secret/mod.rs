//! How to recognize a secret whose value is not known: the name beside it, and the form of a URL.
//!
//! | file | holds |
//! | --- | --- |
//! | `mask` | which parts of a line to hide |
//! | `names` | which names denote secrets: the only table of them |
//! | `quotation` | where a quotation ends |
//! | `remarks` | the messages that programs print in the place of a value |
//! | `url` | the secret parts of a URL: user info, query parameters, the path of a webhook |

pub(crate) mod mask;
pub(crate) mod names;
pub(crate) mod quotation;
pub(crate) mod remarks;
pub(crate) mod url;

/// Replaces a secret; the same length for each, so that it does not reveal the length.
pub(crate) const STARS: &str = "********";
