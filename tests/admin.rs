//! The operators' listener: who may ask, and what may be asked by whom.

mod support;

use http::Method;
use millgate::mock::{Mock, Script};
use serde_json::{Value, json};
use support::{Client, Gateway, Reply, config};

const TOKEN: &str = "a-token-of-the-operators";

/// What asks for the token, by method and path.
const PRIVATE: &[(&str, &str)] = &[
    ("GET", "/api/status"),
    ("GET", "/api/history"),
    ("GET", "/api/exchanges"),
    ("GET", "/api/exchanges/x"),
    ("GET", "/api/events"),
    ("GET", "/api/usage"),
    ("GET", "/api/config"),
    ("GET", "/api/cache"),
    ("POST", "/api/cache/purge"),
    ("GET", "/api/plugins"),
    ("POST", "/api/reload"),
    ("GET", "/api/openapi.json"),
    ("GET", "/nothing"),
    ("PUT", "/api/status"),
];

async fn gateway(admin: &str) -> (Gateway, Mock) {
    let mock = Mock::with(Script::default()).await.unwrap();
    let config = config(&[("up", "openai", &mock.url())], "");
    let gateway = Gateway::start(&format!("{config}{admin}")).await;
    (gateway, mock)
}

async fn with_token() -> (Gateway, Mock) {
    gateway(&format!("[admin]\ntoken = \"{TOKEN}\"\n")).await
}

fn operators(gateway: &Gateway) -> Client {
    Client::at(&format!("http://{}", gateway.admin))
}

async fn ask(client: &Client, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers);
    let live = client.send(method, path, &all, "{}").await;
    // Events have no end.
    if live
        .headers
        .get("content-type")
        .is_some_and(|kind| kind == "text/event-stream")
    {
        return Reply {
            status: live.status,
            headers: live.headers,
            body: bytes::Bytes::new(),
            complete: false,
        };
    }
    live.rest().await
}

async fn sign_in(client: &Client, token: &str) -> Reply {
    client
        .post("/api/session", &json!({ "token": token }))
        .await
}

#[tokio::test]
async fn without_the_token_nothing_is_told_but_whether_it_lives() {
    let (gateway, _mock) = with_token().await;
    let client = operators(&gateway);
    for (method, path) in PRIVATE {
        for proof in [
            None,
            Some(("authorization", "Bearer wrong")),
            Some(("authorization", TOKEN)),
            Some(("cookie", "millgate_session_9090=0")),
        ] {
            let reply = ask(&client, method, path, proof.as_slice()).await;
            assert_eq!(reply.status, 401, "{method} {path}");
            assert_eq!(reply.code(), "unauthorized");
            assert!(reply.header("www-authenticate").starts_with("Bearer"));
            assert!(!reply.text().contains(TOKEN));
        }
    }
    for path in ["/healthz", "/readyz", "/api/session"] {
        assert_eq!(client.get(path).await.status, 200, "{path}");
    }
    // The page is public; whether it is there is not this test's affair.
    assert_ne!(client.get("/").await.status, 401);
    assert_ne!(client.get("/assets/app.js").await.status, 401);
}

#[tokio::test]
async fn with_the_token_or_a_session_everything_is() {
    let (gateway, _mock) = with_token().await;
    let client = operators(&gateway);
    assert_eq!(
        client.get("/api/session").await.json(),
        json!({"signed_in": false, "required": true})
    );
    let signed_in = sign_in(&client, TOKEN).await;
    assert_eq!((signed_in.status.as_u16(), signed_in.body.len()), (204, 0));
    let cookie = signed_in.header("set-cookie").to_owned();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap();
    let bearer = format!("Bearer {TOKEN}");
    for proof in [("authorization", &*bearer), ("cookie", cookie)] {
        for (method, path) in PRIVATE {
            let reply = ask(&client, method, path, &[proof]).await;
            assert_ne!(reply.status, 401, "{method} {path}");
        }
        let reply = ask(&client, "GET", "/api/session", &[proof]).await;
        assert_eq!(reply.json()["signed_in"], true);
    }
    let signed_out = ask(&client, "DELETE", "/api/session", &[("cookie", cookie)]).await;
    assert_eq!(signed_out.status, 204);
    assert!(signed_out.header("set-cookie").contains("Max-Age=0"));
    let reply = ask(&client, "GET", "/api/status", &[("cookie", cookie)]).await;
    assert_eq!(reply.status, 401);
}

/// Browsers send the cookies of a host to all of its ports.
#[tokio::test]
async fn gateways_on_one_host_do_not_sign_each_other_out() {
    let ((one, _mock), (other, _other)) = (with_token().await, with_token().await);
    let mut cookies = Vec::new();
    for gateway in [&one, &other] {
        let signed_in = sign_in(&operators(gateway), TOKEN).await;
        let cookie = signed_in.header("set-cookie").split(';').next().unwrap();
        let port = gateway.admin.port().to_string();
        let (name, id) = cookie.split_once('=').unwrap();
        assert_eq!(name, format!("millgate_session_{port}"));
        cookies.push((name.to_owned(), id.to_owned()));
    }
    // What a browser holds then: of cookies of one name, the last.
    assert_ne!(cookies[0].0, cookies[1].0);
    let held: Vec<_> = cookies
        .iter()
        .map(|(name, id)| format!("{name}={id}"))
        .collect();
    let held = held.join("; ");
    for gateway in [&one, &other] {
        let reply = ask(
            &operators(gateway),
            "GET",
            "/api/status",
            &[("cookie", &held)],
        )
        .await;
        assert_eq!(reply.status, 200);
    }
}

#[tokio::test]
async fn who_guesses_has_to_wait_and_bearers_are_not_kept_out() {
    let (gateway, _mock) = with_token().await;
    let client = operators(&gateway);
    for _ in 0..5 {
        assert_eq!(sign_in(&client, "wrong").await.code(), "unauthorized");
    }
    let refused = sign_in(&client, "wrong").await;
    assert_eq!(
        (refused.status.as_u16(), &*refused.code()),
        (429, "too_many_sign_ins")
    );
    // Whoever has the token is not kept out by others at the same address.
    assert_eq!(sign_in(&client, TOKEN).await.status, 204);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait));
    let bearer = format!("Bearer {TOKEN}");
    let reply = ask(&client, "GET", "/api/status", &[("authorization", &bearer)]).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn another_token_ends_the_sessions_of_the_old_one_and_no_token_is_not_put_in_force_abroad() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let base = config(&[("up", "openai", &mock.url())], "");
    let with = |token: &str| format!("{base}[admin]\ntoken = \"{token}\"\n");
    let listen = ["--listen", "127.0.0.1:0", "--admin-listen", "0.0.0.0:0"];
    let gateway = Gateway::start_as(&with(TOKEN), &[], &listen).await;
    let client = Client::at(&format!("http://127.0.0.1:{}", gateway.admin.port()));
    let signed_in = sign_in(&client, TOKEN).await;
    let cookie = signed_in
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let reload = async |config: &str, token: &str| {
        gateway.write_config(config);
        let bearer = format!("Bearer {token}");
        ask(
            &client,
            "POST",
            "/api/reload",
            &[("authorization", &bearer)],
        )
        .await
    };
    let refused = reload(&base, TOKEN).await;
    assert_eq!(
        (refused.status.as_u16(), &*refused.code()),
        (422, "config_refused")
    );
    let finding = refused.json()["findings"][0]["message"].to_string();
    assert!(
        finding.contains("operators are being served: "),
        "{finding}"
    );
    let is_let_in = async || {
        let reply = ask(&client, "GET", "/api/status", &[("cookie", &cookie)]).await;
        reply.status == 200
    };
    assert!(is_let_in().await);
    assert_eq!(
        reload(&with("quite-another-token"), TOKEN).await.status,
        200
    );
    assert!(!is_let_in().await);
    let bearer = "Bearer quite-another-token";
    let reply = ask(&client, "GET", "/api/status", &[("authorization", bearer)]).await;
    assert_eq!(reply.json()["generation"], 2);
}

#[tokio::test]
async fn abroad_only_with_a_token_that_cannot_be_guessed() {
    let base = config(&[("up", "openai", "http://127.0.0.1:9")], "");
    for (admin, told) in [
        (
            "listen = \"0.0.0.0:9090\"",
            "can be reached from other machines",
        ),
        ("token = \"short\"", "16 characters or more"),
        (
            "token = \"with a space in the middle\"",
            "16 characters or more",
        ),
        (
            "listen = \"[::]:9090\"\ntoken = \"\"",
            "can be reached from other machines",
        ),
    ] {
        let (code, errors) = support::refused(&format!("{base}[admin]\n{admin}\n"), &[]).await;
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains(told), "{errors}");
        assert!(!errors.contains("with a space"), "{errors}");
    }
    let unset = format!("{base}[admin]\ntoken = \"${{MILLGATE_ADMIN_TOKEN:-}}\"\n");
    let gateway = Gateway::start(&unset).await;
    let status = operators(&gateway).get("/api/status").await.json();
    assert_eq!(status["admin_auth"], "none");
    let gateway = Gateway::start_with(&unset, &[("MILLGATE_ADMIN_TOKEN", TOKEN)]).await;
    assert_eq!(operators(&gateway).get("/api/status").await.status, 401);
}

#[tokio::test]
async fn pages_of_other_origins_change_nothing_and_the_own_page_may() {
    let (gateway, _mock) = gateway("").await;
    let client = operators(&gateway);
    let own = format!("http://{}", gateway.admin);
    let other_port = format!("http://{}", gateway.address);
    let secure = format!("https://{}", gateway.admin);
    for (origin, site, status) in [
        (None, None, 200),
        (Some(&*own), Some("same-origin"), 200),
        (Some(&*own), None, 200),
        // A proxy before it may speak TLS.
        (Some(&*secure), None, 200),
        (Some(&*own), Some("cross-site"), 403),
        (Some(&*other_port), Some("same-site"), 403),
        (Some(&*other_port), None, 403),
        (Some("https://evil.example"), None, 403),
        (Some("null"), None, 403),
        (None, Some("cross-site"), 403),
        (None, Some("same-site"), 403),
    ] {
        let mut headers = Vec::new();
        headers.extend(origin.map(|origin| ("origin", origin)));
        headers.extend(site.map(|site| ("sec-fetch-site", site)));
        for (method, path) in [("POST", "/api/reload"), ("GET", "/api/status")] {
            let reply = ask(&client, method, path, &headers).await;
            assert_eq!(reply.status, status, "{method} {path} {headers:?}");
            assert_eq!(reply.header("access-control-allow-origin"), "");
        }
    }
    // What a form can send, and what a page has to ask for before it may.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        for path in ["/api/reload", "/api/cache/purge", "/api/session"] {
            let headers = [("content-type", kind)];
            let reply = client.send(Method::POST, path, &headers, "{}").await;
            assert_eq!(reply.status, 415, "{kind} {path}");
        }
    }
    let asked = ask(&client, "OPTIONS", "/api/reload", &[("origin", &own)]).await;
    assert_eq!(asked.status, 405);
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let (gateway, _mock) = with_token().await;
    let client = operators(&gateway);
    for (shown, told) in [
        (None, "Send `Authorization: Bearer"),
        (Some("Bearer wrong"), "That is not the token"),
        (Some("bearer wrong"), "That is not the token"),
        (Some("Basic d3Jvbmc="), "as `Authorization: Bearer"),
    ] {
        let header = shown.map(|shown| ("authorization", shown));
        let reply = ask(&client, "GET", "/api/status", header.as_slice()).await;
        assert_eq!(reply.status, 401);
        let message = reply.json()["error"]["message"].to_string();
        assert!(message.contains(told), "{shown:?}: {message}");
    }
}

#[tokio::test]
async fn reading_changes_nothing() {
    let (gateway, _mock) = gateway("").await;
    let client = operators(&gateway);
    let before = client.get("/api/status").await.json();
    for path in ["/api/reload", "/api/cache/purge"] {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let reply = ask(&client, method, path, &[]).await;
            assert_eq!(
                (reply.status.as_u16(), reply.header("allow")),
                (405, "POST")
            );
        }
    }
    for (_, path) in PRIVATE {
        ask(&client, "GET", path, &[]).await;
        ask(&client, "HEAD", path, &[]).await;
    }
    let after = client.get("/api/status").await.json();
    for member in ["generation", "routes", "providers", "cache", "pipeline"] {
        assert_eq!(before[member], after[member], "{member}");
    }
}

#[tokio::test]
async fn every_reply_is_kept_from_caches_frames_and_guesses() {
    let (gateway, _mock) = gateway("").await;
    let client = operators(&gateway);
    for path in ["/healthz", "/api/status", "/nothing", "/api/events"] {
        let reply = ask(&client, "GET", path, &[]).await;
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(policy.contains("default-src 'none'"), "{policy}");
    }
}

/// A canary in every place of a config where a secret may stand, and in a request: no path tells of it.
#[tokio::test]
async fn no_secret_is_shown() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let config = format!(
        r#"
pipeline = ["auth", "route", "headers"]
[server]
allow_anonymous = true
[admin]
token = "${{MILLGATE_ADMIN_TOKEN}}"
[providers.up]
kind = "openai"
base_url = "{}"
api_key = "canary-in-the-file"
[providers.other]
kind = "openai"
base_url = "http://127.0.0.1:9"
api_key = "${{PLAIN_NAME}}"
proxy = "http://user:canary-of-proxy@127.0.0.1:9"
[stages.auth]
[stages.headers]
kind = "auth_header"
headers = {{ "x-plain" = "canary-in-a-header", "x-ticket" = "${{THE_TICKET}}" }}
[callers.one]
key = "sk-canary-of-a-caller-0123456789"
[routes.default]
targets = ["up", "other"]
"#,
        mock.url()
    );
    let environment = [
        ("MILLGATE_ADMIN_TOKEN", "canary-of-the-operators"),
        ("PLAIN_NAME", "canary-in-a-variable"),
        ("THE_TICKET", "canary-ticket"),
    ];
    let gateway = Gateway::start_with(&config, &environment).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "canary-in-a-body"}]});
    for key in [
        "sk-canary-of-a-caller-0123456789",
        "sk-canary-that-is-wrong-0123456789",
    ] {
        let bearer = format!("Bearer {key}");
        let headers = [
            ("content-type", "application/json"),
            ("authorization", &*bearer),
            ("x-other", "canary-in-a-client-header"),
        ];
        let path = "/v1/chat/completions?key=canary-in-a-query";
        let client = Client::new(&gateway);
        client
            .send(Method::POST, path, &headers, body.to_string())
            .await
            .rest()
            .await;
    }
    let client = operators(&gateway);
    let proof = [("authorization", "Bearer canary-of-the-operators")];
    for path in [
        "/api/config",
        "/api/status",
        "/api/exchanges",
        "/api/history",
        "/api/plugins",
    ] {
        let reply = ask(&client, "GET", path, &proof).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(!reply.text().contains("canary"), "{path}: {}", reply.text());
    }
    let shown: Value = ask(&client, "GET", "/api/config", &proof).await.json();
    assert_eq!(shown["admin"]["token"], "***");
    assert_eq!(shown["providers"]["up"]["api_key"], "***");
    assert_eq!(
        shown["providers"]["other"]["proxy"],
        "http://***@127.0.0.1:9"
    );
    assert_eq!(
        shown["routes"]["default"]["targets"],
        json!(["up", "other"])
    );
    // A reload that is refused does not show the line that it is refused for.
    gateway.write_config(&config.replace("kind = \"auth_header\"", "knd = \"canary-in-a-line\""));
    let refused = ask(&client, "POST", "/api/reload", &proof).await;
    assert_eq!(refused.status, 422);
    assert!(!refused.text().contains("canary"), "{}", refused.text());
}

/// A prompt that no upstream survives takes no gateway out of service.
#[tokio::test]
async fn a_request_that_fails_however_often_it_is_tried_says_one_thing_of_an_upstream() {
    let mock = Mock::with(Script::status(500)).await.unwrap();
    let providers = config(&[("up", "openai", &mock.url())], "retries = 3");
    let gateway = Gateway::start(&providers).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let failed = Client::new(&gateway)
        .post("/v1/chat/completions", &body)
        .await;
    assert_eq!(failed.status, 500);
    let client = operators(&gateway);
    let provider = client.get("/api/status").await.json()["providers"][0].clone();
    assert_eq!(
        (&provider["failures"], &provider["live"]),
        (&4.into(), &true.into())
    );
    assert_eq!(client.get("/readyz").await.status, 200);
}
