//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>): `traceparent` and `tracestate`, read strictly and written.

#[cfg(test)]
mod tests;

use std::num::{NonZeroU64, NonZeroU128};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that says which span a request belongs to.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What tracing systems on the way have added to it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The bit of the flags that says that the caller may have recorded its spans.
const SAMPLED: u8 = 1;

/// The bit that says that at least the right half of the trace id is random.
const RANDOM: u8 = 2;

/// A list has no more members (§3.3.1.1).
const MOST_MEMBERS: usize = 32;

/// Whose child a request is, as its `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: NonZeroU128,
    /// The span that sent the request.
    pub span: NonZeroU64,
    /// Its flags, as far as they are known.
    pub flags: u8,
}

impl Parent {
    /// The one `traceparent` of a request; `None` where there is none, more than one, or one that is not well formed.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(&TRACEPARENT).iter();
        let only = all.next().filter(|_| all.next().is_none())?;
        Self::parse(only.as_bytes())
    }

    /// Reads a `traceparent`: `00-` trace `-` span `-` flags in lower-case hexadecimal (§3.2). Of a version to come the
    /// same four fields are read; more may follow behind a dash.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (fields, rest) = text.split_at_checked(55)?;
        let version = hex(fields.get(..2)?)? as u8;
        let ends = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let has_dashes = [2, 35, 52].iter().all(|&at| fields[at] == b'-');
        if !ends || !has_dashes {
            return None;
        }
        Some(Self {
            trace: NonZeroU128::new(hex(&fields[3..35])?)?,
            span: NonZeroU64::new(hex(&fields[36..52])? as u64)?,
            flags: hex(&fields[53..])? as u8 & (SAMPLED | RANDOM),
        })
    }

    /// Whether the caller may have recorded its span.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// An exchange's place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: NonZeroU128,
    /// The exchange's own span.
    pub span: NonZeroU64,
    /// The client's span; `None` where the trace begins here.
    pub parent: Option<NonZeroU64>,
    /// The flags for those who are called next.
    pub flags: u8,
}

impl TraceContext {
    /// A span of the gateway's in the trace of `parent`, or in a new one.
    #[must_use]
    pub fn begin(parent: Option<Parent>, is_sampled: bool) -> Self {
        let flags = parent.map_or(RANDOM, |parent| parent.flags & RANDOM);
        Self {
            trace: parent.map_or_else(new_trace, |parent| parent.trace),
            span: new_span(),
            parent: parent.map(|parent| parent.span),
            flags: flags | u8::from(is_sampled),
        }
    }

    /// A span below this one.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            span: new_span(),
            parent: Some(self.span),
            ..self
        }
    }

    /// Whether spans are made of it.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The `traceparent` of a request that this span sends.
    #[must_use]
    pub fn traceparent(self, span: NonZeroU64) -> HeaderValue {
        let text = format!("00-{:032x}-{span:016x}-{:02x}", self.trace, self.flags);
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Writes the headers of a request that this span sends. `client` has those of the request that began it all, of
    /// which the `tracestate` is passed on if it belongs to the same trace and is well formed.
    pub fn write(self, span: NonZeroU64, client: &HeaderMap, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, self.traceparent(span));
        headers.remove(TRACESTATE);
        if self.parent.is_some() && is_tracestate(client) {
            for list in client.get_all(&TRACESTATE) {
                headers.append(TRACESTATE, list.clone());
            }
        }
    }
}

/// A new id of a trace.
fn new_trace() -> NonZeroU128 {
    NonZeroU128::new(fastrand::u128(..)).unwrap_or(NonZeroU128::MIN)
}

/// A new id of a span.
#[must_use]
pub fn new_span() -> NonZeroU64 {
    NonZeroU64::new(fastrand::u64(..)).unwrap_or(NonZeroU64::MIN)
}

/// A number in lower-case hexadecimal, and nothing else.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// Whether the headers hold a `tracestate` that may be passed on: at most 32 members in all, each well formed, no key
/// twice (§3.3).
#[must_use]
pub fn is_tracestate(headers: &HeaderMap) -> bool {
    let mut keys: Vec<&[u8]> = Vec::new();
    for list in headers.get_all(&TRACESTATE) {
        for member in list.as_bytes().split(|&byte| byte == b',') {
            let member = trim(member);
            // Empty ones are allowed, and mean nothing.
            if member.is_empty() {
                continue;
            }
            let Some(at) = member.iter().position(|&byte| byte == b'=') else {
                return false;
            };
            let (key, value) = (&member[..at], &member[at + 1..]);
            if !is_key(key) || !is_value(value) || keys.contains(&key) {
                return false;
            }
            keys.push(key);
        }
    }
    !keys.is_empty() && keys.len() <= MOST_MEMBERS
}

/// Less the white space that a list may have between its members: spaces and tabs.
fn trim(member: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = member.iter().position(is_text).unwrap_or(member.len());
    let end = member.iter().rposition(is_text).map_or(start, |at| at + 1);
    &member[start..end]
}

/// `vendor`, or `tenant@vendor` (§3.3.1.3.1).
fn is_key(key: &[u8]) -> bool {
    let is_part = |part: &[u8], longest: usize, may_begin_with_digit: bool| {
        let is_allowed = |byte: &u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(byte)
        };
        let begins = |first: &u8| {
            first.is_ascii_lowercase() || (may_begin_with_digit && first.is_ascii_digit())
        };
        part.first().is_some_and(begins) && part.len() <= longest && part.iter().all(is_allowed)
    };
    match key.iter().position(|&byte| byte == b'@') {
        None => is_part(key, 256, false),
        Some(at) => is_part(&key[..at], 241, true) && is_part(&key[at + 1..], 14, false),
    }
}

/// Visible ASCII and spaces, no comma, no equals sign, no space at the end (§3.3.1.3.2).
fn is_value(value: &[u8]) -> bool {
    let is_allowed = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    !value.is_empty()
        && value.len() <= 256
        && value.iter().all(is_allowed)
        && value.last() != Some(&b' ')
}
