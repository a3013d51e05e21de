use millgate_plugin::{
    Refusal, RefusalKind,
    testing::{FakeCall, Translation, Value, json, provider, translate},
};
use my_plugin::MyProvider;

/// A chat, and what is made of this reply of the upstream, in any cuts.
fn chat(stream: bool, reply: &str) -> Result<Translation, Refusal> {
    let provider: MyProvider = provider(&json!({})).unwrap();
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let call = FakeCall::chat(&json!({"model": "m", "stream": stream, "messages": messages}));
    translate(&provider, &call, "application/json", reply.as_bytes())
}

#[test]
fn the_last_message_is_the_prompt_and_the_text_is_the_answer() {
    let translation = chat(false, r#"{"text": "Good day."}"#).unwrap();
    assert_eq!(translation.request.path, "/generate");
    let sent: Value = serde_json::from_slice(&translation.request.body.clone().unwrap()).unwrap();
    assert_eq!(sent, json!({"model": "m", "prompt": "Hi"}));
    let answer = translation.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "Good day.");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[test]
fn who_asks_for_a_stream_gets_one() {
    let events = chat(true, r#"{"text": "Good day."}"#).unwrap().events();
    assert_eq!(events[0]["choices"][0]["delta"]["content"], "Good day.");
    assert_eq!(events.last(), Some(&json!("[DONE]")));
}

#[test]
fn an_answer_without_a_text_is_the_upstreams_fault() {
    assert_eq!(
        chat(false, "{}").unwrap_err().kind,
        RefusalKind::BadUpstream
    );
}

#[test]
fn a_path_begins_with_a_slash() {
    let refused = provider::<MyProvider>(&json!({"path": "generate"}));
    assert_eq!(refused.err().unwrap().path, ["path"]);
}
