//! The JSON Schema of the manifest, for editors.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::{api::ComposeProject, secret::names};

/// The JSON Schema (draft 7, which editors know best) of one manifest document.
///
/// It is made from the types, and then made as strict as the parser where JSON Schema can say it. What it cannot
/// say: what exists on the host, what is unique by name, and what depends on two values.
#[must_use]
pub fn json_schema() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut root = generator.into_root_schema_for::<ComposeProject>().to_value();
    without_null(&mut root);
    root["title"] = json!("undrift manifest");
    for (definition, property, stricter) in properties() {
        merge(&mut root["definitions"][definition]["properties"][property], stricter);
    }
    for (definition, stricter) in definitions() {
        merge(&mut root["definitions"][definition], stricter);
    }
    root
}

/// An optional field may be left out, but not be there without a value.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    fields["type"] = only.clone();
                }
            }
            if let Some(Value::Array(mut choices)) = fields.remove("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
                fields.insert(if choices.len() == 1 { "allOf" } else { "anyOf" }.into(), choices.into());
            }
            fields.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// Adds fields to a schema. Mappings are merged, so that `items` and the like keep what they say.
fn merge(schema: &mut Value, stricter: Value) {
    match (schema, stricter) {
        (Value::Object(fields), Value::Object(more)) => {
            for (name, value) in more {
                merge(fields.entry(name).or_insert_with(|| Value::Object(Map::new())), value);
            }
        }
        (schema, stricter) => *schema = stricter,
    }
}

/// A path below the project directory. (A path such as `a/../..` is left to the parser.)
const INNER_PATH: &str = r"^(?![/~])(?!(\./)*\.\.(/|$)).+$";
/// A path on the host.
const HOST_PATH: &str = "^[^~]";
/// A name that is not only spaces.
const NAME: &str = r"\S";
/// A duration that is more than nothing.
const SOME_TIME: &str = "[1-9]";

/// What the parser asks of single fields ([`super::rules`], [`super::formats`]): definition, property, constraints.
fn properties() -> Vec<(&'static str, &'static str, Value)> {
    let text = |pattern: &str| json!({ "pattern": pattern });
    let texts = |pattern: &str| json!({ "items": { "pattern": pattern }, "uniqueItems": true });
    vec![
        ("Metadata", "labels", json!({ "propertyNames": { "minLength": 1 } })),
        ("Metadata", "annotations", json!({ "propertyNames": { "minLength": 1 } })),
        ("ProjectRef", "directory", text(HOST_PATH)),
        ("ProjectRef", "files", texts(INNER_PATH)),
        ("ProjectRef", "envFiles", texts(INNER_PATH)),
        ("ProjectRef", "name", text("^[a-z0-9][a-z0-9_-]*$")),
        ("ProjectRef", "profiles", texts(r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]*)$")),
        ("ServiceSpec", "name", text("^[A-Za-z0-9._-]+$")),
        ("ModuleSpec", "name", text(NAME)),
        ("ModuleSpec", "source", text(INNER_PATH)),
        ("ModuleSpec", "path", text(r"^(/(?!\.{1,2}(/|$))[^/]+)+$")),
        ("RouteSpec", "name", text(NAME)),
        ("RouteSpec", "path", text(r#"^/[!"$-~]*$"#)),
        ("RouteSpec", "url", text(r"^https?://[^@/?# ]+([/?][^# ]*)?$")),
        ("RouteSpec", "method", text("^[A-Z0-9!#$%&'*+.^_`|~-]+$")),
        ("RouteSpec", "headers", headers()),
        ("RouteSpec", "expect", json!({ "uniqueItems": true })),
        ("RouteSpec", "absent", json!({ "uniqueItems": true })),
        ("Auth", "expect", json!({ "uniqueItems": true })),
        ("Auth", "absent", json!({ "uniqueItems": true })),
        ("Tls", "caFile", text(HOST_PATH)),
        ("Tls", "serverName", text(r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*$")),
        ("RouteSpec", "timeout", text(SOME_TIME)),
        ("BasicAuth", "username", text("^[^:]+$")),
        ("ReconcilePolicy", "attempts", json!({ "minimum": 1, "maximum": u32::MAX })),
        (
            "ReconcilePolicy",
            "interval",
            json!({ "pattern": SOME_TIME, "not": { "pattern": "^[0-9]{1,3}ms$" } }),
        ),
        ("ReconcilePolicy", "buildTimeout", text(SOME_TIME)),
        ("Verify", "timeout", text(SOME_TIME)),
        ("Backoff", "initial", text(SOME_TIME)),
        ("Backoff", "max", text(SOME_TIME)),
    ]
}

/// Names are tokens, and none of those that carry secrets, in any case of letters. (A short word such as `pass`, and one
/// that ends before a capital, are left to the parser.)
fn headers() -> Value {
    let any_case =
        |name: &str| -> String { name.chars().flat_map(|c| ['[', c.to_ascii_uppercase(), c, ']']).collect() };
    let pairs = names::PAIRS.iter().map(|(one, other)| format!("{}[-_.]?{}", any_case(one), any_case(other)));
    let secret: Vec<_> = names::long_words().map(any_case).chain(pairs).collect();
    json!({
        "propertyNames": {
            "pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
            "not": { "pattern": format!("({})([^A-Za-z0-9]|$)", secret.join("|")) }
        },
        "additionalProperties": { "pattern": r"^([!-~]([\t -~]*[!-~])?)?$" }
    })
}

/// What the parser asks of records as a whole.
fn definitions() -> Vec<(&'static str, Value)> {
    vec![
        ("Control", json!({ "pattern": r#"^(auto|off|/[!"$-~]*)$"# })),
        ("Auth", json!({ "oneOf": [{ "required": ["basic"] }, { "required": ["bearerFrom"] }] })),
        (
            "RouteSpec",
            json!({ "oneOf": [
                { "required": ["url"], "properties": { "path": false, "port": false, "scheme": false } },
                { "required": ["path", "port"], "properties": { "url": false } }
            ] }),
        ),
        (
            "SecretSource",
            json!({ "properties": {
                "env": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
                "file": { "pattern": HOST_PATH }
            } }),
        ),
    ]
}
