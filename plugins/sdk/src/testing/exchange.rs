//! An exchange without a gateway.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Endpoint, Exchange, Field, SetError};

/// An exchange of a test's own: fields are what the test says, and what a stage sets is kept and written down. What may be
/// set is what a gateway would let it set.
#[derive(Clone, Debug, Default)]
pub struct FakeExchange {
    values: BTreeMap<(u32, String), Vec<u8>>,
    numbers: BTreeMap<u32, u64>,
    /// Callers by the hash of their key.
    callers: BTreeMap<Vec<u8>, String>,
    edits: Vec<Edit>,
    is_below_route: bool,
    /// The body has not been read.
    pub(super) has_head_alone: bool,
    pub(super) has_reply: bool,
}

/// Something that a stage has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The field.
    pub field: Field,
    /// Its key; empty where it has none.
    pub key: String,
    /// The value; `None` where the stage removed it.
    pub value: Option<Vec<u8>>,
}

impl FakeExchange {
    /// A request without anything in it but an id (`request-1`), a method (`POST`) and an address (`192.0.2.1`).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
            .with(Field::RequestId, "request-1")
            .with(Field::Method, "POST")
            .with(Field::PeerAddress, "192.0.2.1")
            .with_number(Field::ModelAllowed, 1)
    }

    /// A chat with this body.
    #[must_use]
    pub fn chat(body: &Value) -> Self {
        Self::to(Endpoint::Chat, body)
    }

    /// A request to an endpoint with this body, above `route`.
    #[must_use]
    pub fn to(endpoint: Endpoint, body: &Value) -> Self {
        let path = format!("/v1{}", super::provider::path(endpoint));
        let is_stream = body["stream"] == Value::Bool(true);
        let mut exchange = Self::new()
            .with(Field::Path, path)
            .with(Field::Model, body["model"].as_str().unwrap_or_default())
            .with(Field::RequestBody, body.to_string())
            .with_number(Field::Endpoint, endpoint as u64)
            .with_number(Field::Stream, is_stream.into());
        for (member, value) in body.as_object().into_iter().flatten() {
            exchange = exchange.with_key(Field::RequestMember, member, value.to_string());
        }
        exchange
    }

    /// With a header of the client's.
    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.with_key(Field::RequestHeader, &name.to_ascii_lowercase(), value)
    }

    /// With a field that has no key.
    #[must_use]
    pub fn with(self, field: Field, value: impl AsRef<[u8]>) -> Self {
        self.with_key(field, "", value)
    }

    /// With one entry of a map field.
    #[must_use]
    pub fn with_key(mut self, field: Field, key: &str, value: impl AsRef<[u8]>) -> Self {
        let place = (field as u32, key.to_owned());
        self.values.insert(place, value.as_ref().to_owned());
        self
    }

    /// With a field that is a number.
    #[must_use]
    pub fn with_number(mut self, field: Field, number: u64) -> Self {
        self.numbers.insert(field as u32, number);
        self
    }

    /// With somebody who is known by a key with this SHA-256: [`Field::CallerKey`] finds them.
    #[must_use]
    pub fn with_caller(mut self, hash: &[u8; 32], id: &str) -> Self {
        self.callers.insert(hash.to_vec(), id.to_owned());
        self
    }

    /// As an attempt below `route`: the first, of the route `default`.
    #[must_use]
    pub fn below_route(mut self, provider: &str, model: &str) -> Self {
        self.is_below_route = true;
        self.with(Field::Route, "default")
            .with(Field::Provider, provider)
            .with(Field::TargetModel, model)
            .with_number(Field::Attempt, 1)
    }

    /// A text field as it is now; `None` where it is absent or not UTF-8.
    #[must_use]
    pub fn text(&self, field: Field, key: &str) -> Option<&str> {
        (self as &dyn Exchange).text(field, key)
    }

    /// Everything that stages have set, in order; what was refused is not among it.
    #[must_use]
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    pub(super) const fn is_below_route(&self) -> bool {
        self.is_below_route
    }

    /// Forgets a map field.
    pub(super) fn clear(&mut self, field: Field) {
        self.values.retain(|(of, _), _| *of != field as u32);
    }

    /// Whether a field is there before the body is.
    const fn is_read(&self, field: Field) -> bool {
        !self.has_head_alone
            || !matches!(
                field,
                Field::Model
                    | Field::Stream
                    | Field::ModelAllowed
                    | Field::RequestBody
                    | Field::RequestMember
                    | Field::Route
                    | Field::InputEstimate
                    | Field::DeadlineLeft
            )
    }

    /// Whether a field can be set to this now.
    fn check(&self, field: Field, key: &str, value: Option<&[u8]>) -> Result<(), SetError> {
        let may_write = match field {
            Field::Var => true,
            Field::ReplyHeader => self.has_reply,
            Field::UpstreamHeader => self.is_below_route && !self.has_reply,
            Field::Model
            | Field::CallerId
            | Field::CallerTeam
            | Field::CallerMeta
            | Field::CallerKey
            | Field::CallerModels
            | Field::ForwardsAuth
            | Field::RequestHeader => {
                !self.is_below_route && !self.has_reply && self.is_read(field)
            }
            _ => false,
        };
        if !may_write {
            return Err(SetError::ReadOnly);
        }
        let is_valid = match field {
            Field::RequestHeader | Field::ReplyHeader | Field::UpstreamHeader => {
                is_header_name(key) && value.is_none_or(is_header_value)
            }
            Field::Model => value.is_some_and(|value| str::from_utf8(value).is_ok()),
            Field::CallerId | Field::CallerTeam | Field::CallerModels => {
                value.is_none_or(|value| str::from_utf8(value).is_ok())
            }
            Field::ForwardsAuth => matches!(value, None | Some(b"0" | b"1")),
            _ => true,
        };
        if is_valid {
            Ok(())
        } else {
            Err(SetError::Invalid)
        }
    }
}

impl Exchange for FakeExchange {
    fn get(&self, field: Field, key: &str) -> Option<&[u8]> {
        if !self.is_read(field) {
            return None;
        }
        let key = if is_map(field) { key } else { "" };
        let value = self.values.get(&(field as u32, key.to_owned()));
        value.map(Vec::as_slice)
    }

    fn number(&self, field: Field) -> Option<u64> {
        let number = self.numbers.get(&(field as u32)).copied();
        number.filter(|_| self.is_read(field))
    }

    fn set(&mut self, field: Field, key: &str, value: Option<&[u8]>) -> Result<(), SetError> {
        self.check(field, key, value)?;
        let key = match field {
            Field::RequestHeader | Field::ReplyHeader | Field::UpstreamHeader => {
                key.to_ascii_lowercase()
            }
            _ if is_map(field) => key.to_owned(),
            _ => String::new(),
        };
        if field == Field::CallerKey {
            let caller = self.callers.get(value.unwrap_or_default());
            let caller = caller.ok_or(SetError::Unknown)?.clone().into_bytes();
            self.values
                .insert((Field::CallerId as u32, String::new()), caller);
        } else if let Some(value) = value {
            self.values
                .insert((field as u32, key.clone()), value.to_owned());
        } else {
            self.values.remove(&(field as u32, key.clone()));
        }
        self.edits.push(Edit {
            field,
            key,
            value: value.map(<[u8]>::to_owned),
        });
        Ok(())
    }

    fn each(&self, field: Field, visit: &mut dyn FnMut(&str, &[u8]) -> bool) {
        if !is_map(field) || !self.is_read(field) {
            return;
        }
        let entries = self.values.iter();
        for ((_, key), value) in entries.filter(|((of, _), _)| *of == field as u32) {
            if !visit(key, value) {
                return;
            }
        }
    }
}

const fn is_map(field: Field) -> bool {
    matches!(
        field,
        Field::CallerMeta
            | Field::RequestHeader
            | Field::RequestMember
            | Field::UpstreamHeader
            | Field::ReplyHeader
            | Field::Var
    )
}

/// RFC 9110, section 5.6.2.
fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// RFC 9110, section 5.5.
fn is_header_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 127))
}
