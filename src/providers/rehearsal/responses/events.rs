//! The events of a streamed response, in their documented order.

use serde_json::{Value, json};

use super::{
    super::{said::Said, script::Event, tools, words},
    Response, part,
};

/// Numbers events and gives them their names.
#[derive(Default)]
struct Sequence(Vec<Event>);

impl Sequence {
    /// Appends an event; `type` and `sequence_number` come first, then the members of `rest`.
    fn push(&mut self, name: &str, rest: Value, is_token: bool) {
        let mut data = json!({"type": name, "sequence_number": self.0.len()});
        if let (Some(data), Value::Object(mut rest)) = (data.as_object_mut(), rest) {
            data.append(&mut rest);
        }
        self.0.push(Event::named(name, &data, is_token));
    }
}

/// All events from `response.created` to `response.completed` or `response.incomplete`.
pub(super) fn events(response: &Response<'_>) -> Vec<Event> {
    let mut events = Sequence::default();
    let started = json!({"response": response.frame});
    events.push("response.created", started.clone(), false);
    events.push("response.in_progress", started, false);

    let item = response.item("in_progress", &[], "");
    events.push(
        "response.output_item.added",
        json!({"output_index": 0, "item": item}),
        false,
    );
    match &response.said {
        Said::Text(clipped) => text(&mut events, response, &clipped.text),
        Said::Call(tool) => arguments(&mut events, response, &tool.arguments),
    }
    let item = response.ended_item();
    events.push(
        "response.output_item.done",
        json!({"output_index": 0, "item": item}),
        false,
    );

    let end = format!("response.{}", response.status());
    events.push(&end, json!({"response": response.ended()}), false);
    events.0
}

fn text(events: &mut Sequence, response: &Response<'_>, text: &str) {
    let of_part = |member: &str, value: Value| {
        json!({
            "item_id": response.item_id(),
            "output_index": 0,
            "content_index": 0,
            member: value,
        })
    };
    let of_text = |member: &str, text: &str| {
        let mut data = of_part(member, text.into());
        data["logprobs"] = json!([]);
        data
    };
    events.push(
        "response.content_part.added",
        of_part("part", part("")),
        false,
    );
    for token in words::tokens(text) {
        events.push("response.output_text.delta", of_text("delta", token), true);
    }
    events.push("response.output_text.done", of_text("text", text), false);
    events.push(
        "response.content_part.done",
        of_part("part", part(text)),
        false,
    );
}

fn arguments(events: &mut Sequence, response: &Response<'_>, arguments: &str) {
    let id = response.item_id();
    for piece in tools::pieces(arguments) {
        let data = json!({"item_id": id, "output_index": 0, "delta": piece});
        events.push("response.function_call_arguments.delta", data, true);
    }
    let data = json!({"item_id": id, "output_index": 0, "arguments": arguments});
    events.push("response.function_call_arguments.done", data, false);
}
