//! `POST /v1/completions`, the older way to ask.

use millgate_plugin::{Call, Refusal};
use serde_json::{Value, json};

use super::{
    request::{Body, Input, inputs, invalid, unsupported},
    script::{Event, Script},
    speech::{Heard, sentence},
    words::{self, Clipped},
};

/// Most choices of a reply: prompts times `n`.
const MAX_CHOICES: u64 = 128;
/// Most bytes of prompts to repeat in one reply.
const MAX_ECHO: u64 = 4 << 20;

/// One choice, its prompt included where `echo` asks for it.
struct Choice {
    echo: String,
    said: Clipped,
}

pub(super) fn script(call: &Call<'_>) -> Result<Script, Refusal> {
    let body = Body::parse(call.body)?;
    let prompts = inputs(&body, "prompt")?;
    let n = body.whole("n", 1..=MAX_CHOICES)?.unwrap_or(1);
    if prompts.len() as u64 * n > MAX_CHOICES {
        let message = format!("the rehearsal provider gives at most {MAX_CHOICES} choices");
        return Err(invalid("prompt", message));
    }
    let echo = body.flag("echo")?;
    let stops = body.stops()?;
    let limit = body.whole("max_tokens", 0..=u64::MAX)?;
    let include_usage = body.include_usage()?;

    if echo && call.body.len() as u64 * n > MAX_ECHO {
        let message = format!("the rehearsal provider repeats at most {MAX_ECHO} bytes");
        return Err(invalid("echo", message));
    }
    let mut choices = Vec::new();
    let mut prompt_tokens = 0;
    for prompt in &prompts {
        let (text, tokens) = match prompt {
            Input::Text(text) => (*text, words::count(text)),
            Input::Tokens(_) if echo => {
                let message = "the rehearsal provider has no tokenizer to echo token numbers with";
                return Err(unsupported("echo", message));
            }
            Input::Tokens(numbers) => ("", numbers.len() as u64),
        };
        prompt_tokens += tokens;
        let heard = match text {
            "" => Heard::Nothing,
            text => Heard::User(text.to_owned()),
        };
        let said = words::clip(sentence(&heard), &stops, limit);
        for _ in 0..n {
            choices.push(Choice {
                echo: if echo {
                    format!("{text}\n")
                } else {
                    String::new()
                },
                said: said.clone(),
            });
        }
    }
    let completion_tokens: u64 = choices.iter().map(|c| words::count(&c.said.text)).sum();
    let usage = json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    });
    Ok(if call.stream {
        Script::Stream(stream(call, &choices, include_usage.then_some(usage)))
    } else {
        Script::document(&document(call, &choices, usage))
    })
}

fn document(call: &Call<'_>, choices: &[Choice], usage: Value) -> Value {
    let choices: Vec<Value> = choices
        .iter()
        .enumerate()
        .map(|(index, Choice { echo, said })| {
            choice(
                index,
                &format!("{echo}{}", said.text),
                Some(said.finish.reason()),
            )
        })
        .collect();
    let mut document = envelope(call, &choices);
    document["usage"] = usage;
    document
}

fn stream(call: &Call<'_>, choices: &[Choice], usage: Option<Value>) -> Vec<Event> {
    let chunk = |choice: Value| {
        let mut chunk = envelope(call, &[choice]);
        if usage.is_some() {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let mut events = Vec::new();
    for (index, Choice { echo, said }) in choices.iter().enumerate() {
        if !echo.is_empty() {
            events.push(Event::data(&chunk(choice(index, echo, None)), false));
        }
        for token in words::tokens(&said.text) {
            events.push(Event::data(&chunk(choice(index, token, None)), true));
        }
        let end = choice(index, "", Some(said.finish.reason()));
        events.push(Event::data(&chunk(end), false));
    }
    if let Some(usage) = usage {
        let mut last = envelope(call, &[]);
        last["usage"] = usage;
        events.push(Event::data(&last, false));
    }
    events.push(Event::done());
    events
}

fn envelope(call: &Call<'_>, choices: &[Value]) -> Value {
    json!({
        "id": format!("cmpl-{}", call.request_id),
        "object": "text_completion",
        "created": call.created,
        "model": call.model,
        "system_fingerprint": "fp_rehearsal",
        "choices": choices,
    })
}

fn choice(index: usize, text: &str, finish_reason: Option<&str>) -> Value {
    json!({"text": text, "index": index, "logprobs": null, "finish_reason": finish_reason})
}
