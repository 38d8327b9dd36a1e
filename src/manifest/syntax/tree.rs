//! YAML to a tree that remembers where each value stands, within a budget.
//!
//! The tree is generic, so that one look at a document finds all that is wrong with it: serde's own
//! deserialization into types would stop at the first fault.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

use crate::manifest::report::Spot;

/// The longest text that a value may have, in bytes. No field of a manifest needs more, and a longer one
/// multiplied by aliases would eat memory.
const LONGEST_TEXT: usize = 8 * 1024;

/// A value with its place.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    /// Where it is used: for an alias, the alias.
    pub(crate) spot: Spot,
    /// Where it is written: for an alias, the value of its anchor.
    pub(crate) written: Spot,
}

/// A value, with types as YAML 1.2 infers them.
#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// A number that is no whole one, or too large for one.
    Number,
    Text(String),
    /// A text that is too long to be any field's.
    LongText,
    /// Something that no field has, such as binary data.
    Other,
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug)]
pub(crate) struct Key {
    /// `None` where it is a list or a mapping, or too long.
    pub(crate) name: Option<String>,
    pub(crate) spot: Spot,
}

impl From<Location> for Spot {
    fn from(location: Location) -> Self {
        Self::new(location.line().max(1), location.column().max(1), location.span().len())
    }
}

impl Node {
    /// The value of a mapping's field; of a doubled one the first.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|(_, node)| node)
    }

    /// A mapping's field with its key.
    pub(crate) fn entry(&self, name: &str) -> Option<(&Key, &Self)> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(key, _)| key.name.as_deref() == Some(name)).map(|(key, node)| (key, node))
    }

    /// The entries of a list; none where it is not a list.
    pub(crate) fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The entries of a mapping's field; none where it is not there.
    pub(crate) fn items_of(&self, name: &str) -> &[Self] {
        self.get(name).map(Self::items).unwrap_or_default()
    }

    /// The text, where it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// The text of a mapping's field.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Self::text)
    }

    /// A spot that shows something: of a block mapping or a list of mappings, its first key.
    pub(crate) fn visible(&self) -> Spot {
        match &self.value {
            Value::Map(entries) if self.spot == self.written => {
                entries.first().map_or(self.spot, |(key, _)| key.spot)
            }
            _ => self.spot,
        }
    }

    /// Moves the tree down by that many lines.
    pub(crate) fn shift(&mut self, lines: u32) {
        self.spot.line += lines;
        self.written.line += lines;
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.shift(lines)),
            Value::Map(entries) => {
                for (key, node) in entries {
                    key.spot.line += lines;
                    node.shift(lines);
                }
            }
            _ => {}
        }
    }

    /// The same without places. Only for a tree that was found to be right: numbers that are not whole are null.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null | Value::Number | Value::LongText | Value::Other => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Int(n) => Json::from(*n),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .filter_map(|(key, node)| Some((key.name.clone()?, node.to_json())))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { value: found.value, spot: found.referenced.into(), written: found.defined.into() })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = Spanned::<Value>::deserialize(deserializer)?;
        let name = match found.value {
            Value::Text(text) => Some(text),
            Value::Int(n) => Some(n.to_string()),
            Value::Bool(b) => Some(b.to_string()),
            Value::Null => Some("null".into()),
            Value::Number | Value::LongText | Value::Other | Value::List(_) | Value::Map(_) => None,
        };
        Ok(Self { name, spot: found.referenced.into() })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<Value, E> {
        Ok(Value::Int(n))
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Value, E> {
        Ok(i64::try_from(n).map_or(Value::Number, Value::Int))
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(if text.len() > LONGEST_TEXT { Value::LongText } else { Value::Text(text.into()) })
    }

    fn visit_bytes<E: de::Error>(self, _: &[u8]) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}
