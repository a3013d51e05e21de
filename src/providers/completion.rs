//! Text completions (`/v1/completions`): the chunks of a stream and the whole document, both `text_completion`.
//!
//! The shape has no place for reasoning or tool calls: those pieces are left out.

use serde::Serialize;

use super::{
    answer::{Finish, Identity, Piece, Shape, Usage},
    choices::Envelope,
};

/// The shape of one text completion.
///
/// `include_usage` is the request's `stream_options.include_usage`; a whole reply always tells its usage.
#[must_use]
pub fn shape(identity: &Identity, stream: bool, include_usage: bool) -> Box<dyn Shape> {
    let envelope = Envelope::new(identity, "cmpl-", "text_completion", include_usage);
    if stream {
        Box::new(Stream { envelope, index: 0 })
    } else {
        Box::new(Document {
            envelope,
            text: String::new(),
            choices: Vec::new(),
        })
    }
}

#[derive(Serialize)]
struct Choice<S> {
    index: usize,
    text: S,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

impl<S> Choice<S> {
    fn new(index: usize, text: S, finish: Option<Finish>) -> Self {
        Self {
            index,
            text,
            logprobs: None,
            finish_reason: finish.map(Finish::name),
        }
    }
}

struct Stream {
    envelope: Envelope,
    index: usize,
}

impl Shape for Stream {
    fn begin(&mut self, model: &str, _out: &mut Vec<u8>) {
        self.envelope.name(model);
    }

    fn piece(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        if let Piece::Text(text, _) = piece {
            self.envelope
                .chunk(Choice::new(self.index, text, None), out);
        }
    }

    fn finish(&mut self, finish: Finish, out: &mut Vec<u8>) {
        self.envelope
            .chunk(Choice::new(self.index, "", Some(finish)), out);
        self.index += 1;
    }

    fn end(&mut self, usage: Usage, out: &mut Vec<u8>) {
        self.envelope.end(usage, out);
    }
}

struct Document {
    envelope: Envelope,
    /// Of the choice that is being written.
    text: String,
    choices: Vec<Choice<String>>,
}

impl Shape for Document {
    fn begin(&mut self, model: &str, _out: &mut Vec<u8>) {
        self.envelope.name(model);
    }

    fn piece(&mut self, piece: Piece<'_>, _out: &mut Vec<u8>) {
        if let Piece::Text(text, _) = piece {
            self.text.push_str(text);
        }
    }

    fn finish(&mut self, finish: Finish, _out: &mut Vec<u8>) {
        let text = std::mem::take(&mut self.text);
        let choice = Choice::new(self.choices.len(), text, Some(finish));
        self.choices.push(choice);
    }

    fn end(&mut self, usage: Usage, out: &mut Vec<u8>) {
        self.envelope.document(&self.choices, usage, out);
    }
}
