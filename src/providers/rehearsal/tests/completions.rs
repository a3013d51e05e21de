use super::*;

fn texts(body: &Value) -> Vec<String> {
    let reply = document(Endpoint::Completions, body);
    let choices = reply["choices"].as_array().unwrap();
    for (index, choice) in choices.iter().enumerate() {
        assert_eq!(choice["index"], index);
        assert_eq!(choice["logprobs"], Value::Null);
    }
    choices
        .iter()
        .map(|c| c["text"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_prompt_has_its_choices() {
    let one = texts(&json!({"prompt": "Once upon"}));
    assert_eq!(
        one,
        ["This is millgate's rehearsal provider: no model answered. You said: \"Once upon\""]
    );
    let four = texts(&json!({"prompt": ["a", "b"], "n": 2}));
    let said: Vec<&str> = four
        .iter()
        .map(|text| text.rsplit(": ").next().unwrap())
        .collect();
    assert_eq!(said, ["\"a\"", "\"a\"", "\"b\"", "\"b\""]);
}

#[test]
fn limits_stop_texts_and_echo_are_honoured() {
    assert_eq!(texts(&json!({"prompt": "a", "max_tokens": 2})), ["This is"]);
    assert_eq!(
        texts(&json!({"prompt": "a", "stop": ["millgate"]})),
        ["This is "]
    );
    assert_eq!(
        texts(&json!({"prompt": " 옛날에 ", "echo": true, "max_tokens": 0})),
        [" 옛날에 \n"]
    );
    assert_eq!(
        texts(&json!({"prompt": "a", "echo": true, "max_tokens": 1})),
        ["a\nThis"]
    );
}

#[test]
fn a_stream_says_what_the_document_says() {
    let body = json!({"prompt": ["a", "옛날 옛적에"], "echo": true, "max_tokens": 5,
        "stream_options": {"include_usage": true}});
    let reply = document(Endpoint::Completions, &body);
    let mut chunks = stream(Endpoint::Completions, &body);
    let usage = chunks.pop().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"], reply["usage"]);
    for choice in reply["choices"].as_array().unwrap() {
        let of_choice = || {
            chunks
                .iter()
                .filter(|c| c["choices"][0]["index"] == choice["index"])
        };
        let text: String = of_choice()
            .map(|c| c["choices"][0]["text"].as_str().unwrap())
            .collect();
        assert_eq!(choice["text"], text);
        assert_eq!(
            of_choice().next_back().unwrap()["choices"][0]["finish_reason"],
            "length"
        );
    }
    for chunk in &chunks {
        assert_eq!(chunk["id"], "cmpl-r-1");
        assert_eq!(chunk["object"], "text_completion");
        assert_eq!(chunk["usage"], Value::Null);
    }
}

#[test]
fn token_numbers_are_counted() {
    let reply = document(Endpoint::Completions, &json!({"prompt": [[1, 2, 3], [4]]}));
    assert_eq!(reply["usage"]["prompt_tokens"], 4);
    assert_eq!(reply["choices"].as_array().unwrap().len(), 2);
    let echo = refusal(
        Endpoint::Completions,
        &json!({"prompt": [1, 2], "echo": true}),
    );
    assert_eq!(echo.kind, millgate_plugin::RefusalKind::Unsupported);
}

#[test]
fn what_is_no_prompt_is_refused() {
    assert_refused(
        Endpoint::Completions,
        &[
            (json!({}), "prompt"),
            (json!({"prompt": 5}), "prompt"),
            (json!({"prompt": []}), "prompt"),
            (json!({"prompt": ["a", 5]}), "prompt"),
            (json!({"prompt": [5, "a"]}), "prompt"),
            (json!({"prompt": [[1], "a"]}), "prompt"),
            (json!({"prompt": [[]]}), "prompt"),
            (json!({"prompt": ["a", "b"], "n": 100}), "prompt"),
            (json!({"prompt": "a", "echo": "yes"}), "echo"),
            (
                json!({"prompt": "a".repeat(100_000), "echo": true, "n": 100}),
                "echo",
            ),
        ],
    );
}
