//! The log as people read it.

use millgate::mock::{Mock, Script};

use crate::support::{Client, Gateway, config};

#[tokio::test]
async fn a_line_for_people_shows_no_control_character_of_a_client() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let config = config(&[("a", "openai", &mock.url())], "") + "[log]\nformat = \"pretty\"\n";
    let gateway = Gateway::start(&config).await;
    let body = serde_json::json!({
        "model": "\u{1b}[31mred\n2026-01-01 INFO forged 안녕",
        "messages": [{"role": "user", "content": "hi"}],
    });
    let reply = Client::new(&gateway)
        .post("/v1/chat/completions", &body)
        .await;
    assert_eq!(reply.status, 200);
    let is_access = |line: &serde_json::Value| {
        line.as_str()
            .is_some_and(|line| line.contains("millgate::access"))
    };
    let line = gateway.log_line(is_access).await;
    let line = line.as_str().unwrap();
    for part in [
        "outcome",
        "\"ok\"",
        "forged 안녕",
        reply.header("x-request-id"),
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(!line.contains('\u{1b}'), "{line}");
    assert!(
        !gateway.log().iter().any(|line| line
            .as_str()
            .is_some_and(|line| line.starts_with("2026-01-01"))),
        "one line became two"
    );
}
