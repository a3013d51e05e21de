//! Serde's view of a node.

use std::{cell::RefCell, collections::HashSet};

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::{
    attempts::{Path, join},
    error::{Kind, ReadError},
};
use crate::config::tree::{Key, Node, Table, Text, Value};

/// What one attempt at reading knows and finds out.
pub(super) struct Context<'a> {
    /// Values that are passed over.
    pub(super) dropped: &'a HashSet<Path>,
    /// Keys that the type does not know, with those that it does.
    pub(super) unknown: RefCell<Vec<(Path, &'static [&'static str])>>,
}

/// A node that is being read.
#[derive(Clone)]
pub(super) struct NodeDeserializer<'a> {
    node: &'a Node,
    path: Path,
    context: &'a Context<'a>,
}

impl<'a> NodeDeserializer<'a> {
    pub(super) fn root(node: &'a Node, context: &'a Context<'a>) -> Self {
        Self {
            node,
            path: Vec::new(),
            context,
        }
    }

    /// What is below this node, unless it is passed over.
    fn child(&self, step: &str, node: &'a Node) -> Option<Self> {
        let path = join(&self.path, step);
        (!self.context.dropped.contains(&path)).then_some(Self {
            node,
            path,
            context: self.context,
        })
    }

    fn entries(&self, table: &'a Table) -> Vec<(&'a Key, Self)> {
        table
            .iter()
            .filter_map(|(key, node)| Some((key, self.child(&key.name, node)?)))
            .collect()
    }

    /// The value as it is, placeholders left as text.
    fn plain<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Datetime(text) | Value::String(Text { text, .. }) => visitor.visit_str(text),
            Value::Unset(unset) => Err(ReadError::new(Kind::Unset(unset.clone()))),
            Value::Array(elements) => {
                let children = elements.iter().enumerate();
                let children = children.filter_map(|(at, node)| self.child(&at.to_string(), node));
                visitor.visit_seq(Elements(children.collect::<Vec<_>>().into_iter()))
            }
            Value::Table(table) => visitor.visit_map(Entries {
                rest: self.entries(table).into_iter(),
                value: None,
            }),
        }
    }

    /// The text of a string that is wholly one placeholder.
    fn adapting(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::String(text) if text.adapts => Some(text.text.trim()),
            _ => None,
        }
    }
}

/// A value of the type that a text looks like, where none is asked for. Numbers only in their plain form, so that
/// `007` and `1e3`, which may be names, stay what they are.
fn guess(text: &str) -> Option<Value> {
    if let Ok(value) = text.parse() {
        return Some(Value::Bool(value));
    }
    if let Ok(value) = text.parse::<i64>() {
        return (value.to_string() == text).then_some(Value::Integer(value));
    }
    let (whole, fraction) = text.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let magnitude = whole.strip_prefix('-').unwrap_or(whole);
    let is_plain = digits(magnitude) && (magnitude == "0" || !magnitude.starts_with('0'));
    let value = text.parse::<f64>().ok()?;
    (is_plain && digits(fraction) && value.is_finite()).then_some(Value::Float(value))
}

/// A method for a type that a placeholder may turn into.
macro_rules! adapt {
    ($($method:ident: $type:ty => $visit:ident),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            match self.adapting().map(str::parse::<$type>) {
                Some(Ok(value)) => visitor.$visit(value),
                _ => self.plain(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = ReadError;

    adapt! {
        deserialize_i8: i64 => visit_i64,
        deserialize_i16: i64 => visit_i64,
        deserialize_i32: i64 => visit_i64,
        deserialize_i64: i64 => visit_i64,
        deserialize_i128: i128 => visit_i128,
        deserialize_u8: i64 => visit_i64,
        deserialize_u16: i64 => visit_i64,
        deserialize_u32: i64 => visit_i64,
        deserialize_u64: u64 => visit_u64,
        deserialize_u128: u128 => visit_u128,
        deserialize_f32: f64 => visit_f64,
        deserialize_f64: f64 => visit_f64,
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.adapting().map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "1") => visitor.visit_bool(true),
            Some("false" | "0") => visitor.visit_bool(false),
            _ => self.plain(visitor),
        }
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.adapting().and_then(guess) {
            Some(Value::Bool(value)) => visitor.visit_bool(value),
            Some(Value::Integer(value)) => visitor.visit_i64(value),
            Some(Value::Float(value)) => visitor.visit_f64(value),
            _ => self.plain(visitor),
        }
    }

    /// A placeholder that comes to an empty text is no value.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.adapting() {
            Some("") => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let Value::Table(table) = &self.node.value else {
            return self.plain(visitor);
        };
        let (known, unknown): (Vec<_>, Vec<_>) = self
            .entries(table)
            .into_iter()
            .partition(|(key, _)| fields.contains(&key.name.as_str()));
        let unknown = unknown.into_iter().map(|(_, child)| (child.path, fields));
        self.context.unknown.borrow_mut().extend(unknown);
        visitor.visit_map(Entries {
            rest: known.into_iter(),
            value: None,
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::String(text) => {
                let variant: serde::de::value::StrDeserializer<'_, ReadError> =
                    text.text.as_str().into_deserializer();
                visitor.visit_enum(variant)
            }
            Value::Table(table) if table.iter().len() == 1 => {
                match self.entries(table).into_iter().next() {
                    Some((key, value)) => visitor.visit_enum(Variant { key, value }),
                    None => self.plain(visitor),
                }
            }
            _ => self.plain(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.plain(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.plain(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.plain(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.plain(visitor)
    }

    serde::forward_to_deserialize_any! {
        bytes byte_buf unit unit_struct seq tuple tuple_struct map
    }
}

/// The elements of an array.
struct Elements<'a>(std::vec::IntoIter<NodeDeserializer<'a>>);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        self.0
            .next()
            .map(|element| located(seed, element))
            .transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The entries of a table.
struct Entries<'a> {
    rest: std::vec::IntoIter<(&'a Key, NodeDeserializer<'a>)>,
    value: Option<NodeDeserializer<'a>>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        let Some((key, value)) = self.rest.next() else {
            return Ok(None);
        };
        let path = value.path.clone();
        self.value = Some(value);
        let name = key.name.as_str().into_deserializer();
        seed.deserialize(name)
            .map(Some)
            .map_err(|error: ReadError| match error.kind {
                // It concerns the table, which is where the field is looked for.
                Kind::UnknownField { .. } => error,
                _ => error.or_at(&path),
            })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        match self.value.take() {
            Some(value) => located(seed, value),
            None => Err(serde::de::Error::custom("a value was read twice")),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// A variant written as a table of one key.
struct Variant<'a> {
    key: &'a Key,
    value: NodeDeserializer<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = ReadError;
    type Variant = NodeDeserializer<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self::Variant), ReadError> {
        let name = self.key.name.as_str().into_deserializer();
        Ok((seed.deserialize(name)?, self.value))
    }
}

impl<'de> VariantAccess<'de> for NodeDeserializer<'_> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        located(std::marker::PhantomData, self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        located(seed, self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ReadError> {
        let path = self.path.clone();
        self.plain(visitor).map_err(|error| error.or_at(&path))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let path = self.path.clone();
        self.deserialize_struct("", fields, visitor)
            .map_err(|error| error.or_at(&path))
    }
}

/// Reads a value; its error, unless it comes from further below, is at this value.
fn located<'de, S: DeserializeSeed<'de>>(
    seed: S,
    value: NodeDeserializer<'_>,
) -> Result<S::Value, ReadError> {
    let path = value.path.clone();
    seed.deserialize(value).map_err(|error| error.or_at(&path))
}
