//! The JSON Schema of the manifest, for editors.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::{
    rules::PROJECT,
    shape::{Alternative, Field, Record, Requirement, STATUSES, Shape, TextFormat},
};

/// The JSON Schema (draft 7, which editors know best) of one manifest document.
///
/// It is as strict as the parser where JSON Schema can say it. What it cannot say: what exists on the host, what is unique by
/// name, and what depends on two values.
#[must_use]
pub fn json_schema() -> Value {
    let mut root = of_record(&PROJECT);
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    root["title"] = json!("undrift manifest");
    root["description"] = json!("A Compose project on one host, and what must be so in it.");
    root
}

fn of_record(record: &Record) -> Value {
    let properties: Map<_, _> =
        record.fields.iter().map(|field| (field.name.into(), of_field(field))).collect();
    let required: Vec<_> =
        record.fields.iter().filter(|field| field.is_required()).map(|field| field.name).collect();
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    // In draft 4, and in editors that still go by it, neither list may be empty.
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !record.alternatives.is_empty() {
        schema["oneOf"] = record.alternatives.iter().map(|one| of_alternative(one, record)).collect();
    }
    schema
}

fn of_alternative(one: &Alternative, record: &Record) -> Value {
    let others = record.alternatives.iter().filter(|other| !std::ptr::eq(*other, one));
    let excluded: Map<_, _> =
        others.flat_map(Alternative::fields).map(|name| (name.into(), Value::Bool(false))).collect();
    let mut schema = json!({ "properties": excluded });
    if !one.required.is_empty() {
        schema["required"] = json!(one.required);
    }
    schema
}

fn of_field(field: &Field) -> Value {
    let mut schema = of_shape(&field.shape);
    schema["description"] = json!(description(field));
    if let Some(default) = field.default() {
        schema["default"] = serde_json::from_str(default).unwrap_or_else(|_| json!(default));
    }
    schema
}

/// Editors show it as it stands, so that a link of the reference is only its words.
fn description(field: &Field) -> String {
    let description = without_links(&field.description());
    match field.presence {
        Requirement::Required(_) => format!("{description}."),
        Requirement::Optional(without) => format!("{description}. If left out: {without}."),
    }
}

/// `[words](target)` becomes `words`. Brackets that no target follows stay.
fn without_links(markdown: &str) -> String {
    let mut parts = markdown.split("](");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some(start) = plain.rfind('[') {
            plain.remove(start);
        }
        plain.push_str(part.split_once(')').map_or(part, |(_, rest)| rest));
    }
    plain
}

fn of_shape(shape: &Shape) -> Value {
    match shape {
        Shape::Exactly(text) => json!({ "type": "string", "const": text }),
        Shape::Text(format) => of_text(format),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Whole(range) => whole(range),
        Shape::Duration { at_least } => duration(*at_least),
        Shape::Word(words) => json!({ "type": "string", "enum": words }),
        Shape::Statuses => json!({
            "oneOf": [whole(&STATUSES), { "type": "array", "minItems": 1, "items": whole(&STATUSES) }],
            "uniqueItems": true
        }),
        Shape::Texts(format) => json!({ "type": "array", "items": of_text(format), "uniqueItems": true }),
        Shape::Pairs(format) => {
            let mut schema = (format.schema)();
            schema["type"] = json!("object");
            schema["additionalProperties"]["type"] = json!("string");
            schema
        }
        Shape::List { of, at_least_one } => {
            json!({ "type": "array", "items": of_record(of), "minItems": u8::from(*at_least_one) })
        }
        Shape::Record(record) => of_record(record),
        Shape::WordOr(word, record) => {
            json!({ "oneOf": [{ "type": "string", "const": word }, of_record(record)] })
        }
    }
}

fn of_text(format: &TextFormat) -> Value {
    json!({ "type": "string", "pattern": format.pattern })
}

fn whole(range: &RangeInclusive<i64>) -> Value {
    json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })
}

/// What [`crate::api::Duration`] reads, but for its limit of a year. Nothing at all is too short for it.
const DURATION: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";

fn duration(at_least: u64) -> Value {
    let mut schema = json!({
        "type": "string",
        "pattern": DURATION,
        "minLength": 2
    });
    if at_least > 0 {
        schema["allOf"] = json!([{ "pattern": "[1-9]" }]);
    }
    if at_least >= 1_000 {
        schema["not"] = json!({ "pattern": "^[0-9]{1,3}ms$" });
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_replaced_by_its_text() {
        let markdown = "[which project](#project), [a] or `auto` ([two paths](a.md#b)), `[404]`";
        assert_eq!(without_links(markdown), "which project, [a] or `auto` (two paths), `[404]`");
    }

    #[test]
    fn a_duration_is_what_the_parser_reads() {
        let pattern = regex::Regex::new(DURATION).unwrap();
        for text in [
            "500ms",
            "5s",
            "2m",
            "1h30m",
            "1h2m3s4ms",
            "0s",
            "5",
            "s",
            "5 s",
            "-5s",
            "1.5h",
            "30m1h",
            "5s5s",
            "5d",
            "1d12h",
            "1h1d",
            "5w",
        ] {
            assert_eq!(pattern.is_match(text), text.parse::<crate::api::Duration>().is_ok(), "{text}");
        }
    }

    #[test]
    fn an_editor_shows_what_a_field_takes_and_what_holds_without_it() {
        let schema = json_schema();
        let field = &schema["properties"]["spec"]["properties"]["reconcile"]["properties"]["interval"];
        let description = "how often undrift observes the object when nothing has happened, at least `1s`. If left out: `5m`.";
        assert_eq!((&field["description"], &field["default"]), (&json!(description), &json!("5m")));
    }
}
