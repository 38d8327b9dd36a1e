//! The values of a project that may be secrets, so that they can be hidden in what is printed while a step works on it.

use std::{ffi::OsStr, path::Path};

use serde_json::{Map, Value};

use super::{Environment, scan};
use crate::{
    api::Desired,
    host::redact::{assigned_secrets, holds_a_secret, passwords_in},
    manifest::may_name_a_secret,
};

/// What the name of a build's argument holds that is no secret, though it may look like one: `GIT_SHA`, `BASE_IMAGE`.
const OPEN_ARGUMENTS: [&str; 22] = [
    "sha", "commit", "revision", "version", "tag", "branch", "ref", "date", "time", "image", "base", "name",
    "user", "uid", "gid", "host", "port", "path", "dir", "url", "arch", "platform",
];

/// The secrets among the assignments of the project's own env files, used or not.
pub(in crate::host) fn of_env_files(desired: &Desired) -> Vec<String> {
    let named = desired.object.spec.project.env_files.iter().map(String::as_str);
    let texts = named.chain([".env"]).filter_map(|file| scan::read_small(&desired.directory.join(file)));
    texts
        .flat_map(|text| {
            scan::entries(&text)
                .into_iter()
                .flat_map(|entry| variable(entry.name, &entry.value))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The secrets of a project as Compose prints it: of environments and labels, of builds, of `secrets:`, and passwords in
/// whatever else is there. `env` is what Compose was given.
pub(in crate::host) fn of_project(project: &Value, env: &Environment) -> Vec<String> {
    let mut found = Vec::new();
    for service in project["services"].as_object().into_iter().flat_map(Map::values) {
        let (build, deploy) = (&service["build"], &service["deploy"]);
        for named in [&service["environment"], &service["labels"], &build["labels"], &deploy["labels"]] {
            found.extend(pairs(named).flat_map(|(name, value)| variable(name, value)));
        }
        found.extend(
            pairs(&build["args"])
                .filter(|(name, value)| may_be_secret(name, value))
                .map(|(_, value)| value.to_owned()),
        );
    }
    for secret in project["secrets"].as_object().into_iter().flat_map(Map::values) {
        let content = secret["content"].as_str().map(str::to_owned);
        let file = secret["file"].as_str().and_then(|path| scan::read_small(Path::new(path)));
        let value = secret["environment"].as_str().and_then(|name| env.get(name)).and_then(OsStr::to_str);
        for text in content.into_iter().chain(file).chain(value.map(str::to_owned)) {
            found.extend(parts(&text));
            found.push(text);
        }
    }
    in_texts(project, &mut found);
    // Compose doubles the dollar signs of what `config` prints.
    found.into_iter().map(|value| value.replace("$$", "$")).collect()
}

/// How many parts of one secret are looked for by themselves.
const MOST_PARTS: usize = 200;

/// What stands between the marks of a secret that has a form of its own, and may be printed alone: a password of a `.pgpass`,
/// an `.npmrc`, a JSON document. A word is none.
fn parts(secret: &str) -> impl Iterator<Item = String> {
    let is_mark = |c: char| c.is_whitespace() || "\"',=:;{}[]()<>@/?&".contains(c);
    let is_part = |part: &&str| {
        part.len() >= 8 && part.contains(|c: char| c.is_ascii_digit()) && part.contains(char::is_alphabetic)
    };
    secret.split(is_mark).filter(is_part).take(MOST_PARTS).map(str::to_owned)
}

/// Of a variable what is secret of it.
fn variable(name: &str, value: &str) -> Vec<String> {
    let whole = holds_a_secret(name).then(|| value.to_owned());
    whole.into_iter().chain(passwords_in(value)).collect()
}

/// Passwords in URLs and beside the name of a secret, in all texts.
fn in_texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            found.extend(passwords_in(text));
            found.extend(assigned_secrets(text));
            // Settings in one variable, or in a config.
            if let Ok(document @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
                in_document(&document, found);
            }
        }
        Value::Array(list) => {
            for value in list {
                in_texts(value, found);
            }
            found.extend(list.windows(2).filter_map(of_option));
        }
        Value::Object(map) => map.values().for_each(|value| in_texts(value, found)),
        _ => {}
    }
}

/// What is named like a secret in a document.
fn in_document(document: &Value, found: &mut Vec<String>) {
    let named = document.as_object().into_iter().flatten();
    found.extend(
        named
            .filter(|(name, _)| may_name_a_secret(name))
            .filter_map(|(_, value)| Some(value.as_str()?.to_owned())),
    );
    match document {
        Value::Object(map) => map.values().for_each(|value| in_document(value, found)),
        Value::Array(list) => list.iter().for_each(|value| in_document(value, found)),
        text => in_texts(text, found),
    }
}

/// Of two words of a command the second one, where the first is an option that is named like a secret.
fn of_option(two: &[Value]) -> Option<String> {
    let [option, value] = two else { return None };
    let (name, value) = (option.as_str()?.strip_prefix('-')?, value.as_str()?);
    (may_name_a_secret(name) && !value.starts_with('-')).then(|| value.to_owned())
}

/// Whether a build's argument may be a secret: by its name, or because it is no word and its name does not say what else
/// it is. Builders print arguments, and who declares one does not always call it a token.
fn may_be_secret(name: &str, value: &str) -> bool {
    let lower = name.to_lowercase();
    let is_open =
        lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| OPEN_ARGUMENTS.contains(&word));
    let is_plain = value.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '-' | '_' | '/' | '.' | ':'))
        || value.chars().all(|c| c.is_ascii_digit() || c == '.');
    may_name_a_secret(name) || !is_open && !is_plain && value.chars().count() >= 8
}

/// `{name: value}` or `["name=value"]`.
fn pairs(value: &Value) -> Box<dyn Iterator<Item = (&str, &str)> + '_> {
    match value {
        Value::Object(map) => {
            Box::new(map.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))))
        }
        Value::Array(list) => Box::new(list.iter().filter_map(|entry| entry.as_str()?.split_once('='))),
        _ => Box::new(std::iter::empty()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::test_support::desired, *};

    #[test]
    fn every_kind_of_a_projects_secrets_is_found_and_settings_are_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "line one of it\nline two of it\n").unwrap();
        let project = json!({"services": {
            "api": {
                "image": "registry/app:1", "environment": {"DB_PASSWORD": "pa$$word-1", "MODE": "production", "N": 3, "U": "redis://:in-url-22@r"},
                "command": ["serve", "--api-key=in-command-3", "--verbose", "--password", "in-list-12", "--", "--port", "80"],
                "entrypoint": ["run"],
                "labels": {"traefik.auth.token": "in-label-44"},
                "build": {"context": "https://ghp_0123456789abcdef@github.com/x.git", "args": {
                    "NPM_AUTH": "a1b2c3d4e5", "VERSION": "12.0.0-rc1", "GIT_SHA": "0123456789abcdef", "MODE": "production", "PIN_TOKEN": "four"}},
            },
            "worker": {"environment": ["API_TOKEN=of-a-list-5"]},
        }, "configs": {"app": {"content": "{\"log\": \"{\\\"token\\\": \\\"in-json-9\\\"}\", \"db\": [{\"admin_password\": \"in-config-8\"}]}"}}, "secrets": {
            "pgpass": {"content": "db:5432:shop:u:of-pgpass-1\n//r.example/:_authToken=of-npmrc-11\n"},
            "key": {"file": folder.path().join("key")}, "inline": {"content": "of-content-6"}, "env": {"environment": "FROM_ENV"},
        }});
        let env = Environment::default().with("FROM_ENV", "of-env-7");
        let found = of_project(&project, &env);
        for secret in [
            "pa$word-1",
            "in-url-22",
            "in-command-3",
            "in-label-44",
            "ghp_0123456789abcdef",
            "a1b2c3d4e5",
            "four",
            "of-a-list-5",
            "line one of it\nline two of it\n",
            "of-content-6",
            "of-env-7",
            "in-list-12",
            "in-json-9",
            "in-config-8",
            "of-pgpass-1",
            "of-npmrc-11",
        ] {
            assert!(found.contains(&secret.to_owned()), "{secret}: {found:?}");
        }
        for open in ["production", "12.0.0-rc1", "0123456789abcdef", "registry/app:1", "serve", "--verbose"] {
            assert!(!found.contains(&open.to_owned()), "{open}: {found:?}");
        }
    }

    #[test]
    fn env_files_are_read_also_where_a_quote_is_not_closed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join(".env"),
            "DB_PASSWORD=\"of-an-open-quote\nTAG=1.2.3-alpine\nURL=a://b:of-a-url@c\n",
        )
        .unwrap();
        let found = of_env_files(&desired(folder.path().to_str().unwrap(), &["api"]));
        assert_eq!(found, ["of-an-open-quote", "of-a-url", "of-a-url"]);
    }
}
