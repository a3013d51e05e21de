//! `POST /v1/completions`, the older way to ask.

use millgate_plugin::{Call, Refusal};

use super::{
    FINGERPRINT,
    request::{Body, Input, inputs, invalid, unsupported},
    said::{Choice, Said},
    script::Script,
    speech::{Heard, sentence},
    words,
};
use crate::providers::{answer::Identity, completion};

/// Most choices of a reply: prompts times `n`.
const MAX_CHOICES: u64 = 128;
/// Most bytes of prompts to repeat in one reply.
const MAX_ECHO: u64 = 4 << 20;

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
        let choice = Choice {
            echo: if echo {
                format!("{text}\n")
            } else {
                String::new()
            },
            said: Said::Text(words::clip(sentence(&heard), &stops, limit)),
        };
        choices.extend(vec![choice; n as usize]);
    }
    let identity = Identity::of(call, FINGERPRINT);
    let shape = completion::shape(&identity, call.stream, include_usage);
    Ok(Script::of(call, &identity, shape, &choices, prompt_tokens))
}
