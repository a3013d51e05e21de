//! What a mock that is told nothing answers.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::client::{Client, Reply};
use super::{CHAT, chat, quiet_mock};

async fn post(path: &str, body: &Value) -> Reply {
    let mock = quiet_mock().await;
    Client::connect(&mock)
        .await
        .ask("POST", path, body.to_string().as_bytes())
        .await
}

async fn get(path: &str) -> Reply {
    let mock = quiet_mock().await;
    Client::connect(&mock).await.ask("GET", path, b"").await
}

fn contents(events: &[Value]) -> String {
    events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect()
}

#[tokio::test]
async fn a_chat_comes_whole() {
    let reply = post(CHAT, &json!({ "model": "gpt-\"x\"", "messages": [] })).await;
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let body = reply.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "gpt-\"x\"");
    assert_eq!(
        body["choices"][0]["message"]["content"],
        "word0 word1 word2 word3 "
    );
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["total_tokens"], 15);
}

#[tokio::test]
async fn a_chat_streams_role_content_finish_and_done() {
    let reply = post(CHAT, &json!({ "model": "m", "stream": true })).await;
    assert_eq!(
        reply.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert!(reply.text().ends_with("data: [DONE]\n\n"));
    let events = reply.data();
    assert_eq!(events.len(), 6);
    assert_eq!(
        events[0]["choices"][0]["delta"],
        json!({ "role": "assistant", "content": "", "refusal": null })
    );
    assert_eq!(contents(&events), "word0 word1 word2 word3 ");
    assert_eq!(events[5]["choices"][0]["finish_reason"], "stop");
    assert!(events.iter().all(|event| event.get("usage").is_none()));
}

#[tokio::test]
async fn usage_is_streamed_only_to_those_who_ask() {
    let ask = json!({ "model": "m", "stream": true, "stream_options": { "include_usage": true } });
    let events = post(CHAT, &ask).await.data();
    let (last, others) = events.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 4);
    assert!(
        others
            .iter()
            .all(|event| event["usage"].is_null() && event.get("usage").is_some())
    );
}

#[tokio::test]
async fn a_demanded_tool_is_called_by_name() {
    let tools = json!([
        { "type": "function", "function": { "name": "first" } },
        { "type": "function", "function": { "name": "second" } },
    ]);
    let named = json!({ "type": "function", "function": { "name": "second" } });
    let whole = post(CHAT, &json!({ "tools": tools, "tool_choice": named }))
        .await
        .json();
    let call = &whole["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(call["name"], "second");
    assert_eq!(call["arguments"], r#"{"place":"서울"}"#);
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");

    let events = post(
        CHAT,
        &json!({ "tools": tools, "tool_choice": "required", "stream": true }),
    )
    .await
    .data();
    let functions = events
        .iter()
        .map(|event| &event["choices"][0]["delta"]["tool_calls"][0]["function"]);
    let arguments: String = functions
        .clone()
        .filter_map(|function| function["arguments"].as_str())
        .collect();
    assert_eq!(arguments, r#"{"place":"서울"}"#);
    assert_eq!(
        functions
            .filter_map(|function| function["name"].as_str())
            .collect::<Vec<_>>(),
        ["first"]
    );

    let free = post(CHAT, &json!({ "tools": tools, "tool_choice": "auto" }))
        .await
        .json();
    assert!(free["choices"][0]["message"].get("tool_calls").is_none());
}

#[tokio::test]
async fn completions_come_whole_and_streamed() {
    let whole = post("/v1/completions", &json!({ "model": "m", "prompt": "p" }))
        .await
        .json();
    assert_eq!(whole["choices"][0]["text"], "word0 word1 word2 word3 ");
    let streamed = post("/v1/completions", &json!({ "model": "m", "stream": true })).await;
    let text: String = streamed
        .data()
        .iter()
        .filter_map(|event| event["choices"][0]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, "word0 word1 word2 word3 ");
    assert_eq!(
        streamed.data().last().unwrap()["choices"][0]["finish_reason"],
        "stop"
    );
}

#[tokio::test]
async fn responses_number_their_events_and_complete() {
    let whole = post("/v1/responses", &json!({ "model": "m", "input": "i" }))
        .await
        .json();
    assert_eq!(
        whole["output"][0]["content"][0]["text"],
        "word0 word1 word2 word3 "
    );
    let streamed = post(
        "/v1/responses",
        &json!({ "model": "m", "input": "i", "stream": true }),
    )
    .await;
    let events = streamed.data();
    assert!(
        events
            .iter()
            .enumerate()
            .all(|(index, event)| event["sequence_number"] == index)
    );
    let text: String = events
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta")
        .filter_map(|event| event["delta"].as_str())
        .collect();
    assert_eq!(text, "word0 word1 word2 word3 ");
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    assert_eq!(last["response"]["output"], whole["output"]);
    assert!(
        streamed
            .text()
            .starts_with("event: response.created\ndata: {")
    );
}

#[tokio::test]
async fn responses_call_tools() {
    let ask = json!({ "tools": [{ "type": "function", "name": "f" }], "tool_choice": "required", "stream": true });
    let events = post("/v1/responses", &ask).await.data();
    let item = &events.last().unwrap()["response"]["output"][0];
    assert_eq!(
        (&item["name"], &item["arguments"]),
        (&json!("f"), &json!(r#"{"place":"서울"}"#))
    );
}

#[tokio::test]
async fn embeddings_are_the_same_in_floats_and_base64() {
    let floats = post(
        "/v1/embeddings",
        &json!({ "model": "m", "input": ["a", "b"], "dimensions": 4 }),
    )
    .await
    .json();
    assert_eq!(floats["data"].as_array().unwrap().len(), 2);
    let ask = json!({ "model": "m", "input": [[1, 2], [3]], "dimensions": 4, "encoding_format": "base64" });
    let base64 = post("/v1/embeddings", &ask).await.json();
    for index in 0..2 {
        let bytes = BASE64_STANDARD
            .decode(base64["data"][index]["embedding"].as_str().unwrap())
            .unwrap();
        let decoded: Vec<f32> = bytes
            .chunks(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
            .collect();
        assert_eq!(json!(decoded), floats["data"][index]["embedding"]);
    }
    let tokens = post(
        "/v1/embeddings",
        &json!({ "model": "m", "input": [1, 2, 3] }),
    )
    .await
    .json();
    assert_eq!(tokens["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn other_endpoints_tell_what_they_were_sent() {
    let echo = post("/v1/moderations?a=b", &json!({ "input": "x" }))
        .await
        .json();
    assert_eq!(
        (&echo["path"], &echo["query"], &echo["bytes"]),
        (&json!("/v1/moderations"), &json!("a=b"), &json!(13))
    );

    let speech = post("/v1/audio/speech", &json!({ "input": "x" })).await;
    assert_eq!(speech.header("content-type"), Some("audio/mpeg"));
    let every_byte: Vec<u8> = (0..4096).map(|n| n as u8).collect();
    assert_eq!(speech.body, every_byte);

    let mock = quiet_mock().await;
    let mut client = Client::connect(&mock).await;
    let body = b"--b\r\ncontent-disposition: form-data; name=file\r\n\r\n123456789\r\n--b--\r\n";
    client
        .send(
            "POST",
            "/v1/files",
            &[("content-type", "multipart/form-data; boundary=b")],
            body,
        )
        .await;
    let file = client.read_reply().await.json();
    assert_eq!(
        (&file["bytes"], file["crc32"].as_str().unwrap().len()),
        (&json!(body.len()), 8)
    );

    assert_eq!(get("/v1/models").await.json()["data"][0]["object"], "model");
    assert_eq!(get("/nowhere").await.status(), 404);
}

#[tokio::test]
async fn ollama_streams_lines_unless_told_not_to() {
    let streamed = post("/api/chat", &json!({ "model": "llama", "messages": [] })).await;
    assert_eq!(
        streamed.header("content-type"),
        Some("application/x-ndjson")
    );
    let lines = streamed.lines();
    let text: String = lines
        .iter()
        .filter_map(|line| line["message"]["content"].as_str())
        .collect();
    assert_eq!(text, "word0 word1 word2 word3 ");
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["done"], &last["done_reason"], &last["eval_count"]),
        (&json!(true), &json!("stop"), &json!(4))
    );
    assert!(
        lines
            .iter()
            .rev()
            .skip(1)
            .all(|line| line["done"] == false && line.get("eval_count").is_none())
    );

    let whole = post("/api/chat", &json!({ "model": "llama", "stream": false }))
        .await
        .json();
    assert_eq!(
        (&whole["message"]["content"], &whole["done"]),
        (&json!(text), &json!(true))
    );

    let generated = post("/api/generate", &json!({ "model": "llama", "prompt": "p" }))
        .await
        .lines();
    assert_eq!(
        generated
            .iter()
            .filter_map(|line| line["response"].as_str())
            .collect::<String>(),
        text
    );
}

#[tokio::test]
async fn ollama_answers_the_rest_of_its_api() {
    let embedded = post(
        "/api/embed",
        &json!({ "model": "m", "input": ["a", "b", "c"] }),
    )
    .await
    .json();
    assert_eq!(embedded["embeddings"].as_array().unwrap().len(), 3);
    assert_eq!(get("/").await.text(), "Ollama is running");
    assert!(get("/api/version").await.json()["version"].is_string());
    assert_eq!(
        get("/api/tags").await.json()["models"][0]["name"],
        "mock-model"
    );
    assert_eq!(get("/api/nothing").await.status(), 404);
}

#[tokio::test]
async fn a_body_that_only_looks_like_json_is_refused() {
    let mock = quiet_mock().await;
    let reply = Client::connect(&mock)
        .await
        .ask("POST", CHAT, b"{\"model\":\"m\",}")
        .await;
    assert_eq!(reply.status(), 400);
    assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
}

#[tokio::test]
async fn one_connection_serves_many_requests_and_bodies_of_every_framing() {
    let mock = quiet_mock().await;
    let mut client = Client::connect(&mock).await;
    assert_eq!(
        client
            .ask("POST", CHAT, chat(true).as_bytes())
            .await
            .status(),
        200
    );

    let chunked = "POST /v1/x HTTP/1.1\r\nhost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nx-trailer: t\r\n\r\n";
    for byte in chunked.as_bytes().chunks(1) {
        client.write(byte).await;
    }
    assert_eq!(client.read_reply().await.json()["bytes"], 13);

    client
        .write(
            b"POST /v1/x HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n",
        )
        .await;
    assert_eq!(
        client.read_until("\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    client.write(b"body").await;
    assert_eq!(client.read_reply().await.json()["bytes"], 4);

    // Two at once: the second is answered after the first.
    client
        .write(b"GET /v1/a HTTP/1.1\r\nhost: h\r\n\r\nGET /v1/b HTTP/1.1\r\nhost: h\r\n\r\n")
        .await;
    assert_eq!(client.read_reply().await.json()["path"], "/v1/a");
    assert_eq!(client.read_reply().await.json()["path"], "/v1/b");

    client
        .write(b"HEAD /api/version HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        .await;
    let (head, body) = client.read_to_end().await.parts();
    assert!(head.contains("content-length: "));
    assert_eq!(body, b"");

    assert_eq!(mock.counts().connections, 1);
    let requests = mock.requests();
    assert!(requests.iter().all(|request| request.connection == 1));
    assert_eq!(&requests[1].body[..], b"abc0123456789");
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let mock = quiet_mock().await;
    let body = vec![b'x'; 20 << 20];
    let reply = Client::connect(&mock)
        .await
        .ask("POST", "/v1/files", &body)
        .await;
    assert_eq!(reply.json()["bytes"], body.len());
}
