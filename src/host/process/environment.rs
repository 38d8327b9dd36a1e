//! The environment that children get.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

/// A snapshot of environment variables. Its `Debug` shows no values: they may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// This process's own, without what only undrift itself needs: the URL of an anchor may hold a token.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self(for_children(std::env::vars_os()))
    }

    /// All variables whose names and values are texts.
    pub(in crate::host) fn texts(&self) -> impl Iterator<Item = (String, String)> {
        self.0
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned())))
    }

    /// The same with one variable set.
    #[must_use]
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The same without one variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(OsStr::new(name));
        self
    }

    /// One variable's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// All variables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

/// The variable of `run --anchor`.
const ANCHORS: &str = "UNDRIFT_ANCHOR";

fn for_children(own: impl IntoIterator<Item = (OsString, OsString)>) -> BTreeMap<OsString, OsString> {
    own.into_iter().filter(|(name, _)| name != ANCHORS).collect()
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_do_not_get_the_anchors() {
        let own = [("UNDRIFT_ANCHOR", "https://vault.example/token"), ("TAG", "1")];
        let given = for_children(own.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(given.into_keys().collect::<Vec<_>>(), ["TAG"]);
    }

    #[test]
    fn debug_output_shows_no_values() {
        let text = format!("{:?}", Environment::default().with("TOKEN", "hunter2"));
        assert!(text.contains("TOKEN") && !text.contains("hunter2"), "{text}");
    }
}
