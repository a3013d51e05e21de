//! The harness: the real binary with a config of the test's own, and a client that shows what came over the wire.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::match_wild_err_arm,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a test's own module: each test uses a part of it"
)]

pub mod issuer;
pub mod plugins;
pub mod raw;
pub mod wire;

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client as HyperClient, client::legacy::connect::HttpConnector,
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
};

/// No wait in a test is longer than this; reaching it is a failure, not a measurement.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running millgate. Killed when dropped.
pub struct Gateway {
    child: Child,
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    folder: tempfile::TempDir,
    log: Arc<Mutex<Vec<Value>>>,
    logged: watch::Receiver<usize>,
}

impl Gateway {
    /// Starts the binary with this config; the listeners get free ports.
    pub async fn start(config: &str) -> Self {
        Self::start_with(config, &[]).await
    }

    /// The same with environment variables.
    pub async fn start_with(config: &str, environment: &[(&str, &str)]) -> Self {
        let listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        Self::start_as(config, environment, &listen).await
    }

    /// The same with these arguments, instead of those that give the listeners free ports.
    pub async fn start_as(config: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_millgate"))
            .arg("serve")
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (count, logged) = watch::channel(0);
        let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
        let sink = log.clone();
        let reader = tokio::task::spawn(async move {
            while let Ok(Some(line)) = errors.next_line().await {
                let entry = serde_json::from_str(&line).unwrap_or(Value::String(line));
                sink.lock().unwrap().push(entry);
                count.send_modify(|count| *count += 1);
            }
        });
        let mut addresses = None;
        while addresses.is_none() {
            let line = tokio::time::timeout(PATIENCE, lines.next_line())
                .await
                .unwrap()
                .unwrap();
            let Some(line) = line else {
                let status = child.wait().await.unwrap();
                // All that it had to say.
                reader.await.unwrap();
                panic!("millgate ended with {status}: {:#?}", log.lock().unwrap());
            };
            addresses = parse_greeting(&line);
        }
        let (address, admin) = addresses.unwrap();
        tokio::task::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            child,
            address,
            admin,
            folder,
            log,
            logged,
        }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Writes another config; it is not in force before a reload.
    pub fn write_config(&self, config: &str) {
        std::fs::write(self.config_path(), config).unwrap();
    }

    /// Sends a signal by its name: `HUP`, `TERM`, `INT`.
    pub fn signal(&self, name: &str) {
        let status = std::process::Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the process to end.
    pub async fn ended(&mut self) -> std::process::ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .expect("millgate did not end")
            .unwrap()
    }

    /// The first log line that `wanted` likes, waiting for it.
    pub async fn log_line(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut logged = self.logged.clone();
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                logged.borrow_and_update();
                let found = self
                    .log
                    .lock()
                    .unwrap()
                    .iter()
                    .find(|line| wanted(line))
                    .cloned();
                if let Some(line) = found {
                    return line;
                }
                logged.changed().await.unwrap();
            }
        });
        match found.await {
            Ok(line) => line,
            Err(_) => panic!("no such log line in {:#?}", self.log.lock().unwrap()),
        }
    }

    /// The access line of the exchange with this request id, waiting for it.
    pub async fn access_line(&self, request_id: &str) -> Value {
        self.log_line(|line| {
            line["target"] == "millgate::access" && line["request_id"] == request_id
        })
        .await
    }

    /// The access lines so far of this request id.
    pub fn access_lines(&self, request_id: &str) -> usize {
        let is_wanted = |line: &&Value| {
            line["target"] == "millgate::access" && line["request_id"] == request_id
        };
        self.log.lock().unwrap().iter().filter(is_wanted).count()
    }

    /// Waits until this many lines have been logged.
    pub async fn log_lines(&self, count: usize) {
        let mut logged = self.logged.clone();
        let waiting = logged.wait_for(|lines| *lines >= count);
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        drop(waited.expect("no more was logged").unwrap());
    }

    /// Everything logged so far.
    pub fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }
}

/// Starts the binary with a config that it must refuse: its exit code, and what it says on standard error.
pub async fn refused(config: &str, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(["--admin-listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, run)
        .await
        .expect("millgate did not refuse the config")
        .unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// An address on which nobody listens: connections to it are refused.
pub fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// `listening    http://127.0.0.1:1/v1   (operators: http://127.0.0.1:2)`
fn parse_greeting(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let rest = line.trim().strip_prefix("listening")?.trim();
    let (clients, operators) = rest.split_once("/v1")?;
    let clients = clients.strip_prefix("http://")?.parse().ok()?;
    let operators = operators
        .trim()
        .strip_prefix("(operators: http://")?
        .strip_suffix(')')?
        .parse()
        .ok()?;
    Some((clients, operators))
}

/// A config with one route `*` to these targets and the providers that they name:
/// `("name", "kind", url)`; `extra` is appended to the route.
pub fn config(providers: &[(&str, &str, &str)], route: &str) -> String {
    let mut config = "pipeline = [\"route\"]\n".to_owned();
    for (name, kind, url) in providers {
        config += &format!("[providers.{name}]\nkind = \"{kind}\"\nbase_url = \"{url}\"\n");
    }
    let targets: Vec<_> = providers
        .iter()
        .map(|(name, ..)| format!("\"{name}\""))
        .collect();
    let targets = targets.join(", ");
    config + &format!("[routes.default]\ntargets = [{targets}]\nbackoff = \"1ms\"\n{route}\n")
}

/// A client that follows no redirects, retries nothing and shows all it gets.
#[derive(Clone)]
pub struct Client {
    base: String,
    client: HyperClient<HttpConnector, Full<Bytes>>,
}

/// A whole reply.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether the body came to its proper end.
    pub complete: bool,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Fails unless this is an error as OpenAI clients know them, with an id; its code.
    pub fn refusal(&self) -> String {
        assert!(!self.header("x-request-id").is_empty(), "{self:?}");
        assert_eq!(self.header("content-type"), "application/json");
        let body = self.json();
        let members: Vec<_> = body["error"].as_object().unwrap().keys().collect();
        assert_eq!(members, ["message", "type", "param", "code"]);
        assert!(body["error"]["message"].as_str().unwrap().len() > 10);
        assert!(body["error"]["type"].is_string());
        self.code()
    }

    /// `error.code`
    pub fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The data of each event.
    pub fn events(&self) -> Vec<String> {
        self.text()
            .split("\n\n")
            .filter_map(|event| {
                event
                    .lines()
                    .find_map(|line| line.strip_prefix("data: "))
                    .map(str::to_owned)
            })
            .collect()
    }

    /// The text that a streamed chat completion adds up to.
    pub fn streamed_text(&self) -> String {
        let delta = |event: &String| {
            let event: Value = serde_json::from_str(event).ok()?;
            event["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        };
        self.events().iter().filter_map(delta).collect()
    }
}

/// A reply that is still coming.
pub struct Live {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
}

impl Live {
    /// The next bytes; `None` at the proper end, `Err` where the connection broke.
    pub async fn next(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.body.frame())
                .await
                .expect("nothing more came")?;
            match frame {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// All that is still to come.
    pub async fn rest(mut self) -> Reply {
        let mut body = Vec::new();
        let mut complete = true;
        while let Some(next) = self.next().await {
            let Ok(bytes) = next else {
                complete = false;
                break;
            };
            body.extend_from_slice(&bytes);
        }
        Reply {
            status: self.status,
            headers: self.headers,
            body: body.into(),
            complete,
        }
    }
}

impl Client {
    pub fn new(gateway: &Gateway) -> Self {
        Self::at(&gateway.url())
    }

    pub fn at(base: &str) -> Self {
        let client = HyperClient::builder(TokioExecutor::new()).build_http();
        Self {
            base: base.to_owned(),
            client,
        }
    }

    /// A client of the same gateway that calls from another address of this machine: `127.0.0.2`.
    pub fn from_address(gateway: &Gateway, address: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some(address.parse().unwrap()));
        Self {
            base: gateway.url(),
            client: HyperClient::builder(TokioExecutor::new()).build(connector),
        }
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Live {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let response = tokio::time::timeout(PATIENCE, self.client.request(request))
            .await
            .expect("no head came")
            .unwrap();
        let (parts, body) = response.into_parts();
        Live {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], "").await.rest().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.open(path, body).await.rest().await
    }

    /// Posts JSON and gives the reply as soon as its head is there.
    pub async fn open(&self, path: &str, body: &Value) -> Live {
        self.send(
            Method::POST,
            path,
            &[("content-type", "application/json")],
            body.to_string(),
        )
        .await
    }

    /// One chat completion.
    pub async fn chat(&self, prompt: &str, stream: bool) -> Reply {
        self.post("/v1/chat/completions", &chat_body(prompt, stream))
            .await
    }
}

/// The body of a chat completion.
pub fn chat_body(prompt: &str, stream: bool) -> Value {
    serde_json::json!({"model": "gpt-test", "stream": stream, "messages": [{"role": "user", "content": prompt}]})
}
