use millgate_plugin::RefusalKind;
use serde_json::json;

use super::*;

fn read(messages: Value) -> Value {
    let conversation = Conversation::read(messages).unwrap();
    json!({"system": conversation.system, "messages": conversation.turns})
}

fn refused(messages: Value) -> (RefusalKind, String) {
    let refusal = Conversation::read(messages).unwrap_err();
    (refusal.kind, refusal.param.unwrap().into_owned())
}

fn call(id: &str, arguments: &Value) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}})
}

#[test]
fn system_messages_gather_at_the_front_and_turns_are_merged() {
    let read = read(json!([
        {"role": "system", "content": "one"},
        {"role": "user", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "two"}]},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c"},
        {"role": "assistant", "content": null, "refusal": "d"},
    ]));
    let text = |text| json!({"type": "text", "text": text});
    let expected = json!({
        "system": [text("one"), text("two")],
        "messages": [
            {"role": "user", "content": [text("a"), text("b")]},
            {"role": "assistant", "content": [text("c"), text("d")]},
        ],
    });
    assert_eq!(read, expected);
}

#[test]
fn results_come_before_all_else_the_user_says_in_their_order() {
    let read = read(json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": [call("1", &json!("{}")), call("2", &json!(""))]},
        {"role": "user", "content": "hurry"},
        {"role": "tool", "tool_call_id": "1", "content": "r1"},
        {"role": "tool", "tool_call_id": "2", "content": ""},
    ]));
    let expected = json!([
        {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "r1"}]},
        {"type": "tool_result", "tool_use_id": "2"},
        {"type": "text", "text": "hurry"},
    ]);
    assert_eq!(read["messages"][2]["content"], expected);
}

#[test]
fn the_middle_of_tool_use_is_known() {
    let asked = json!([{"role": "user", "content": "a"}]);
    let worked = json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": [call("1", &json!("{}"))]},
        {"role": "tool", "tool_call_id": "1", "content": "r"},
    ]);
    assert!(!Conversation::read(asked).unwrap().is_amid_tools());
    assert!(Conversation::read(worked).unwrap().is_amid_tools());
}

#[test]
fn arguments_lose_nothing() {
    let arguments = json!(r#" {"n":12345678901234567890123,"x":1.10,"b":[ 1 ]} "#);
    let messages = json!([{"role": "assistant", "tool_calls": [call("1", &arguments)]}]);
    let turns = Conversation::read(messages).unwrap().turns;
    let text = serde_json::to_string(&turns).unwrap();
    assert!(
        text.contains(r#""input":{"n":12345678901234567890123,"x":1.10,"b":[ 1 ]}"#),
        "{text}"
    );
}

#[test]
fn arguments_that_are_no_object_are_refused_where_they_stand() {
    for arguments in ["{", "[]", "1", "null", "{} {}", "x"] {
        let messages = json!([
            {"role": "user", "content": "a"},
            {"role": "assistant", "tool_calls": [call("0", &json!({})), call("1", &json!(arguments))]},
        ]);
        let at = "messages[1].tool_calls[1].function.arguments";
        assert_eq!(
            refused(messages),
            (RefusalKind::InvalidRequest, at.to_owned())
        );
    }
}

#[test]
fn ids_of_other_providers_are_made_to_fit_alike() {
    let read = read(json!([
        {"role": "assistant", "tool_calls": [call("call:1/가", &json!("{}"))]},
        {"role": "tool", "tool_call_id": "call:1/가", "content": "r"},
    ]));
    assert_eq!(read["messages"][0]["content"][0]["id"], "call_1__");
    assert_eq!(read["messages"][1]["content"][0]["tool_use_id"], "call_1__");
}

#[test]
fn nothing_is_said_where_nothing_was() {
    let read = read(json!([
        {"role": "system", "content": " "},
        {"role": "user", "content": [{"type": "text", "text": "\n"}, {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "so: "},
    ]));
    let text = |text| json!({"type": "text", "text": text});
    let expected = json!({
        "system": [],
        "messages": [
            {"role": "user", "content": [text("a"), text("b")]},
            {"role": "assistant", "content": [text("so:")]},
        ],
    });
    assert_eq!(read, expected);
    for empty in [
        json!([]),
        json!([{"role": "system", "content": "a"}]),
        json!([{"role": "user", "content": ""}]),
    ] {
        assert_eq!(
            refused(empty),
            (RefusalKind::InvalidRequest, "messages".to_owned())
        );
    }
}

fn image(url: &str) -> Value {
    json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url, "detail": "low"}}]}])
}

#[test]
fn images_are_shown_in_either_way() {
    let source = |url| read(image(url))["messages"][0]["content"][0]["source"].clone();
    assert_eq!(
        source("HTTPS://example.com/a,b.png"),
        json!({"type": "url", "url": "HTTPS://example.com/a,b.png"})
    );
    for (url, media_type) in [
        ("data:image/png;base64,AAAA", "image/png"),
        ("data:image/jpg;base64,AAAA", "image/jpeg"),
        ("DATA:Image/WebP;name=x.webp;Base64,AAAA", "image/webp"),
    ] {
        let expected = json!({"type": "base64", "media_type": media_type, "data": "AAAA"});
        assert_eq!(source(url), expected);
    }
}

#[test]
fn what_anthropic_cannot_see_or_hear_is_refused() {
    let at = "messages[0].content[0]";
    let image_at = format!("{at}.image_url");
    for url in [
        "http://example.com/a.png",
        "ftp://x",
        "AAAA",
        "data:image/svg+xml;base64,AAAA",
        "data:text/plain;base64,AAAA",
    ] {
        let expected = (RefusalKind::Unsupported, image_at.clone());
        assert_eq!(refused(image(url)), expected, "{url}");
    }
    assert_eq!(
        refused(image("data:image/png,%00")),
        (RefusalKind::InvalidRequest, image_at)
    );
    for kind in ["input_audio", "file"] {
        let messages = json!([{"role": "user", "content": [{"type": kind}]}]);
        assert_eq!(refused(messages), (RefusalKind::Unsupported, at.to_owned()));
    }
    let mut of_system = image("https://example.com/a.png");
    of_system[0]["role"] = "system".into();
    let expected = (RefusalKind::Unsupported, "messages[0].content".to_owned());
    assert_eq!(refused(of_system), expected);
}

#[test]
fn mistakes_are_refused_where_they_stand() {
    for (message, at) in [
        (json!({"role": "robot"}), ".role"),
        (json!("hello"), ".role"),
        (json!({"role": "user", "content": 1}), ".content"),
        (
            json!({"role": "user", "content": [{"type": "text"}]}),
            ".content[0].text",
        ),
        (
            json!({"role": "user", "content": [{"type": "x"}]}),
            ".content[0].type",
        ),
        (json!({"role": "tool", "content": "r"}), ".tool_call_id"),
        (
            json!({"role": "assistant", "tool_calls": {}}),
            ".tool_calls",
        ),
        (
            json!({"role": "assistant", "tool_calls": [{"id": "1"}]}),
            ".tool_calls[0].function.name",
        ),
        (
            json!({"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}),
            ".tool_calls[0].id",
        ),
    ] {
        let expected = (RefusalKind::InvalidRequest, format!("messages[0]{at}"));
        assert_eq!(refused(json!([message])), expected);
    }
    for (message, at) in [
        (json!({"role": "function", "content": "x"}), ".role"),
        (
            json!({"role": "assistant", "function_call": {}}),
            ".function_call",
        ),
    ] {
        let expected = (RefusalKind::Unsupported, format!("messages[0]{at}"));
        assert_eq!(refused(json!([message])), expected);
    }
}
