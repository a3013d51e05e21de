//! `millgate logs` and `millgate top`: a running gateway, seen from a terminal.

#![allow(
    clippy::disallowed_methods,
    reason = "a test's tasks end with its runtime"
)]

mod support;

use std::{
    net::SocketAddr,
    process::{Output, Stdio},
};

use millgate::mock::{Mock, Script};
use serde_json::Value;
use support::{Client, Gateway, PATIENCE, config, nobody};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines, copy_bidirectional},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command},
    sync::watch,
};

const TOKEN: &str = "a-token-of-the-operators";

async fn gateway(operators: &str) -> (Gateway, Mock) {
    let mock = Mock::with(Script::default()).await.unwrap();
    let config = config(&[("up", "openai", &mock.url())], "");
    let config = format!("{config}[admin]\ntoken = \"{TOKEN}\"\n");
    let listen = ["--listen", "127.0.0.1:0", "--admin-listen", operators];
    (Gateway::start_as(&config, &[], &listen).await, mock)
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millgate"));
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run(arguments: &[&str]) -> Output {
    let output = command(arguments).output();
    tokio::time::timeout(PATIENCE, output)
        .await
        .unwrap()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn logs_are_a_line_for_each_exchange_and_need_the_token() {
    let (gateway, _mock) = gateway("127.0.0.1:0").await;
    for _ in 0..3 {
        Client::new(&gateway).chat("hi", false).await;
    }
    let url = format!("http://{}", gateway.admin);
    let output = run(&["logs", "--url", &url, "--token", TOKEN, "-n", "2"]).await;
    assert!(output.status.success(), "{output:?}");
    let lines = text(&output.stdout);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    let line = lines.lines().next().unwrap();
    for part in ["  200 ok", "127.0.0.1", "default → up/", "11+4 tokens"] {
        assert!(line.contains(part), "{line}");
    }
    let output = run(&[
        "logs",
        "--url",
        &url,
        "--token",
        TOKEN,
        "--json",
        "--outcome",
        "ok",
    ])
    .await;
    let exchange: Value =
        serde_json::from_str(text(&output.stdout).lines().next().unwrap()).unwrap();
    assert_eq!(exchange["route"], "default");
    let output = run(&[
        "logs", "--url", &url, "--token", TOKEN, "--caller", "nobody",
    ])
    .await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));

    for (arguments, told) in [
        (vec!["logs", "--url", &url], "asks operators for a token"),
        (
            vec!["top", "--url", &url, "--token", "wrong"],
            "does not know this token",
        ),
        (
            vec!["cache", "stats", "--url", &nobody()],
            "no gateway can be reached",
        ),
    ] {
        let output = run(&arguments).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains(told), "{output:?}");
    }
    let output = run(&["logs", "-f", "-n", "0", "--outcome", "nope"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = text(&output.stderr);
    assert!(
        told.contains("'nope'") && told.contains("ok, client_closed"),
        "{told}"
    );
    // From the config that the gateway runs with, where no URL is given, the token is taken too.
    let path = gateway.config_path();
    let config = std::fs::read_to_string(&path).unwrap();
    gateway.write_config(&format!("{config}listen = \"{}\"\n", gateway.admin));
    let output = run(&["top", "--config", path.to_str().unwrap()]).await;
    assert!(output.status.success(), "{output:?}");
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
    serde_json::from_str(&line.unwrap().unwrap().unwrap()).unwrap()
}

#[tokio::test]
async fn who_follows_sees_every_exchange_once_through_a_restart() {
    let (first, _mock) = gateway("127.0.0.1:0").await;
    Client::new(&first).chat("before", false).await;
    let (url, operators) = (format!("http://{}", first.admin), first.admin.to_string());
    let arguments = [
        "logs", "--follow", "--json", "--url", &url, "--token", TOKEN,
    ];
    let mut child: Child = command(&arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = vec![next(&mut lines).await["id"].clone()];
    for _ in 0..3 {
        Client::new(&first).chat("live", false).await;
        seen.push(next(&mut lines).await["id"].clone());
    }
    drop(first);
    let note = tokio::time::timeout(PATIENCE, notes.next_line()).await;
    assert!(note.unwrap().unwrap().unwrap().contains("gone"));
    let (second, _mock) = gateway(&operators).await;
    Client::new(&second).chat("after", false).await;
    seen.push(next(&mut lines).await["id"].clone());
    let count = seen.len();
    seen.sort_by_key(ToString::to_string);
    seen.dedup();
    assert_eq!(seen.len(), count);
}

/// A way to a gateway that can be cut, while the gateway goes on.
struct Way {
    address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Way {
    async fn to(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, is_open) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut is_open = is_open.clone();
                tokio::spawn(async move {
                    let passed = async {
                        let mut server = TcpStream::connect(gateway).await?;
                        copy_bidirectional(&mut client, &mut server).await
                    };
                    tokio::select! {
                        _ = is_open.wait_for(|open| !open) => {}
                        _ = passed => {}
                    }
                });
            }
        });
        Self { address, open }
    }
}

#[tokio::test]
async fn after_a_broken_connection_only_what_is_new_is_told() {
    let (gateway, _mock) = gateway("127.0.0.1:0").await;
    for _ in 0..4 {
        Client::new(&gateway).chat("before", false).await;
    }
    let way = Way::to(gateway.admin).await;
    let url = format!("http://{}", way.address);
    let arguments = [
        "logs", "-f", "-n", "1", "--json", "--url", &url, "--token", TOKEN,
    ];
    let mut child: Child = command(&arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = async |word: &str| {
        let note = tokio::time::timeout(PATIENCE, notes.next_line()).await;
        let note = note.unwrap().unwrap().unwrap();
        assert!(note.contains(word), "{note}");
    };
    next(&mut lines).await;
    // Twice, as it is told each time.
    for _ in 0..2 {
        way.open.send_replace(false);
        told("gone").await;
        Client::new(&gateway).chat("meanwhile", false).await;
        way.open.send_replace(true);
        told("back").await;
        let line = next(&mut lines).await;
        let url = format!("http://{}", gateway.admin);
        let latest = run(&["logs", "-n", "1", "--json", "--url", &url, "--token", TOKEN]).await;
        let latest: Value = serde_json::from_slice(&latest.stdout).unwrap();
        assert_eq!(line["id"], latest["id"]);
    }
}

#[tokio::test]
async fn without_a_terminal_top_draws_one_picture() {
    let (gateway, _mock) = gateway("127.0.0.1:0").await;
    Client::new(&gateway).chat("hi", false).await;
    let url = format!("http://{}", gateway.admin);
    let output = run(&["top", "--url", &url, "--token", TOKEN]).await;
    assert!(output.status.success(), "{output:?}");
    let picture = text(&output.stdout);
    for part in [
        "millgate ready",
        "route",
        "default",
        "target",
        "up ",
        "live",
        "200 ok",
    ] {
        assert!(picture.contains(part), "{part}: {picture}");
    }
    assert!(!picture.contains('\x1b'));
    let output = run(&["top", "--url", &url, "--token", TOKEN, "--json"]).await;
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["ready"], true);
}

/// Whoever misspells the config is not sent to the gateway of another one.
#[tokio::test]
async fn a_config_that_cannot_be_read_means_no_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.toml");
    std::fs::write(&broken, "[admin\n").unwrap();
    let missing = folder.path().join("missing.toml");
    for file in [&broken, &missing] {
        let file = file.to_str().unwrap();
        for arguments in [&["logs"][..], &["cache", "purge", "--all"]] {
            let output = run(&[arguments, &["--config", file]].concat()).await;
            let said = text(&output.stderr);
            assert!(!output.status.success());
            assert!(said.contains("the config has errors"), "{said}");
            assert!(said.contains(".toml"), "{said}");
        }
    }
}
