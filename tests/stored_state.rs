//! What is kept at a provider is kept behind one key for all callers: it takes a route that says so.

mod support;

use millgate::mock::{Mock, Script};
use serde_json::{Value, json};
use support::{Client, Gateway, Reply, chat_body, config};

const RESPONSES: &str = "/v1/responses";
const CHAT: &str = "/v1/chat/completions";

/// A gateway before a mock, with these lines in its route for all models and these tables behind it.
async fn gateway(route: &str, tables: &str) -> (Gateway, Mock) {
    let mock = Mock::with(Script::default()).await.unwrap();
    let config = config(&[("up", "openai", &mock.url())], route) + tables;
    (Gateway::start(&config).await, mock)
}

/// The body of a response with this member in it.
fn response_with(name: &str, value: Value) -> Value {
    let mut body = json!({"model": "gpt-test", "input": "hi"});
    body[name] = value;
    body
}

fn last_body(mock: &Mock) -> Value {
    mock.requests().last().unwrap().json()
}

fn assert_refused(reply: &Reply, member: &str) {
    assert_eq!(reply.status, 400, "{member}: {}", reply.text());
    assert_eq!(reply.refusal(), "shared_state_refused");
    let error = &reply.json()["error"];
    assert_eq!(error["param"], member);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("shared_state = true"), "{message}");
}

#[tokio::test]
async fn bodies_that_keep_something_or_refer_to_it_are_refused_before_any_upstream() {
    let (gateway, mock) = gateway("", "").await;
    let client = Client::new(&gateway);
    for (name, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("conversation", json!({"id": "conv_1"})),
        ("prompt", json!({"id": "pmpt_1"})),
        ("background", json!(true)),
        ("store", json!(true)),
        ("store", json!("yes")),
    ] {
        let mut body = response_with(name, value);
        assert_refused(&client.post(RESPONSES, &body).await, name);
        body["stream"] = json!(true);
        assert_refused(&client.post(RESPONSES, &body).await, name);
    }
    let mut chat = chat_body("hi", false);
    chat["store"] = json!(true);
    assert_refused(&client.post(CHAT, &chat).await, "store");
    assert_eq!(mock.counts().connections, 0);
}

#[tokio::test]
async fn whoever_answers_the_rule_is_the_same() {
    let config = "[providers.rehearsal]\n[routes.default]\ntargets = [\"rehearsal\"]\n";
    let gateway = Gateway::start(config).await;
    let client = Client::new(&gateway);
    let body = response_with("store", json!(true));
    assert_refused(&client.post(RESPONSES, &body).await, "store");
    let body = response_with("store", json!(false));
    assert_eq!(client.post(RESPONSES, &body).await.status, 200);
}

#[tokio::test]
async fn a_response_is_not_kept_where_its_client_says_nothing() {
    let (gateway, mock) = gateway("", "").await;
    let client = Client::new(&gateway);
    for body in [
        json!({"model": "gpt-test", "input": "hi"}),
        json!({"model": "gpt-test", "input": "hi", "stream": true}),
        response_with("store", Value::Null),
        response_with("store", json!(false)),
        response_with("previous_response_id", Value::Null),
        response_with("background", json!(false)),
    ] {
        assert_eq!(client.post(RESPONSES, &body).await.status, 200, "{body}");
        let mut expected = body.clone();
        expected["store"] = json!(false);
        assert_eq!(last_body(&mock), expected);
    }
    // Nothing is added where servers may refuse it.
    let chat = chat_body("hi", false);
    assert_eq!(client.post(CHAT, &chat).await.status, 200);
    assert_eq!(last_body(&mock), chat);
}

#[tokio::test]
async fn what_operators_keep_for_themselves_is_theirs_to_say() {
    let (gateway, mock) = gateway("params = { store = true }", "").await;
    let client = Client::new(&gateway);
    let body = json!({"model": "gpt-test", "input": "hi"});
    assert_eq!(client.post(RESPONSES, &body).await.status, 200);
    assert_eq!(last_body(&mock)["store"], true);
    let body = response_with("previous_response_id", json!("resp_1"));
    assert_refused(&client.post(RESPONSES, &body).await, "previous_response_id");
}

#[tokio::test]
async fn a_route_that_says_so_passes_everything_on_as_it_is() {
    let shared = "[routes.shared]\npaths = [\"/v1/responses*\", \"/v1/chat/completions\"]\nshared_state = true\ntargets = [\"up\"]\n";
    let (gateway, mock) = gateway("", shared).await;
    let client = Client::new(&gateway);
    for body in [
        json!({"model": "gpt-test", "input": "hi"}),
        response_with("previous_response_id", json!("resp_1")),
        response_with("conversation", json!("conv_1")),
        response_with("store", json!(true)),
    ] {
        let reply = client.post(RESPONSES, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(last_body(&mock), body);
    }
    let mut chat = chat_body("hi", false);
    chat["store"] = json!(true);
    assert_eq!(client.post(CHAT, &chat).await.status, 200);
    assert_eq!(last_body(&mock), chat);
}
