//! The canonical form that the trail's hashes cover. `docs/audit-trail.md` specifies it for others.
//!
//! By hand, because its bytes are a promise to every trail that exists: no release of a library may change them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::api::AuditRecord;

/// The `prevHash` of the first record, and the head of an empty trail.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// How deep evidence may nest. `serde_json` reads 128 levels; undrift must not write what it cannot read back.
const DEEPEST: usize = 64;

/// A JSON text that is the same for equal values: keys sorted by code point at every depth, no white space, only the escapes
/// that JSON requires.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (n, item) in items.iter().enumerate() {
                text.push_str(if n > 0 { "," } else { "" });
                write(item, text);
            }
            text.push(']');
        }
        // Sorted here and not by `serde_json`: any crate can enable a feature that turns its sorting off.
        Value::Object(fields) => {
            text.push('{');
            for (n, (key, value)) in fields.iter().collect::<BTreeMap<_, _>>().into_iter().enumerate() {
                text.push_str(if n > 0 { "," } else { "" });
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        leaf => text.push_str(&leaf.to_string()),
    }
}

/// The hash of a record: SHA-256, lower-case hexadecimal, over the canonical form of all fields but `hash`.
#[must_use]
pub fn record_hash(record: &AuditRecord) -> String {
    hash_with(record, &canonical(&record.evidence))
}

/// The same for evidence that is available as text: hashes that very text and ignores the record's own evidence.
pub(super) fn hash_with(record: &AuditRecord, evidence: &str) -> String {
    hex::encode(Sha256::digest(canonical_form(record, evidence)))
}

/// The canonical form of a record whose evidence is available as text: what its hash is made over.
pub(super) fn canonical_form(record: &AuditRecord, evidence: &str) -> String {
    let text = |text: &str| Value::from(text).to_string();
    let or_null = |value: &Option<String>| value.as_deref().map_or_else(|| "null".to_owned(), text);
    // The keys in their order.
    let form = [
        ("actor", text(&record.actor)),
        ("evidence", evidence.to_owned()),
        ("incident", or_null(&record.incident)),
        ("kind", text(&record.kind)),
        ("object", or_null(&record.object)),
        ("outcome", or_null(&record.outcome)),
        ("prevHash", text(&record.prev_hash)),
        ("seq", record.seq.to_string()),
        ("service", or_null(&record.service)),
        ("step", or_null(&record.step)),
        ("time", text(&record.time)),
    ];
    let fields: Vec<String> = form.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// Evidence as the trail can store it. Non-integer numbers become strings, because programs disagree on how to write them;
/// so does anything nested deeper than 64 levels. A record is worth more than its types: nothing is rejected.
pub(super) fn admissible(evidence: &Value) -> Value {
    admit(evidence, DEEPEST)
}

fn admit(value: &Value, depth: usize) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) if depth == 0 => Value::String(canonical(value)),
        Value::Number(number) if !number.is_i64() && !number.is_u64() => Value::String(number.to_string()),
        Value::Array(items) => items.iter().map(|item| admit(item, depth - 1)).collect(),
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(key, value)| (key.clone(), admit(value, depth - 1))).collect::<Map<_, _>>(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sorts_keys_at_every_depth_and_adds_nothing() {
        let value = json!({"b": [{"d": 1, "c": null}], "a": true, "B": "", "é": -1, "z": 18_446_744_073_709_551_615_u64});
        assert_eq!(
            canonical(&value),
            r#"{"B":"","a":true,"b":[{"c":null,"d":1}],"z":18446744073709551615,"é":-1}"#
        );
    }

    #[test]
    fn escapes_only_what_json_demands() {
        let value = json!("\" \\ / \n\t\r\u{8}\u{c} \u{1}\u{1f} \u{7f} é 漢 😀 \u{2028}");
        let expected =
            concat!(r#""\" \\ / \n\t\r\b\f \u0001\u001f "#, "\u{7f}", " é 漢 😀 ", "\u{2028}", "\"");
        assert_eq!(canonical(&value), expected);
    }

    #[test]
    fn numbers_that_are_not_whole_become_strings() {
        let value = admissible(&json!({"a": 1.5, "b": [2.0, 3], "c": 1e300}));
        assert_eq!(value, json!({"a": "1.5", "b": ["2.0", 3], "c": "1e+300"}));
    }

    #[test]
    fn what_nests_too_deep_becomes_a_string() {
        let deep = (0..1000).fold(json!(1), |inner, _| json!([inner]));
        let text = canonical(&admissible(&deep));
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(canonical(&read), text);
        assert!(text.contains("\"[["), "{text}");
    }
}
