//! Text completions (`/v1/completions`): the chunks of a stream and the whole document, both `text_completion`.
//!
//! The shape has no place for reasoning or tool calls: those pieces are left out.

use serde::Serialize;

use super::{
    answer::{DONE, Finish, Identity, Piece, Shape, Usage, write_event, write_json},
    chat::Tokens,
};

/// The shape of one text completion.
///
/// `include_usage` is the request's `stream_options.include_usage`; a whole reply always tells its usage.
#[must_use]
pub fn shape(identity: &Identity, stream: bool, include_usage: bool) -> Box<dyn Shape> {
    let head = Head {
        id: identity.whole("cmpl-"),
        created: identity.created,
        model: String::new(),
    };
    if stream {
        Box::new(Stream {
            head,
            include_usage,
        })
    } else {
        Box::new(Document {
            head,
            text: String::new(),
        })
    }
}

struct Head {
    id: String,
    created: u64,
    model: String,
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [Choice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Tokens>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    text: &'a str,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

impl<'a> Choice<'a> {
    const fn new(text: &'a str, finish: Option<Finish>) -> Self {
        Self {
            index: 0,
            text,
            logprobs: None,
            finish_reason: match finish {
                Some(finish) => Some(finish.name()),
                None => None,
            },
        }
    }
}

impl Head {
    fn with<'a>(&'a self, choices: &'a [Choice<'a>], usage: Option<Usage>) -> Completion<'a> {
        Completion {
            id: &self.id,
            object: "text_completion",
            created: self.created,
            model: &self.model,
            choices,
            usage: usage.map(Into::into),
        }
    }
}

struct Stream {
    head: Head,
    include_usage: bool,
}

impl Shape for Stream {
    fn begin(&mut self, model: &str, _out: &mut Vec<u8>) {
        model.clone_into(&mut self.head.model);
    }

    fn piece(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        if let Piece::Text(text, _) = piece {
            write_event(out, &self.head.with(&[Choice::new(text, None)], None));
        }
    }

    fn end(&mut self, finish: Finish, usage: Usage, out: &mut Vec<u8>) {
        write_event(out, &self.head.with(&[Choice::new("", Some(finish))], None));
        if self.include_usage {
            write_event(out, &self.head.with(&[], Some(usage)));
        }
        out.extend_from_slice(DONE);
    }
}

struct Document {
    head: Head,
    text: String,
}

impl Shape for Document {
    fn begin(&mut self, model: &str, _out: &mut Vec<u8>) {
        model.clone_into(&mut self.head.model);
    }

    fn piece(&mut self, piece: Piece<'_>, _out: &mut Vec<u8>) {
        if let Piece::Text(text, _) = piece {
            self.text.push_str(text);
        }
    }

    fn end(&mut self, finish: Finish, usage: Usage, out: &mut Vec<u8>) {
        let choice = Choice::new(&self.text, Some(finish));
        write_json(out, &self.head.with(&[choice], Some(usage)));
    }
}
