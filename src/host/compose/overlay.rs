//! An extra Compose file for a single question: a service as it would be with some more variables.

use std::{fs, path::Path};

use super::inputs::ComposeInputs;
use crate::{api::Desired, host::process::Environment};

/// The name of the file in its folder.
const FILE: &str = "overlay.yaml";

/// The prefix of the variables that pass the values on.
const HANDED: &str = "UNDRIFT_PROVIDED_";

/// The object with an extra file, written into this folder, that gives the service these variables. Their values exist only in
/// the child's environment, under names of undrift's own: under their own names they would change how the other files resolve.
///
/// # Errors
/// If the project's own files are not known (they must be named beside the extra one), or the file cannot be written.
pub(super) fn lay_over(
    desired: &Desired,
    env: Environment,
    folder: &Path,
    service: &str,
    given: &[(&str, &str)],
) -> Result<(Desired, Environment), String> {
    let own = ComposeInputs::main_files(desired, &env).ok_or("it is not known which files Compose reads")?;
    let names = given.iter().enumerate().map(|(index, (name, _))| {
        ((*name).to_owned(), serde_json::Value::from(format!("${{{HANDED}{index}}}")))
    });
    let environment: serde_json::Map<_, _> = names.collect();
    let text = serde_json::json!({ "services": { service: { "environment": environment } } });
    let path = folder.join(FILE);
    fs::write(&path, text.to_string())
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    let mut with = desired.clone();
    let files = own.iter().chain([&path]).map(|file| file.to_str().map(str::to_owned));
    with.object.spec.project.files = files.collect::<Option<_>>().ok_or("a path is no UTF-8")?;
    let handed = given.iter().enumerate();
    let env = handed.fold(env, |env, (index, (_, value))| env.with(format!("{HANDED}{index}"), *value));
    Ok((with, env))
}

#[cfg(test)]
mod tests {
    use super::{super::test_support, *};

    #[test]
    fn names_all_files_in_order_and_hands_values_over_in_the_environment_only() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().to_str().unwrap();
        for name in ["compose.yaml", "compose.override.yaml"] {
            fs::write(home.path().join(name), "services: {}\n").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let desired = test_support::desired(directory, &["api"]);
        let given = [("DB_URL", "hunter2"), ("DB_X", "$y")];
        let (with, env) = lay_over(&desired, Environment::default(), folder.path(), "api", &given).unwrap();
        let path = folder.path().join(FILE);
        let files = ["compose.yaml", "compose.override.yaml"].map(|name| format!("{directory}/{name}"));
        assert_eq!(
            with.object.spec.project.files,
            [&files[..], &[path.to_str().unwrap().to_owned()]].concat()
        );
        assert_eq!(
            fs::read_to_string(path).unwrap(),
            r#"{"services":{"api":{"environment":{"DB_URL":"${UNDRIFT_PROVIDED_0}","DB_X":"${UNDRIFT_PROVIDED_1}"}}}}"#
        );
        assert_eq!(env.get("UNDRIFT_PROVIDED_0"), Some("hunter2".as_ref()));
        let nowhere = test_support::desired("/nonexistent", &["api"]);
        assert!(lay_over(&nowhere, Environment::default(), folder.path(), "api", &given).is_err());
    }
}
