//! `millgate ask`: one prompt to a gateway, for a person and for a program.

mod support;

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Output, Stdio},
};

use millgate::mock::{Fault, Mock, Script};
use serde_json::Value;
use support::{Gateway, PATIENCE};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};

fn start(arguments: &[&str], folder: &std::path::Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_millgate"))
        .arg("ask")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn ended(child: Child) -> Output {
    tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("ask did not end")
        .unwrap()
}

async fn ask(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    ended(start(arguments, folder.path())).await
}

/// A gateway in front of a mock that does this.
async fn gateway(script: Script) -> (Gateway, Mock) {
    let mock = Mock::with(script).await.unwrap();
    let config = support::config(&[("mock", "openai", &mock.url())], "retries = 0");
    (Gateway::start(&config).await, mock)
}

fn says(text: &str) -> Script {
    Script {
        text: Some(text.to_owned()),
        ..Script::default()
    }
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A port at which nothing listens.
fn nowhere() -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn the_answer_is_printed_as_text() {
    let (gateway, mock) = gateway(says("안녕하세요, 세상!")).await;
    let output = ask(&["--url", &gateway.url(), "--model", "m", "say", "hello"]).await;
    assert_eq!(out(&output), "안녕하세요, 세상!\n", "{}", err(&output));
    assert_eq!(err(&output), "");
    assert_eq!(output.status.code(), Some(0));
    let asked: Value = serde_json::from_slice(&mock.requests()[0].body).unwrap();
    assert_eq!(asked["model"], "m");
    assert_eq!(asked["messages"][0]["content"], "say hello");
}

#[tokio::test]
async fn a_program_gets_every_event() {
    let (gateway, _mock) = gateway(says("one two ")).await;
    let output = ask(&["--url", &gateway.url(), "--json", "hello"]).await;
    let events: Vec<Value> = out(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let text: String = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "one two ");
    assert!(
        events
            .iter()
            .all(|event| event["object"] == "chat.completion.chunk")
    );
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn the_prompt_may_come_from_standard_input() {
    let (gateway, mock) = gateway(says("fine")).await;
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(&["--url", &gateway.url()], folder.path());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all("two\nlines\n".as_bytes()).await.unwrap();
    drop(stdin);
    let output = ended(child).await;
    assert_eq!(out(&output), "fine\n");
    let asked: Value = serde_json::from_slice(&mock.requests()[0].body).unwrap();
    assert_eq!(asked["messages"][0]["content"], "two\nlines");
}

#[tokio::test]
async fn no_prompt_at_all_is_told() {
    let output = ask(&["--url", "http://127.0.0.1:9"]).await;
    assert_eq!(
        err(&output),
        "error: there is no prompt: millgate ask \"…\"\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// Without `--url` the gateway is where the config says, even where that is every address.
#[tokio::test]
async fn the_config_says_where_the_gateway_is() {
    let (gateway, _mock) = gateway(says("found")).await;
    for listen in [
        gateway.address.to_string(),
        format!("0.0.0.0:{}", gateway.address.port()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = format!("[server]\nlisten = \"{listen}\"\n");
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let output = ended(start(&["hello"], folder.path())).await;
        assert_eq!(out(&output), "found\n", "{listen}: {}", err(&output));
    }
}

#[tokio::test]
async fn without_a_gateway_it_says_what_to_do() {
    let url = format!("http://{}", nowhere());
    let output = ask(&["--url", &url, "hello"]).await;
    let told = err(&output);
    assert!(
        told.starts_with(&format!("error: no gateway can be reached at {url}: ")),
        "{told}"
    );
    assert!(
        told.ends_with("\n  start one with `millgate serve`, or say with --url where it is\n"),
        "{told}"
    );
    assert_eq!(out(&output), "");
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn a_url_that_is_none_is_told() {
    for url in ["localhost:8080", "ftp://x", "http://"] {
        let output = ask(&["--url", url, "hello"]).await;
        assert!(
            err(&output).starts_with(&format!("error: {url}: ")),
            "{}",
            err(&output)
        );
        assert_eq!(output.status.code(), Some(1), "{url}");
    }
}

#[tokio::test]
async fn an_error_reply_is_told_in_its_own_words() {
    let mock = Mock::with(Script::status(401)).await.unwrap();
    let output = ask(&["--url", &mock.url(), "--key", "canary-key", "hello"]).await;
    let told = err(&output);
    assert!(told.starts_with("error: 401 Unauthorized: "), "{told}");
    assert!(!told.contains("canary-key"), "{told}");
    assert_eq!(out(&output), "");
    assert_eq!(output.status.code(), Some(1));
    let sent = format!("{:?}", mock.requests()[0]);
    assert!(sent.contains("Bearer canary-key"), "{sent}");
}

/// The operators' listener is not where to ask.
#[tokio::test]
async fn a_server_that_is_no_gateway_is_told() {
    let (gateway, _mock) = gateway(says("unheard")).await;
    let output = ask(&["--url", &format!("http://{}", gateway.admin), "hello"]).await;
    assert!(
        err(&output).starts_with("error: 404 Not Found"),
        "{}",
        err(&output)
    );
    assert_eq!(output.status.code(), Some(1));
    let mock = Mock::with(Script {
        headers: [("content-type".to_owned(), "text/html".to_owned())].into(),
        ..Script::default()
    })
    .await
    .unwrap();
    let output = ask(&["--url", &mock.url(), "hello"]).await;
    assert!(
        err(&output).ends_with("  does a gateway listen there?\n"),
        "{}",
        err(&output)
    );
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn an_error_in_the_middle_ends_with_1_behind_what_was_said_so_far() {
    let script = Script {
        at: Some(3),
        ..Script::fault(Fault::ErrorEvent)
    };
    let (gateway, _mock) = gateway(script).await;
    let output = ask(&["--url", &gateway.url(), "hello"]).await;
    assert_eq!(out(&output), "word0 word1 \n", "{}", err(&output));
    assert!(err(&output).starts_with("error: "), "{}", err(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn so_does_an_answer_that_breaks_off() {
    for fault in [Fault::CutMidStream, Fault::ResetMidStream] {
        let mock = Mock::with(Script {
            at: Some(3),
            ..Script::fault(fault)
        })
        .await
        .unwrap();
        let output = ask(&["--url", &mock.url(), "hello"]).await;
        assert!(
            err(&output).contains(" in the middle"),
            "{fault:?}: {}",
            err(&output)
        );
        assert_eq!(output.status.code(), Some(1), "{fault:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn an_interrupt_leaves_the_line_and_the_gateway() {
    let (gateway, mock) = gateway(Script {
        at: Some(3),
        ..Script::fault(Fault::StallMidStream)
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(&["--url", &gateway.url(), "hello"], folder.path());
    let mut stdout = child.stdout.take().unwrap();
    let mut said = vec![0; "word0 word1 ".len()];
    tokio::time::timeout(PATIENCE, stdout.read_exact(&mut said))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(said, b"word0 word1 ");
    let status = Command::new("kill")
        .args(["-s", "INT", &child.id().unwrap().to_string()])
        .status()
        .await
        .unwrap();
    assert!(status.success());
    assert_eq!(ended(child).await.status.code(), Some(130));
    let aborted = mock.wait_for(|counts| counts.aborted == 1);
    tokio::time::timeout(PATIENCE, aborted).await.unwrap();
}
