//! The reference of the manifest, held against the manifest.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::home::Home;

fn reference() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/manifest.md")).unwrap()
}

/// Every name of a property, at every depth.
fn properties(schema: &Value, into: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let named = fields.get("properties").and_then(Value::as_object).into_iter().flatten();
            into.extend(named.map(|(name, _)| name.clone()));
            fields.values().for_each(|value| properties(value, into));
        }
        Value::Array(items) => items.iter().for_each(|item| properties(item, into)),
        _ => {}
    }
}

#[test]
fn the_reference_names_every_field_of_the_schema() {
    let schema: Value = Home::new().undrift(&["schema"]).expect(0).json();
    let mut fields = BTreeSet::new();
    properties(&schema, &mut fields);
    assert!(fields.len() > 30, "{fields:?}");
    let text = reference();
    // What stands in backquotes, apart from the blocks of code.
    let prose = text.split("```").step_by(2).collect::<String>();
    let quoted = prose.split('`').skip(1).step_by(2);
    let words: BTreeSet<&str> = quoted.flat_map(|code| code.split(|c: char| !c.is_alphanumeric())).collect();
    let missing: Vec<_> = fields.iter().filter(|field| !words.contains(field.as_str())).collect();
    assert!(missing.is_empty(), "docs/manifest.md says nothing of {missing:?}");
}

#[test]
fn the_example_of_the_reference_is_valid() {
    let home = Home::new();
    let text = reference();
    let example = text.split("```yaml\n").last().unwrap().split("```").next().unwrap();
    let here = example.replace("directory: /srv/shop", "directory: .");
    assert_ne!(here, example);
    for file in ["compose.yaml", "compose.prod.yaml", "prod.env"] {
        fs::write(home.0.path().join(file), "").unwrap();
    }
    fs::write(home.0.path().join("shop.yaml"), here).unwrap();
    let run = home.undrift(&["validate", "-f", "shop.yaml"]).expect(0);
    assert!(run.stdout.contains("2 services"), "{run:?}");
}
