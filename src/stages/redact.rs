//! `redact`: what logs may see. The stage configures the filter of the whole process ([`crate::telemetry::filter`]); its
//! place in the pipeline matters for what it captures alone.

mod capture;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use millgate_plugin::{
    Chunk, ChunkFlow, Endpoint, Exchange, Field, Flow, Hooks, Host, Outcome, SetupError, Stage,
    StageError,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::capture::{ReplyText, request_text};
use crate::{
    config::{Secret, Size},
    nearest::nearest,
    redact::{HashKey, Kind, Pattern, Redactor, Settings, Style, Validate},
};

/// The target of the events that hold captured content.
pub const CAPTURE: &str = "millgate::capture";

/// The note in which the stage leaves the redacted text of a request, when the exchange ends.
pub const CAPTURED_REQUEST: &str = "millgate.captured.request";

/// The same for the reply.
pub const CAPTURED_REPLY: &str = "millgate.captured.reply";

/// Finds personal data and secrets in everything that leaves the process as telemetry, and puts something else in
/// their place. One filter serves the whole process: `when`, `on_error` and `mode` mean nothing here, and its place in the
/// pipeline matters for `capture` alone.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The types to find, built-in ones and those of `patterns`. Default: all.
    pub entities: Option<Vec<String>>,
    /// Types to leave out of them. Default: none.
    pub except: Vec<String>,
    /// What stands in the place of a value: `"label"` (`<EMAIL>`), `"mask"` (`***@*******.***`), `"hash"`
    /// (`<EMAIL:5f1b0c9e77aa>`, equal for equal values) or `"drop"` (nothing). Default: `"label"`.
    pub style: StyleName,
    /// What hashes are keyed with, so that they can be compared across restarts and processes. Default: a random
    /// key for each process.
    pub hash_key: Option<Secret>,
    /// Whether the content of requests and replies is kept: `"none"`, or `"redacted"` to write their text, redacted, as
    /// log events of level debug and target `millgate::capture`, and into spans where `[traces]` are on. Default: `"none"`.
    pub capture: Capture,
    /// How much of a request and of a reply is captured. At most 1 MiB. Default: `"16KiB"`.
    pub capture_limit: Size,
    /// Patterns of your own, by name: each has a `regex`, and a `type` and a `validate` where they are wanted.
    /// Default: none.
    pub patterns: BTreeMap<String, PatternTable>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            entities: None,
            except: Vec::new(),
            style: StyleName::default(),
            hash_key: None,
            capture: Capture::default(),
            capture_limit: Size::from_bytes(16 << 10),
            patterns: BTreeMap::new(),
        }
    }
}

/// What stands in the place of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StyleName {
    /// What it was: `<EMAIL>`.
    #[default]
    Label,
    /// `*` for each letter and digit.
    Mask,
    /// What it was, and a keyed hash that is equal for equal values.
    Hash,
    /// Nothing.
    Drop,
}

/// Whether the content of requests and replies is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    /// They are not.
    #[default]
    None,
    /// They are, redacted.
    Redacted,
}

/// A pattern of the operator's own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatternTable {
    /// A regular expression (<https://docs.rs/regex>) for the value. Where only a part of it is the value, name that
    /// part: `"사번 (?<value>[0-9]{8})"`. Look-around and back-references do not exist. Required.
    pub regex: String,
    /// A check that the value must pass: `"luhn"`, `"iban"` (mod 97), `"kr_rrn"`, `"kr_frn"` or `"kr_brn"`. Default: none.
    pub validate: Option<ValidateName>,
    /// The type that it is reported as, and that its label shows. Default: the name in upper case.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// A check that a value must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValidateName {
    /// Luhn's check digit, as payment cards have it.
    Luhn,
    /// Mod 97, as bank account numbers have it.
    Iban,
    /// The check digit of Korean resident registration numbers.
    KrRrn,
    /// The check digit of Korean alien registration numbers.
    KrFrn,
    /// The check digit of Korean business registration numbers.
    KrBrn,
}

impl From<ValidateName> for Validate {
    fn from(name: ValidateName) -> Self {
        match name {
            ValidateName::Luhn => Self::Luhn,
            ValidateName::Iban => Self::Iban,
            ValidateName::KrRrn => Self::KrRrn,
            ValidateName::KrFrn => Self::KrFrn,
            ValidateName::KrBrn => Self::KrBrn,
        }
    }
}

impl Config {
    /// The redactor that the table describes.
    pub fn redactor(&self) -> Result<Redactor, SetupError> {
        let mut patterns = Vec::with_capacity(self.patterns.len());
        for (name, table) in &self.patterns {
            patterns.push((table.type_name(name)?, name, table));
        }
        let own = |wanted: &str| patterns.iter().any(|(known, ..)| known == wanted);
        let all = || Kind::ALL.iter().map(|kind| kind.name());
        let known = |key: &str, names: &[String]| {
            let wrong = names
                .iter()
                .position(|name| Kind::from_name(name).is_none() && !own(name));
            wrong.map_or(Ok(()), |index| {
                let near = nearest(
                    &names[index],
                    all().chain(patterns.iter().map(|(name, ..)| name.as_str())),
                );
                let help = near.map_or_else(
                    || {
                        format!(
                            "the built-in ones are {}",
                            all().collect::<Vec<_>>().join(", ")
                        )
                    },
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!("there is no type `{}`: {help}", names[index]);
                Err(SetupError::at([key, &index.to_string()], message))
            })
        };
        known("entities", self.entities.as_deref().unwrap_or_default())?;
        known("except", &self.except)?;
        let is_wanted = |name: &str| {
            let is_named = |names: &[String]| names.iter().any(|named| named == name);
            self.entities.as_deref().is_none_or(is_named) && !is_named(&self.except)
        };
        let compiled = patterns
            .iter()
            .filter(|(kind, ..)| is_wanted(kind))
            .map(|(kind, name, table)| table.compile(name, kind))
            .collect::<Result<_, _>>()?;
        Ok(Redactor::new(Settings {
            kinds: Kind::ALL
                .iter()
                .copied()
                .filter(|kind| is_wanted(kind.name()))
                .collect(),
            patterns: compiled,
            style: self.style()?,
        }))
    }

    fn style(&self) -> Result<Style, SetupError> {
        let given = match &self.hash_key {
            Some(key) if key.expose().len() < SHORTEST_KEY => {
                let message =
                    format!("a key of fewer than {SHORTEST_KEY} characters can be guessed");
                return Err(SetupError::at(["hash_key"], message));
            }
            given => given.as_ref().map(|key| HashKey::derive(key.expose())),
        };
        Ok(match self.style {
            StyleName::Label => Style::Label,
            StyleName::Mask => Style::Mask,
            StyleName::Drop => Style::Drop,
            // Only now: the first random number of a process takes tens of milliseconds.
            StyleName::Hash => {
                let Some(key) = given.or_else(HashKey::of_process) else {
                    let message =
                        "the system gives no random numbers to make a key of: set `hash_key`";
                    return Err(SetupError::at(["style"], message));
                };
                Style::Hash(key)
            }
        })
    }
}

/// A shorter key could be found by trying.
const SHORTEST_KEY: usize = 16;

impl PatternTable {
    /// The type of its values; it is written into logs and JSON as it is.
    fn type_name(&self, name: &str) -> Result<String, SetupError> {
        let kind = self
            .kind
            .clone()
            .unwrap_or_else(|| name.to_uppercase().replace(['-', '.'], "_"));
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if kind.is_empty() || !kind.bytes().all(is_name) {
            let message = "a type is made of the letters A to Z, digits and `_`";
            return Err(SetupError::at(["patterns", name, "type"], message));
        }
        Ok(kind)
    }

    fn compile(&self, name: &str, kind: &str) -> Result<Pattern, SetupError> {
        Pattern::new(kind, &self.regex, self.validate.map(Validate::from))
            .map_err(|error| SetupError::at(["patterns", name, "regex"], error.to_string()))
    }
}

/// The stage.
pub struct Redact {
    /// Only where there is something to capture.
    capture: Option<Captor>,
}

/// What captures.
struct Captor {
    redactor: Redactor,
    /// Bytes of a request and of a reply.
    limit: usize,
}

/// What has been seen of an exchange; `None` where nothing of it is captured.
pub type Seen = Option<Box<Content>>;

/// The text of an exchange.
pub struct Content {
    endpoint: Endpoint,
    request: String,
    reply: ReplyText,
}

/// What is captured is held in memory until it is written: more than this of each text is refused.
const MOST_CAPTURED: u64 = 1 << 20;

/// So much more than the limit is kept, so that a value at its end can be recognized.
const MARGIN: usize = 4 << 10;

impl Stage for Redact {
    const KIND: &'static str = "redact";
    type Config = Config;
    type State = Seen;

    fn new(_name: &str, config: Config, _host: &Host) -> Result<Self, SetupError> {
        let redactor = config.redactor()?;
        if config.capture_limit.bytes() > MOST_CAPTURED {
            let message = "more than 1 MiB of each text would be held in memory: set 1MiB or less";
            return Err(SetupError::at(["capture_limit"], message));
        }
        let captor = Captor {
            redactor,
            limit: usize::try_from(config.capture_limit.bytes()).unwrap_or(usize::MAX / 2),
        };
        Ok(Self {
            capture: (config.capture == Capture::Redacted).then_some(captor),
        })
    }

    fn hooks(&self) -> Hooks {
        match self.capture {
            // With nothing to do at the head: who asks for keys further in need not wait for the body.
            Some(_) => Hooks::REQUEST_HEAD | Hooks::REQUEST | Hooks::CHUNK | Hooks::END,
            None => Hooks::NONE,
        }
    }

    fn begin(&self) -> Seen {
        None
    }

    fn on_request(&self, seen: &mut Seen, exchange: &mut dyn Exchange) -> Result<Flow, StageError> {
        let endpoint = exchange
            .endpoint()
            .filter(|endpoint| endpoint.is_understood());
        if let (Some(captor), Some(endpoint)) = (&self.capture, endpoint) {
            let limit = captor.limit + MARGIN;
            *seen = Some(Box::new(Content {
                endpoint,
                request: request_text(endpoint, exchange, limit),
                reply: ReplyText::new(limit),
            }));
        }
        Ok(Flow::Next)
    }

    fn on_chunk(
        &self,
        seen: &mut Seen,
        _exchange: &mut dyn Exchange,
        chunk: Chunk<'_>,
    ) -> Result<ChunkFlow, StageError> {
        if let Some(content) = seen {
            content.reply.see(content.endpoint, &chunk);
        }
        Ok(ChunkFlow::Keep)
    }

    fn on_end(&self, seen: &mut Seen, exchange: &mut dyn Exchange, outcome: Outcome) {
        let (Some(content), Some(captor)) = (seen.take(), &self.capture) else {
            return;
        };
        let redacted = |text: &str| captor.redactor.redact_start(text, captor.limit);
        let request = redacted(&content.request);
        let reply = redacted(&content.reply.text());
        tracing::debug!(
            target: CAPTURE,
            request_id = exchange.request_id(),
            endpoint = content.endpoint.name(),
            outcome = outcome.name(),
            request = &*request,
            reply = &*reply,
            "captured"
        );
        // For traces and the ledger. Nobody else reads notes now: the exchange is over.
        let _ = exchange.set(Field::Var, CAPTURED_REQUEST, Some(request.as_bytes()));
        let _ = exchange.set(Field::Var, CAPTURED_REPLY, Some(reply.as_bytes()));
    }
}
