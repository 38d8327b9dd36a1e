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
    pub(super) desired: &'a Desired,
    pub(super) env: Environment,
    /// As `docker compose config --format json` prints it.
    pub(in crate::host) project: Value,
    /// The same with variables as they stand in the files; null if Compose does not print it.
    pub(super) raw: Value,
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
}
