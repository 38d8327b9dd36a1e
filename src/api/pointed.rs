//! A fault with its place in a manifest.

/// What is wrong at one place of a manifest that was read without a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointed {
    /// From 1.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
    /// What stands there: where it does not any more, no line is shown.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// What would be right, where that can be said.
    pub help: Option<String>,
}
