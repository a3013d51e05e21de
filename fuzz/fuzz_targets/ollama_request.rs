//! Whatever a client asks for, Ollama is asked in JSON, or the client is told what is wrong.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millgate::{http::json, providers::ollama};
use millgate_plugin::{Call, Endpoint, Provider, RefusalKind};
use serde_json::Value;

const ENDPOINTS: [Endpoint; 4] = [
    Endpoint::Chat,
    Endpoint::Completions,
    Endpoint::Responses,
    Endpoint::Embeddings,
];

fuzz_target!(|body: &[u8]| {
    // The gateway lets no other body through to a codec.
    if json::scan(body).is_err() {
        return;
    }
    let provider = ollama::Ollama::new("ollama", ollama::Config::default()).expect("a provider");
    for endpoint in ENDPOINTS {
        let call = Call {
            endpoint,
            method: "POST",
            path: "",
            query: None,
            model: "m",
            stream: true,
            body,
            request_id: "r",
            created: 1,
        };
        match provider.encode(&mut provider.begin(), &call) {
            Ok(request) => {
                let body = request.body.expect("a question");
                let body: Value = serde_json::from_slice(&body).expect("JSON");
                assert_eq!(body["model"], "m");
            }
            Err(refusal) => assert!(
                matches!(
                    refusal.kind,
                    RefusalKind::InvalidRequest | RefusalKind::Unsupported
                ),
                "{refusal:?}"
            ),
        }
    }
});
