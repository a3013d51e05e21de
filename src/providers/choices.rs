//! What chat and text completions share: chunks and documents are an envelope around choices, with the usage beside them.

use serde::Serialize;

use super::answer::{Identity, Usage, write_event, write_json};
use crate::http::sse::DONE;

/// What every chunk of an answer repeats, and its document says once.
pub(super) struct Envelope {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    fingerprint: &'static str,
    include_usage: bool,
}

#[derive(Serialize)]
struct Completion<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [C],
    #[serde(skip_serializing_if = "Told::is_untold")]
    usage: Told,
    system_fingerprint: &'static str,
}

/// What a chunk or document says of the usage.
#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    Untold,
    /// `null`: it comes with the last chunk.
    Later,
    Now(Cost),
}

impl Told {
    const fn is_untold(&self) -> bool {
        matches!(self, Self::Untold)
    }
}

/// [`Usage`] in the words of chats and completions.
#[derive(Serialize)]
struct Cost {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: InputDetails,
    completion_tokens_details: OutputDetails,
}

/// No provider here caches, hears or counts its thoughts apart; but clients look into these.
#[derive(Default, Serialize)]
struct InputDetails {
    cached_tokens: u64,
    audio_tokens: u64,
}

#[derive(Default, Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
}

impl From<Usage> for Cost {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            total_tokens: usage.input.saturating_add(usage.output),
            prompt_tokens_details: InputDetails::default(),
            completion_tokens_details: OutputDetails::default(),
        }
    }
}

impl Envelope {
    /// The envelope of an answer. `include_usage` is the request's `stream_options.include_usage`; it changes nothing
    /// for documents, which always tell their usage.
    pub(super) fn new(
        identity: &Identity,
        id_prefix: &str,
        object: &'static str,
        include_usage: bool,
    ) -> Self {
        Self {
            id: identity.whole(id_prefix),
            object,
            created: identity.created,
            model: String::new(),
            fingerprint: identity.fingerprint,
            include_usage,
        }
    }

    /// Takes the name that the model gives itself.
    pub(super) fn name(&mut self, model: &str) {
        model.clone_into(&mut self.model);
    }

    /// Writes one chunk of a stream.
    pub(super) fn chunk(&self, choice: impl Serialize, out: &mut Vec<u8>) {
        let told = if self.include_usage {
            Told::Later
        } else {
            Told::Untold
        };
        write_event(out, &self.around(&[choice], told));
    }

    /// Writes the end of a stream: its usage, where that was asked for, and `[DONE]`.
    pub(super) fn end(&self, usage: Usage, out: &mut Vec<u8>) {
        if self.include_usage {
            write_event(out, &self.around::<()>(&[], Told::Now(usage.into())));
        }
        out.extend_from_slice(DONE);
    }

    /// Writes a whole reply.
    pub(super) fn document(&self, choices: &[impl Serialize], usage: Usage, out: &mut Vec<u8>) {
        write_json(out, &self.around(choices, Told::Now(usage.into())));
    }

    fn around<'a, C>(&'a self, choices: &'a [C], usage: Told) -> Completion<'a, C> {
        Completion {
            id: &self.id,
            object: self.object,
            created: self.created,
            model: &self.model,
            choices,
            usage,
            system_fingerprint: self.fingerprint,
        }
    }
}
