//! `millgate logs` and `millgate top`: a running gateway, seen from a terminal.

mod support;

use std::process::{Output, Stdio};

use millgate::mock::{Mock, Script};
use serde_json::Value;
use support::{Client, Gateway, PATIENCE, config, nobody};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
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
            "asks operators for a token",
        ),
        (
            vec!["logs", "--url", &url, "--token", TOKEN, "--outcome", "fine"],
            "is one of ok",
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
