//! What a Compose file or an env file refers to: other files, and environment variables.
//!
//! Not an interpreter of Compose: every variable that could matter counts, wherever it stands.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A file that a Compose file refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reference {
    /// `include:` and `extends: file:`.
    Compose,
    /// `env_file:` and `label_file:`.
    EnvFile,
}

/// What a Compose file refers to; paths as they stand there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ComposeReferences {
    pub(super) variables: BTreeSet<String>,
    pub(super) references: BTreeSet<(Reference, String)>,
    /// The `project_directory` of includes: more folders that relative paths may start at.
    pub(super) directories: BTreeSet<String>,
    /// Whether a service of it may belong to a profile.
    pub(super) profiles: bool,
}

/// What an env file refers to and assigns.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct EnvReferences {
    pub(super) variables: BTreeSet<String>,
    /// Plain assignments by name.
    pub(super) assigned: BTreeMap<String, String>,
}

/// Reads a Compose file; `None` where it is not understood.
pub(super) fn compose_file(text: &str) -> Option<ComposeReferences> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).ok()?;
    let mut found = ComposeReferences { variables: used_variables(text), ..ComposeReferences::default() };
    for document in &documents {
        walk(document, &mut found)?;
    }
    Some(found)
}

fn walk(value: &Value, found: &mut ComposeReferences) -> Option<()> {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("env_file" | "label_file", _) => paths(value, Reference::EnvFile, found)?,
                    ("profiles", _) => found.profiles = true,
                    ("include", _) => paths(value, Reference::Compose, found)?,
                    ("extends", Value::Object(extends)) => {
                        if let Some(file) = extends.get("file") {
                            paths(file, Reference::Compose, found)?;
                        }
                    }
                    // `environment: { NAME: }` passes the variable through.
                    (name, Value::Null) => found.name(name),
                    _ => {}
                }
                walk(value, found)?;
            }
            Some(())
        }
        Value::Array(list) => list.iter().try_for_each(|value| walk(value, found)),
        // `environment: [NAME]`, `secrets: { x: { environment: NAME } }`: any lone word may be a variable.
        Value::String(text) => {
            found.name(text);
            Some(())
        }
        _ => Some(()),
    }
}

/// A path, a list of them, or mappings with `path`, `env_file` and `project_directory`.
fn paths(value: &Value, kind: Reference, found: &mut ComposeReferences) -> Option<()> {
    match value {
        Value::Null => Some(()),
        Value::String(path) => {
            found.references.insert((kind, path.clone()));
            Some(())
        }
        Value::Array(list) => list.iter().try_for_each(|value| paths(value, kind, found)),
        Value::Object(map) => {
            if let Some(directory) = map.get("project_directory") {
                found.directories.insert(directory.as_str()?.to_owned());
            }
            // An include's own `env_file` is found by the walk.
            map.get("path").map_or(Some(()), |path| paths(path, kind, found))
        }
        _ => None,
    }
}

impl ComposeReferences {
    fn name(&mut self, text: &str) {
        if is_name(text) {
            self.variables.insert(text.to_owned());
        }
    }
}

/// Reads an env file; `None` where an assignment that steers Compose itself is not plain.
pub(super) fn env_file(text: &str) -> Option<EnvReferences> {
    let mut found = EnvReferences { variables: used_variables(text), ..EnvReferences::default() };
    for line in text.lines() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        // Compose takes `NAME: value` too.
        let (name, value) =
            line.split_once(['=', ':']).map_or((line, None), |(n, v)| (n.trim_end(), Some(v)));
        if !is_name(name) {
            continue;
        }
        match value.map(str::trim) {
            // A name alone is passed through.
            None => {
                found.variables.insert(name.to_owned());
            }
            Some(value) => {
                let is_plain = !value.contains(['$', '"', '\'', '#', '\\']);
                if !is_plain && name.starts_with("COMPOSE_") {
                    return None;
                }
                found.assigned.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    Some(found)
}

/// The names after each `$` and `${`, also inside the default of another one. `$$` is a dollar sign.
pub(super) fn used_variables(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !is_name_char(c)).unwrap_or(rest.len());
        if is_name(&rest[..end]) {
            names.insert(rest[..end].to_owned());
        }
    }
    names
}

const fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_name(text: &str) -> bool {
    text.len() <= 256
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(is_name_char)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
        names.map(str::to_owned).into()
    }

    #[test]
    fn finds_variables_wherever_compose_would_use_them() {
        let names = used_variables("$A ${B} ${C:-${D}} ${E?x} $$NOT $${NOT} $1 ${F-$G}z $");
        assert_eq!(names, set(["A", "B", "C", "D", "E", "F", "G"]));
    }

    #[test]
    fn finds_what_a_compose_file_refers_to() {
        let found = compose_file(
            "include: [a.yaml, {path: [b.yaml, c.yaml], project_directory: sub, env_file: inc.env}]\n\
             x-common: &common {env_file: common.env}\n\
             services:\n  api:\n    <<: *common\n    image: x:$TAG\n    environment: {PASS: , OWN: '1'}\n  \
             web:\n    extends: {file: base.yaml, service: web}\n    environment: [THROUGH, A=1]\n    \
             env_file: [one.env, {path: two.env, required: false}]\n  own: {extends: web}\n",
        )
        .unwrap();
        let of = |kind| -> Vec<&str> {
            found.references.iter().filter(|(k, _)| *k == kind).map(|(_, path)| path.as_str()).collect()
        };
        assert_eq!(of(Reference::Compose), ["a.yaml", "b.yaml", "base.yaml", "c.yaml"]);
        assert_eq!(of(Reference::EnvFile), ["common.env", "inc.env", "one.env", "two.env"]);
        assert_eq!(found.directories, set(["sub"]));
        assert!(!found.profiles);
        assert!(compose_file("services: {a: {image: x, profiles: [debug]}}").unwrap().profiles);
        for name in ["PASS", "THROUGH", "TAG"] {
            assert!(found.variables.contains(name), "{name}: {:?}", found.variables);
        }
    }

    #[test]
    fn gives_up_on_what_is_no_yaml() {
        assert_eq!(compose_file("services: {a: [}"), None);
    }

    #[test]
    fn reads_env_files() {
        let found = env_file("# c\nA=1\nexport B = two\nPASS\nC=$X\nCOMPOSE_FILE=a.yaml:b.yaml\n").unwrap();
        assert_eq!(found.variables, set(["PASS", "X"]));
        assert_eq!(found.assigned["B"], "two");
        assert_eq!(found.assigned["COMPOSE_FILE"], "a.yaml:b.yaml");
        assert_eq!(env_file("COMPOSE_FILE='a.yaml'"), None);
        assert!(env_file("OTHER='a.yaml'").is_some());
    }
}
