//! The walk that holds a tree against the declaration. It goes on after a fault, so that a person sees all of them at once.

use std::collections::{HashMap, HashSet};

use super::{unknown, wrong_type};
use crate::{
    api::Duration,
    manifest::{
        grammar::{Field, PairFormat, Record, Requirement, STATUSES, Shape, TextFormat, formats, one_of},
        report::{Fault, Report, Spot, short},
        syntax::{Key, Node, Value},
    },
};

/// A value with what it is called in messages and where to point when it has no place of its own.
#[derive(Clone, Copy)]
pub(crate) struct Slot<'a> {
    /// As messages call it: the field in backquotes, or an entry of one.
    pub(crate) name: &'a str,
    pub(crate) key: Spot,
    /// Whether it may be left out.
    pub(crate) optional: bool,
    pub(crate) node: &'a Node,
}

impl Slot<'_> {
    /// Where to point.
    pub(crate) fn spot(&self) -> Spot {
        if self.node.spot.len == 0 && !matches!(self.node.value, Value::Map(_) | Value::List(_)) {
            self.key
        } else {
            self.node.visible()
        }
    }
}

/// Holds a value against its shape.
pub(crate) fn check(shape: &'static Shape, slot: Slot<'_>, report: &mut Report<'_>) {
    match (shape, &slot.node.value) {
        (Shape::Record(record) | Shape::WordOr(_, record), Value::Map(entries)) => {
            fields(record, slot, entries, report);
        }
        (Shape::List { of, at_least_one }, Value::List(items)) => {
            if *at_least_one && items.is_empty() {
                let fault = Fault::new(format!("{} is empty", slot.name)).help("declare at least one");
                report.add(slot.spot(), fault);
            }
            for item in items {
                record_item(of, slot, item, report);
            }
        }
        (Shape::Texts(format), Value::List(items)) => texts(format, slot, items, report),
        (Shape::Pairs(format), Value::Map(entries)) => pairs(format, slot, entries, report),
        (Shape::Statuses, _) => statuses(slot, report),
        _ => scalar(shape, slot, report),
    }
}

fn scalar(shape: &Shape, slot: Slot<'_>, report: &mut Report<'_>) {
    let name = slot.name;
    let fault = match (shape, &slot.node.value) {
        (Shape::Exactly(right), Value::Text(text)) if text != right => {
            Some(Fault::new(format!("{name} is not `{right}`")).help(format!("write `{right}`")))
        }
        (Shape::Word(words), Value::Text(text)) if !words.contains(&text.as_str()) => {
            let fault = Fault::new(format!("{name} must be {}", one_of(words)));
            Some(fault.meant(text, words.iter().copied(), "write one of these, or leave it out"))
        }
        (Shape::WordOr(word, _), Value::Text(text)) => (text != word).then(|| {
            let fault = Fault::new(format!("{name} must be `{word}`, or a mapping"));
            fault.meant(text, [*word], &format!("write `{word}`, or leave it out"))
        }),
        (Shape::Text(format), Value::Text(text)) => (format.check)(text).err(),
        (Shape::Bool, Value::Bool(right)) => {
            let plain = if *right { "true" } else { "false" };
            let written = report.lines().at(slot.node.written);
            (written != plain)
                .then(|| Fault::new(format!("{name} must be true or false")).help(format!("write `{plain}`")))
        }
        (Shape::Whole(range), Value::Int(n)) if !range.contains(n) => Some(out_of_range(name, range, slot)),
        (Shape::Whole(range), Value::Number) => Some(out_of_range(name, range, slot)),
        (Shape::Exactly(_) | Shape::Word(_), Value::Text(_)) | (Shape::Whole(_), Value::Int(_)) => None,
        (Shape::Duration { at_least }, Value::Text(text)) => duration(name, text, *at_least),
        _ => Some(wrong_type::fault(shape, slot, report)),
    };
    if let Some(fault) = fault {
        report.add(slot.spot(), fault);
    }
}

fn out_of_range(name: &str, range: &std::ops::RangeInclusive<i64>, slot: Slot<'_>) -> Fault {
    let help = match name {
        "`port`" => "write the port that the server listens on in the container, such as `port: 3000`",
        "`http`" => wrong_type::HTTP_VERSION,
        _ if slot.optional => "write such a number, or leave it out",
        _ => "write such a number",
    };
    Fault::new(format!("{name} must be a whole number from {} to {}", range.start(), range.end())).help(help)
}

fn duration(name: &str, text: &str, at_least: u64) -> Option<Fault> {
    let Ok(duration) = text.parse::<Duration>() else {
        let plain = text.to_lowercase().replace(' ', "");
        let help = [plain.clone(), format!("{plain}s")]
            .into_iter()
            .find(|guess| guess.parse::<Duration>().is_ok())
            .map_or_else(
                || "write it as 500ms, 5s, 2m, 1h30m or 2d, at most one year".into(),
                |guess| format!("did you mean `{guess}`?"),
            );
        return Some(Fault::new(format!("{name} is not a duration")).help(help));
    };
    let least = Duration::from_millis(at_least);
    (duration < least).then(|| match at_least {
        1 => Fault::new(format!("{name} must be more than nothing"))
            .help("write it as 500ms, 5s or 2m, or leave it out"),
        _ => Fault::new(format!("{name} must be at least {least}"))
            .help(format!("write `{least}` or more, or leave it out")),
    })
}

/// The fields of a record: each known, each once, the required ones there, each as its shape says.
fn fields(record: &'static Record, slot: Slot<'_>, entries: &[(Key, Node)], report: &mut Report<'_>) {
    let mut seen: HashMap<&str, Spot> = HashMap::new();
    // A field that was meant and misspelt is not missed a second time.
    let mut unknown: HashSet<&str> = HashSet::new();
    for (key, node) in entries {
        let Some(name) = key.name.as_deref() else {
            let fault = Fault::new(format!("the name of a field of {} must be a short text", record.what));
            report.add(key.spot, fault.help(unknown::listed(record)));
            continue;
        };
        if let Some(first) = seen.get(name) {
            report.add(key.spot, doubled(name, *first));
            continue;
        }
        seen.insert(name, key.spot);
        if let Some(field) = record.fields.iter().find(|field| field.name == name) {
            let name = format!("`{name}`");
            check(
                &field.shape,
                Slot { name: &name, key: key.spot, optional: !field.is_required(), node },
                report,
            );
        } else {
            let (fault, meant) = unknown::fault(name, record);
            report.add(key.spot, fault);
            unknown.extend(meant);
        }
    }
    let there = |field: &&Field| seen.contains_key(field.name) || unknown.contains(field.name);
    for field in record.fields.iter().filter(|field| !there(field)) {
        let Requirement::Required(example) = field.presence else { continue };
        let fault = missing(record, field, example);
        report.add(if slot.node.spot.len == 0 { slot.key } else { slot.node.visible() }, fault);
    }
    (record.also)(record, slot.node, report);
}

fn missing(record: &Record, field: &Field, example: &str) -> Fault {
    let only = matches!(field.shape, Shape::Exactly(_));
    let add = if only { "add" } else { "add it, such as" };
    Fault::new(format!("{} needs `{}`", record.what, field.name))
        .help(format!("{add} `{}: {example}`", field.name))
}

fn doubled(name: &str, first: Spot) -> Fault {
    Fault::new(format!("the field `{}` is doubled", short(name)))
        .help(format!("keep one; the first is in line {}", first.line))
}

fn record_item(record: &'static Record, list: Slot<'_>, item: &Node, report: &mut Report<'_>) {
    let name = format!("an entry of {}", list.name);
    let key = if item.spot.len == 0 { item.visible() } else { item.spot };
    let slot = Slot { name: &name, key, optional: true, node: item };
    if let Value::Map(entries) = &item.value {
        fields(record, slot, entries, report);
    } else {
        report.add(slot.spot(), wrong_type::item(record, slot));
    }
}

fn texts(format: &'static TextFormat, slot: Slot<'_>, items: &[Node], report: &mut Report<'_>) {
    let name = format!("an entry of {}", slot.name);
    let mut seen = HashSet::new();
    for node in items {
        let item = Slot { name: &name, key: slot.key, optional: true, node };
        let fault = match &node.value {
            Value::Text(text) if !seen.insert(text) => {
                Some(Fault::new(format!("{name} is doubled")).help("keep one"))
            }
            Value::Text(text) => (format.check)(text).err(),
            _ => Some(wrong_type::fault(&Shape::Text(format), item, report)),
        };
        if let Some(fault) = fault {
            report.add(item.spot(), fault);
        }
    }
}

fn pairs(format: &PairFormat, slot: Slot<'_>, entries: &[(Key, Node)], report: &mut Report<'_>) {
    let mut seen: HashMap<String, Spot> = HashMap::new();
    for (key, node) in entries {
        let Some(name) = key.name.as_deref() else {
            let fault = Fault::new(format!("a name in {} must be a short text", slot.name));
            report.add(key.spot, fault.help("write a word before the `: `, and its text behind it"));
            continue;
        };
        if let Some(first) = seen.insert(name.to_owned(), key.spot) {
            report.add(key.spot, doubled(name, first));
        }
        let called = format!("`{}`", short(name));
        let item = Slot { name: &called, key: key.spot, optional: true, node };
        match &node.value {
            Value::Text(text) => {
                if let Err(fault) = (format.check)(name, text) {
                    report.add(key.spot, fault);
                }
            }
            _ => report.add(item.spot(), wrong_type::fault(&Shape::Text(&formats::LABEL_TEXT), item, report)),
        }
    }
}

/// One status or a list of them, each once.
fn statuses(slot: Slot<'_>, report: &mut Report<'_>) {
    let name = slot.name;
    let single = std::slice::from_ref(slot.node);
    let items = if let Value::List(items) = &slot.node.value { items.as_slice() } else { single };
    if items.is_empty() {
        report.add(slot.spot(), Fault::new(format!("{name} is empty")).help("name at least one status"));
    }
    let mut seen = HashSet::new();
    for node in items {
        let item = Slot { name, key: slot.key, optional: slot.optional, node };
        let fault = match node.value {
            Value::Int(status) if !STATUSES.contains(&status) => {
                let fault =
                    Fault::new(format!("{name} names {status}, which is no HTTP status (100 to 599)"));
                Some(fault.help("write the status that the server answers with, such as 200 or 401"))
            }
            Value::Int(status) if !seen.insert(status) => {
                Some(Fault::new(format!("{name} names {status} twice")).help("keep one"))
            }
            Value::Int(_) => None,
            _ => Some(wrong_type::fault(&Shape::Statuses, item, report)),
        };
        if let Some(fault) = fault {
            report.add(item.spot(), fault);
        }
    }
}
