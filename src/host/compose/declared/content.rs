//! Configs and secrets that Compose copies into a container when it creates it.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::super::secret_digest;

/// The most bytes of one that undrift compares; longer ones are skipped.
const LONGEST: usize = 1 << 20;

/// The folder for secrets whose target is not an absolute path; no image has files there.
const SECRETS: &str = "/run/secrets/";

/// A config or secret that Compose copies: an inline one, or one from the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredContent {
    /// A readable name: `config nginx`.
    pub name: String,
    /// Its path in the container.
    pub target: String,
    /// The length of its content, in bytes.
    pub size: usize,
    /// The digest of its content, salted with `name`.
    pub digest: String,
}

/// An entry of the top-level `configs:` or `secrets:`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawObject {
    content: Option<String>,
    environment: Option<String>,
    file: Option<PathBuf>,
}

/// A service's reference to one.
#[derive(Deserialize)]
pub(super) struct RawReference {
    source: String,
    #[serde(default)]
    target: Option<String>,
}

/// All of a project's, with the environment that their values may come from.
pub(super) struct Copied<'a> {
    pub(super) configs: BTreeMap<String, RawObject>,
    pub(super) secrets: BTreeMap<String, RawObject>,
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Copied<'_> {
    /// The ones that Compose copies into a service's containers; files are mounted and left out.
    pub(super) fn of_service(
        &self,
        configs: &[RawReference],
        secrets: &[RawReference],
    ) -> Vec<DeclaredContent> {
        let configs = configs.iter().filter_map(|reference| {
            let target = reference.target.clone().unwrap_or_else(|| format!("/{}", reference.source));
            self.content("config", &self.configs, &reference.source, target)
        });
        let secrets = secrets.iter().filter_map(|reference| {
            let target = reference.target.as_ref().unwrap_or(&reference.source);
            let target = if target.starts_with('/') { target.clone() } else { format!("{SECRETS}{target}") };
            self.content("secret", &self.secrets, &reference.source, target)
        });
        configs.chain(secrets).collect()
    }

    /// The files of this host that Compose mounts for these.
    pub(super) fn mounted(
        &self,
        configs: &[RawReference],
        secrets: &[RawReference],
    ) -> impl Iterator<Item = PathBuf> {
        let of = |all: &BTreeMap<String, RawObject>, named: &[RawReference]| -> Vec<PathBuf> {
            let objects = named.iter().filter_map(|reference| all.get(&reference.source));
            objects.filter_map(|object| object.file.clone()).collect()
        };
        of(&self.configs, configs).into_iter().chain(of(&self.secrets, secrets))
    }

    /// Compose may not copy an empty one: a file at the path of a secret then dates from when it was not empty. A config's
    /// target may be a file of the image. Compose doubles the dollar signs of what `config` prints.
    fn content(
        &self,
        kind: &str,
        all: &BTreeMap<String, RawObject>,
        source: &str,
        target: String,
    ) -> Option<DeclaredContent> {
        let object = all.get(source)?;
        let content = match (&object.content, &object.environment) {
            (Some(content), _) if !content.is_empty() => content.replace("$$", "$"),
            (_, Some(name)) => (self.variable)(name)?,
            _ => return None,
        };
        let size = content.len();
        let name = format!("{kind} {source}");
        let digest = secret_digest(&name, content.as_bytes());
        let is_judged = size > 0 || target.starts_with(SECRETS);
        (is_judged && size <= LONGEST).then_some(DeclaredContent { name, target, size, digest })
    }
}
