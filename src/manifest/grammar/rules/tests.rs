//! The declaration, held against the types that a manifest is read into.

use std::collections::BTreeSet;

use proptest::{
    prop_assert,
    test_runner::{Config, TestRunner},
};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::*;
use crate::{api::ComposeProject, manifest::grammar::shape::TextFormat};

/// A record of the declaration, and where a manifest has it.
type RecordAt = (String, &'static Record);

/// A manifest with every field, and where its records are. Of the alternatives of a record it has the one of this number.
struct Filled {
    manifest: Value,
    records: Vec<RecordAt>,
}

impl Filled {
    fn new(alternative: usize) -> Self {
        let mut records = Vec::new();
        let manifest = record(&PROJECT, alternative, "", &mut records);
        Self { manifest, records }
    }

    /// What the types make of it after a change at this place.
    fn changed(
        &self,
        pointer: &str,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> serde_json::Result<Value> {
        let mut manifest = self.manifest.clone();
        change(manifest.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap());
        serde_json::from_value::<ComposeProject>(manifest).and_then(serde_json::to_value)
    }
}

/// All of them, by alternative: no record has more than four.
fn filled() -> [Filled; 4] {
    [0, 1, 2, 3].map(Filled::new)
}

fn fields_of(record: &'static Record, alternative: usize) -> impl Iterator<Item = &'static Field> {
    // A record with fewer has its last one.
    let last = record.alternatives.len().saturating_sub(1);
    let chosen = record.alternatives.get(alternative.min(last));
    let is_excluded = move |name| {
        let is_of_one = record.alternatives.iter().any(|one| one.fields().any(|field| field == name));
        is_of_one && !chosen.is_some_and(|one| one.fields().any(|field| field == name))
    };
    record.fields.iter().filter(move |field| !is_excluded(field.name))
}

fn record(record: &'static Record, alternative: usize, pointer: &str, records: &mut Vec<RecordAt>) -> Value {
    records.push((pointer.to_owned(), record));
    let fields = fields_of(record, alternative);
    fields.map(|field| (field.name.to_owned(), value(field, alternative, pointer, records))).collect()
}

/// A value of the field's shape, and no default: types leave those out.
fn value(field: &'static Field, alternative: usize, pointer: &str, records: &mut Vec<RecordAt>) -> Value {
    let pointer = format!("{pointer}/{}", field.name);
    match &field.shape {
        Shape::Exactly(text) => json!(text),
        Shape::Text(_) => json!("a text"),
        Shape::Bool => json!(field.default() != Some("`true`")),
        Shape::Whole(range) => json!(range.end()),
        Shape::Duration { .. } => json!("1h30m"),
        Shape::Word(words) => json!(words.iter().find(|word| field.default() != Some(**word))),
        Shape::Statuses => json!([200, 204]),
        Shape::Texts(_) => json!(["one", "other"]),
        Shape::Pairs(_) => json!({ "name": "text" }),
        Shape::List { of, .. } => json!([record(of, alternative, &format!("{pointer}/0"), records)]),
        Shape::Record(of) | Shape::WordOr(_, of) => record(of, alternative, &pointer, records),
    }
}

#[test]
fn the_types_read_every_field_and_lose_none() {
    for filled in filled() {
        assert_eq!(filled.changed("", |_| {}).unwrap(), filled.manifest);
    }
}

/// What the types accept besides is seen in their error: it lists the fields that they know.
#[test]
fn the_types_have_no_other_field() {
    for filled in filled() {
        for (pointer, record) in &filled.records {
            let only_unknown =
                |fields: &mut Map<String, Value>| *fields = [("?".into(), Value::Null)].into_iter().collect();
            let error = filled.changed(pointer, only_unknown).unwrap_err().to_string();
            let (_, known) = error.split_once("expected ").unwrap();
            let known: BTreeSet<_> = known.split('`').skip(1).step_by(2).collect();
            let mut declared: BTreeSet<_> = record.fields.iter().map(|field| field.name).collect();
            // Its one word is read by the same type.
            if record.what == EXPECTED_REVISION.what {
                declared.insert("git");
            }
            assert_eq!(known, declared, "{}: {error}", record.what);
        }
    }
}

#[test]
fn a_field_is_required_in_the_types_as_it_is_here() {
    for (alternative, filled) in filled().iter().enumerate() {
        for (pointer, record) in &filled.records {
            // Each field of an alternative is required where it is the only one, which is not for the types to say.
            let is_sole = [SECRET.what, REVISION_PLACE.what, EXPECTED_REVISION.what].contains(&record.what);
            for field in fields_of(record, alternative).filter(|_| !is_sole) {
                let left_out = filled.changed(pointer, |fields| drop(fields.remove(field.name)));
                assert_eq!(left_out.is_err(), field.is_required(), "{} {}", record.what, field.name);
            }
        }
    }
}

#[test]
fn the_stated_defaults_are_those_of_the_types() {
    let mut compared = BTreeSet::new();
    for (alternative, filled) in filled().iter().enumerate() {
        for (pointer, record) in &filled.records {
            for (field, default) in
                fields_of(record, alternative).filter_map(|field| Some((field, field.default()?)))
            {
                let default = serde_json::from_str(default).unwrap_or_else(|_| json!(default));
                let left_out = filled.changed(pointer, |fields| drop(fields.remove(field.name))).unwrap();
                let stated =
                    filled.changed(pointer, |fields| drop(fields.insert(field.name.into(), default.clone())));
                // Where a type tells what is left out from what is stated, the code that reads it fills the default in.
                let of_code = ["scheme", "http", "verify", "type"].contains(&field.name);
                assert!(of_code || stated.unwrap() == left_out, "{} {}: {default}", record.what, field.name);
                compared.insert((record.what, field.name));
            }
        }
    }
    assert!(compared.len() >= 20, "{compared:?}");
}

/// The formats of all fields, by the field's name.
fn formats(record: &'static Record) -> Vec<(&'static str, &'static TextFormat)> {
    let of_field = |field: &'static Field| match &field.shape {
        Shape::Text(format) | Shape::Texts(format) => vec![(field.name, *format)],
        Shape::List { of: inner, .. } | Shape::Record(inner) | Shape::WordOr(_, inner) => formats(inner),
        _ => Vec::new(),
    };
    record.fields.iter().flat_map(of_field).collect()
}

/// The check of each field's format and its pattern, but for patterns that look ahead: this engine cannot.
fn patterns() -> Vec<(&'static str, &'static TextFormat, Regex)> {
    let all = formats(&PROJECT).into_iter().filter(|(_, format)| !format.pattern.contains("(?!"));
    all.map(|(name, format)| (name, format, Regex::new(format.pattern).unwrap())).collect()
}

#[test]
fn a_pattern_refuses_nothing_that_the_check_accepts() {
    let patterns = patterns();
    assert!(patterns.len() > 10);
    let texts = r"[a-zA-Z0-9/._~:@#?=&%* \t\u{e9}-]{0,6}|https?://[a-z0-9.:@é\[\]-]{1,6}[a-z/?=#@ ]{0,4}";
    let config = Config { cases: 20_000, failure_persistence: None, ..Config::default() };
    let refused = TestRunner::new(config).run(&texts, |text| {
        for (name, format, pattern) in &patterns {
            prop_assert!((format.check)(&text).is_err() || pattern.is_match(&text), "{name}: {text:?}");
        }
        Ok(())
    });
    refused.unwrap();
}

#[test]
fn a_pattern_refuses_what_a_person_gets_wrong() {
    for (name, wrong) in [
        ("name", "AI_office"),
        ("profiles", "a b"),
        ("path", "api"),
        ("url", "ftp://shop"),
        ("method", "get"),
        ("control", "of"),
        ("serverName", "shop example"),
        ("username", "ops:hunter2"),
        ("env", "1X"),
        ("file", "~/token"),
    ] {
        let (_, format, pattern) = patterns().into_iter().find(|(field, ..)| *field == name).unwrap();
        assert!((format.check)(wrong).is_err() && !pattern.is_match(wrong), "{name}: {wrong}");
    }
}
