//! What to say of a field that does not exist.

use crate::{
    manifest::{
        grammar::{PROJECT, Record, Shape},
        report::{Fault, short},
    },
    nearest::nearest,
};

/// The fault of a field that this record does not have, with the field that was meant, where that can be told: a
/// misspelt one, one that belongs elsewhere, or a habit from another tool.
pub(super) fn fault(name: &str, record: &'static Record) -> (Fault, Option<&'static str>) {
    let has = |field: &str| record.fields.iter().any(|known| known.name == field);
    if name == "<<" {
        let fault = Fault::new("merge keys (`<<`) are not part of a manifest");
        return (fault.help("write the fields out; a whole value may be an alias (`*name`)"), None);
    }
    let is_near = |words: &[&str]| nearest(name, words.iter().copied()).is_some();
    if has("passwordFrom") && is_near(&["password", "secret"]) {
        let fault = Fault::new("a password has no place in a manifest");
        let help = "write `passwordFrom: { env: NAME }` or `passwordFrom: { file: PATH }`";
        return (fault.help(help), Some("passwordFrom"));
    }
    if has("bearerFrom") && is_near(&["bearer", "bearerToken", "token", "password", "secret"]) {
        let fault = Fault::new("a secret has no place in a manifest");
        let help = "write `bearerFrom: { env: NAME }` or `bearerFrom: { file: PATH }`";
        return (fault.help(help), Some("bearerFrom"));
    }
    let meant = nearest(name, record.fields.iter().map(|field| field.name));
    let help = meant
        .map(|right| format!("did you mean `{right}`?"))
        .or_else(|| belongs(name).map(|path| format!("it belongs in `{path}`")))
        .unwrap_or_else(|| listed(record));
    (Fault::new(format!("{} has no field `{}`", record.what, short(name))).help(help), meant)
}

/// The fields that a record has, as a sentence.
pub(super) fn listed(record: &Record) -> String {
    let names: Vec<_> = record.fields.iter().map(|field| format!("`{}`", field.name)).collect();
    format!("{} has {}", record.what, names.join(", "))
}

/// The path of the one record that has a field of this name.
fn belongs(name: &str) -> Option<String> {
    fn walk(record: &'static Record, path: &str, name: &str, found: &mut Vec<String>) {
        for field in record.fields {
            if field.name == name {
                found.push(path.to_owned());
            }
            let path = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
            match field.shape {
                Shape::Record(inner) => walk(inner, &path, name, found),
                Shape::List { of, .. } => walk(of, &format!("{path}[]"), name, found),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(&PROJECT, "", name, &mut found);
    if let [path] = found.as_slice() { Some(path.clone()) } else { None }
}
