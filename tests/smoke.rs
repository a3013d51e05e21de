//! A fresh machine: no key, no Ollama, the config of the repository.

mod support;

use support::{Client, Gateway};

#[tokio::test]
async fn the_shipped_config_answers_on_a_fresh_machine_and_says_that_rehearsal_did() {
    let config = include_str!("../config.toml");
    // Nothing listens there, whatever runs on the machine of the test.
    let gateway = Gateway::start_with(config, &[("OLLAMA_BASE_URL", "http://127.0.0.1:9")]).await;
    for stream in [false, true] {
        let reply = Client::new(&gateway).chat("안녕하세요", stream).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("x-millgate-provider"), "rehearsal");
        let text = if stream {
            reply.streamed_text()
        } else {
            reply.json()["choices"][0]["message"]["content"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert!(
            text.contains("rehearsal") && text.contains("안녕하세요"),
            "{text}"
        );
    }
}
