//! Responses: the last event of a stream has all of it, and its items are told one after the other.

use bytes::Bytes;

use super::{
    AssembleError, Event,
    raw::{self, Object, Raw, Writer, is_empty},
};
use crate::http::{json, sse};

const NO_RESPONSE: &str = "a response is not an object";

/// The event that tells of a response with this status that is no longer in the making.
fn last_event(status: &str) -> Option<&'static str> {
    Some(match status {
        "completed" => "response.completed",
        "incomplete" => "response.incomplete",
        "failed" => "response.failed",
        _ => return None,
    })
}

pub(super) fn document(events: &[Bytes]) -> Result<Bytes, AssembleError> {
    let mut has_items = false;
    for event in events {
        let fields = sse::fields(event);
        let data = fields.data.trim_ascii();
        if data.is_empty() || data.starts_with(b"[DONE]") {
            continue;
        }
        let event = Object::read(data, "an event is not a JSON object")?;
        let kind = event.text("type");
        let kind = kind.as_deref().map_or(fields.name, str::as_bytes);
        match kind {
            b"error" => return Err(AssembleError::Failed),
            b"response.output_item.done" => has_items = true,
            b"response.completed" | b"response.incomplete" | b"response.failed" => {
                let raw = event.get("response").unwrap_or_default();
                let response = Object::read(raw, NO_RESPONSE)?;
                if has_items && response.filled("output").is_none() {
                    return Err(AssembleError::Malformed("the response has lost its output"));
                }
                return Ok(Bytes::copy_from_slice(raw));
            }
            _ if event.is_error() => return Err(AssembleError::Failed),
            _ => {}
        }
    }
    Err(AssembleError::Incomplete)
}

pub(super) fn events(document: &[u8]) -> Result<Vec<Event>, AssembleError> {
    json::scan(document).map_err(|_| AssembleError::Malformed(NO_RESPONSE))?;
    let document = raw::in_one_line(document);
    let response = Object::read(&document, NO_RESPONSE)?;
    let status = response.text("status");
    let last = match status.as_deref() {
        Some(status) => last_event(status).ok_or(AssembleError::Incomplete)?,
        None if response.is_error() => return Err(AssembleError::Failed),
        None => return Err(AssembleError::Malformed("a response has no status")),
    };
    let output = response.get("output").unwrap_or(b"[]");
    let items = raw::elements(output, "the output is not an array")?;

    let mut stream = Stream::default();
    let begun = response.with(&[
        ("status", b"\"in_progress\""),
        ("output", b"[]"),
        ("output_text", b"\"\""),
        ("usage", b"null"),
        ("error", b"null"),
        ("incomplete_details", b"null"),
        ("completed_at", b"null"),
    ]);
    for kind in ["response.created", "response.in_progress"] {
        stream.push(kind, |event| event.raw("response", &begun));
    }
    for (index, item) in items.into_iter().enumerate() {
        let item = Object::read(item, "an item of the output is not an object")?;
        stream.item(index, &item)?;
    }
    stream.push(last, |event| event.raw("response", document.trim_ascii()));
    Ok(stream.events)
}

/// Where a part stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    item: Raw<'a>,
    output: usize,
    /// The name of the part's index, and its value.
    part: Option<(&'static str, usize)>,
}

impl Place<'_> {
    fn write(self, event: &mut Writer) {
        event.raw("item_id", self.item);
        event.number("output_index", self.output);
        if let Some((name, index)) = self.part {
            event.number(name, index);
        }
    }
}

/// A text that deltas are told of.
struct Growing {
    /// The member that it stands in, both in its part or item and in the event that completes it.
    member: &'static str,
    /// What its events' names begin with.
    event: &'static str,
}

impl Growing {
    /// The text of a part of a message or of reasoning.
    fn of_part(kind: &str) -> Option<Self> {
        let (member, event) = match kind {
            "output_text" => ("text", "response.output_text"),
            "refusal" => ("refusal", "response.refusal"),
            "reasoning_text" => ("text", "response.reasoning_text"),
            "summary_text" => ("text", "response.reasoning_summary_text"),
            _ => return None,
        };
        Some(Self { member, event })
    }

    /// The text of an item that has no parts.
    fn of_item(kind: &str) -> Option<Self> {
        let (member, event) = match kind {
            "function_call" => ("arguments", "response.function_call_arguments"),
            "custom_tool_call" => ("input", "response.custom_tool_call_input"),
            _ => return None,
        };
        Some(Self { member, event })
    }
}

#[derive(Default)]
struct Stream {
    events: Vec<Event>,
}

impl Stream {
    fn push(&mut self, kind: &str, write: impl FnOnce(&mut Writer)) {
        let mut event = Writer::default();
        event.text("type", kind);
        event.number("sequence_number", self.events.len());
        write(&mut event);
        self.events.push(Event {
            bytes: sse::event(Some(kind), &event.finish()),
            is_usage: false,
        });
    }

    /// An item of the output. One of a kind without a growing text is added as it will be.
    fn item(&mut self, index: usize, item: &Object<'_>) -> Result<(), AssembleError> {
        let kind = item.text("type").unwrap_or_default();
        let place = Place {
            item: item.get("id").unwrap_or(b"\"\""),
            output: index,
            part: None,
        };
        let text = Growing::of_item(&kind);
        let has_parts = matches!(kind.as_ref(), "message" | "reasoning");
        let mut begun: Vec<(&str, Raw<'_>)> = Vec::new();
        if let Some(text) = &text {
            begun.push((text.member, b"\"\""));
        } else if has_parts {
            begun.extend([("summary", &b"[]"[..]), ("content", b"[]")]);
        }
        if !begun.is_empty() {
            begun.push(("status", b"\"in_progress\""));
        }
        let added = item.with(&begun);
        let told = |event: &mut Writer, item: Raw<'_>| {
            event.number("output_index", index);
            event.raw("item", item);
        };
        self.push("response.output_item.added", |event| told(event, &added));
        if let Some(text) = text {
            self.text(&text, place, item);
        } else if has_parts {
            self.parts("summary", item, place)?;
            self.parts("content", item, place)?;
        }
        self.push("response.output_item.done", |event| {
            told(event, &item.with(&[]));
        });
        Ok(())
    }

    fn parts(
        &mut self,
        member: &str,
        item: &Object<'_>,
        place: Place<'_>,
    ) -> Result<(), AssembleError> {
        let Some(parts) = item.filled(member) else {
            return Ok(());
        };
        let (events, index_name) = match member {
            "summary" => ("response.reasoning_summary_part", "summary_index"),
            _ => ("response.content_part", "content_index"),
        };
        let parts = raw::elements(parts, "the content of an item is not an array")?;
        for (index, part) in parts.into_iter().enumerate() {
            let place = Place {
                part: Some((index_name, index)),
                ..place
            };
            self.part(events, place, part)?;
        }
        Ok(())
    }

    fn part(&mut self, events: &str, place: Place<'_>, raw: Raw<'_>) -> Result<(), AssembleError> {
        let part = Object::read(raw, "a part is not an object")?;
        let text = part.text("type").and_then(|kind| Growing::of_part(&kind));
        let added = match &text {
            None => raw.to_vec(),
            Some(text) => part.with(&[
                (text.member, b"\"\""),
                ("annotations", b"[]"),
                ("logprobs", b"[]"),
            ]),
        };
        let told = |event: &mut Writer, part: Raw<'_>| {
            place.write(event);
            event.raw("part", part);
        };
        self.push(&format!("{events}.added"), |event| told(event, &added));
        if let Some(text) = text {
            self.text(&text, place, &part);
        }
        self.push(&format!("{events}.done"), |event| told(event, raw));
        Ok(())
    }

    /// The text of a part or an item, and what belongs to it.
    fn text(&mut self, text: &Growing, place: Place<'_>, of: &Object<'_>) {
        let whole = of.get(text.member).unwrap_or(b"\"\"");
        let has_logprobs = text.event == "response.output_text";
        let logprobs = of.filled("logprobs").unwrap_or(b"[]");
        if !is_empty(whole) {
            self.push(&format!("{}.delta", text.event), |event| {
                place.write(event);
                event.raw("delta", whole);
                if has_logprobs {
                    event.raw("logprobs", logprobs);
                }
            });
        }
        self.annotations(place, of);
        self.push(&format!("{}.done", text.event), |event| {
            place.write(event);
            if let Some(name) = of.get("name").filter(|_| text.member == "arguments") {
                event.raw("name", name);
            }
            event.raw(text.member, whole);
            if has_logprobs {
                event.raw("logprobs", logprobs);
            }
        });
    }

    fn annotations(&mut self, place: Place<'_>, of: &Object<'_>) {
        let annotations = of.filled("annotations").unwrap_or(b"[]");
        // They are told with their part in any case.
        let annotations = raw::elements(annotations, "").unwrap_or_default();
        for (index, annotation) in annotations.into_iter().enumerate() {
            self.push("response.output_text.annotation.added", |event| {
                place.write(event);
                event.number("annotation_index", index);
                event.raw("annotation", annotation);
            });
        }
    }
}
