//! An extra Compose file for a single question or build: a service with some more variables, or with another image.

use std::{collections::BTreeMap, fs, path::Path};

use super::inputs::ComposeInputs;
use crate::{api::Desired, host::process::Environment};

/// The name of the file in its folder.
pub(in crate::host) const FILE: &str = "overlay.yaml";

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
    let names = given.iter().enumerate().map(|(index, (name, _))| {
        ((*name).to_owned(), serde_json::Value::from(format!("${{{HANDED}{index}}}")))
    });
    let environment: serde_json::Map<_, _> = names.collect();
    let text = serde_json::json!({ "services": { service: { "environment": environment } } });
    let with = with_file(desired, &env, folder, &text.to_string())?;
    let handed = given.iter().enumerate();
    let env = handed.fold(env, |env, (index, (_, value))| env.with(format!("{HANDED}{index}"), *value));
    Ok((with, env))
}

/// The object with an extra file, written into this folder, that gives each of these services another image name, and takes
/// away what a build would change or write besides: more tags, and a cache elsewhere.
///
/// Nothing else of a service is touched: a label, for example, would make another image.
///
/// # Errors
/// As [`lay_over`].
pub(in crate::host) fn with_images(
    desired: &Desired,
    env: &Environment,
    folder: &Path,
    images: &BTreeMap<String, String>,
) -> Result<Desired, String> {
    // JSON with the one tag of Compose's in it, which takes away what other files say.
    let service = |(name, image): (&String, &String)| {
        format!(
            "{}: {{image: {}, build: {{tags: !reset [], cache_to: !reset []}}}}",
            quoted(name),
            quoted(image)
        )
    };
    let services: Vec<String> = images.iter().map(service).collect();
    with_file(desired, env, folder, &format!("services: {{{}}}\n", services.join(", ")))
}

fn quoted(text: &str) -> serde_json::Value {
    text.into()
}

fn with_file(desired: &Desired, env: &Environment, folder: &Path, text: &str) -> Result<Desired, String> {
    let own = ComposeInputs::main_files(desired, env).ok_or("it is not known which files Compose reads")?;
    let path = folder.join(FILE);
    fs::write(&path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    let mut with = desired.clone();
    let files = own.iter().chain([&path]).map(|file| file.to_str().map(str::to_owned));
    with.object.spec.project.files = files.collect::<Option<_>>().ok_or("a path is no UTF-8")?;
    Ok(with)
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
