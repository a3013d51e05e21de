//! What stages are shown of an exchange: one view above `route`, one below it.

use std::{sync::Arc, time::Instant};

use http::{HeaderMap, HeaderValue, StatusCode};
use millgate_plugin::{Exchange, Field, SetError};

use super::request::{ClientRequest, Vars, each_header, set_header};
use crate::{
    callers::Callers,
    http::headers::is_of_the_connection,
    prices::Price,
    routing::{route::Route, scanner::Usage, target::Target},
    telemetry::access::Record,
};

/// Status and headers of a reply on its way out.
#[derive(Clone, Debug, Default)]
pub struct ReplyHead {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers, those of the gateway itself not yet among them.
    pub headers: HeaderMap,
}

/// The view above `route`.
pub struct ExchangeView<'a> {
    /// The request; changed only while nobody else holds it, which is until `route`.
    pub request: &'a mut Arc<ClientRequest>,
    /// The route that matches.
    pub route: Option<&'a Route>,
    /// Who may call.
    pub callers: &'a Callers,
    /// Notes of the stages.
    pub vars: &'a mut Vars,
    /// The reply, once there is one.
    pub reply: Option<&'a mut ReplyHead>,
    /// What has been found out so far.
    pub record: &'a Record,
}

impl Exchange for ExchangeView<'_> {
    fn get(&self, field: Field, key: &str) -> Option<&[u8]> {
        match field {
            Field::Route => self.route.map(|route| route.name.as_bytes()),
            Field::Var => self.vars.get(key),
            Field::ReplyHeader => reply_header(self.reply.as_deref(), key),
            _ => self.request.get(field, key),
        }
    }

    fn number(&self, field: Field) -> Option<u64> {
        match field {
            Field::CacheStatus => self.record.cache.map(|status| status as u64),
            Field::DeadlineLeft => Some(millis_until(self.request.started + self.route?.deadline)),
            Field::OutputEstimate => self.record.output_estimate,
            Field::Cost => self.record.cost(self.request),
            Field::InputPrice | Field::OutputPrice => {
                let target = self.route?.targets.first()?;
                let model = target.model_for(self.request.endpoint, &self.request.model);
                price_number(field, target.prices.of(model)?)
            }
            _ => reply_number(field, self.reply.as_deref(), self.record.usage)
                .or_else(|| self.request.number(field)),
        }
    }

    fn set(&mut self, field: Field, key: &str, value: Option<&[u8]>) -> Result<(), SetError> {
        match field {
            Field::Var => self.vars.set(key, value),
            Field::ReplyHeader => set_reply_header(self.reply.as_deref_mut(), key, value)?,
            _ => {
                let request = Arc::get_mut(self.request).ok_or(SetError::ReadOnly)?;
                match field {
                    Field::CallerKey => request.identify(self.callers, value)?,
                    _ => request.set(field, key, value)?,
                }
            }
        }
        Ok(())
    }

    fn each(&self, field: Field, visit: &mut dyn FnMut(&str, &[u8]) -> bool) {
        match field {
            Field::Var => self.vars.each(visit),
            Field::ReplyHeader => each_reply_header(self.reply.as_deref(), visit),
            _ => self.request.each(field, visit),
        }
    }
}

/// Changes to the headers of an upstream request, applied after the codec and the host have set theirs.
#[derive(Debug, Default)]
pub struct HeaderEdits {
    /// Headers to set.
    pub set: HeaderMap,
    /// Lower-case names of headers to remove.
    pub removed: Vec<http::HeaderName>,
}

impl HeaderEdits {
    fn edit(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), SetError> {
        let name = http::HeaderName::from_bytes(key.as_bytes()).map_err(|_| SetError::Invalid)?;
        if let Some(value) = value {
            if is_of_the_connection(&name) {
                return Err(SetError::Invalid);
            }
            let mut value = HeaderValue::from_bytes(value).map_err(|_| SetError::Invalid)?;
            // Tickets and user names are nobody's business in a debug line.
            value.set_sensitive(true);
            self.removed.retain(|removed| *removed != name);
            self.set.insert(name, value);
        } else {
            self.set.remove(&name);
            self.removed.push(name);
        }
        Ok(())
    }

    /// Applies the edits.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.removed {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// The view below `route`: one attempt.
pub struct AttemptView<'a> {
    /// The request.
    pub request: &'a ClientRequest,
    /// Name of the route.
    pub route: &'a str,
    /// The target that was chosen.
    pub target: &'a Target,
    /// The model it is asked for.
    pub model: &'a str,
    /// Which attempt of the exchange this is, from 1.
    pub number: u32,
    /// Notes of the stages above, and of this attempt.
    pub vars: &'a mut Vars,
    /// Headers for the upstream.
    pub edits: &'a mut HeaderEdits,
    /// The reply, once there is one.
    pub reply: Option<&'a mut ReplyHead>,
    /// When the attempt has to have an answer.
    pub until: Instant,
    /// Tokens, once known.
    pub usage: Option<Usage>,
    /// Tokens of the answer, as estimated; `None` until the provider is asked.
    pub output_estimate: Option<u64>,
}

impl Exchange for AttemptView<'_> {
    fn get(&self, field: Field, key: &str) -> Option<&[u8]> {
        match field {
            Field::Route => Some(self.route.as_bytes()),
            Field::Provider => Some(self.target.provider.name.as_bytes()),
            Field::TargetModel => Some(self.model.as_bytes()),
            Field::UpstreamHeader => self.edits.set.get(key).map(HeaderValue::as_bytes),
            Field::Var => self.vars.get(key),
            Field::ReplyHeader => reply_header(self.reply.as_deref(), key),
            _ => self.request.get(field, key),
        }
    }

    fn number(&self, field: Field) -> Option<u64> {
        match field {
            Field::Attempt => Some(u64::from(self.number)),
            Field::DeadlineLeft => Some(millis_until(self.until)),
            Field::OutputEstimate => self.output_estimate,
            Field::Cost => {
                let used = self.usage.or_else(|| {
                    let output = self.output_estimate?;
                    Some(Usage::estimated(self.request.input_estimate(), output))
                })?;
                Some(self.target.prices.of(self.model)?.of(&used))
            }
            Field::InputPrice | Field::OutputPrice => {
                price_number(field, self.target.prices.of(self.model)?)
            }
            _ => reply_number(field, self.reply.as_deref(), self.usage)
                .or_else(|| self.request.number(field)),
        }
    }

    fn set(&mut self, field: Field, key: &str, value: Option<&[u8]>) -> Result<(), SetError> {
        match field {
            Field::Var => self.vars.set(key, value),
            Field::UpstreamHeader => self.edits.edit(key, value)?,
            Field::ReplyHeader => set_reply_header(self.reply.as_deref_mut(), key, value)?,
            _ => return Err(SetError::ReadOnly),
        }
        Ok(())
    }

    fn each(&self, field: Field, visit: &mut dyn FnMut(&str, &[u8]) -> bool) {
        match field {
            Field::Var => self.vars.each(visit),
            Field::UpstreamHeader => each_header(&self.edits.set, visit),
            Field::ReplyHeader => each_reply_header(self.reply.as_deref(), visit),
            _ => self.request.each(field, visit),
        }
    }
}

fn reply_header<'a>(reply: Option<&'a ReplyHead>, key: &str) -> Option<&'a [u8]> {
    reply?.headers.get(key).map(HeaderValue::as_bytes)
}

fn set_reply_header(
    reply: Option<&mut ReplyHead>,
    key: &str,
    value: Option<&[u8]>,
) -> Result<(), SetError> {
    let headers = &mut reply.ok_or(SetError::ReadOnly)?.headers;
    let name = http::HeaderName::from_bytes(key.as_bytes()).map_err(|_| SetError::Invalid)?;
    if value.is_some() && is_of_the_connection(&name) {
        return Err(SetError::Invalid);
    }
    set_header(headers, key, value)
}

fn each_reply_header(reply: Option<&ReplyHead>, visit: &mut dyn FnMut(&str, &[u8]) -> bool) {
    if let Some(reply) = reply {
        each_header(&reply.headers, visit);
    }
}

fn millis_until(end: Instant) -> u64 {
    end.saturating_duration_since(Instant::now()).as_millis() as u64
}

fn price_number(field: Field, price: Price) -> Option<u64> {
    match field {
        Field::InputPrice => Some(price.input),
        Field::OutputPrice => Some(price.output),
        _ => None,
    }
}

fn reply_number(field: Field, reply: Option<&ReplyHead>, usage: Option<Usage>) -> Option<u64> {
    match field {
        Field::ReplyStatus => reply.map(|reply| u64::from(reply.status.as_u16())),
        Field::InputTokens => usage.map(|usage| usage.input),
        Field::OutputTokens => usage.map(|usage| usage.output),
        _ => None,
    }
}
