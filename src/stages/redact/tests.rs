use millgate_plugin::SetError;
use serde_json::{Value, json};

use super::*;
use crate::runtime::host::Process;

/// A request with a body, as far as this stage looks at it.
struct Asked {
    body: Value,
    raw: Vec<(String, Vec<u8>)>,
}

impl Asked {
    fn new(body: Value) -> Self {
        let members = body.as_object().unwrap().iter();
        let raw = members
            .map(|(name, value)| (name.clone(), value.to_string().into_bytes()))
            .collect();
        Self { body, raw }
    }
}

impl Exchange for Asked {
    fn get(&self, field: millgate_plugin::Field, key: &str) -> Option<&[u8]> {
        assert_eq!(field, millgate_plugin::Field::RequestMember);
        self.raw
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, raw)| raw.as_slice())
    }

    fn number(&self, _: millgate_plugin::Field) -> Option<u64> {
        None
    }

    fn set(
        &mut self,
        _: millgate_plugin::Field,
        _: &str,
        _: Option<&[u8]>,
    ) -> Result<(), SetError> {
        Err(SetError::ReadOnly)
    }

    fn each(&self, _: millgate_plugin::Field, _: &mut dyn FnMut(&str, &[u8]) -> bool) {
        assert!(self.body.is_object());
    }
}

#[test]
fn the_text_of_a_request_is_what_people_said() {
    let chat = json!({"model": "m", "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "data:…"}}]},
        {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": "{\"a\":1}"}}]},
    ]});
    let responses = json!({"instructions": "Be brief.", "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]});
    for (endpoint, body, text) in [
        (
            Endpoint::Chat,
            chat,
            "system: Be brief.\nuser: Hi\nassistant: {\"a\":1}",
        ),
        (
            Endpoint::Completions,
            json!({"prompt": ["one", "two"]}),
            "one\ntwo",
        ),
        (Endpoint::Responses, responses, "Be brief.\nuser: Hi"),
        (Endpoint::Responses, json!({"input": "Hi"}), "Hi"),
        (Endpoint::Embeddings, json!({"input": "Hi"}), "Hi"),
    ] {
        assert_eq!(request_text(endpoint, &Asked::new(body), 1000), text);
    }
    let long = Asked::new(json!({"prompt": "가나다라"}));
    assert_eq!(request_text(Endpoint::Completions, &long, 7), "가나");
}

fn replied(endpoint: Endpoint, chunks: &[String]) -> String {
    let mut reply = ReplyText::new(1000);
    for chunk in chunks {
        reply.see(endpoint, chunk.as_bytes());
    }
    reply.text()
}

#[test]
fn the_text_of_a_reply_is_what_the_model_said() {
    for (endpoint, document, text) in [
        (
            Endpoint::Chat,
            json!({"choices": [{"index": 0, "message": {"content": "Hi"}}, {"index": 1, "message": {"content": "Ho"}}]}),
            "Hi\nHo",
        ),
        (
            Endpoint::Completions,
            json!({"choices": [{"index": 0, "text": "Hi"}]}),
            "Hi",
        ),
        (
            Endpoint::Responses,
            json!({"output": [{"content": [{"type": "output_text", "text": "Hi"}]}]}),
            "Hi",
        ),
        (Endpoint::Chat, json!({"error": {"message": "no"}}), "no"),
    ] {
        assert_eq!(replied(endpoint, &[document.to_string()]), text);
    }
    let pieces = [
        "{\"choices\":[{\"message\"".to_owned(),
        ":{\"content\":\"Hi\"}}]}".to_owned(),
    ];
    assert_eq!(replied(Endpoint::Chat, &pieces), pieces.concat());
}

/// An event that brings a piece of the answer.
type Event = fn(&str) -> Value;

/// Whatever piece of the answer each event brings.
#[test]
fn a_value_is_found_wherever_a_stream_cuts_it() {
    let said = "제 번호는 900101-1234568이고 메일은 kim@example.com입니다";
    let redactor = Redactor::default();
    let cuts: Vec<_> = said.char_indices().map(|(at, _)| at).collect();
    let events: [(Endpoint, Event); 3] = [
        (
            Endpoint::Chat,
            |text| json!({"choices": [{"index": 0, "delta": {"content": text}}]}),
        ),
        (
            Endpoint::Completions,
            |text| json!({"choices": [{"index": 0, "text": text}]}),
        ),
        (
            Endpoint::Responses,
            |text| json!({"type": "response.output_text.delta", "output_index": 0, "delta": text}),
        ),
    ];
    for (endpoint, event) in events {
        for first in &cuts {
            for second in cuts.iter().filter(|second| *second >= first) {
                let parts = [&said[..*first], &said[*first..*second], &said[*second..]];
                let mut chunks: Vec<_> = parts
                    .iter()
                    .map(|part| format!("data: {}\n\n", event(part)))
                    .collect();
                chunks.push(": ping\n\n".to_owned());
                chunks.push("data: [DONE]\n\n".to_owned());
                let text = replied(endpoint, &chunks);
                assert_eq!(text, said);
                assert_eq!(
                    redactor.redact_start(&text, 1000),
                    "제 번호는 <KR_RRN>이고 메일은 <EMAIL>입니다"
                );
            }
        }
    }
}

fn stage(table: &str) -> Result<Redact, SetupError> {
    Redact::new(
        "redact",
        toml::from_str(table).unwrap(),
        &Process::default().host,
    )
}

#[test]
fn more_than_a_mebibyte_of_each_text_is_not_captured() {
    assert!(stage("capture_limit = \"1MiB\"").is_ok());
    let error = stage("capture_limit = \"1025KiB\"").err().unwrap();
    let error = error.to_string();
    assert!(
        error.starts_with("capture_limit: more than 1 MiB"),
        "{error}"
    );
}

#[test]
fn nothing_is_called_unless_there_is_something_to_capture() {
    assert_eq!(stage("").unwrap().hooks(), Hooks::NONE);
    assert_eq!(stage("capture = \"none\"").unwrap().hooks(), Hooks::NONE);
    let hooks = stage("capture = \"redacted\"").unwrap().hooks();
    assert_eq!(
        hooks,
        Hooks::REQUEST_HEAD | Hooks::REQUEST | Hooks::CHUNK | Hooks::END
    );
}

#[test]
fn entities_are_chosen_by_name() {
    let redacted = |table: &str| {
        let config: Config = toml::from_str(table).unwrap();
        config
            .redactor()
            .unwrap()
            .redact("kim@example.com 010-1234-5678 EMP-1")
            .into_owned()
    };
    let own = "\n[patterns.employee]\nregex = \"EMP-[0-9]\"\n";
    assert_eq!(redacted(""), "<EMAIL> <PHONE> EMP-1");
    assert_eq!(redacted(own), "<EMAIL> <PHONE> <EMPLOYEE>");
    assert_eq!(
        redacted(&format!("entities = [\"EMPLOYEE\"]{own}")),
        "kim@example.com 010-1234-5678 <EMPLOYEE>"
    );
    assert_eq!(
        redacted(&format!("except = [\"EMPLOYEE\", \"EMAIL_ADDRESS\"]{own}")),
        "kim@example.com <PHONE> EMP-1"
    );
    assert_eq!(
        redacted(&format!("style = \"mask\"{own}type = \"STAFF\"")),
        "***@*******.*** ***-****-**** ***-*"
    );
}

#[test]
fn mistakes_are_told_where_they_are() {
    for (table, path, says) in [
        ("entities = [\"EMAIL\"]", "entities.0", "EMAIL_ADDRESS"),
        (
            "except = [\"PHONE_NUMBER\", \"X\"]",
            "except.1",
            "there is no type `X`",
        ),
        ("hash_key = \"short\"", "hash_key", "16"),
        (
            "[patterns.p]\nregex = \"(\"",
            "patterns.p.regex",
            "no regex",
        ),
        (
            "[patterns.p]\nregex = \"x\"\ntype = \"a b\"",
            "patterns.p.type",
            "letters",
        ),
    ] {
        let error = stage(table).err().unwrap();
        assert_eq!(error.path.join("."), path, "{table}");
        assert!(error.message.contains(says), "{error}");
    }
}
