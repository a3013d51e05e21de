//! The stage `auth` with tokens of a company's sign-on.

#![allow(clippy::format_push_string, reason = "the strings are short")]

mod support;

use http::Method;
use millgate::mock::{Mock, Script};
use serde_json::{Value, json};
use support::{
    Client, Gateway, Reply, chat_body,
    issuer::{AUDIENCE, ISSUER, Key, Published, base64url, claims, document, seconds_from_now},
    nobody,
    wire::Raw,
};

const KEY: &str = "plain-key-0123456789abcdef";

async fn mock() -> Mock {
    Mock::with(Script::default()).await.unwrap()
}

/// A config whose `[stages.auth.jwt]` has these further keys.
fn config(mock: &Mock, jwt: &str) -> String {
    format!(
        r#"
        pipeline = ["auth", "route", "headers"]
        [log]
        level = "debug"
        [callers.app]
        key = "{KEY}"
        [stages.auth]
        failures = "1000/min"
        [stages.auth.jwt]
        issuer = "{ISSUER}"
        audience = ["other", "{AUDIENCE}"]
        pause = "10ms"
        claims = {{ team = "dept", models = "models", meta = {{ name = "preferred_username" }} }}
        {jwt}
        [stages.headers]
        kind = "auth_header"
        headers = {{ "user-id" = "{{caller.id}}", "x-team" = "{{caller.team}}", "x-name" = "{{caller.meta.name}}" }}
        [providers.a]
        kind = "openai"
        base_url = "{}"
        [routes.default]
        targets = ["a"]
        "#,
        mock.url()
    )
}

fn at(url: &str) -> String {
    format!("jwks_url = \"{url}\"")
}

/// The claims of somebody who may ask for all models.
fn anybody(user: &str) -> Value {
    let mut claims = claims(user);
    claims["models"] = "*".into();
    claims
}

async fn chat(client: &Client, token: &str) -> Reply {
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &format!("Bearer {token}")),
    ];
    let body = chat_body("hi", false).to_string();
    let coming = client.send(Method::POST, "/v1/chat/completions", &headers, body);
    coming.await.rest().await
}

async fn status(client: &Client, token: &str) -> u16 {
    chat(client, token).await.status.as_u16()
}

#[tokio::test]
async fn a_token_names_the_user_whatever_kind_of_key_has_signed_it() {
    let mock = mock().await;
    let keys = [Key::rsa("r"), Key::ec("c"), Key::ed("d")];
    let published = Published::start(document(&keys.each_ref())).await;
    let gateway = Gateway::start(&config(&mock, &at(&published.url))).await;
    let client = Client::new(&gateway);
    for key in &keys {
        mock.clear_requests();
        let mut claims = claims("kim@example.com");
        claims["dept"] = "ml".into();
        claims["models"] = json!(["gpt-*", "llama*"]);
        claims["preferred_username"] = "김".into();
        let token = key.token(&claims);
        for _ in 0..2 {
            let reply = chat(&client, &token).await;
            assert_eq!(reply.status, 200, "{}: {}", key.algorithm(), reply.text());
            let line = gateway.access_line(reply.header("x-request-id")).await;
            assert_eq!(line["caller"], "kim@example.com");
        }
        for sent in mock.requests() {
            assert_eq!(sent.header("user-id"), Some("kim@example.com"));
            assert_eq!(sent.header("x-team"), Some("ml"));
            assert_eq!(sent.header("x-name"), Some("%EA%B9%80"));
            assert_eq!(sent.header("authorization"), None);
        }
    }
    assert_eq!(published.asked(), 1);
}

#[tokio::test]
async fn the_models_of_a_token_are_those_of_its_claim_and_none_without_it() {
    let mock = mock().await;
    let key = Key::ed("d");
    let jwks = format!("jwks = '{}'", document(&[&key]));
    let gateway = Gateway::start(&config(&mock, &jwks)).await;
    let client = Client::new(&gateway);
    for (models, expected) in [
        (json!("gpt-test"), 200),
        (json!(["llama*"]), 403),
        (json!([]), 403),
        (json!(null), 403),
    ] {
        let mut claims = claims("kim");
        claims["models"] = models.clone();
        assert_eq!(
            status(&client, &key.token(&claims)).await,
            expected,
            "{models}"
        );
    }
}

#[tokio::test]
async fn a_token_that_is_not_wholly_good_is_refused_like_a_wrong_key() {
    let mock = mock().await;
    let (rsa, ec, stranger) = (Key::rsa("r"), Key::ec("c"), Key::ec("c"));
    let published = Published::start(document(&[&rsa, &ec])).await;
    let gateway = Gateway::start(&config(&mock, &at(&published.url))).await;
    let client = Client::new(&gateway);
    let good = anybody("kim");
    assert_eq!(status(&client, &ec.token(&good)).await, 200);

    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        ec.token(&claims)
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        ec.token(&claims)
    };
    let naming =
        |key: &Key, alg: &str, kid: &str| key.token_with(&json!({"alg": alg, "kid": kid}), &good);
    let unsigned = |alg: &str| {
        let header = base64url(json!({"alg": alg, "kid": "c"}).to_string());
        format!("{header}.{}.", base64url(good.to_string()))
    };
    // The public key as the secret of an HMAC, which whoever has read the key set can make.
    let hmac = {
        let header = base64url(json!({"alg": "HS256", "kid": "r"}).to_string());
        let signed = format!("{header}.{}", base64url(good.to_string()));
        let secret = rsa.public()["n"].as_str().unwrap().to_owned();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", base64url(tag))
    };
    let token = ec.token(&good);
    let (head, tail) = token.rsplit_once('.').unwrap();
    let (first, _) = head.split_once('.').unwrap();
    let other_payload = format!("{first}.{}.{tail}", base64url(anybody("root").to_string()));
    for (what, token) in [
        ("expired", with("exp", seconds_from_now(-1).into())),
        ("without exp", without("exp")),
        ("exp is a text", with("exp", "tomorrow".into())),
        ("not yet", with("nbf", seconds_from_now(3600).into())),
        ("without aud", without("aud")),
        ("another aud", with("aud", "billing".into())),
        (
            "several other auds",
            with("aud", json!(["billing", "mail"])),
        ),
        ("without iss", without("iss")),
        (
            "another iss",
            with("iss", "https://evil.example.com".into()),
        ),
        ("without sub", without("sub")),
        ("sub is a table", with("sub", json!({}))),
        ("alg none", unsigned("none")),
        ("alg None", unsigned("None")),
        ("no signature", unsigned("ES256")),
        ("HS256 with a public key", hmac),
        ("signed by a stranger", stranger.token(&good)),
        ("alg of another key", naming(&ec, "RS256", "r")),
        ("kid of another key", naming(&ec, "ES256", "r")),
        ("RS256 by an EC key", naming(&rsa, "RS256", "c")),
        ("PS256", naming(&rsa, "PS256", "r")),
        ("unknown kid", naming(&ec, "ES256", "nobody")),
        (
            "critical extension",
            ec.token_with(
                &json!({"alg": "ES256", "kid": "c", "crit": ["b64"], "b64": false}),
                &good,
            ),
        ),
        ("another payload", other_payload),
        ("half a signature", format!("{head}.{}", &tail[..40])),
        ("a further part", format!("{token}.x")),
    ] {
        let reply = chat(&client, &token).await;
        assert_eq!(reply.status, 401, "{what}");
        assert_eq!(reply.refusal(), "invalid_api_key");
        let log = json!(gateway.log()).to_string();
        assert!(!log.contains(&token), "{what} is in the log");
    }
    assert_eq!(mock.counts().requests, 1);
    // A token that names no key is of the only one for its algorithm.
    let unnamed = ec.token_with(&json!({"alg": "ES256"}), &good);
    assert_eq!(status(&client, &unnamed).await, 200);
}

/// A verified token is remembered, but not beyond its end.
#[tokio::test]
async fn a_token_ends_when_it_says_so() {
    let mock = mock().await;
    let key = Key::ed("d");
    let jwks = format!("jwks = '{}'", document(&[&key]));
    let gateway = Gateway::start(&config(&mock, &jwks)).await;
    let client = Client::new(&gateway);
    let mut claims = anybody("kim");
    claims["exp"] = seconds_from_now(2).into();
    let token = key.token(&claims);
    assert_eq!(status(&client, &token).await, 200);
    let began = std::time::Instant::now();
    while status(&client, &token).await == 200 {
        assert!(began.elapsed() < support::PATIENCE);
        tokio::task::yield_now().await;
    }
    assert!(seconds_from_now(0) >= claims["exp"].as_i64().unwrap());
    assert_eq!(status(&client, &token).await, 401);
}

#[tokio::test]
async fn keys_that_cannot_be_had_refuse_tokens_with_503_and_nobody_else() {
    let mock = mock().await;
    let key = Key::ed("d");
    let token = key.token(&anybody("kim"));
    let published = Published::start("not yet".to_owned()).await;
    for url in [nobody(), published.url.clone()] {
        let gateway = Gateway::start(&config(&mock, &at(&url))).await;
        let client = Client::new(&gateway);
        for _ in 0..3 {
            let reply = chat(&client, &token).await;
            assert_eq!(reply.status, 503);
            assert_eq!(reply.refusal(), "auth_unavailable");
            assert!(!reply.text().contains("127.0.0.1"), "{}", reply.text());
            assert!(!reply.header("retry-after").is_empty());
        }
        assert_eq!(status(&client, KEY).await, 200);
        assert_eq!(status(&client, "wrong").await, 401);
        let told = |line: &Value| line["message"] == "keys for tokens cannot be had";
        assert_eq!(gateway.log_line(told).await["level"], "WARN");
        if url == published.url {
            // From when on they can be had, tokens are good.
            published.set(200, document(&[&key]));
            let began = std::time::Instant::now();
            while status(&client, &token).await != 200 {
                assert!(began.elapsed() < support::PATIENCE);
            }
        }
    }
}

/// While the sign-on takes its time, plain keys pass, and however many tokens wait, it is asked once.
#[tokio::test]
async fn tokens_wait_together_for_keys_and_plain_keys_for_nothing() {
    let mock = mock().await;
    let key = Key::ed("d");
    let published = Published::start(document(&[&key])).await;
    published.open(false);
    let gateway = Gateway::start(&config(&mock, &at(&published.url))).await;
    let mut waiting = tokio::task::JoinSet::new();
    for user in 0..8 {
        let (client, token) = (
            Client::new(&gateway),
            key.token(&anybody(&format!("u{user}"))),
        );
        waiting.spawn(async move { status(&client, &token).await });
    }
    published.wait_for(1).await;
    let client = Client::new(&gateway);
    assert_eq!(status(&client, KEY).await, 200);
    assert_eq!(status(&client, "wrong").await, 401);
    published.open(true);
    assert_eq!(waiting.join_all().await, [200; 8]);
    assert_eq!(published.asked(), 1);
}

#[tokio::test]
async fn a_token_is_judged_before_its_body_comes() {
    let mock = mock().await;
    let (key, stranger) = (Key::ec("c"), Key::ec("c"));
    let published = Published::start(document(&[&key])).await;
    let gateway = Gateway::start(&config(&mock, &at(&published.url))).await;
    let body = chat_body("hi", false).to_string();
    // The first one has to wait for the keys.
    for (key, expected) in [(&key, 100), (&stranger, 401)] {
        let token = key.token(&anybody("kim"));
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut client = Raw::with(gateway.address, head).await;
        let (status, _) = client.head().await;
        assert_eq!(status, expected);
        if status == 100 {
            client.send(&body).await;
            assert_eq!(client.reply().await.status, 200);
        }
    }
    assert_eq!(mock.counts().requests, 1);
}

#[tokio::test]
async fn a_new_key_is_found_at_once_and_an_old_ones_tokens_end_with_it() {
    let mock = mock().await;
    let (old, new) = (Key::ec("2026"), Key::ec("2027"));
    let published = Published::start(document(&[&old])).await;
    let gateway = Gateway::start(&config(&mock, &at(&published.url))).await;
    let client = Client::new(&gateway);
    let before = old.token(&anybody("kim"));
    assert_eq!(status(&client, &before).await, 200);
    published.set(200, document(&[&new, &old]));
    let after = new.token(&anybody("kim"));
    let began = std::time::Instant::now();
    while status(&client, &after).await != 200 {
        // Only within the pause between two requests for keys.
        assert!(began.elapsed() < support::PATIENCE);
    }
    assert_eq!(status(&client, &before).await, 200);
    published.set(200, document(&[&new]));
    // Whatever names an unknown key has the set asked for again.
    let stranger = Key::ec("stranger").token(&anybody("eve"));
    while status(&client, &before).await == 200 {
        assert_eq!(status(&client, &stranger).await, 401);
        assert!(began.elapsed() < support::PATIENCE);
    }
    assert_eq!(status(&client, &after).await, 200);
}

/// Whoever sends tokens of unknown keys cannot make the gateway a flood for the sign-on.
#[tokio::test]
async fn unknown_keys_are_not_asked_for_again_and_again() {
    let mock = mock().await;
    let key = Key::ed("d");
    let published = Published::start(document(&[&key])).await;
    let config = config(&mock, &at(&published.url)).replace("\"10ms\"", "\"1h\"");
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    for kid in 0..5 {
        let token = Key::ed(&format!("k{kid}")).token(&anybody("eve"));
        assert_eq!(status(&client, &token).await, 401);
    }
    assert_eq!(published.asked(), 1);
    assert_eq!(status(&client, &key.token(&anybody("kim"))).await, 200);
}

#[tokio::test]
async fn the_last_good_keys_stay_while_the_sign_on_is_down() {
    let mock = mock().await;
    let key = Key::ed("d");
    let published = Published::start(document(&[&key])).await;
    let jwt = format!("{}\nrefresh = \"1ms\"", at(&published.url));
    let gateway = Gateway::start(&config(&mock, &jwt)).await;
    let client = Client::new(&gateway);
    assert_eq!(status(&client, &key.token(&anybody("kim"))).await, 200);
    for (code, body) in [
        (500, "{}"),
        (200, "<html>"),
        (200, "{\"keys\": []}"),
        (302, ""),
    ] {
        published.set(code, body);
        let asked = published.asked();
        let began = std::time::Instant::now();
        while published.asked() < asked + 2 {
            let token = key.token(&anybody(&format!("u{asked}")));
            assert_eq!(status(&client, &token).await, 200, "{code} {body}");
            assert!(began.elapsed() < support::PATIENCE);
        }
    }
    let kept =
        |line: &Value| line["message"] == "keys for tokens cannot be had" && line["kept"] == true;
    gateway.log_line(kept).await;
}

#[tokio::test]
async fn a_reload_keeps_the_keys_and_judges_by_the_new_rules() {
    let mock = mock().await;
    let key = Key::ed("d");
    let published = Published::start(document(&[&key])).await;
    let config = config(&mock, &at(&published.url)).replace("\"10ms\"", "\"1h\"");
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let token = key.token(&anybody("kim"));
    assert_eq!(status(&client, &token).await, 200);
    let generation = async |generation: u64, config: &str| {
        gateway.write_config(config);
        gateway.signal("HUP");
        let says =
            |line: &Value| line["message"] == "config reloaded" && line["generation"] == generation;
        gateway.log_line(says).await;
    };
    published.set(500, "");
    generation(2, &config.replace("1000/min", "2000/min")).await;
    assert_eq!(status(&client, &token).await, 200);
    generation(3, &config.replace(&format!("\"{AUDIENCE}\""), "\"mail\"")).await;
    assert_eq!(status(&client, &token).await, 401);
    generation(4, &config).await;
    assert_eq!(status(&client, &token).await, 200);
    assert_eq!(published.asked(), 1);
}
