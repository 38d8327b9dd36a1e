//! The values of a project that may be secrets, so that undrift can hide them in the output of a step that works on it.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::scan;
use crate::{
    api::Desired,
    files,
    host::{
        process::Environment,
        redact::{Words, assigned_secrets, secrets_in_text, secrets_of_variable},
    },
    secret::names,
};

/// Values that may be secrets, as far as they are known.
#[derive(Default)]
pub(in crate::host) struct Found {
    pub(in crate::host) values: Vec<String>,
    /// Why some are not known: a file that cannot be read. Output may contain them.
    pub(in crate::host) unknown: Option<String>,
}

impl Found {
    /// The text of a file that may hold secrets; none if there is no such file, because then no program reads it.
    fn read(&mut self, path: &Path) -> Option<String> {
        match scan::read_text(path) {
            Ok(text) => Some(text),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                None
            }
            Err(error) => {
                // If the file is not to be read, the reason names its kind.
                let why = if files::is_trap(&error) {
                    error.to_string()
                } else {
                    format!("{} cannot be read: {error}", path.display())
                };
                self.unknown.get_or_insert(why);
                None
            }
        }
    }
}

/// The secrets among the assignments of the project's own env files, used or not.
pub(in crate::host) fn of_env_files(desired: &Desired) -> Found {
    let mut found = Found::default();
    for file in desired.object.spec.project.env_files.iter().map(String::as_str).chain([".env"]) {
        let Some(text) = found.read(&desired.directory.join(file)) else { continue };
        let secrets = scan::entries(&text);
        found.values.extend(secrets.iter().flat_map(|entry| secrets_of_variable(entry.name, &entry.value)));
    }
    found
}

/// The secrets of a project as Compose prints it: of environments and labels, of builds, of `secrets:`, and passwords in all
/// other values. `env` is the environment that Compose got.
pub(in crate::host) fn of_project(project: &Value, env: &Environment) -> Found {
    let mut found = in_definitions(project);
    for secret in project["secrets"].as_object().into_iter().flat_map(Map::values) {
        let content = secret["content"].as_str().map(str::to_owned);
        let value = secret["environment"].as_str().and_then(|name| env.get(name)).and_then(OsStr::to_str);
        let files =
            secret["file"].as_str().map(|path| files_of(Path::new(path), &mut found)).unwrap_or_default();
        let texts: Vec<String> = files.iter().filter_map(|path| found.read(path)).collect();
        for text in content.into_iter().chain(texts).chain(value.map(str::to_owned)) {
            found.values.extend(parts(&text));
            found.values.extend(text.lines().filter_map(of_field));
            let text = Value::String(text);
            in_texts(&text, &mut found.values);
            found.values.extend(text.as_str().map(str::to_owned));
        }
    }
    found
}

/// The same without those of `secrets:`, so no file is read.
pub(super) fn in_definitions(project: &Value) -> Found {
    let mut found = Vec::new();
    for service in project["services"].as_object().into_iter().flat_map(Map::values) {
        let build = &service["build"];
        for named in
            [&service["environment"], &service["labels"], &build["labels"], &service["deploy"]["labels"]]
        {
            found.extend(pairs(named).flat_map(|(name, value)| secrets_of_variable(name, value)));
        }
        found.extend(
            pairs(&build["args"])
                .filter(|(name, value)| may_be_secret(name, value))
                .map(|(_, value)| value.to_owned()),
        );
    }
    in_texts(project, &mut found);
    // Compose doubles the dollar signs of what `config` prints.
    let values = found.into_iter().map(|value| value.replace("$$", "$")).collect();
    Found { values, unknown: None }
}

/// The most files of a folder that is mounted as a secret.
const MOST_FILES: usize = 100;

/// The files of a secret: one, or those of a folder; Compose mounts folders as well.
fn files_of(path: &Path, found: &mut Found) -> Vec<PathBuf> {
    if !files::is_dir(path) {
        return vec![path.to_owned()];
    }
    let names = files::names_in(path, MOST_FILES + 1);
    match names {
        Ok(names) if names.len() <= MOST_FILES => {
            let all = names.iter().map(|name| path.join(name));
            // Deeper files are ignored.
            all.filter(|path| !files::is_dir(path)).collect()
        }
        Ok(_) => {
            let why = format!("the folder {} has more than {MOST_FILES} files", path.display());
            found.unknown.get_or_insert(why);
            Vec::new()
        }
        Err(error) => {
            let why = format!("the folder {} cannot be read: {error}", path.display());
            found.unknown.get_or_insert(why);
            Vec::new()
        }
    }
}

/// The words of a project that are no secrets though they may be values of one: the names of its services, networks, volumes,
/// images and users. The tag of an image is not included.
pub(in crate::host) fn words_of(project: &Value) -> Words {
    let keys = |part: &str| project[part].as_object().into_iter().flat_map(Map::keys).cloned();
    let services = project["services"].as_object().into_iter().flat_map(Map::values);
    let mut others: BTreeSet<String> =
        ["networks", "volumes", "configs", "secrets"].into_iter().flat_map(keys).collect();
    others.extend(project["name"].as_str().map(str::to_owned));
    for service in services {
        others.extend(service["image"].as_str().into_iter().flat_map(words_of_image));
        others.extend(service["user"].as_str().map(str::to_owned));
        let users = pairs(&service["environment"]).filter(|(name, _)| names::of_user(name));
        others.extend(users.map(|(_, value)| value.to_owned()));
    }
    Words::of(keys("services").collect(), others)
}

/// The parts of an image's name.
pub(super) fn words_of_image(reference: &str) -> impl Iterator<Item = String> {
    let name = reference.split('@').next().unwrap_or_default();
    let (path, last) = name.rsplit_once('/').unwrap_or(("", name));
    let last = last.split(':').next().unwrap_or_default();
    let parts: Vec<String> = path.split('/').chain([last]).map(str::to_owned).collect();
    parts.into_iter()
}

/// How many parts of one secret are searched for individually.
const MOST_PARTS: usize = 200;

/// The text between the delimiters of a secret with a format of its own, which may be printed alone: a password of a `.pgpass`,
/// an `.npmrc`, a JSON document. Plain words are left out.
fn parts(secret: &str) -> impl Iterator<Item = String> {
    let is_mark = |c: char| c.is_whitespace() || "\"',=:;{}[]()<>@/?&".contains(c);
    let is_part = |part: &&str| {
        part.len() >= 8 && part.contains(|c: char| c.is_ascii_digit()) && part.contains(char::is_alphabetic)
    };
    secret.split(is_mark).filter(is_part).take(MOST_PARTS).map(str::to_owned)
}

/// The value of a field that is named like a secret: `password: correct horse` in a YAML file or a program's settings.
fn of_field(line: &str) -> Option<String> {
    let (name, value) = line.split_once(':')?;
    let bare = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    let (name, value) = (bare(name), bare(value));
    (names::may_be_secret(&name) && !names::is_open(&name) && !value.is_empty()).then_some(value)
}

/// Passwords in URLs and next to the name of a secret, in all texts.
fn in_texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            found.extend(secrets_in_text(text));
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

/// The values in a document that are named like a secret.
fn in_document(document: &Value, found: &mut Vec<String>) {
    let named = document.as_object().into_iter().flatten();
    found.extend(
        named
            .filter(|(name, _)| names::may_be_secret(name))
            .filter_map(|(_, value)| Some(value.as_str()?.to_owned())),
    );
    match document {
        Value::Object(map) => map.values().for_each(|value| in_document(value, found)),
        Value::Array(list) => list.iter().for_each(|value| in_document(value, found)),
        text => in_texts(text, found),
    }
}

/// The second of two words of a command, if the first is an option that is named like a secret.
fn of_option(two: &[Value]) -> Option<String> {
    let [option, value] = two else { return None };
    let (name, value) = (option.as_str()?.strip_prefix('-')?, value.as_str()?);
    (names::may_be_secret(name) && !value.starts_with('-')).then(|| value.to_owned())
}

/// Whether a build's argument may be a secret: because of its name, or because it is not a word and its name gives it no other
/// meaning. Builders print arguments, and their authors do not always call them tokens.
fn may_be_secret(name: &str, value: &str) -> bool {
    let is_plain = value.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '-' | '_' | '/' | '.' | ':'))
        || value.chars().all(|c| c.is_ascii_digit() || c == '.');
    names::may_be_secret(name) || !names::is_open_argument(name) && !is_plain && value.chars().count() >= 8
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
    use crate::files::LARGEST_TEXT;

    #[test]
    fn every_kind_of_a_projects_secrets_is_found_and_settings_are_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "line one of it\nline two of it\n").unwrap();
        let account = json!({"private_key": "-----BEGIN KEY-----\nMIIEvQIBADANBg\n", "admin_password": "correct-horse"});
        std::fs::write(folder.path().join("account"), account.to_string()).unwrap();
        let fields = "db:\n  password: 'of a field'\nurl: postgres://u:correctbattery@db/x\nDB_PASSWORD=staplestaple\n";
        std::fs::write(folder.path().join("fields"), fields).unwrap();
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
            "account": {"file": folder.path().join("account")}, "fields": {"file": folder.path().join("fields")},
            "pgpass": {"content": "db:5432:shop:u:of-pgpass-1\n//r.example/:_authToken=of-npmrc-11\n"},
            "key": {"file": folder.path().join("key")}, "inline": {"content": "of-content-6"}, "env": {"environment": "FROM_ENV"},
        }});
        let env = Environment::default().with("FROM_ENV", "of-env-7");
        let found = of_project(&project, &env);
        assert_eq!(found.unknown, None);
        let found = found.values;
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
            "-----BEGIN KEY-----\nMIIEvQIBADANBg\n",
            "correct-horse",
            "of a field",
            "correctbattery",
            "staplestaple",
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
        assert_eq!((found.values, found.unknown), (vec!["of-an-open-quote".into(), "of-a-url".into()], None));
    }

    #[test]
    fn an_unreadable_secret_is_reported_and_a_missing_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let of =
            |file: &Path| of_project(&json!({"secrets": {"s": {"file": file}}}), &Environment::default());
        // Larger than the earlier limit.
        std::fs::write(path("large"), format!("{}\nof-its-end-1\n", "x".repeat(3 << 20))).unwrap();
        let found = of(&path("large"));
        assert!(found.unknown.is_none() && found.values.iter().any(|value| value.contains("of-its-end-1")));
        std::fs::File::create(path("huge")).unwrap().set_len(LARGEST_TEXT + 1).unwrap();
        let why = of(&path("huge")).unknown.unwrap();
        assert!(why.ends_with("and 16 MiB at most are read"), "{why}");
        assert_eq!(why.matches("huge").count(), 1, "{why}");
        let found = of(&path("gone"));
        assert!(found.unknown.is_none() && found.values.is_empty());
        std::fs::create_dir_all(path("folder/deeper")).unwrap();
        std::fs::write(path("folder/one"), "of-a-folder-1").unwrap();
        assert_eq!(of(&path("folder")).values, ["of-a-folder-1", "of-a-folder-1"]);
        let desired = desired(folder.path().to_str().unwrap(), &["api"]);
        std::os::unix::fs::symlink("huge", path(".env")).unwrap();
        assert!(of_env_files(&desired).unknown.is_some());
    }

    #[test]
    fn words_of_a_project_are_its_names_and_users_and_no_tags() {
        let project = json!({"name": "shop", "networks": {"backnet": null}, "services": {"api-v2": {
            "image": "registry.example.org/team/application:tagtagtag@sha256:0", "user": "worker",
            "environment": {"POSTGRES_USER": "shopowner", "DB_PASSWORD": "keepthisone", "USER_PASSWORD": "andthisone"},
        }}});
        let words = words_of(&project);
        for word in ["api-v2", "application", "backnet", "shopowner"] {
            assert!(words.are_of(word), "{word}");
        }
        for secret in ["tagtagtag", "keepthisone", "andthisone"] {
            assert!(!words.are_of(secret), "{secret}");
        }
    }
}
