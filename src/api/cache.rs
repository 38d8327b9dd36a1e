//! A memory between observations, whoever keeps it.

/// A host's memory between observations. Losing it costs time, or leaves out something that was known; it never makes a
/// result wrong.
pub trait Cache: Send + Sync {
    /// The value last put under this key of this space.
    fn get(&self, space: &str, key: &str) -> Option<String>;
    /// Remembers a value; a failure is only logged.
    fn put(&self, space: &str, key: &str, value: &str);
}
