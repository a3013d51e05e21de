//! A whole answer, ready to be played.

use millgate_plugin::Call;
use serde_json::Value;

use super::{
    said::{Choice, Said},
    tools, words,
};
use crate::providers::answer::{Identity, Piece, Shape, Usage};

/// A whole answer.
#[derive(Debug)]
pub(super) enum Script {
    /// A JSON document.
    Document(Vec<u8>),
    /// The events of a stream, in order.
    Stream(Vec<Event>),
}

impl Script {
    pub(super) fn document(value: &Value) -> Self {
        Self::Document(value.to_string().into_bytes())
    }

    /// The answer to `call` in its shape, to a prompt of `input` tokens.
    pub(super) fn of(
        call: &Call<'_>,
        identity: &Identity,
        shape: Box<dyn Shape>,
        choices: &[Choice],
        input: u64,
    ) -> Self {
        let mut writing = Writing {
            shape,
            events: call.stream.then(Vec::new),
            out: Vec::new(),
        };
        writing.write(false, |shape, out| shape.begin(call.model, out));
        for (index, choice) in choices.iter().enumerate() {
            let id = identity.part("call_", index);
            writing.choice(choice, &id);
        }
        let output = choices.iter().map(|choice| choice.said.tokens()).sum();
        writing.write(false, |shape, out| shape.end(Usage { input, output }, out));
        match writing.events {
            Some(events) => Self::Stream(events),
            None => Self::Document(writing.out),
        }
    }
}

/// One server-sent event with its blank line.
#[derive(Debug)]
pub(super) struct Event {
    /// The event as it goes over the wire.
    pub(super) bytes: Vec<u8>,
    /// Whether it carries a piece of the answer, and so takes its time where a pace is set.
    pub(super) is_token: bool,
}

/// An answer that is being written.
struct Writing {
    shape: Box<dyn Shape>,
    /// What has been written of a stream.
    events: Option<Vec<Event>>,
    /// What has been written last.
    out: Vec<u8>,
}

impl Writing {
    fn choice(&mut self, choice: &Choice, id: &str) {
        if !choice.echo.is_empty() {
            self.piece(false, Piece::Text(&choice.echo, None));
        }
        match &choice.said {
            Said::Text(clipped) => {
                for token in words::tokens(&clipped.text) {
                    self.piece(true, Piece::Text(token, None));
                }
            }
            Said::Call(call) => {
                let beginning = Piece::ToolCall {
                    id,
                    name: &call.name,
                    arguments: "",
                };
                self.piece(false, beginning);
                for piece in tools::pieces(&call.arguments) {
                    self.piece(true, Piece::Arguments(piece));
                }
            }
        }
        let finish = choice.said.finish();
        self.write(false, |shape, out| shape.finish(finish, out));
    }

    fn piece(&mut self, is_token: bool, piece: Piece<'_>) {
        self.write(is_token, |shape, out| shape.piece(piece, out));
    }

    /// Lets the shape write, and keeps what it writes event by event: of several the last is the one that was meant,
    /// and those before it lead up to it.
    fn write(&mut self, is_token: bool, write: impl FnOnce(&mut dyn Shape, &mut Vec<u8>)) {
        write(&mut *self.shape, &mut self.out);
        let Some(events) = &mut self.events else {
            return;
        };
        let mut rest = std::mem::take(&mut self.out);
        while let Some(end) = memchr::memmem::find(&rest, b"\n\n") {
            let tail = rest.split_off(end + 2);
            events.push(Event {
                is_token: is_token && tail.is_empty(),
                bytes: std::mem::replace(&mut rest, tail),
            });
        }
    }
}

/// The position before which half of the tokens (rounded up) have gone out: where a broken stream breaks.
pub(super) fn middle(events: &[Event]) -> usize {
    let tokens: Vec<usize> = (0..events.len())
        .filter(|position| events[*position].is_token)
        .collect();
    match tokens.len() {
        0 => events.len() / 2,
        count => tokens[(count - 1) / 2] + 1,
    }
}
