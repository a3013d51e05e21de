//! `POST /v1/responses`, stateless: every event of a stream as OpenAI documents it.

mod events;
mod request;

use millgate_plugin::{Call, Refusal};
use serde_json::{Value, json};

use super::{request::Body, said::Said, script::Script, tools, words::Finish};

/// A response in the making.
struct Response<'a> {
    call: &'a Call<'a>,
    /// The one output item.
    said: Said,
    /// The response less its `status`, `output`, `usage` and what came of it.
    frame: Value,
    input_tokens: u64,
}

pub(super) fn script(call: &Call<'_>) -> Result<Script, Refusal> {
    let body = Body::parse(call.body)?;
    let conversation = request::conversation(&body)?;
    let response = Response {
        call,
        said: request::said(&body, &conversation)?,
        frame: frame(call, &body),
        input_tokens: conversation.tokens,
    };
    Ok(if call.stream {
        Script::Stream(events::events(&response))
    } else {
        Script::document(&response.ended())
    })
}

/// What of a response is known when it begins, most of it repeated from the request.
fn frame(call: &Call<'_>, body: &Body) -> Value {
    let or = |name, default| body.get(name).cloned().unwrap_or(default);
    json!({
        "id": format!("resp_{}", call.request_id),
        "object": "response",
        "created_at": call.created,
        "status": "in_progress",
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": body.repeated("instructions"),
        "max_output_tokens": body.repeated("max_output_tokens"),
        "model": call.model,
        "output": [],
        "parallel_tool_calls": or("parallel_tool_calls", true.into()),
        "previous_response_id": null,
        "reasoning": or("reasoning", json!({"effort": null, "summary": null})),
        // Whatever was asked for: nothing is stored.
        "store": false,
        "temperature": or("temperature", 1.0.into()),
        "text": or("text", json!({"format": {"type": "text"}})),
        "tool_choice": or("tool_choice", "auto".into()),
        "tools": or("tools", json!([])),
        "top_p": or("top_p", 1.0.into()),
        "truncation": or("truncation", "disabled".into()),
        "usage": null,
        "user": body.repeated("user"),
        "metadata": or("metadata", json!({})),
    })
}

impl Response<'_> {
    /// `completed`, or `incomplete` where the token limit came first.
    const fn status(&self) -> &'static str {
        match &self.said {
            Said::Text(clipped) if matches!(clipped.finish, Finish::Length) => "incomplete",
            _ => "completed",
        }
    }

    fn item_id(&self) -> String {
        let prefix = match self.said {
            Said::Text(_) => "msg",
            Said::Call(_) => "fc",
        };
        tools::id(prefix, self.call.request_id, 0)
    }

    /// The output item with its text or arguments so far.
    fn item(&self, status: &str, content: &[Value], arguments: &str) -> Value {
        match &self.said {
            Said::Text(_) => json!({
                "id": self.item_id(),
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": content,
            }),
            Said::Call(tool) => json!({
                "id": self.item_id(),
                "type": "function_call",
                "status": status,
                "call_id": tools::id("call", self.call.request_id, 0),
                "name": tool.name,
                "arguments": arguments,
            }),
        }
    }

    /// The output item at its end.
    fn ended_item(&self) -> Value {
        match &self.said {
            Said::Text(clipped) => self.item(self.status(), &[part(&clipped.text)], ""),
            Said::Call(tool) => self.item(self.status(), &[], &tool.arguments),
        }
    }

    /// The response at its end.
    fn ended(&self) -> Value {
        let output_tokens = self.said.tokens();
        let mut response = self.frame.clone();
        response["status"] = self.status().into();
        response["output"] = json!([self.ended_item()]);
        response["usage"] = json!({
            "input_tokens": self.input_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.input_tokens + output_tokens,
        });
        if self.status() == "incomplete" {
            response["incomplete_details"] = json!({"reason": "max_output_tokens"});
        }
        response
    }
}

/// A content part of text.
fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}
