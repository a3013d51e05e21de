//! Who gets in through the two listeners, and how many.

mod support;

use std::time::Duration;

use http::Method;
use millgate::mock::{Mock, Script};
use serde_json::Value;
use support::{
    Client, Gateway, config,
    wire::{self, Raw},
};

const CHAT: &str = "/v1/chat/completions";

async fn gateway(tables: &str) -> (Gateway, Mock) {
    let mock = Mock::with(Script::default()).await.unwrap();
    let config = config(&[("up", "openai", &mock.url())], "") + tables;
    (Gateway::start(&config).await, mock)
}

#[tokio::test]
async fn pages_do_not_get_in_without_an_origin_either() {
    let (gateway, mock) = gateway("[server]\ncors_origins = [\"https://app.example\"]").await;
    let clients = Client::new(&gateway);
    let operators = Client::at(&format!("http://{}", gateway.admin));
    for (site, origin, status) in [
        ("cross-site", None, 403),
        ("same-site", None, 403),
        // Typed, or opened from a bookmark; a page of the listener itself.
        ("none", None, 200),
        ("same-origin", None, 200),
        ("cross-site", Some("https://app.example"), 200),
        ("cross-site", Some("https://evil.example"), 403),
    ] {
        let mut headers = vec![("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let reply = clients.send(Method::GET, "/v1/models", &headers, "").await;
        let reply = reply.rest().await;
        assert_eq!(reply.status, status, "{headers:?}");
        if status == 403 {
            assert_eq!(reply.refusal(), "unknown_origin");
        }
        if origin.is_none() {
            let reply = operators.send(Method::GET, "/healthz", &headers, "").await;
            assert_eq!(reply.status, status, "{headers:?}");
        }
    }
    assert_eq!(mock.counts().paths.get(CHAT), None);
}

/// A link on another site leads to the page, and to nothing else.
#[tokio::test]
async fn a_link_from_elsewhere_leads_to_the_page_alone() {
    let (gateway, _mock) = gateway("").await;
    let client = Client::at(&format!("http://{}", gateway.admin));
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        client.send(method, path, headers, "").await.rest().await
    };
    let other = [("origin", "https://evil.example")];
    let frame = [("sec-fetch-dest", "iframe")];
    for (method, path, more, status) in [
        ("GET", "/", None, 200),
        ("GET", "/?theme=dark", None, 200),
        ("HEAD", "/", None, 200),
        ("GET", "/assets/app.js", None, 200),
        ("GET", "/", Some(&other), 403),
        ("GET", "/", Some(&frame), 403),
        ("POST", "/", None, 403),
        ("GET", "/healthz", None, 403),
        ("GET", "/api/status", None, 403),
        ("GET", "/api/session", None, 403),
        ("GET", "/nothing", None, 403),
    ] {
        let mut headers = vec![
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ];
        if more != Some(&frame) {
            headers.push(("sec-fetch-dest", "document"));
        }
        headers.extend(more.into_iter().flatten());
        let reply = ask(method, path, &headers).await;
        assert_eq!(reply.status, status, "{method} {path} {headers:?}");
    }
    // Parts of the page are for the page.
    for mode in ["no-cors", "cors"] {
        let headers = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", mode),
            ("sec-fetch-dest", "script"),
        ];
        assert_eq!(ask("GET", "/assets/app.js", &headers).await.status, 403);
    }
    let headers = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("host", "evil.example"),
    ];
    assert_eq!(ask("GET", "/", &headers).await.status, 403);
}

#[tokio::test]
async fn hosts_that_only_look_like_known_ones() {
    let (gateway, mock) = gateway("").await;
    for listener in [gateway.address, gateway.admin] {
        for host in [
            "[::1]x.evil",
            "[::1].evil:80",
            "127.0.0.1:evil.com",
            "localhost:80:80",
            "evil@localhost",
            "[127.0.0.1]",
            "localhost\r\nhost: evil.example",
        ] {
            let request =
                wire::get("/v1/models").replace("host: localhost", &format!("host: {host}"));
            let reply = Raw::with(listener, request).await.reply().await;
            assert_eq!(reply.status, 403, "{host}");
        }
    }
    assert_eq!(mock.counts().requests, 0);
}

#[tokio::test]
async fn simple_probes_name_no_host() {
    let (gateway, _mock) = gateway("").await;
    let ask = async |request: &str| {
        let mut client = Raw::with(gateway.admin, request).await;
        client.head().await.0.as_u16()
    };
    assert_eq!(ask("GET /healthz HTTP/1.0\r\n\r\n").await, 200);
    assert_eq!(ask("GET /readyz HTTP/1.0\r\n\r\n").await, 200);
    assert_eq!(ask("GET /healthz HTTP/1.1\r\n\r\n").await, 403);
    let evil = "GET /healthz HTTP/1.0\r\nhost: evil.example\r\n\r\n";
    assert_eq!(ask(evil).await, 403);
    let page = "GET /healthz HTTP/1.0\r\norigin: https://evil.example\r\n\r\n";
    assert_eq!(ask(page).await, 403);
}

#[tokio::test]
async fn the_operators_listener_has_limits_too() {
    let (gateway, _mock) = gateway("[server]\nheader_timeout = \"400ms\"").await;
    let mut slow = Raw::with(gateway.admin, "GET /hea").await;
    assert_eq!(slow.closed().await, "");

    let mut silent = Raw::connect(gateway.admin).await;
    assert_eq!(silent.closed().await, "");
    // Nor is one kept that has asked something and asks no more.
    let mut idle = Raw::with(gateway.admin, wire::get("/api/status")).await;
    assert_eq!(idle.reply().await.status, 200);
    assert_eq!(idle.closed().await, "");
    let long = format!("/healthz?{}", "x".repeat(60 << 10));
    let mut long = Raw::with(gateway.admin, wire::get(&long).repeat(2)).await;
    assert_eq!(long.reply().await.status, 200);
    assert_eq!(long.reply().await.status, 200);
    let head = wire::get("/healthz").replace("\r\n\r\n", "\r\nx-long: ");
    let mut larger = Raw::with(gateway.admin, head + &"x".repeat(70 << 10)).await;
    assert_eq!(larger.head().await.0, 431);
    let operators = Client::at(&format!("http://{}", gateway.admin));
    for path in ["/healthz", "/readyz?a=1&a=2&b=%ff", "/?a&a"] {
        assert_eq!(operators.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let (gateway, _mock) = gateway("").await;
    let clients = Client::new(&gateway);
    let operators = Client::at(&format!("http://{}", gateway.admin));
    for (client, path, allowed) in [
        (&clients, CHAT, "GET, POST"),
        (&clients, "/v1/embeddings", "POST"),
        (&clients, "/v1/models", "GET"),
        (&clients, "/v1/models/gpt", "GET, DELETE"),
        (&clients, "/v1/files", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        (&operators, "/readyz", "GET, HEAD"),
    ] {
        let purge = Method::from_bytes(b"PURGE").unwrap();
        let reply = client.send(purge, path, &[], "").await.rest().await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("allow")),
            (405, allowed)
        );
        assert_eq!(reply.code(), "method_not_allowed");
    }
}

#[tokio::test]
async fn a_reload_does_not_open_a_listener_to_everybody() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let closed = config(&[("up", "openai", &mock.url())], "");
    let open = format!("{closed}[server]\nallow_anonymous = true\n");
    let listen = ["--listen", "0.0.0.0:0", "--admin-listen", "127.0.0.1:0"];
    for refused in [
        closed.clone(),
        format!("{closed}[server]\nlisten = \"127.0.0.1:0\"\n"),
    ] {
        let gateway = Gateway::start_as(&open, &[], &listen).await;
        gateway.write_config(&refused);
        gateway.signal("HUP");
        let finding = gateway.log_line(|line| !line["finding"].is_null()).await;
        let finding = finding["finding"].as_str().unwrap();
        assert!(finding.contains("allow_anonymous = true"), "{finding}");
        let is_refusal = |line: &Value| {
            let message = line["message"].as_str().unwrap_or_default();
            message.contains("the old one stays in force")
        };
        gateway.log_line(is_refusal).await;
        gateway.write_config(&open);
        gateway.signal("HUP");
        gateway
            .log_line(|line| line["message"] == "config reloaded")
            .await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn as_many_files_may_be_open_as_the_system_allows() {
    use tokio::io::{AsyncBufReadExt, BufReader};

    let folder = tempfile::tempdir().unwrap();
    let config = "[providers.rehearsal]\n[routes.default]\ntargets = [\"rehearsal\"]\n";
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    let mut child = tokio::process::Command::new("sh")
        .args([
            "-c",
            "ulimit -S -n 100; exec \"$0\" serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0",
            env!("CARGO_BIN_EXE_millgate"),
        ])
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let greeting = tokio::time::timeout(support::PATIENCE, lines.next_line());
    assert!(greeting.await.unwrap().unwrap().is_some());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id().unwrap())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{line}");
    assert_ne!(words[3], "100");
}

#[tokio::test]
async fn a_connection_at_rest_is_kept_for_as_long_as_is_said() {
    let (gateway, _mock) = gateway("[server]\nkeep_alive_timeout = \"300ms\"").await;
    let mut client = Raw::with(gateway.address, wire::chat()).await;
    assert_eq!(client.reply().await.status, 200);
    assert!(client.stays_open(Duration::from_millis(100)).await);
    client.send(wire::chat()).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(client.closed().await, "");
}
