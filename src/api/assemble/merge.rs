//! How a value grows by the deltas that come for it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, btree_map::Entry},
};

use super::{
    AssembleError,
    raw::{self, Object, Raw, Writer, is_empty},
};
use crate::http::json;

/// Members that name something and therefore do not grow.
const NAMES: [&str; 6] = ["id", "type", "role", "name", "format", "index"];

/// The members of an object that grows.
pub(super) type Fields<'a> = BTreeMap<Cow<'a, str>, Growing<'a>>;

/// A value that may have come in several pieces.
pub(super) enum Growing<'a> {
    /// One piece, as it is.
    Whole(Raw<'a>),
    /// The insides of the strings that make one up.
    Text(Vec<&'a [u8]>),
    Object(Fields<'a>),
    Array(Array<'a>),
}

/// The elements of an array that grows.
#[derive(Default)]
pub(super) struct Array<'a> {
    elements: Vec<Growing<'a>>,
    /// Where those stand that have an `index`, by that and their type; without a type, the last of the index.
    by_index: HashMap<(u64, Raw<'a>), usize>,
}

/// Takes a member of a delta.
pub(super) fn take<'a>(
    fields: &mut Fields<'a>,
    name: Cow<'a, str>,
    value: Raw<'a>,
) -> Result<(), AssembleError> {
    match fields.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(Growing::first(value)?);
            Ok(())
        }
        Entry::Occupied(mut entry) => {
            let name = entry.key().clone();
            if NAMES.contains(&name.as_ref()) {
                entry.get_mut().stay(value, &name)
            } else {
                entry.get_mut().grow(value, &name)
            }
        }
    }
}

/// Writes an object's members in the order of their names.
pub(super) fn write_fields(fields: &Fields<'_>) -> Vec<u8> {
    let mut writer = Writer::default();
    for (name, value) in fields {
        value.write(writer.name(name));
    }
    writer.finish()
}

impl<'a> Growing<'a> {
    /// The first piece of a value. One array may already hold several pieces of one element.
    fn first(value: Raw<'a>) -> Result<Self, AssembleError> {
        let mut first = Self::Whole(value);
        if value.starts_with(b"[") {
            first.open()?;
        }
        Ok(first)
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Whole(value) => is_empty(value),
            Self::Array(array) => array.elements.is_empty(),
            Self::Text(_) | Self::Object(_) => false,
        }
    }

    /// Grows by a value of the same type; `name` is for the error.
    pub(super) fn grow(&mut self, more: Raw<'a>, name: &str) -> Result<(), AssembleError> {
        if is_empty(more) {
            return Ok(());
        }
        if self.is_empty() {
            *self = Self::first(more)?;
            return Ok(());
        }
        self.open()?;
        match (&mut *self, more) {
            (Self::Text(pieces), [b'"', ..]) => pieces.extend(raw::inside(more)),
            (Self::Object(fields), [b'{', ..]) => {
                for (name, value) in Object::read(more, NO_OBJECT)? {
                    take(fields, name, value)?;
                }
            }
            (Self::Array(array), [b'[', ..]) => array.extend(more)?,
            (Self::Whole(_), [b'"' | b'{' | b'[', ..]) => return Err(contradiction(name)),
            (Self::Whole(value), _) => *value = more,
            _ => return Err(contradiction(name)),
        }
        Ok(())
    }

    /// Takes the place of what there is, unless it is empty; arrays grow.
    pub(super) fn renew(&mut self, value: Raw<'a>, name: &str) -> Result<(), AssembleError> {
        let is_array = matches!(self, Self::Array(_) | Self::Whole([b'[', ..]));
        if is_array && value.starts_with(b"[") {
            return self.grow(value, name);
        }
        if !is_empty(value) {
            *self = Self::Whole(value);
        }
        Ok(())
    }

    /// Stays what it is, unless that is nothing.
    fn stay(&mut self, again: Raw<'a>, name: &str) -> Result<(), AssembleError> {
        match self {
            _ if is_empty(again) => Ok(()),
            Self::Whole(value) if is_empty(value) => {
                *value = again;
                Ok(())
            }
            Self::Whole(value) if is_same(value, again) => Ok(()),
            _ => Err(contradiction(name)),
        }
    }

    /// Makes one piece into something that can take another. Numbers and their like stay what they are.
    fn open(&mut self) -> Result<(), AssembleError> {
        let &mut Self::Whole(value) = self else {
            return Ok(());
        };
        match value {
            [b'"', ..] => *self = Self::Text(raw::inside(value).into_iter().collect()),
            [b'{', ..] => {
                let mut fields = Fields::new();
                for (name, value) in Object::read(value, NO_OBJECT)? {
                    take(&mut fields, name, value)?;
                }
                *self = Self::Object(fields);
            }
            [b'[', ..] => {
                let mut array = Array::default();
                array.extend(value)?;
                *self = Self::Array(array);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Whole(value) => out.extend_from_slice(value),
            Self::Text(pieces) => {
                out.push(b'"');
                for piece in pieces {
                    out.extend_from_slice(piece);
                }
                out.push(b'"');
            }
            Self::Object(fields) => out.extend_from_slice(&write_fields(fields)),
            Self::Array(array) => {
                raw::write_array(out, &array.elements, |out, element| element.write(out));
            }
        }
    }
}

impl<'a> Array<'a> {
    fn extend(&mut self, more: Raw<'a>) -> Result<(), AssembleError> {
        for element in raw::elements(more, NO_ARRAY)? {
            let place = place_of(element);
            let known = place.and_then(|place| self.by_index.get(&place));
            match known.and_then(|&at| self.elements.get_mut(at)) {
                Some(known) => known.grow(element, "index")?,
                None => self.push(element, place),
            }
        }
        Ok(())
    }

    fn push(&mut self, element: Raw<'a>, place: Option<(u64, Raw<'a>)>) {
        let at = self.elements.len();
        if let Some((index, kind)) = place {
            self.by_index
                .extend([((index, kind), at), ((index, NO_TYPE), at)]);
        }
        self.elements.push(Growing::Whole(element));
    }
}

const NO_OBJECT: &str = "a delta has a member twice";
const NO_ARRAY: &str = "an array is none";

/// The type of an element that does not tell it.
const NO_TYPE: Raw<'static> = b"";

/// The `index` and the type of an element, if it has the former.
fn place_of(element: Raw<'_>) -> Option<(u64, Raw<'_>)> {
    let members = json::scan(element).ok()?;
    let index = json::as_u64(members.get(element, "index")?)?;
    let kind = members.get(element, "type").filter(|kind| !is_empty(kind));
    Some((index, kind.unwrap_or(NO_TYPE)))
}

/// Whether two names are the same, however they are escaped.
fn is_same(one: Raw<'_>, other: Raw<'_>) -> bool {
    one == other || (one.starts_with(b"\"") && json::as_str(one) == json::as_str(other))
}

fn contradiction(name: &str) -> AssembleError {
    AssembleError::Contradiction(name.to_owned())
}
