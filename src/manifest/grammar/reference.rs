//! The tables of `docs/manifest.md`, from the declaration.

use std::fmt::Write as _;

use super::{
    rules::PROJECT,
    shape::{Field, Record, Requirement, Shape},
};

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/manifest.md");

/// What stands before a table, with the path of its record, and what stands behind it.
const START: &str = "<!-- fields: ";
const END: &str = "<!-- end -->";

/// Set, it makes the test write the tables that it would compare.
const UPDATE: &str = "UNDRIFT_UPDATE_DOCS";

/// A record with its path, such as `spec.services[]`.
type RecordAt = (String, &'static Record);

/// Every record by its paths, in the order of the declaration.
fn records(record: &'static Record, path: &str, found: &mut Vec<RecordAt>) {
    found.push((path.to_owned(), record));
    for field in record.fields {
        let path = if path == "object" { field.name.into() } else { format!("{path}.{}", field.name) };
        match field.shape {
            Shape::Record(inner) | Shape::WordOr(_, inner) => records(inner, &path, found),
            Shape::List { of, .. } => records(of, &format!("{path}[]"), found),
            _ => {}
        }
    }
}

/// The rows of a record. One that has no table of its own has its rows in that of the record around it.
fn rows(record: &Record, prefix: &str, with_table: &[&'static Record], table: &mut String) {
    for field in record.fields {
        let name = format!("{prefix}{}", field.name);
        match field.shape {
            Shape::Record(inner) if !with_table.iter().any(|other| std::ptr::eq(*other, inner)) => {
                let may_be_absent = !field.is_required() && inner.fields.iter().any(Field::is_required);
                assert!(!may_be_absent, "{} needs a table of its own: `required` would mislead", inner.what);
                rows(inner, &format!("{name}."), with_table, table);
            }
            _ => row(&name, field, table),
        }
    }
}

fn row(name: &str, field: &Field, table: &mut String) {
    let without = match field.presence {
        Requirement::Required(_) => "required",
        Requirement::Optional(without) => without,
    };
    let description = field.description();
    assert!(!description.is_empty() && !without.is_empty(), "nothing is said of {name}");
    writeln!(table, "| `{name}` | {description} | {without} |").unwrap();
}

/// The same text with the tables of the declaration between its marks.
fn with_tables(text: &str) -> String {
    let mut all = Vec::new();
    records(&PROJECT, "object", &mut all);
    let named: Vec<&RecordAt> =
        all.iter().filter(|(path, _)| text.contains(&format!("{START}{path} -->"))).collect();
    let with_table: Vec<_> = named.iter().map(|(_, record)| *record).collect();
    for (path, record) in &all {
        let is_in_a_list = path.ends_with("[]");
        let has_table = with_table.iter().any(|other| std::ptr::eq(*other, *record));
        assert!(has_table || !is_in_a_list, "no table for {path}: write `{START}{path} -->` and `{END}`");
    }
    let mut parts = text.split(START);
    let mut written = parts.next().unwrap().to_owned();
    for part in parts {
        let (path, rest) = part.split_once(" -->").unwrap();
        let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("no `{END}` after `{path}`"));
        let (_, record) =
            all.iter().find(|(known, _)| known == path).unwrap_or_else(|| panic!("no record `{path}`"));
        let mut table = String::from("| field | takes | without it |\n| --- | --- | --- |\n");
        rows(record, "", &with_table, &mut table);
        write!(written, "{START}{path} -->\n{table}{END}{after}").unwrap();
    }
    written
}

#[test]
fn the_tables_of_the_reference_are_those_of_the_declaration() {
    let held = std::fs::read_to_string(REFERENCE).unwrap();
    let generated = with_tables(&held);
    assert!(held.contains(&format!("{START}object -->")), "no table of the object");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(REFERENCE, &generated).unwrap();
    } else {
        assert!(
            held == generated,
            "docs/manifest.md is out of date: {UPDATE}=1 cargo test --lib the_tables_of_the_reference"
        );
    }
}
