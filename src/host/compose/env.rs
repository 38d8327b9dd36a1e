//! The environment that docker commands get.

use std::path::Path;

use crate::{
    api::Desired,
    host::{
        endpoint::{DEFAULT_CONTEXT, DEFAULT_SOCKET, Endpoint},
        gate::Gate,
        process::Environment,
    },
};

/// The variable that names the engine to docker commands, and that a Compose file may use.
pub(super) const ENGINE: &str = "DOCKER_HOST";

/// The variable that names a docker context.
const CONTEXT: &str = "DOCKER_CONTEXT";

/// The variables that make the docker CLI use TLS.
const TLS: [&str; 3] = ["DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH"];

/// Variables that every docker command gets in addition: plain output for the trail, no menus and hints, and no attestations,
/// with which a fully cached build changes an image's digest on the containerd store.
const FIXED: [(&str, &str); 6] = [
    ("COMPOSE_ANSI", "never"),
    ("COMPOSE_PROGRESS", "plain"),
    ("BUILDKIT_PROGRESS", "plain"),
    ("BUILDX_NO_DEFAULT_ATTESTATIONS", "1"),
    ("COMPOSE_MENU", "false"),
    ("DOCKER_CLI_HINTS", "false"),
];

impl Environment {
    /// The environment for docker commands: this engine, whatever context is current, plain output, and `PWD` set to the folder
    /// that they run in. Compose substitutes that variable in its files and names a project after it, as it does for a person
    /// in that folder; undrift's own working directory is no part of a project.
    ///
    /// If `DOCKER_HOST` is not set, the default context names the default engine: a Compose file may use that variable, and
    /// must mean the same as for a person.
    #[must_use]
    pub fn for_docker(self, endpoint: &Endpoint, directory: &Path) -> Self {
        let env = FIXED.iter().fold(self, |env, (name, value)| env.with(name, value));
        let env = env.with("PWD", directory);
        let is_default = *endpoint == Endpoint::Unix(DEFAULT_SOCKET.into());
        if is_default && env.get(ENGINE).is_none() {
            return env.with(CONTEXT, DEFAULT_CONTEXT);
        }
        env.without(CONTEXT).with(ENGINE, endpoint.docker_host())
    }

    /// The environment for the Compose commands of an object: as for any docker command there, and with the object's own
    /// variables, which win over those of this process.
    #[must_use]
    pub fn for_project(self, endpoint: &Endpoint, desired: &Desired) -> Self {
        let env = self.for_docker(endpoint, &desired.directory);
        desired.variables.iter().fold(env, |env, (name, value)| env.with(name, value))
    }

    /// The environment for the docker commands of an observation: the gate replaces the engine, and no variable makes the
    /// docker CLI use TLS there. `DOCKER_HOST` wins over every context.
    #[must_use]
    pub fn for_look(self, gate: &Gate, directory: &Path) -> Self {
        self.for_docker(&gate.endpoint(), directory).without_tls()
    }

    /// The same without the variables that make the docker CLI use TLS.
    #[must_use]
    pub(super) fn without_tls(self) -> Self {
        TLS.iter().fold(self, |env, name| env.without(name))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

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
    fn a_file_that_names_the_engine_means_what_it_means_to_the_caller() {
        let socket = || Endpoint::Unix(DEFAULT_SOCKET.into());
        let of = |env: Environment, endpoint| {
            let env = env.for_docker(&endpoint, Path::new("/srv"));
            let text = |name| env.get(name).map(|value| value.to_str().unwrap().to_owned());
            (text(ENGINE), text(CONTEXT))
        };
        let default = || Some("default".to_owned());
        assert_eq!(of(Environment::default(), socket()), (None, default()), "not set stays not set");
        assert_eq!(of(Environment::default().with(CONTEXT, "x"), socket()), (None, default()));
        let address = || Some(format!("unix://{DEFAULT_SOCKET}"));
        assert_eq!(of(Environment::default().with(ENGINE, address().unwrap()), socket()), (address(), None));
        let other = Endpoint::Unix("/run/other.sock".into());
        assert_eq!(of(Environment::default(), other), (Some("unix:///run/other.sock".into()), None));
    }
}
