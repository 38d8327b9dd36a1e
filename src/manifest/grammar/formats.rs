//! What names and paths must look like, each by itself.

use std::path::{Component, Path};

use serde_json::json;

use super::shape::{PairFormat, TextFormat};
use crate::manifest::report::Fault;

pub(super) type TextCheck = Result<(), Fault>;

pub(super) fn fail_if(wrong: bool, message: &str, help: &str) -> TextCheck {
    if wrong { Err(Fault::new(message).help(help)) } else { Ok(()) }
}

pub(super) fn not_empty(text: &str, what: &str) -> TextCheck {
    fail_if(text.is_empty(), &format!("{what} is empty"), &format!("write {what}"))
}

pub(super) fn no_control(text: &str, what: &str) -> TextCheck {
    fail_if(
        text.chars().any(char::is_control),
        &format!("{what} contains a control character or a line break"),
        &format!("remove it, and write {what} in one line"),
    )
}

/// `metadata.name`: the contract's pattern, as in Kubernetes (RFC 1123 label).
pub(crate) static OBJECT_NAME: TextFormat =
    TextFormat { check: object_name, pattern: "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" };

fn object_name(name: &str) -> TextCheck {
    if name.len() > 63 {
        let length = name.chars().count();
        let fault = Fault::new(format!("a name has at most 63 characters, and this one {length}"));
        return Err(fault.help("write one of at most 63"));
    }
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.is_empty() && name.chars().all(inner) && !name.starts_with('-') && !name.ends_with('-') {
        return Ok(());
    }
    let guess: String = name.to_lowercase().chars().map(|c| if inner(c) { c } else { '-' }).collect();
    let guess = guess.trim_matches('-');
    let help = match guess {
        "" => "write a name, such as `shop`".into(),
        guess => format!("did you mean `{guess}`?"),
    };
    Err(Fault::new(
        "a name has lower-case letters, digits and `-` only, and neither starts nor ends with `-`",
    )
    .help(help))
}

/// The name of a Compose service: Compose's own pattern (compose-spec.json).
pub(super) static SERVICE_NAME: TextFormat = TextFormat { check: service_name, pattern: "^[A-Za-z0-9._-]+$" };

fn service_name(name: &str) -> TextCheck {
    not_empty(name, "the name of the service")?;
    let right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    fail_if(
        !name.chars().all(right),
        "a Compose service has letters, digits, `.`, `_` and `-` in its name only",
        "write the name as the Compose file has it",
    )
}

/// The name of a Compose project: Compose's own pattern.
pub(super) static PROJECT_NAME: TextFormat =
    TextFormat { check: project_name, pattern: "^[a-z0-9][a-z0-9_-]*$" };

fn project_name(name: &str) -> TextCheck {
    let right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    fail_if(
        !starts || !name.chars().all(right),
        "a Compose project has lower-case letters, digits, `_` and `-` in its name only, and starts with a letter or digit",
        "write the name as `docker compose ls` shows it",
    )
}

/// A profile: Compose's own pattern, or `*` for all.
pub(super) static PROFILE: TextFormat =
    TextFormat { check: profile, pattern: r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]*)$" };

fn profile(name: &str) -> TextCheck {
    let right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    fail_if(
        name != "*" && (!starts || !name.chars().all(right)),
        "a profile has letters, digits, `.`, `_` and `-` in its name only",
        "write the name as the Compose file has it",
    )
}

/// A label or an annotation.
pub(super) static LABEL: PairFormat =
    PairFormat { check: label, schema: || json!({ "propertyNames": { "minLength": 1 } }) };

fn label(name: &str, _: &str) -> TextCheck {
    not_empty(name, "the name of the label")
}

/// The name of a module or a route: anything that fits in a line.
pub(crate) static LABEL_TEXT: TextFormat = TextFormat { check: label_text, pattern: r"\S" };

fn label_text(text: &str) -> TextCheck {
    not_empty(text.trim(), "the name")?;
    no_control(text, "the name")
}

/// A path on the host.
pub(crate) static HOST_PATH: TextFormat = TextFormat { check: host_path, pattern: "^[^~]" };

fn host_path(path: &str) -> TextCheck {
    not_empty(path, "the path")?;
    no_control(path, "the path")?;
    fail_if(path.starts_with('~'), "`~` is not expanded", "write the path out, or relative to this file")
}

/// A path on the host that is relative to the project directory and does not leave it. The pattern leaves `a/../..` to the check.
pub(crate) static INNER_PATH: TextFormat =
    TextFormat { check: inner_path, pattern: r"^(?![/~])(?!(\./)*\.\.(/|$)).+$" };

fn inner_path(path: &str) -> TextCheck {
    host_path(path)?;
    fail_if(
        Path::new(path).is_absolute(),
        "the path is absolute",
        "write it relative to the project directory",
    )?;
    let mut depth = 0_i32;
    for component in Path::new(path).components() {
        depth += match component {
            Component::ParentDir => -1,
            Component::Normal(_) => 1,
            _ => 0,
        };
        if depth < 0 {
            let fault = Fault::new("the path leaves the project directory");
            return Err(fault.help("write a path below the project directory, without `..`"));
        }
    }
    Ok(())
}

/// A module's path in the container.
pub(super) static CONTAINER_PATH: TextFormat =
    TextFormat { check: container_path, pattern: r"^(/(?!\.{1,2}(/|$))[^/]+)+$" };

fn container_path(path: &str) -> TextCheck {
    no_control(path, "the path")?;
    let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let normal = format!("/{}", parts.join("/"));
    fail_if(
        !path.starts_with('/'),
        "the path in the container is not absolute",
        &format!("did you mean `{normal}`?"),
    )?;
    fail_if(
        parts.contains(&".."),
        "the path in the container contains `..`",
        "write the path that it leads to",
    )?;
    fail_if(parts.is_empty(), "`/` is in every container", "write the path of the module")?;
    fail_if(
        path != normal,
        "the path in the container is not in its plain form",
        &format!("write `{normal}`"),
    )
}
