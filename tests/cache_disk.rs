//! The cache on disk: what was kept is given again by the next process, to whom it was given before and to nobody else.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what drives the gateway is part of the tests"
)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use http::Method;
use millgate::mock::{Mock, Script};
use serde_json::{Value, json};
use support::{Client, Gateway, PATIENCE, Reply};
use tempfile::TempDir;

/// An upstream, and a state folder that outlives gateways.
struct Bench {
    mock: Mock,
    state: TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self {
            mock: Mock::with(Script::default()).await.unwrap(),
            state: tempfile::tempdir().unwrap(),
        }
    }

    /// A config with these keys of the cache.
    fn config(&self, cache: &str) -> String {
        let (state, base) = (self.state.path().display(), self.mock.url());
        format!(
            "pipeline = [\"auth\", \"cache\", \"route\"]\n[server]\nstate_dir = \"{state}\"\n[stages.auth]\n[callers.anna]\nkey = \"anna-has-a-key-of-her-own\"\nteam = \"blue\"\n[callers.ben]\nkey = \"ben-has-a-key-of-his-own-too\"\nteam = \"blue\"\n[stages.cache]\n{cache}\n[providers.up]\nkind = \"openai\"\nbase_url = \"{base}/v1\"\n[routes.default]\ntargets = [\"up\"]\nretries = 0\n"
        )
    }

    async fn start(&self, cache: &str) -> Gateway {
        Gateway::start(&self.config(cache)).await
    }

    fn asked(&self) -> u64 {
        self.mock.counts().requests
    }

    fn folder(&self) -> PathBuf {
        self.state.path().join("cache")
    }

    fn files(&self) -> Vec<PathBuf> {
        let found = fs::read_dir(self.folder()).unwrap();
        found.map(|file| file.unwrap().path()).collect()
    }
}

const DISK: &str = "disk = \"1MiB\"";
const ANNA: &str = "anna-has-a-key-of-her-own";
const BEN: &str = "ben-has-a-key-of-his-own-too";

async fn ask(gateway: &Gateway, key: &str, content: &str, stream: bool) -> Reply {
    let body = json!({
        "model": "gpt-test",
        "temperature": 0,
        "stream": stream,
        "messages": [{ "role": "user", "content": content }],
    });
    let bearer = format!("Bearer {key}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &*bearer),
    ];
    let path = "/v1/chat/completions";
    let client = Client::new(gateway);
    let coming = client.send(Method::POST, path, &headers, body.to_string());
    coming.await.rest().await
}

fn hit(reply: &Reply) -> bool {
    reply.header("cache-status").starts_with("millgate; hit")
}

async fn stats(gateway: &Gateway) -> Value {
    let operators = Client::at(&format!("http://{}", gateway.admin));
    operators.get("/api/cache").await.json()
}

/// Waits until a number of the cache is as wanted.
async fn until(gateway: &Gateway, name: &str, is_wanted: impl Fn(u64) -> bool) {
    let reached = async {
        while !stats(gateway).await[name].as_u64().is_some_and(&is_wanted) {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached)
        .await
        .unwrap_or_else(|_| panic!("{name} never came to that"));
}

async fn stat(gateway: &Gateway, name: &str, value: u64) {
    until(gateway, name, |now| now == value).await;
}

async fn purge(gateway: &Gateway, what: Value) -> Value {
    let operators = Client::at(&format!("http://{}", gateway.admin));
    operators.post("/api/cache/purge", &what).await.json()
}

/// Ends a gateway and waits until it has.
async fn end(mut gateway: Gateway, signal: &str) {
    gateway.signal(signal);
    gateway.ended().await;
}

async fn reload(gateway: &Gateway, config: &str, generation: u64) {
    gateway.write_config(config);
    gateway.signal("HUP");
    gateway
        .log_line(|line| line["message"] == "config reloaded" && line["generation"] == generation)
        .await;
}

#[tokio::test]
async fn a_restart_answers_with_what_was_kept_before_it() {
    let bench = Bench::new().await;
    let gateway = bench.start(DISK).await;
    let document = ask(&gateway, ANNA, "document", false).await;
    let stream = ask(&gateway, ANNA, "stream", true).await;
    // Whatever is still waiting is written at the end.
    end(gateway, "TERM").await;
    assert_eq!(bench.files().len(), 2);

    let gateway = bench.start(DISK).await;
    stat(&gateway, "entries", 2).await;
    let again = ask(&gateway, ANNA, "document", false).await;
    assert!(hit(&again), "{:?}", again.headers);
    assert_eq!(
        (again.status, &again.body),
        (document.status, &document.body)
    );
    assert_eq!(again.header("x-millgate-provider"), "up");
    let again = ask(&gateway, ANNA, "stream", true).await;
    assert!(hit(&again) && again.body == stream.body);
    // In the other form, too.
    let other = ask(&gateway, ANNA, "stream", false).await;
    assert!(hit(&other), "{:?}", other.headers);
    assert_eq!(other.json()["usage"]["prompt_tokens"], 11);
    assert_eq!(bench.asked(), 2);
}

#[tokio::test]
async fn scopes_stay_apart_and_no_name_tells_whose_it_is() {
    let bench = Bench::new().await;
    let gateway = bench.start(DISK).await;
    ask(&gateway, ANNA, "hi", false).await;
    end(gateway, "TERM").await;
    for file in bench.files() {
        let name = file.file_name().unwrap().to_str().unwrap();
        let is_hash = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_hash, "{name}");
    }
    let gateway = bench.start(DISK).await;
    stat(&gateway, "entries", 1).await;
    assert!(!hit(&ask(&gateway, BEN, "hi", false).await));
    assert!(hit(&ask(&gateway, ANNA, "hi", false).await));
    end(gateway, "TERM").await;
    assert_eq!(bench.files().len(), 2);
    // What was kept for one caller is of no use under another scope, and is removed.
    let gateway = bench.start("disk = \"1MiB\"\nscope = \"team\"").await;
    assert!(!hit(&ask(&gateway, BEN, "hi", false).await));
    assert!(hit(&ask(&gateway, ANNA, "hi", false).await));
    stat(&gateway, "files", 1).await;
}

#[tokio::test]
async fn a_kill_takes_along_only_what_was_not_written() {
    let bench = Bench::new().await;
    let mut gateway = bench.start(DISK).await;
    let mut written = Vec::new();
    for round in 0..5_u64 {
        written.push(
            ask(&gateway, ANNA, &format!("written {round}"), false)
                .await
                .body,
        );
        // All that was ever asked.
        stat(&gateway, "files", 3 * round + 1).await;
        let late = format!("late {round}");
        ask(&gateway, ANNA, &late, false).await;
        end(gateway, "KILL").await;

        gateway = bench.start(DISK).await;
        // It answers while it reads what is there.
        let begun = ask(&gateway, ANNA, &format!("begun {round}"), false).await;
        assert_eq!(begun.status, 200);
        until(&gateway, "entries", |now| now >= 3 * round + 2).await;
        for (before, body) in written.iter().enumerate() {
            let reply = ask(&gateway, ANNA, &format!("written {before}"), false).await;
            assert!(hit(&reply), "{round}: {:?}", reply.headers);
            assert_eq!(reply.body, body);
        }
        // Kept or lost, it is answered.
        let reply = ask(&gateway, ANNA, &late, false).await;
        assert!(reply.status == 200 && reply.complete, "{reply:?}");
    }
}

#[tokio::test]
async fn a_purge_survives_a_restart() {
    let bench = Bench::new().await;
    let gateway = bench.start(DISK).await;
    ask(&gateway, ANNA, "hi", false).await;
    ask(&gateway, BEN, "hi", false).await;
    stat(&gateway, "files", 2).await;
    assert_eq!(
        purge(&gateway, json!({ "caller": "anna" })).await["purged"],
        1
    );
    // It is done when it is said to be.
    assert_eq!(bench.files().len(), 1);
    end(gateway, "KILL").await;
    let gateway = bench.start(DISK).await;
    stat(&gateway, "entries", 1).await;
    assert!(!hit(&ask(&gateway, ANNA, "hi", false).await));
    assert!(hit(&ask(&gateway, BEN, "hi", false).await));
}

#[tokio::test]
async fn a_reload_keeps_the_disk_and_may_begin_and_end_it() {
    let bench = Bench::new().await;
    let gateway = bench.start("").await;
    ask(&gateway, ANNA, "before", false).await;
    assert!(!bench.folder().exists());
    reload(&gateway, &bench.config(DISK), 2).await;
    ask(&gateway, ANNA, "first", false).await;
    stat(&gateway, "files", 1).await;
    reload(
        &gateway,
        &bench.config("disk = \"2MiB\"\nmax_size = \"2MiB\""),
        3,
    )
    .await;
    ask(&gateway, ANNA, "second", false).await;
    stat(&gateway, "files", 2).await;
    reload(&gateway, &bench.config(""), 4).await;
    stat(&gateway, "files", 0).await;
    ask(&gateway, ANNA, "third", false).await;
    end(gateway, "TERM").await;
    assert_eq!(bench.files().len(), 2);
    assert_eq!(bench.asked(), 4);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_told_once_and_the_cache_goes_on() {
    let bench = Bench::new().await;
    fs::write(bench.folder(), "in the way").unwrap();
    let gateway = bench.start(DISK).await;
    for content in ["one", "two"] {
        assert!(!hit(&ask(&gateway, ANNA, content, false).await));
        assert!(hit(&ask(&gateway, ANNA, content, false).await));
    }
    let is_told = |line: &Value| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("the cache cannot be kept on disk")
    };
    let line = gateway.log_line(is_told).await;
    assert_eq!(line["level"], "ERROR", "{line}");
    let told = gateway.log().iter().filter(|line| is_told(line)).count();
    assert_eq!(told, 1);
}

/// A device on which there is never room: every write fails as on a full disk.
#[tokio::test]
async fn a_full_disk_is_told_once_and_the_cache_goes_on() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let bench = Bench::new().await;
    let gateway = bench.start(DISK).await;
    ask(&gateway, ANNA, "hi", false).await;
    stat(&gateway, "files", 1).await;
    // What is written beside its place goes to the device.
    let place = bench.files().remove(0);
    purge(&gateway, json!({ "all": true })).await;
    std::os::unix::fs::symlink("/dev/full", place.with_extension("new")).unwrap();
    assert!(!hit(&ask(&gateway, ANNA, "hi", false).await));
    assert!(hit(&ask(&gateway, ANNA, "hi", false).await));
    stat(&gateway, "unwritten", 1).await;
    let line = gateway
        .log_line(|line| {
            line["error"]
                .as_str()
                .is_some_and(|error| error.contains("space"))
        })
        .await;
    assert_eq!(line["level"], "ERROR", "{line}");
    // What could not be written is out of the way.
    assert_eq!(bench.files().len(), 0);
    // Written again once there is room.
    purge(&gateway, json!({ "all": true })).await;
    ask(&gateway, ANNA, "hi", false).await;
    stat(&gateway, "files", 1).await;
}
