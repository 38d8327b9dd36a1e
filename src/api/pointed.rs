//! A fault with its place in a manifest.

/// A fault at one place of a manifest that was read without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointed {
    /// From 1.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
    /// The text there: if it has changed, no line is shown.
    pub text: String,
    /// The fault.
    pub message: String,
    /// The correction, if there is one.
    pub help: Option<String>,
}
