//! What a client asked for, and what the stages above `route` made of it.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use millgate_plugin::{Endpoint, Field, SetError};

use crate::{
    api::{
        endpoint::{Call, classify},
        estimate,
    },
    callers::{self, Callers, KeyHash, Models, NotFound},
    http::json::{self, Members},
    routing::upload::Upload,
    telemetry::traces::context::TraceContext,
};

/// Notes that stages leave for each other.
#[derive(Clone, Debug, Default)]
pub struct Vars(Vec<(Box<str>, Box<[u8]>)>);

impl Vars {
    /// The note under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(name, _)| &**name == key)
            .map(|(_, value)| &**value)
    }

    /// Leaves or removes a note.
    pub fn set(&mut self, key: &str, value: Option<&[u8]>) {
        self.0.retain(|(name, _)| &**name != key);
        if let Some(value) = value {
            self.0.push((key.into(), value.into()));
        }
    }

    /// The note under `key`, which is gone then.
    pub fn take(&mut self, key: &str) -> Option<Box<[u8]>> {
        let at = self.0.iter().position(|(name, _)| &**name == key)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Every note.
    pub fn each(&self, visit: &mut dyn FnMut(&str, &[u8]) -> bool) {
        for (name, value) in &self.0 {
            if !visit(name, value) {
                return;
            }
        }
    }
}

/// Who is calling, as far as a stage has found out: shared with the list of callers until a stage says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Caller(Option<Arc<callers::Caller>>);

impl Caller {
    /// Id of the key or user.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.0
            .as_deref()
            .map(|caller| &*caller.id)
            .filter(|id| !id.is_empty())
    }

    /// Team, for limits and reports.
    #[must_use]
    pub fn team(&self) -> Option<&str> {
        self.0.as_deref()?.team.as_deref()
    }

    /// What the caller is marked with, for reports.
    #[must_use]
    pub fn tags(&self) -> &[Box<str>] {
        self.0.as_deref().map_or(&[], |caller| &caller.tags)
    }

    /// What else is known: a department ticket, a user name.
    #[must_use]
    pub fn meta(&self, key: &str) -> Option<&[u8]> {
        self.0.as_deref()?.meta.get(key)
    }

    /// The models that may be asked for; `None` where all may.
    #[must_use]
    pub fn models(&self) -> Option<&Models> {
        self.0.as_deref()?.models.as_ref()
    }

    /// Whether a model may be asked for.
    #[must_use]
    pub fn may_ask_for(&self, model: &str) -> bool {
        self.0
            .as_deref()
            .is_none_or(|caller| caller.may_ask_for(model))
    }

    /// To be changed for this request alone.
    fn own(&mut self) -> &mut callers::Caller {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

/// One request of a client. Shared, and no longer changed, from `route` on.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    /// `x-request-id`: the client's own if it is sane, else ours.
    pub id: HeaderValue,
    /// When its head had been read.
    pub started: Instant,
    /// The same by the clock on the wall.
    pub time: SystemTime,
    /// The client's address.
    pub peer: IpAddr,
    /// Its place in a trace; `None` where there are no traces.
    pub trace: Option<TraceContext>,
    /// HTTP method.
    pub method: Method,
    /// Path with its `/v1`.
    pub path: Box<str>,
    /// Query without the `?`.
    pub query: Option<Box<str>>,
    /// Headers as they came.
    pub headers: HeaderMap,
    /// What kind of call it is.
    pub endpoint: Endpoint,
    /// The model asked for; empty where the call names none.
    pub model: Box<str>,
    /// Whether the client wants a stream.
    pub stream: bool,
    /// Whether the client asked for the usage chunk of a stream.
    pub include_usage: bool,
    /// The body, where it was collected.
    pub body: Bytes,
    /// Where the top-level members of `body` are, where it is a JSON object.
    pub members: Members,
    /// The body, where it streams past.
    pub upload: Option<Upload>,
    /// Who is calling.
    pub caller: Caller,
    /// What a stage above `route` has made of it.
    pub marks: Marks,
}

/// What a stage has made of a request, beside its fields.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// The client's own credential goes up: only providers that take it are asked.
    pub forwards_auth: bool,
    /// Its body is not read yet: what depends on it is not known.
    pub is_head_only: bool,
    /// The model is not the one that the client named, or that was looked at before.
    pub model_changed: bool,
    /// `peer` as text, once somebody has asked for it.
    peer: OnceLock<Box<str>>,
    /// Tokens of the prompt, once somebody has asked for them.
    input_estimate: OnceLock<u64>,
}

impl ClientRequest {
    /// The exchange's id as text.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// When it came, in seconds since the epoch, for `created` members.
    #[must_use]
    pub fn created(&self) -> u64 {
        let since = self.time.duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }

    /// The path below `/v1`, with its leading slash.
    #[must_use]
    pub fn api_path(&self) -> &str {
        self.path.strip_prefix("/v1").unwrap_or(&self.path)
    }

    /// Whether asking twice may leave two things behind at the upstream: a file, a batch, a training job.
    #[must_use]
    pub fn leaves_something(&self) -> bool {
        !self.method.is_idempotent() && classify(&self.method, &self.path) == Call::Stateful
    }

    /// How many choices the client asked for. Several prompts have an answer each: then only `[DONE]` tells the end.
    #[must_use]
    pub fn choices(&self) -> u64 {
        let member = |name| self.members.get(&self.body, name);
        if self.endpoint == Endpoint::Completions
            && member("prompt").is_some_and(|prompt| prompt.starts_with(b"["))
        {
            return u64::MAX;
        }
        member("n").and_then(json::as_u64).unwrap_or(1)
    }

    /// A field that belongs to the request.
    #[must_use]
    pub fn get(&self, field: Field, key: &str) -> Option<&[u8]> {
        match field {
            Field::Method => Some(self.method.as_str().as_bytes()),
            Field::Path => Some(self.path.as_bytes()),
            Field::Model => (!self.model.is_empty()).then_some(self.model.as_bytes()),
            Field::RequestId => Some(self.id.as_bytes()),
            Field::PeerAddress => Some(self.peer_text().as_bytes()),
            Field::CallerId => self.caller.id().map(str::as_bytes),
            Field::CallerTeam => self.caller.team().map(str::as_bytes),
            Field::CallerMeta => self.caller.meta(key),
            Field::CallerModels => self.caller.models().map(|list| list.lines().as_bytes()),
            Field::ForwardsAuth => self.marks.forwards_auth.then_some(b"1"),
            Field::RequestHeader => self.headers.get(key).map(HeaderValue::as_bytes),
            Field::RequestBody => (!self.marks.is_head_only).then_some(&*self.body),
            Field::RequestMember => self.members.get(&self.body, key),
            _ => None,
        }
    }

    /// A numeric field that belongs to the request.
    #[must_use]
    pub fn number(&self, field: Field) -> Option<u64> {
        match field {
            Field::Endpoint => Some(self.endpoint as u64),
            _ if self.marks.is_head_only => None,
            Field::Stream => Some(u64::from(self.stream)),
            Field::InputEstimate => Some(self.input_estimate()),
            Field::ModelAllowed => Some(u64::from(self.is_model_allowed())),
            _ => None,
        }
    }

    /// Changes a field; above `route` only.
    pub fn set(&mut self, field: Field, key: &str, value: Option<&[u8]>) -> Result<(), SetError> {
        let text = value
            .map(std::str::from_utf8)
            .transpose()
            .map_err(|_| SetError::Invalid);
        match field {
            Field::Model if self.marks.is_head_only => return Err(SetError::ReadOnly),
            Field::Model => {
                self.model = text?.ok_or(SetError::Invalid)?.into();
                self.marks.model_changed = true;
            }
            Field::CallerId => self.caller.own().id = text?.unwrap_or_default().into(),
            Field::CallerTeam => self.caller.own().team = text?.map(Into::into),
            Field::CallerMeta => self.caller.own().meta.set(key, value),
            Field::CallerModels => self.caller.own().models = text?.map(Models::from_lines),
            Field::ForwardsAuth => {
                self.marks.forwards_auth = match value {
                    None | Some(b"0") => false,
                    Some(b"1") => true,
                    Some(_) => return Err(SetError::Invalid),
                }
            }
            Field::RequestHeader => set_header(&mut self.headers, key, value)?,
            _ => return Err(SetError::ReadOnly),
        }
        Ok(())
    }

    /// Visits a map field that belongs to the request.
    pub fn each(&self, field: Field, visit: &mut dyn FnMut(&str, &[u8]) -> bool) {
        match field {
            Field::RequestHeader => each_header(&self.headers, visit),
            Field::CallerMeta => {
                if let Some(caller) = &self.caller.0 {
                    caller.meta.each(visit);
                }
            }
            _ => {}
        }
    }

    /// The caller is now the one whose key has this hash, if anybody's has.
    pub fn identify(&mut self, callers: &Callers, hash: Option<&[u8]>) -> Result<(), SetError> {
        let Some(hash) = hash else {
            self.caller = Caller::default();
            return Ok(());
        };
        let hash = KeyHash::try_from(hash).map_err(|_| SetError::Invalid)?;
        let found = callers.find(&hash, SystemTime::now());
        self.caller = Caller(Some(found.map_err(|why| match why {
            NotFound::Nobody => SetError::Unknown,
            NotFound::NotReadYet => SetError::Unavailable,
        })?));
        Ok(())
    }

    /// Whether the caller may ask for the model. The list of models is open to all, and shows each their own.
    #[must_use]
    pub fn is_model_allowed(&self) -> bool {
        self.endpoint == Endpoint::Models || self.caller.may_ask_for(&self.model)
    }

    /// Tokens of the prompt, as far as its length tells.
    #[must_use]
    pub fn input_estimate(&self) -> u64 {
        let estimate = || estimate::prompt(&self.body, &self.members);
        *self.marks.input_estimate.get_or_init(estimate)
    }

    fn peer_text(&self) -> &str {
        self.marks.peer.get_or_init(|| self.peer.to_string().into())
    }
}

/// Sets or removes a header, if its name and value can be one.
pub(crate) fn set_header(
    headers: &mut HeaderMap,
    name: &str,
    value: Option<&[u8]>,
) -> Result<(), SetError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| SetError::Invalid)?;
    match value {
        Some(value) => {
            let value = HeaderValue::from_bytes(value).map_err(|_| SetError::Invalid)?;
            headers.insert(name, value);
        }
        None => {
            headers.remove(name);
        }
    }
    Ok(())
}

/// Visits every header.
pub(crate) fn each_header(headers: &HeaderMap, visit: &mut dyn FnMut(&str, &[u8]) -> bool) {
    for (name, value) in headers {
        if !visit(name.as_str(), value.as_bytes()) {
            return;
        }
    }
}
