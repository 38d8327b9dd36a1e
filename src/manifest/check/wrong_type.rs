//! What to say of a value that is of another kind than its field.

use super::walk::Slot;
use crate::manifest::{
    grammar::{Record, Shape, one_of},
    report::{Fault, Report},
    syntax::Value,
};

/// What to write for `http`: people write `2.0` and `h2`.
pub(super) const HTTP_VERSION: &str =
    "write the version of HTTP that is spoken, 1 or 2; gRPC is not supported";

/// The fault of a value that does not have the shape of its field.
pub(super) fn fault(shape: &Shape, slot: Slot<'_>, report: &Report<'_>) -> Fault {
    let wanted = wanted(shape);
    if matches!(slot.node.value, Value::Null) {
        return Fault::new(format!("{} has no value", slot.name))
            .help(format!("give it {wanted}{}", if slot.optional { ", or leave it out" } else { "" }));
    }
    let found = found(&slot.node.value);
    let help = help(shape, slot, report)
        .unwrap_or_else(|| format!("write {wanted}{}", if slot.optional { ", or leave it out" } else { "" }));
    Fault::new(format!("{} must be {wanted}, and is {found}", slot.name)).help(help)
}

/// The fault of an entry of a list of records that is none.
pub(super) fn item(record: &Record, slot: Slot<'_>) -> Fault {
    let first = record.fields.iter().find(|field| field.is_required()).or(record.fields.first());
    let help = first.map(|field| format!("write it as `- {}: …`", field.name));
    let found = found(&slot.node.value);
    Fault::new(format!("{} must be {}, and is {found}", slot.name, record.what)).maybe_help(help)
}

fn wanted(shape: &Shape) -> String {
    match shape {
        Shape::Exactly(text) => format!("`{text}`"),
        Shape::Text(_) => "a text".into(),
        Shape::Bool => "true or false".into(),
        Shape::Whole(_) => "a whole number".into(),
        Shape::Duration { .. } => "a duration such as 5s".into(),
        Shape::Word(words) => one_of(words),
        Shape::Statuses => "an HTTP status or a list of them".into(),
        Shape::Texts(_) => "a list of texts".into(),
        Shape::Pairs(_) => "a mapping of names to texts".into(),
        Shape::List { of, .. } => format!("a list, each entry {}", of.what),
        Shape::Record(_) => "a mapping".into(),
        Shape::WordOr(word, _) => format!("`{word}`, or a mapping"),
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Int(_) | Value::Number => "a number",
        Value::Text(_) => "a text",
        Value::LongText => "a text of more than 8 KiB",
        Value::Other => "something else",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

/// A number that is whole although it is written with a point: `200.0`.
fn whole(written: &str) -> Option<&str> {
    let (whole, rest) = written.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    (digits(whole) && digits(rest) && rest.chars().all(|c| c == '0')).then_some(whole)
}

/// What would be right, where the value tells what was meant.
fn help(shape: &Shape, slot: Slot<'_>, report: &Report<'_>) -> Option<String> {
    // Short, for it is shown; never of a text that may be a secret: only numbers, truth values and the words below.
    let written: String = report.lines().at(slot.node.written).chars().take(40).collect();
    match (shape, &slot.node.value) {
        // YAML 1.1 tools write `off` so.
        (_, Value::Bool(false)) if slot.name == "`control`" => Some("write `off`".into()),
        (Shape::Whole(_), _) if slot.name == "`http`" => Some(HTTP_VERSION.into()),
        (Shape::Exactly(right), _) => Some(format!("write `{right}`")),
        (Shape::Text(_), Value::Int(_) | Value::Number | Value::Bool(_)) => {
            Some(format!("put it in quotes: \"{written}\""))
        }
        (Shape::Bool, Value::Text(text)) => match text.to_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Some("write `true`".into()),
            "no" | "off" | "n" | "false" => Some("write `false`".into()),
            _ => None,
        },
        (Shape::Bool, Value::Int(0)) => Some("write `false`".into()),
        (Shape::Bool, Value::Int(1)) => Some("write `true`".into()),
        (Shape::Whole(_) | Shape::Statuses, Value::Text(text)) => {
            let digits: String = text.chars().filter(|c| !matches!(c, '_' | ' ')).collect();
            let number = digits.parse::<u32>().ok()?;
            Some(format!("write it as a plain number: {number}"))
        }
        (Shape::Statuses, Value::Number) => whole(&written).map(|status| format!("write `{status}`")),
        (Shape::Statuses, Value::List(_)) => Some("write one list of numbers, such as [200, 204]".into()),
        (Shape::Text(_), Value::Map(_) | Value::List(_)) => Some("write one text".into()),
        (Shape::Duration { .. }, Value::Int(n)) if *n > 0 => Some(format!("did you mean `{n}s`?")),
        (Shape::Texts(_), Value::Text(_)) => Some(format!("write it as a list: [{written}]")),
        (Shape::List { .. }, Value::Map(_)) => Some("start each entry with `- `".into()),
        (Shape::Record(record), Value::Text(_)) => {
            record.fields.first().map(|field| format!("write it as `{{ {}: … }}`", field.name))
        }
        _ => None,
    }
}
