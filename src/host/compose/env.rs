//! The environment that children get.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::Path,
};

use crate::host::{endpoint::Endpoint, gate::Gate};

/// What every docker command is given besides: plain output for the trail, no menus and hints, and no
/// attestations, with which a fully cached build changes an image's digest on the containerd store.
const FIXED: [(&str, &str); 6] = [
    ("COMPOSE_ANSI", "never"),
    ("COMPOSE_PROGRESS", "plain"),
    ("BUILDKIT_PROGRESS", "plain"),
    ("BUILDX_NO_DEFAULT_ATTESTATIONS", "1"),
    ("COMPOSE_MENU", "false"),
    ("DOCKER_CLI_HINTS", "false"),
];

/// A snapshot of environment variables. Its `Debug` shows no values: they may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// This process's own.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self(std::env::vars_os().collect())
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

    /// The same as docker commands need it: at this engine, whatever context is current, plain, and with the folder that
    /// they run in as `PWD`. Compose puts that variable into its files and names a project by it, as it does for a person
    /// who stands in that folder; where undrift itself stands is no part of a project.
    #[must_use]
    pub fn for_docker(self, endpoint: &Endpoint, directory: &Path) -> Self {
        let env = FIXED.iter().fold(self, |env, (name, value)| env.with(name, value));
        env.without("DOCKER_CONTEXT").with("DOCKER_HOST", endpoint.docker_host()).with("PWD", directory)
    }

    /// The same as a look's docker commands need it: with the gate in the engine's place, and with nothing that has the
    /// docker CLI speak otherwise than plainly there. `DOCKER_HOST` wins over every context.
    #[must_use]
    pub fn for_look(self, gate: &Gate, directory: &Path) -> Self {
        let env = self.for_docker(&gate.endpoint(), directory);
        ["DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH"]
            .iter()
            .fold(env, |env, name| env.without(name))
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

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_get_the_resolved_engine_and_their_own_folder_and_no_context() {
        let env = Environment::default().with("DOCKER_CONTEXT", "far").with("KEPT", "1").with("PWD", "/far");
        let env = env.for_docker(&Endpoint::Tcp("127.0.0.1:1".into()), Path::new("/srv/shop"));
        assert_eq!(env.get("PWD"), Some(OsStr::new("/srv/shop")));
        assert_eq!(env.get("DOCKER_HOST"), Some(OsStr::new("tcp://127.0.0.1:1")));
        assert_eq!(env.get("DOCKER_CONTEXT"), None);
        assert_eq!(env.get("BUILDX_NO_DEFAULT_ATTESTATIONS"), Some(OsStr::new("1")));
        assert_eq!(env.get("KEPT"), Some(OsStr::new("1")));
    }

    #[test]
    fn debug_output_shows_no_values() {
        let text = format!("{:?}", Environment::default().with("TOKEN", "hunter2"));
        assert!(text.contains("TOKEN") && !text.contains("hunter2"), "{text}");
    }
}
