use millgate_plugin::{
    Field,
    testing::{FakeExchange, FakeHost, Verdict, Visit, json, stage},
};
use my_plugin::MyStage;

fn chat(tokens: u64) -> FakeExchange {
    FakeExchange::chat(&json!({"model": "m", "messages": []}))
        .with_number(Field::InputEstimate, tokens)
}

#[test]
fn replies_say_hello() {
    let stage: MyStage = stage(&json!({"greeting": "good day"}), &FakeHost::new().host()).unwrap();
    let mut visit = Visit::new(&stage, chat(5));
    assert_eq!(visit.request(), Ok(Verdict::Next));
    assert_eq!(visit.response(200, &[]), Ok(Verdict::Next));
    assert_eq!(
        visit.exchange.text(Field::ReplyHeader, "x-my-plugin"),
        Some("good day")
    );
}

#[test]
fn long_prompts_are_refused_and_counted() {
    let host = FakeHost::new();
    let stage: MyStage = stage(&json!({"max_input_tokens": 10}), &host.host()).unwrap();
    assert_eq!(Visit::new(&stage, chat(10)).request(), Ok(Verdict::Next));
    assert!(matches!(
        Visit::new(&stage, chat(11)).request(),
        Ok(Verdict::Reject(_))
    ));
    assert_eq!(host.counted("refused_total", &[("stage", "test")]), 1);
}

#[test]
fn a_greeting_of_two_lines_is_refused() {
    let refused = stage::<MyStage>(&json!({"greeting": "a\nb"}), &FakeHost::new().host());
    assert_eq!(refused.err().unwrap().path, ["greeting"]);
}
