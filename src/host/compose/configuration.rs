//! A project as Compose resolves it, with its values, and as the files have it: to show which keys of a container differ, and
//! which variables a value consists of. It holds any secrets that the files name, and is never stored.

use serde_json::Value;

use super::{Resolved, argv, question::Questions, resolve, scan};
use crate::{
    api::{Desired, StepOutcome},
    files::{self, LARGEST_TEXT},
    host::{endpoint::Endpoint, process::Environment},
};

/// A project with its values. No `Debug`.
pub(in crate::host) struct Configuration<'a> {
    desired: &'a Desired,
    env: Environment,
    /// As `docker compose config --format json` prints it.
    pub(in crate::host) project: Value,
    /// The same with variables as they stand in the files; null if Compose does not print it.
    raw: Value,
}

impl<'a> Configuration<'a> {
    /// Asks Compose.
    ///
    /// # Errors
    /// Why it is not known.
    pub(in crate::host) async fn ask(
        desired: &'a Desired,
        endpoint: &Endpoint,
        resolved: &Resolved,
    ) -> Result<Self, String> {
        let env = Environment::of_this_process().for_project(endpoint, desired);
        let (values, as_written) = (argv::config_json(desired), argv::config_as_written(desired));
        let questions = Questions { desired, endpoint, env: &env, name_engine: resolved.names_engine };
        let (values, as_written) = tokio::join!(ask(questions, &values), ask(questions, &as_written));
        // Some files cannot be read without their variables: a port may be one.
        Ok(Self { desired, env, project: values?, raw: as_written.unwrap_or_default() })
    }

    /// The variables in the value of this key that no file sets, so that the environment decides: those that are set there, and
    /// those that are set nowhere.
    pub(in crate::host) fn variables_of(&self, service: &str, key: &str) -> Vec<String> {
        let raw = &self.raw["services"][service];
        let (part, name) = key.split_once('.').unwrap_or((key, ""));
        let value = &raw[part];
        let names = match (part, &value[name]) {
            // `environment: [NAME]` passes the variable through.
            ("environment", Value::Null) if value.get(name).is_some() => vec![name.to_owned()],
            ("environment", Value::Null) => self.of_env_files(raw, name),
            ("environment" | "labels", entry) => used(name, entry),
            _ => used(part, value),
        };
        let mut names: Vec<String> =
            names.into_iter().filter(|name| self.environment_decides(name)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The value that the last of the service's env files with this variable gives it.
    fn of_env_files(&self, raw: &Value, variable: &str) -> Vec<String> {
        let files = raw["env_file"].as_array().into_iter().flatten();
        let paths = files.filter_map(|file| file["path"].as_str().or_else(|| file.as_str()));
        let found = paths.collect::<Vec<_>>().into_iter().rev().find_map(|path| {
            let text = files::read_to_string(&self.desired.directory.join(path), LARGEST_TEXT).ok()?;
            let file = scan::env_file(&text)?;
            match file.assigned.get(variable) {
                Some(value) => Some(used(variable, &Value::from(value.as_str()))),
                None => file.variables.named.contains(variable).then(|| vec![variable.to_owned()]),
            }
        });
        found.unwrap_or_default()
    }

    /// Whether the configuration or the image of a service may depend on this variable. Where that cannot be told, it may: a file
    /// of variables may pass it on by another name, and a build may begin with the image of another service.
    pub(in crate::host) fn may_use(&self, service: &str, variable: &str) -> bool {
        let services = &self.raw["services"];
        let is_used_by = |value: &Value| used("", value).iter().any(|name| name == variable);
        let (Some(of_service), Some(project)) = (services.get(service), self.raw.as_object()) else {
            return true;
        };
        // What an extension holds is used where a service takes it over.
        let beside_services = project.iter().filter(|(key, _)| *key != "services" && !key.starts_with("x-"));
        let passes_through = |value: &Value| names_without_value(value, variable);
        let uses = |value: &Value| {
            is_used_by(value)
                || passes_through(&value["environment"])
                || passes_through(&value["build"]["args"])
        };
        let is_built_of_it = || {
            let builds =
                services.as_object().into_iter().flat_map(|all| all.values()).map(|one| &one["build"]);
            let mut builds = builds.filter(|build| is_used_by(build) || passes_through(&build["args"]));
            of_service.get("build").is_some() && builds.next().is_some()
        };
        uses(of_service)
            || beside_services.map(|(_, value)| value).any(is_used_by)
            || is_built_of_it()
            || self.variable_files(of_service).any(|path| self.mentions(&path, variable))
    }

    /// The files from which variables come: the project's own, and those of this service.
    fn variable_files(&self, service: &Value) -> impl Iterator<Item = String> {
        let own = &self.desired.object.spec.project.env_files;
        let own = if own.is_empty() { vec![".env".to_owned()] } else { own.clone() };
        let files = service["env_file"].as_array().cloned().unwrap_or_default();
        let path = |file: Value| file["path"].as_str().or_else(|| file.as_str()).map(str::to_owned);
        own.into_iter().chain(files.into_iter().filter_map(path))
    }

    /// Whether a file holds the name, or cannot be read for another reason than that it does not exist.
    fn mentions(&self, path: &str, variable: &str) -> bool {
        match files::read_to_string(&self.desired.directory.join(path), LARGEST_TEXT) {
            Ok(text) => text.contains(variable),
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        }
    }

    fn environment_decides(&self, name: &str) -> bool {
        self.env.get(name).is_some() || resolve::project_variable(self.desired, &self.env, name).is_none()
    }
}

/// The variables in all texts of a value of this name. A dollar sign in a password starts no variable.
fn used(name: &str, value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => {
            let line = format!("{name}={text}");
            let named = scan::uses(&line).into_iter().filter(|found| found.is_named);
            named.map(|found| found.name.to_owned()).collect()
        }
        Value::Array(list) => list.iter().flat_map(|value| used(name, value)).collect(),
        Value::Object(map) => map.iter().flat_map(|(name, value)| used(name, value)).collect(),
        _ => Vec::new(),
    }
}

/// Whether a map or a list of variables names this one without a value, which passes it through.
fn names_without_value(variables: &Value, name: &str) -> bool {
    match variables {
        Value::Object(map) => map.get(name).is_some_and(Value::is_null),
        Value::Array(list) => list.iter().any(|entry| entry == name),
        _ => false,
    }
}

/// The fault in a JSON text, and its position: the error itself quotes the value.
pub(super) fn json_fault(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Io => "it cannot be read",
        serde_json::error::Category::Syntax => "it is no JSON",
        serde_json::error::Category::Data => "a value is not of the type that is known",
        serde_json::error::Category::Eof => "it ends too early",
    };
    format!("{what}, in line {}, column {}", error.line(), error.column())
}

/// All of a project with its values, as Compose resolves it now.
///
/// # Errors
/// Why it is not known.
pub(in crate::host) async fn values(
    desired: &Desired,
    endpoint: &Endpoint,
    resolved: &Resolved,
) -> Result<Value, String> {
    let env = Environment::of_this_process().for_project(endpoint, desired);
    ask(
        Questions { desired, endpoint, env: &env, name_engine: resolved.names_engine },
        &argv::config_json(desired),
    )
    .await
}

async fn ask(questions: Questions<'_>, argv: &[String]) -> Result<Value, String> {
    let finished = questions
        .ask(argv, resolve::QUERY_TIMEOUT)
        .await
        .map_err(|error| format!("`docker compose config` could not start: {error}"))?;
    if finished.outcome != StepOutcome::Succeeded {
        return Err("`docker compose config` failed".to_owned());
    }
    serde_json::from_slice(&finished.stdout)
        .map_err(|error| format!("Compose's JSON is not understood: {}", json_fault(&error)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::{super::test_support, *};

    #[test]
    fn names_the_variables_that_the_environment_decides() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".env"), "TAG=1\n").unwrap();
        fs::write(folder.path().join("svc.env"), "FROM_FILE=${INNER}\nPLAIN=1\nBARE\n").unwrap();
        let desired = test_support::desired(folder.path().to_str().unwrap(), &["api"]);
        let raw = json!({"services": {"api": {
            "image": "x:${TAG}-${FLAVOUR:-small}", "command": ["serve", "--port=$PORT"],
            "environment": {"URL": "db://${DB_USER}:${DB_PASSWORD:-dev}@db", "THROUGH": null, "FIXED": "a$$b"},
            "env_file": [{"path": folder.path().join("svc.env"), "required": true}],
        }}});
        let env = Environment::default().with("DB_PASSWORD", "hunter2").with("INNER", "x");
        let configuration = Configuration { desired: &desired, env, project: Value::Null, raw };
        let of = |key: &str| configuration.variables_of("api", key).join(" ");
        assert_eq!(of("environment.URL"), "DB_PASSWORD DB_USER", "set in the environment, and nowhere");
        assert_eq!(of("image"), "FLAVOUR", "a file sets the other one");
        assert_eq!((of("command").as_str(), of("environment.THROUGH").as_str()), ("PORT", "THROUGH"));
        assert_eq!(
            (of("environment.FROM_FILE").as_str(), of("environment.BARE").as_str()),
            ("INNER", "BARE")
        );
        for key in ["environment.FIXED", "environment.PLAIN", "environment.GONE", "ports"] {
            assert_eq!(of(key), "", "{key}");
        }
    }

    #[test]
    fn tells_which_services_may_depend_on_a_variable() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("passes.env"), "TAG=${SHA}\n").unwrap();
        fs::write(folder.path().join("plain.env"), "TAG=1\n").unwrap();
        let desired = test_support::desired(folder.path().to_str().unwrap(), &["api"]);
        let services = json!({
            "built": {"build": {"context": ".", "args": {"SHA": "${SHA:-none}"}}},
            "passed": {"image": "x", "environment": {"SHA": null}},
            "other": {"build": {"context": "other"}},
            "image": {"image": "x:$SHA"},
            "file": {"image": "x", "env_file": [{"path": "passes.env"}]},
            "apart": {"image": "x", "environment": {"SHADE": "${SHAPE}"}, "env_file": [{"path": "plain.env"}]},
        });
        let of = |raw: Value, service: &str| {
            let env = Environment::default();
            Configuration { desired: &desired, env, project: Value::Null, raw }.may_use(service, "SHA")
        };
        for service in ["built", "passed", "other", "image", "file", "apart"] {
            let may = of(json!({ "services": services }), service);
            assert_eq!(may, service != "apart", "{service}");
        }
        assert!(of(Value::Null, "apart"), "Compose did not print the files as they are written");
        let of_all = json!({ "services": services, "configs": {"one": {"content": "${SHA}"}} });
        assert!(of(of_all, "apart"), "a config of the project may be this service's");
        fs::write(folder.path().join(".env"), "NAME=${SHA}\n").unwrap();
        assert!(of(json!({ "services": services }), "apart"), "another name of it");
    }
}
