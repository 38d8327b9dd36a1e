//! The language in which the manifest is declared: records of fields, each with its shape and what it means.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::{
    api::Duration,
    manifest::{
        report::{Fault, Report},
        syntax::Node,
    },
};

/// The HTTP statuses that an answer can have (RFC 9110).
pub(crate) const STATUSES: RangeInclusive<i64> = 100..=599;

/// What a value must be.
pub(crate) enum Shape {
    /// Exactly this text.
    Exactly(&'static str),
    Text(&'static TextFormat),
    Bool,
    /// A whole number of this range.
    Whole(RangeInclusive<i64>),
    /// A duration of at least so many milliseconds.
    Duration {
        at_least: u64,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// An HTTP status or a list of them.
    Statuses,
    /// A list of texts, each once.
    Texts(&'static TextFormat),
    /// Texts by name.
    Pairs(&'static PairFormat),
    /// A list of records.
    List {
        of: &'static Record,
        at_least_one: bool,
    },
    Record(&'static Record),
    /// One word, or a record.
    WordOr(&'static str, &'static Record),
}

/// What a text must look like.
pub(crate) struct TextFormat {
    pub(crate) check: fn(&str) -> Result<(), Fault>,
    /// The same as a regular expression of JSON Schema (ECMA-262), as far as one can say it: it refuses nothing that `check`
    /// accepts.
    pub(crate) pattern: &'static str,
}

/// What a text and its name must look like.
pub(crate) struct PairFormat {
    pub(crate) check: fn(&str, &str) -> Result<(), Fault>,
    /// The same as a JSON Schema of the whole mapping, as far as one can say it. That it maps to texts is understood.
    pub(crate) schema: fn() -> Value,
}

/// A mapping with known fields.
pub(crate) struct Record {
    /// With its article, for messages: `a route`.
    pub(crate) what: &'static str,
    pub(crate) fields: &'static [Field],
    /// Sets of fields of which exactly one is there. Without any, each field goes with each other.
    pub(crate) alternatives: &'static [Alternative],
    /// What else holds between the fields, and what to say of it.
    pub(crate) also: fn(&Self, &Node, &mut Report<'_>),
}

/// Fields that exclude those of the other alternatives.
pub(crate) struct Alternative {
    pub(crate) required: &'static [&'static str],
    pub(crate) optional: &'static [&'static str],
}

/// A field of a record.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) presence: Requirement,
    pub(crate) shape: Shape,
    description: &'static str,
}

/// Whether a field must be there.
pub(crate) enum Requirement {
    /// It must. With an example of its value, as YAML, for messages.
    Required(&'static str),
    /// It may be left out. With what then holds, as Markdown; one value in backquotes and nothing else is a default.
    Optional(&'static str),
}

impl Record {
    pub(crate) const fn new(what: &'static str, fields: &'static [Field]) -> Self {
        Self { what, fields, alternatives: &[], also: |_, _, _| {} }
    }

    /// Says that the record has exactly one of these.
    pub(crate) const fn either(self, alternatives: &'static [Alternative]) -> Self {
        Self { alternatives, ..self }
    }

    /// Says what else holds between the fields.
    pub(crate) const fn also(self, also: fn(&Self, &Node, &mut Report<'_>)) -> Self {
        Self { also, ..self }
    }
}

impl Alternative {
    pub(crate) const fn of(required: &'static [&'static str]) -> Self {
        Self { required, optional: &[] }
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.required.iter().chain(self.optional).copied()
    }
}

impl Field {
    pub(crate) const fn new(name: &'static str, presence: Requirement, shape: Shape) -> Self {
        Self { name, presence, shape, description: "" }
    }

    /// Says what the field takes and means, as Markdown, without what its shape says of itself.
    pub(crate) const fn takes(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    pub(crate) const fn is_required(&self) -> bool {
        matches!(self.presence, Requirement::Required(_))
    }

    /// What the field takes and means, as Markdown.
    pub(crate) fn description(&self) -> String {
        let description = self.description;
        match &self.shape {
            Shape::Exactly(text) => format!("`{text}`"),
            Shape::Word(words) => format!("{}: {description}", one_of(words)),
            Shape::Duration { at_least: least @ 2.. } => {
                format!("{description}, at least `{}`", Duration::from_millis(*least))
            }
            _ => description.into(),
        }
    }

    /// The value that holds where the field is left out, as the manifest would have it.
    pub(crate) fn default(&self) -> Option<&'static str> {
        let Requirement::Optional(without) = self.presence else { return None };
        let value = without.strip_prefix('`')?.strip_suffix('`')?;
        (!value.contains('`')).then_some(value)
    }
}

/// `a`, `b` or `c`, each in backquotes.
pub(crate) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.join(""),
    }
}
