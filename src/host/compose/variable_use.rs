//! The services whose configuration or image may depend on one variable of the Compose files.

use std::{collections::BTreeSet, io};

use serde_json::Value;

use super::{configuration::Configuration, inputs::ComposeInputs, made_of::Builds, scan};
use crate::files::{self, LARGEST_TEXT};

/// Keys of a project that hold named things, each of which a service uses by its name.
const NAMED: [&str; 4] = ["configs", "secrets", "networks", "volumes"];

/// Which services may depend on one variable. Where that cannot be decided, a service counts as dependent.
pub(in crate::host) struct VariableUse<'c> {
    configuration: &'c Configuration<'c>,
    builds: &'c Builds,
    /// The variable, and those whose values a file derives from it. `None` if undrift cannot follow all files.
    names: Option<BTreeSet<String>>,
}

impl<'c> VariableUse<'c> {
    pub(in crate::host) fn of(
        configuration: &'c Configuration<'c>,
        builds: &'c Builds,
        variable: &str,
    ) -> Self {
        Self { configuration, builds, names: derived_from(configuration, variable) }
    }

    /// Whether this service may depend on it.
    pub(in crate::host) fn is_by(&self, service: &str) -> bool {
        let raw = &self.configuration.raw;
        let (Some(of_service), Some(project), Some(names)) =
            (raw["services"].get(service), raw.as_object(), &self.names)
        else {
            return true;
        };
        let names = Names(names);
        // What an extension holds is used where a service takes it over.
        let mut beside = project.iter().filter(|(key, _)| *key != "services" && !key.starts_with("x-"));
        names.are_in_service(of_service)
            || self.builds.bases(service).into_iter().any(|base| self.is_in_build_of(base, names))
            || beside.any(|(key, value)| names.are_in_section(key, value, of_service))
            || env_files(of_service).any(|path| self.is_in_env_file(path, names))
    }

    /// A base of a disabled profile is not printed.
    fn is_in_build_of(&self, service: &str, names: Names<'_>) -> bool {
        let raw = &self.configuration.raw["services"];
        raw.get(service).is_none_or(|raw| names.are_in_build(&raw["build"]))
    }

    /// Whether an env file of a service passes one of them on, or cannot be read although it exists.
    fn is_in_env_file(&self, path: &str, names: Names<'_>) -> bool {
        if path.contains('$') {
            return true;
        }
        let text = match files::read_to_string(&self.configuration.desired.directory.join(path), LARGEST_TEXT)
        {
            Ok(text) => text,
            Err(error) => return error.kind() != io::ErrorKind::NotFound,
        };
        scan::env_file(&text).is_none_or(|file| {
            let variables = &file.variables;
            variables.named.union(&variables.words).any(|name| names.0.contains(name))
        })
    }
}

/// The variable, and all variables whose values a file of the project derives from it: `TAG=${SHA}` in an env file passes `SHA` on
/// as `TAG`. Compose files are read by the same rule, which finds too much rather than too little.
fn derived_from(configuration: &Configuration<'_>, variable: &str) -> Option<BTreeSet<String>> {
    let inputs = ComposeInputs::find(configuration.desired, &configuration.env).ok().flatten()?;
    let mut texts = Vec::new();
    for path in inputs.files() {
        match files::read_to_string(path, LARGEST_TEXT) {
            Ok(text) => texts.push(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return None,
        }
    }
    let mut open: Vec<_> = texts.iter().flat_map(|text| scan::entries(text)).collect();
    let mut names = BTreeSet::from([variable.to_owned()]);
    loop {
        let (found, left): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|entry| Names(&names).are_in_text(&entry.value));
        if found.is_empty() {
            return Some(names);
        }
        names.extend(found.into_iter().map(|entry| entry.name.to_owned()));
        open = left;
    }
}

/// The paths in a service's `env_file` and `label_file`.
fn env_files(service: &Value) -> impl Iterator<Item = &str> {
    let lists = ["env_file", "label_file"].map(|key| &service[key]);
    lists.into_iter().flat_map(|list| {
        let files = list.as_array().map_or_else(|| std::slice::from_ref(list), Vec::as_slice);
        files.iter().filter_map(|file| file["path"].as_str().or_else(|| file.as_str()))
    })
}

/// Names of variables, looked for in the Compose files as they are written.
#[derive(Clone, Copy)]
struct Names<'n>(&'n BTreeSet<String>);

impl Names<'_> {
    fn are_in_text(self, text: &str) -> bool {
        scan::uses(text).into_iter().any(|found| self.0.contains(found.name))
    }

    fn are_in(self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.are_in_text(text),
            Value::Array(list) => list.iter().any(|value| self.are_in(value)),
            Value::Object(map) => map.values().any(|value| self.are_in(value)),
            _ => false,
        }
    }

    fn are_in_service(self, service: &Value) -> bool {
        self.are_in(service)
            || self.pass_through(&service["environment"])
            || self.pass_through(&service["build"]["args"])
    }

    fn are_in_build(self, build: &Value) -> bool {
        self.are_in(build) || self.pass_through(&build["args"])
    }

    /// Whether a map or a list of variables names one of them without a value, which passes it through.
    fn pass_through(self, variables: &Value) -> bool {
        match variables {
            Value::Object(map) => {
                map.iter().any(|(name, value)| value.is_null() && self.0.contains(name.as_str()))
            }
            Value::Array(list) => list.iter().filter_map(Value::as_str).any(|name| self.0.contains(name)),
            _ => false,
        }
    }

    /// Whether a part of the project beside its services has one of them, and this service may use that part.
    fn are_in_section(self, key: &str, section: &Value, service: &Value) -> bool {
        if !NAMED.contains(&key) {
            return self.are_in(section);
        }
        // `environment: NAME` of a secret or a config takes the variable's value.
        let is_taken =
            |entry: &Value| entry["environment"].as_str().is_some_and(|name| self.0.contains(name));
        let entries = section.as_object().into_iter().flatten();
        entries
            .filter(|(_, entry)| self.are_in(entry) || is_taken(entry))
            .any(|(name, _)| is_named(service, name))
    }
}

/// Whether a name stands anywhere in a service: as a key (`networks: {NAME: null}`), a text, or a text's part before a colon
/// (`volumes: ["NAME:/path"]`).
fn is_named(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => text.split(':').next() == Some(name),
        Value::Array(list) => list.iter().any(|value| is_named(value, name)),
        Value::Object(map) => map.iter().any(|(key, value)| key == name || is_named(value, name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::{
        super::{made_of::builds_of, test_support},
        *,
    };
    use crate::host::process::Environment;

    /// Which of these services may depend on `SHA`, in a project with these files.
    fn dependent(files: &[(&str, &str)], raw: &Value, services: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        if !files.iter().any(|(name, _)| *name == "compose.yaml") {
            fs::write(folder.path().join("compose.yaml"), "services: {}\n").unwrap();
        }
        let desired = test_support::desired(folder.path().to_str().unwrap(), &["api"]);
        let env = Environment::default().with("PATH", "/usr/bin").with("HOME", "/root");
        let configuration = Configuration { desired: &desired, env, project: Value::Null, raw: raw.clone() };
        let builds = builds_of(raw.get("services").unwrap_or(&json!({})));
        let found = VariableUse::of(&configuration, &builds, "SHA");
        services.iter().filter(|service| found.is_by(service)).map(|service| (*service).to_owned()).collect()
    }

    #[test]
    fn a_service_depends_on_what_it_names_and_on_its_bases() {
        let raw = json!({"services": {
            "built": {"build": {"context": "/x", "args": {"SHA": "${SHA:-none}"}}},
            "argument": {"build": {"context": "/x", "args": ["SHA", "A=1"]}},
            "passed": {"image": "x", "environment": {"SHA": null}},
            "apart": {"image": "x", "environment": {"SHADE": "${SHAPE}"}, "env_file": [{"path": "plain.env"}]},
            "file": {"image": "x", "env_file": [{"path": "passes.env"}]},
            "bare": {"image": "x", "env_file": "bare.env"},
            "dynamic": {"image": "x", "env_file": [{"path": "${STAGE}.env"}]},
            "image": {"image": "x:$SHA"},
            "other": {"build": {"context": "/y", "dockerfile_inline": "FROM scratch\n"}},
            "based": {"build": {"context": "/y", "dockerfile_inline": "FROM shop-built\n"}},
        }});
        let files = [
            ("passes.env", "TAG=${SHA}\n"),
            ("plain.env", "TAG=1\nMY_SHA=2\nSHA=3\n"),
            ("bare.env", "SHA\n"),
            // A part of a longer name, and one of a value.
            (".env", "NODE_SHA=20\nSHA_LENGTH=7\nNAME=SHA\n"),
        ];
        let all = [
            "argument", "apart", "bare", "based", "built", "dynamic", "file", "image", "other", "passed",
            "gone",
        ];
        let expected = ["argument", "bare", "based", "built", "dynamic", "file", "image", "passed", "gone"];
        assert_eq!(dependent(&files, &raw, &all), expected);
        assert_eq!(dependent(&[], &Value::Null, &["apart"]), ["apart"], "Compose did not print the files");
    }

    #[test]
    fn an_env_file_passes_a_variable_on_by_another_name() {
        let raw = json!({"services": {
            "tagged": {"image": "x:${TAG}"}, "far": {"image": "x:${RELEASE}"}, "apart": {"image": "x:${OTHER}"},
        }});
        let files = [(".env", "RELEASE=\"r-${TAG}\"\nTAG=${SHA}\nOTHER=1\n")];
        assert_eq!(dependent(&files, &raw, &["tagged", "far", "apart"]), ["tagged", "far"]);
        // Compose reads another env file for an include, whose variables the main file does not show.
        let include = "include: [{path: inc.yaml, env_file: inc.env}]\nservices: {}\n";
        let files = [("compose.yaml", include), ("inc.yaml", "services: {}\n"), ("inc.env", "TAG=${SHA}\n")];
        assert_eq!(dependent(&files, &raw, &["tagged", "far", "apart"]), ["tagged"]);
        // Which files Compose reads cannot be followed.
        let files = [(".env", "COMPOSE_ENV_FILES=a,b\n")];
        assert_eq!(dependent(&files, &raw, &["tagged", "apart"]), ["tagged", "apart"]);
    }

    #[test]
    fn a_part_beside_the_services_counts_for_those_that_use_it() {
        let raw = json!({
            "services": {
                "config": {"image": "x", "configs": [{"source": "cfg"}]},
                "secret": {"image": "x", "secrets": ["token"]},
                "network": {"image": "x", "networks": {"back": null}},
                "volume": {"image": "x", "volumes": ["data:/d"]},
                "apart": {"image": "x", "networks": {"default": null}, "volumes": ["./x:/data"]},
            },
            "configs": {"cfg": {"content": "${SHA}"}, "unused": {"content": "${SHA}"}},
            "secrets": {"token": {"environment": "SHA"}},
            "networks": {"back": {"name": "n-${SHA}"}, "default": {"name": "d"}},
            "volumes": {"data": {"name": "v-$SHA"}},
            "x-all": {"image": "${SHA}"},
        });
        let all = ["apart", "config", "network", "secret", "volume"];
        assert_eq!(dependent(&[], &raw, &all), all[1..]);
        let named = json!({"name": "p-${SHA}", "services": {"apart": {"image": "x"}}});
        assert_eq!(
            dependent(&[], &named, &["apart"]),
            ["apart"],
            "the project's name is part of every service"
        );
    }
}
