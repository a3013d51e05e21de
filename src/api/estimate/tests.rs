use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::http::json::scan;

fn of(body: &Value) -> u64 {
    of_text(&body.to_string())
}

fn of_text(body: &str) -> u64 {
    prompt(body.as_bytes(), &scan(body.as_bytes()).unwrap())
}

fn chat(content: impl Into<Value>) -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": content.into()}]})
}

/// Sentences whose tokens OpenAI has told for `o200k_base`, in its announcement of GPT-4o.
const KNOWN: [(&str, u64); 4] = [
    (
        "Hello, my name is GPT-4o. I'm a new type of language model, it's nice to meet you!",
        24,
    ),
    (
        "안녕하세요, 제 이름은 GPT-4o입니다. 저는 새로운 유형의 언어 모델입니다, 만나서 반갑습니다!",
        27,
    ),
    (
        "こんにちわ、私の名前はGPT−4oです。私は新しいタイプの言語モデルです、初めまして",
        26,
    ),
    (
        "你好，我的名字是GPT-4o。我是一种新型的语言模型，很高兴见到你!",
        24,
    ),
];

#[test]
fn an_escape_that_is_cut_off_is_none_the_less_counted() {
    assert_eq!(count(br#""\u"#).text_bytes, 0);
    assert_eq!(count(br#""abcdefgh\u"#).text_bytes, 7);
}

#[test]
fn known_sentences_are_off_by_a_third_at_most() {
    for (sentence, tokens) in KNOWN {
        let estimate = text(sentence.len() as u64);
        let off = estimate.abs_diff(tokens) * 3;
        assert!(off <= tokens, "{estimate} for {tokens}: {sentence}");
    }
}

#[test]
fn a_message_counts_its_text_and_a_little_for_what_is_around_it() {
    assert_eq!(of(&chat("")), text("rolecontentuser".len() as u64));
    assert_eq!(of(&chat("x".repeat(4000))) - of(&chat("")), 1000);
    assert_eq!(of(&chat("가".repeat(400))) - of(&chat("")), 300);
}

#[test]
fn what_the_model_does_not_read_is_not_counted() {
    let mut body = chat("hello");
    let before = of(&body);
    body["metadata"] = json!({"note": "x".repeat(10_000)});
    body["user"] = json!("x".repeat(1000));
    assert_eq!(of(&body), before);
    body["tools"] = json!([{"type": "function", "function": {"name": "x".repeat(400)}}]);
    assert!(of(&body) > before + 100);
    assert_eq!(of(&json!({"model": "tts-1"})), 0);
}

#[test]
fn pictures_and_recordings_are_media_and_not_text() {
    let data = format!("data:image/png;base64,{}", "A".repeat(1 << 20));
    let parts = |url: &str| {
        chat(json!([
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "input_audio", "input_audio": {"data": "A".repeat(9999), "format": "wav"}},
        ]))
    };
    assert_eq!(of(&parts(&data)), of(&parts("https://example.com/a.png")));
    assert!((2 * MEDIUM..2 * MEDIUM + 50).contains(&of(&parts(&data))));
}

#[test]
fn every_way_of_asking_is_counted() {
    let words = "w".repeat(400);
    for body in [
        json!({"prompt": words}),
        json!({"prompt": [words]}),
        json!({"input": words}),
        json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": words}]}]}),
        json!({"instructions": words}),
    ] {
        assert!((100..120).contains(&of(&body)), "{body}");
    }
    assert_eq!(of(&json!({"input": [1, 22, 333]})), 3);
    assert_eq!(of(&json!({"prompt": [[1, 2], [3]]})), 3);
}

#[test]
fn escapes_count_as_what_they_stand_for() {
    for (escaped, plain) in [
        (r"\uc548\ub155", "안녕"),
        (r"\u00e9\u03b1", "éα"),
        (r"\u0041", "A"),
        (r"\ud83d\ude00", "😀"),
        (r#"\"\\\/"#, "xxx"),
        (r"\n\t", "xx"),
    ] {
        let body = |text: &str| format!(r#"{{"prompt":"{}"}}"#, text.repeat(400));
        assert_eq!(of_text(&body(escaped)), of_text(&body(plain)), "{escaped}");
    }
}

proptest! {
    /// ASCII-only JSON, as Python's `json.dumps` writes it, counts the same as UTF-8.
    #[test]
    fn the_way_of_writing_makes_no_difference(words in "\\PC{0,200}") {
        let plain = chat(words.as_str()).to_string();
        let mut escaped = String::new();
        for char in plain.chars() {
            if char.is_ascii() {
                escaped.push(char);
            } else {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    write!(escaped, "\\u{unit:04x}").unwrap();
                }
            }
        }
        prop_assert_eq!(of_text(&plain), of_text(&escaped));
    }

    #[test]
    fn any_bytes_come_to_an_end(bytes in prop::collection::vec(prop::sample::select(b"\"\\u{}:,-19ad\xec".to_vec()), 0..200)) {
        count(&bytes);
    }
}
