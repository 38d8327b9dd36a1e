//! What is remembered between looks, whoever keeps it.

/// What a host remembers between looks. Losing it costs time, or leaves unsaid what was known; nothing that is
/// said becomes wrong by it.
pub trait Cache: Send + Sync {
    /// The value last put under this key of this space.
    fn get(&self, space: &str, key: &str) -> Option<String>;
    /// Remembers a value; a failure is only logged.
    fn put(&self, space: &str, key: &str, value: &str);
}
