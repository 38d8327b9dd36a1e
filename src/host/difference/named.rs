//! Environment and labels: each entry has a name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Compared, texts};

/// The labels that Compose itself puts on containers.
const OWN_LABELS: &str = "com.docker.compose.";

/// The variable that the engine sets if nothing else does.
const ENGINES_OWN: &str = "PATH";

pub(super) fn environment(compared: Compared<'_>) -> Vec<String> {
    let declared = entries(&compared.declared()["environment"]);
    let (found, of_image) = (assignments(&compared.config()["Env"]), assignments(&compared.image["Env"]));
    let differing =
        differing(&declared, &found, &of_image, |name| name == ENGINES_OWN || compared.image.is_null());
    differing.into_iter().map(|name| format!("environment.{name}")).collect()
}

pub(super) fn labels(compared: Compared<'_>) -> Vec<String> {
    let declared = entries(&compared.declared()["labels"]);
    let (found, of_image) = (entries(&compared.config()["Labels"]), entries(&compared.image["Labels"]));
    let differing = differing(&declared, &found, &of_image, |name| {
        name.starts_with(OWN_LABELS) || compared.image.is_null()
    });
    differing.into_iter().map(|name| format!("labels.{name}")).collect()
}

/// The names whose values differ: declared with another value, or present and from no source. `is_known` decides whether a name
/// may be present without being declared.
fn differing(
    declared: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
    of_image: &BTreeMap<String, String>,
    is_known: impl Fn(&str) -> bool,
) -> BTreeSet<String> {
    let changed =
        declared.iter().filter(|(name, value)| found.get(*name) != Some(value)).map(|(name, _)| name);
    let gone = found.iter().filter(|(name, value)| {
        !declared.contains_key(*name) && of_image.get(*name) != Some(value) && !is_known(name)
    });
    changed.chain(gone.map(|(name, _)| name)).cloned().collect()
}

/// `{name: value}`; null is no entry: a variable that is passed through and not set.
fn entries(value: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    value
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
        .collect()
}

/// `["NAME=value"]`.
fn assignments(value: &Value) -> BTreeMap<String, String> {
    let pairs = texts(value).into_iter().filter_map(|entry| entry.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
