//! The keys in which a container differs from the service as Compose resolves it now.
//!
//! Compose reports *that* it would recreate a container, and never why. undrift compares the engine's view of the container
//! with the model, key by key. A container does not show everything that a service declares (`depends_on`, `profiles`, settings
//! that an image has anyway): the differences found are right, but may be incomplete.
//!
//! | file | contents |
//! | --- | --- |
//! | `named` | environment and labels, whose entries have names |
//! | `plain` | keys that are one value of the container |
//! | `placed` | ports, mounts and networks |

mod named;
mod placed;
mod plain;

use std::collections::BTreeSet;

use serde_json::Value;

/// The inputs of a comparison: all as JSON, because each is as its own program writes it.
#[derive(Clone, Copy)]
pub(super) struct Compared<'a> {
    /// The whole project, as `docker compose config --format json` prints it.
    pub(super) project: &'a Value,
    /// The service's name.
    pub(super) service: &'a str,
    /// The container as the engine inspects it.
    pub(super) container: &'a Value,
    /// The configuration of the container's image; null if it is not known.
    pub(super) image: &'a Value,
}

/// The keys in which the container differs, as far as it shows them.
pub(super) fn keys(project: &Value, service: &str, container: &Value, image: &Value) -> BTreeSet<String> {
    let project = single_dollars(project);
    let compared = Compared { project: &project, service, container, image };
    if compared.declared().is_null() {
        return BTreeSet::new();
    }
    let mut keys = BTreeSet::new();
    for compare in
        [named::environment, named::labels, plain::keys, placed::ports, placed::mounts, placed::networks]
    {
        keys.extend(compare(compared));
    }
    keys
}

impl Compared<'_> {
    fn declared(&self) -> &Value {
        &self.project["services"][self.service]
    }

    fn config(&self) -> &Value {
        &self.container["Config"]
    }

    fn host(&self) -> &Value {
        &self.container["HostConfig"]
    }
}

/// Compose doubles the dollar signs of what `config` prints.
fn single_dollars(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("$$", "$")),
        Value::Array(list) => Value::Array(list.iter().map(single_dollars).collect()),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), single_dollars(value))).collect())
        }
        other => other.clone(),
    }
}

/// A list of texts; empty if there is none.
fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests;
