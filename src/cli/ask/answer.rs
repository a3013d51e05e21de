//! Prints a streamed answer as it comes.

use std::io::{self, Write};

use http_body_util::BodyExt;
use serde_json::Value;

use crate::{
    http::sse::{self, Splitter},
    routing::pool::UpstreamReply,
};

/// The largest event that is read, in bytes.
const MAX_EVENT: usize = 16 << 20;

/// Prints the text of each event, or the whole event as a line of JSON. The error says why there is no more of it.
pub(super) async fn print(mut body: UpstreamReply, as_json: bool) -> Result<(), String> {
    let mut splitter = Splitter::new(MAX_EVENT);
    let mut printer = Printer {
        out: io::stdout(),
        as_json,
        is_mid_line: false,
    };
    let ended = loop {
        let data = match body.frame().await {
            None => break Err("the answer ends in the middle".to_owned()),
            Some(Err(_)) => {
                break Err("the connection broke in the middle of the answer".to_owned());
            }
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        splitter.push(data);
        match printer.print_events(&mut splitter) {
            Ok(Flow::More) => {}
            Ok(Flow::Done) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    printer.end_line();
    ended
}

/// Whether there is more to come.
enum Flow {
    More,
    Done,
}

struct Printer {
    out: io::Stdout,
    as_json: bool,
    is_mid_line: bool,
}

impl Printer {
    fn print_events(&mut self, splitter: &mut Splitter) -> Result<Flow, String> {
        while let Some(event) = splitter.next_event().map_err(|error| error.to_string())? {
            let data = sse::data(&event);
            if data.is_empty() {
                continue;
            }
            if data.starts_with(b"[DONE]") {
                return Ok(Flow::Done);
            }
            let document: Value = serde_json::from_slice(&data)
                .map_err(|_| "an event of the answer is not JSON".to_owned())?;
            let text = if self.as_json {
                format!("{document}\n")
            } else {
                let delta = &document["choices"][0]["delta"]["content"];
                delta.as_str().unwrap_or_default().to_owned()
            };
            match self.write(&text) {
                Ok(()) => {}
                // Whoever reads this has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Flow::Done),
                Err(error) => return Err(error.to_string()),
            }
            if let Some(error) = document.get("error").filter(|error| !error.is_null()) {
                let message = error["message"].as_str();
                return Err(message
                    .unwrap_or("the answer ends with an error")
                    .to_owned());
            }
        }
        Ok(Flow::More)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.is_mid_line = !text.ends_with('\n');
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// What comes next, be it a prompt or an error, begins on a line of its own.
    fn end_line(&mut self) {
        if self.is_mid_line {
            let _ = self.write("\n");
        }
    }
}
