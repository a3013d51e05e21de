//! The way to an upstream: TLS and whom it trusts, proxies, HTTP/2, and connections that are used again.

#![allow(
    clippy::disallowed_methods,
    reason = "a test's tasks end with its runtime"
)]

mod support;

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Response, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use millgate::mock::{Mock, Script};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use support::{Client, Gateway, PATIENCE, config, nobody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// A certificate authority of the test's own, in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// A server's side of TLS for this name or address.
    fn acceptor(&self, name: &str, protocols: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// TLS in front of a mock.
    async fn before(&self, mock: &Mock, name: &str) -> String {
        let (listener, address) = listen().await;
        let (acceptor, target) = (self.acceptor(name, &[]), mock.address());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut outside) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut inside = TcpStream::connect(target).await.unwrap();
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        format!("https://{address}")
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn mock() -> Mock {
    Mock::with(Script::default()).await.unwrap()
}

/// A forward proxy that remembers the head of each connection's first request.
struct ForwardProxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl ForwardProxy {
    async fn start() -> Self {
        let (listener, address) = listen().await;
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = heads.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(relay(stream, seen.clone()));
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// One connection through the proxy: a tunnel, or a request whose target is an absolute URL (RFC 9112 §3.2.2).
async fn relay(mut client: TcpStream, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    heads.lock().unwrap().push(head.clone());
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let mut upstream;
    if method == "CONNECT" {
        upstream = TcpStream::connect(target).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    } else {
        let rest = target.strip_prefix("http://").expect("an absolute URL");
        let (host, path) = rest.split_at(rest.find('/').unwrap());
        upstream = TcpStream::connect(host).await.unwrap();
        let head = head.replacen(target, path, 1);
        upstream.write_all(head.as_bytes()).await.unwrap();
    }
    let _ = copy_bidirectional(&mut client, &mut upstream).await;
}

/// A config with one provider `a` and these further lines in its table.
fn alone(url: &str, lines: &str) -> String {
    config(&[("a", "openai", url)], "retries = 0").replace("[routes", &format!("{lines}\n[routes"))
}

#[tokio::test]
async fn an_authority_of_the_company_is_trusted_where_its_file_is_named() {
    let (authority, mock) = (Authority::new(), mock().await);
    let url = authority.before(&mock, "127.0.0.1").await;
    let ca_file = format!("ca_file = \"{}\"", authority.file());
    let gateway = Gateway::start(&alone(&url, &ca_file)).await;
    let client = Client::new(&gateway);
    for stream in [false, true] {
        let reply = client.chat("hi", stream).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(mock.counts().requests, 2);
    assert_eq!(mock.counts().connections, 1, "the connection is used again");
}

#[tokio::test]
async fn an_unknown_authority_or_another_name_is_no_connection() {
    let (authority, another, mock) = (Authority::new(), Authority::new(), mock().await);
    let url = authority.before(&mock, "127.0.0.1").await;
    let misnamed = authority.before(&mock, "llm.example.com").await;
    let fallback = self::mock().await;
    for (url, lines) in [
        (&url, String::new()),
        (&url, format!("ca_file = \"{}\"", another.file())),
        (&misnamed, format!("ca_file = \"{}\"", authority.file())),
    ] {
        let gateway = Gateway::start(&alone(url, &lines)).await;
        let reply = Client::new(&gateway).chat("hi", false).await;
        assert_eq!(reply.status, 502);
        assert_eq!(reply.code(), "upstream_unreachable");
        assert!(!reply.text().contains("127.0.0.1"), "{}", reply.text());
        let told = gateway.log_line(|line| line["class"] == "connect").await;
        assert!(
            told["detail"].as_str().unwrap().contains("ertificate"),
            "{told}"
        );

        let providers = [("a", "openai", &**url), ("b", "openai", &*fallback.url())];
        let config =
            config(&providers, "").replace("[providers.b]", &format!("{lines}\n[providers.b]"));
        let gateway = Gateway::start(&config).await;
        let reply = Client::new(&gateway).chat("hi", true).await;
        assert_eq!(reply.header("x-millgate-provider"), "b");
        assert_eq!(reply.header("x-millgate-attempts"), "2");
    }
    assert_eq!(mock.counts().requests, 0);
}

#[tokio::test]
async fn a_ca_file_that_cannot_be_read_or_holds_none_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate in here\n").unwrap();
    for path in [folder.path().join("missing.pem"), empty] {
        let line = format!("ca_file = \"{}\"", path.display());
        let (code, said) = support::refused(&alone("https://127.0.0.1:1", &line), &[]).await;
        assert_eq!(code, Some(1));
        assert!(said.contains("ca_file") && said.contains('^'), "{said}");
    }
}

#[tokio::test]
async fn plain_requests_go_through_a_proxy_in_absolute_form_with_its_credentials() {
    let (proxy, mock) = (ForwardProxy::start().await, mock().await);
    for (credentials, sent) in [("", None), ("user:p%40ss@", Some("Basic dXNlcjpwQHNz"))] {
        let line = format!(
            "api_key = \"key\"\nproxy = \"http://{credentials}{}\"",
            proxy.address
        );
        let gateway = Gateway::start(&alone(&mock.url(), &line)).await;
        let reply = Client::new(&gateway).chat("hi", true).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.streamed_text(), "word0 word1 word2 word3 ");
        let head = proxy.heads().pop().unwrap();
        let expected = format!("POST {}/v1/chat/completions HTTP/1.1\r\n", mock.url());
        assert!(head.starts_with(&expected), "{head}");
        let authorization = head
            .lines()
            .find_map(|line| line.strip_prefix("proxy-authorization: "));
        assert_eq!(authorization, sent, "{head}");
    }
    assert_eq!(mock.counts().requests, 2);
}

#[tokio::test]
async fn encrypted_requests_go_through_a_tunnel_and_the_proxy_s_credentials_end_there() {
    let (proxy, mock, authority) = (ForwardProxy::start().await, mock().await, Authority::new());
    let url = authority.before(&mock, "127.0.0.1").await;
    let lines = format!(
        "ca_file = \"{}\"\napi_key = \"key\"\nproxy = \"http://user:pass@{}\"",
        authority.file(),
        proxy.address
    );
    let gateway = Gateway::start(&alone(&url, &lines)).await;
    let client = Client::new(&gateway);
    for stream in [false, true] {
        let reply = client.chat("hi", stream).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1, "the tunnel is used again");
    let authority = url.strip_prefix("https://").unwrap();
    assert!(
        heads[0].starts_with(&format!("CONNECT {authority} HTTP/1.1\r\n")),
        "{heads:?}"
    );
    assert!(
        heads[0]
            .to_lowercase()
            .contains("proxy-authorization: basic "),
        "{heads:?}"
    );
    assert!(
        !heads[0].contains("Bearer"),
        "the key is for the upstream alone"
    );
    for request in mock.requests() {
        assert_eq!(request.header("proxy-authorization"), None);
        assert_eq!(request.header("authorization"), Some("Bearer key"));
    }
}

#[tokio::test]
async fn a_proxy_that_is_down_or_refuses_is_no_connection() {
    let (mock, authority) = (mock().await, Authority::new());
    let https = authority.before(&mock, "127.0.0.1").await;
    let ca_file = format!("ca_file = \"{}\"", authority.file());
    // The mock knows no CONNECT, and says so.
    for (url, proxy) in [
        (&mock.url(), nobody()),
        (&https, nobody()),
        (&https, mock.url()),
    ] {
        let lines = format!("{ca_file}\nproxy = \"{proxy}\"");
        let gateway = Gateway::start(&alone(url, &lines)).await;
        let reply = Client::new(&gateway).chat("hi", false).await;
        assert_eq!(reply.status, 502);
        assert_eq!(reply.code(), "upstream_unreachable");
    }
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    let (proxy, mock, authority) = (ForwardProxy::start().await, mock().await, Authority::new());
    let https = authority.before(&mock, "127.0.0.1").await;
    let url = format!("http://{}", proxy.address);
    let names = [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ];
    let environment = names.map(|name| (name, &*url));
    let ca_file = format!("ca_file = \"{}\"", authority.file());
    for upstream in [&mock.url(), &https] {
        let gateway = Gateway::start_with(&alone(upstream, &ca_file), &environment).await;
        assert_eq!(Client::new(&gateway).chat("hi", false).await.status, 200);
    }
    assert_eq!(proxy.heads(), Vec::<String>::new());
}

/// An upstream that speaks whatever the gateway negotiates, and remembers what that was.
async fn negotiating(acceptor: TlsAcceptor, versions: Arc<Mutex<Vec<(usize, Version)>>>) -> String {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let mut connection = 0;
        while let Ok((stream, _)) = listener.accept().await {
            connection += 1;
            let (acceptor, versions) = (acceptor.clone(), versions.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = hyper::service::service_fn(
                    |request: http::Request<hyper::body::Incoming>| {
                        versions
                            .lock()
                            .unwrap()
                            .push((connection, request.version()));
                        async move {
                            let asked = request.into_body().collect().await.unwrap().to_bytes();
                            let asked: Value = serde_json::from_slice(&asked).unwrap();
                            let reply = json!({
                                "id": "1", "object": "chat.completion", "created": 0, "model": asked["model"],
                                "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
                            });
                            let reply = Response::builder()
                                .header("content-type", "application/json")
                                .body(Full::new(Bytes::from(reply.to_string())))
                                .unwrap();
                            Ok::<_, Infallible>(reply)
                        }
                    },
                );
                let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    format!("https://{address}")
}

#[tokio::test]
async fn http_2_is_spoken_where_the_upstream_offers_it() {
    let authority = Authority::new();
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let versions = Arc::<Mutex<Vec<_>>>::default();
        let url = negotiating(authority.acceptor("127.0.0.1", protocols), versions.clone()).await;
        let lines = format!("ca_file = \"{}\"", authority.file());
        let gateway = Gateway::start(&alone(&url, &lines)).await;
        let client = Client::new(&gateway);
        for _ in 0..3 {
            let reply = client.chat("hi", false).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        assert_eq!(
            *versions.lock().unwrap(),
            [(1, version); 3],
            "{protocols:?}"
        );
    }
}

#[tokio::test]
async fn connections_are_used_again_and_no_more_are_kept_than_asked_for() {
    let gated = Script {
        gate: true,
        ..Script::default()
    };
    let mock = Mock::with(gated).await.unwrap();
    let gateway = Gateway::start(&alone(&mock.url(), "pool_max_idle = 2")).await;
    let client = Client::new(&gateway);
    let chats: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.chat("hi", true).await })
        })
        .collect();
    mock.wait_for(|counts| counts.in_flight == 4).await;
    mock.release(1000);
    for chat in chats {
        assert_eq!(chat.await.unwrap().status, 200);
    }
    let kept = mock.wait_for(|counts| counts.open == 2);
    assert_eq!(
        tokio::time::timeout(PATIENCE, kept)
            .await
            .unwrap()
            .connections,
        4
    );
    for _ in 0..10 {
        assert_eq!(client.chat("hi", false).await.status, 200);
    }
    assert_eq!(mock.counts().connections, 4);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let mock = mock().await;
    let gateway = Gateway::start(&alone(&mock.url(), "pool_idle_timeout = \"200ms\"")).await;
    assert_eq!(Client::new(&gateway).chat("hi", false).await.status, 200);
    let closed = mock.wait_for(|counts| counts.open == 0);
    tokio::time::timeout(PATIENCE, closed).await.unwrap();
}
