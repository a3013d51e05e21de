//! `millgate mock`: the scripted upstream from the command line.

mod support;

use std::{process::Stdio, str::FromStr};

use support::{Client, PATIENCE};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

fn mock(arguments: &[&str], folder: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millgate"));
    command
        .arg("mock")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Starts it on a free port and reads from its first line where it listens.
async fn started(arguments: &[&str], folder: &std::path::Path) -> (Child, String) {
    let mut child = mock(&[&["--listen", "127.0.0.1:0"], arguments].concat(), folder)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let url = line.strip_prefix("listening on ").unwrap().to_owned();
    (child, url)
}

/// What it says when it cannot start.
async fn refused(arguments: &[&str], folder: &std::path::Path) -> String {
    let output = tokio::time::timeout(PATIENCE, mock(arguments, folder).output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn it_says_where_it_listens_and_answers_there() {
    let folder = tempfile::tempdir().unwrap();
    let (_mock, url) = started(&[], folder.path()).await;
    let reply = Client::at(&url).chat("hello", true).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.streamed_text(), "word0 word1 word2 word3 ");
}

#[tokio::test]
async fn it_does_what_its_script_says() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.json");
    std::fs::write(
        &script,
        r#"{"status": 503, "fail_first": 1, "text": "well again"}"#,
    )
    .unwrap();
    let (_mock, url) = started(&["--script", "script.json"], folder.path()).await;
    let client = Client::at(&url);
    assert_eq!(client.chat("hello", false).await.status, 503);
    assert_eq!(
        client.chat("hello", true).await.streamed_text(),
        "well again"
    );
}

#[tokio::test]
async fn a_script_that_is_none_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (script, complaint) in [
        (
            "{\"statsu\": 503}",
            "error: s.json: is no script: unknown field `statsu`",
        ),
        (
            "{\"fault\": \"explode\"}",
            "error: s.json: is no script: unknown variant `explode`",
        ),
        (
            "{\"status\": \"bad\"}",
            "error: s.json: is no script: invalid type: string \"bad\"",
        ),
        (
            "{\n  \"status\": 503,\n}",
            "error: s.json: is no script: trailing comma at line 3 column 1",
        ),
    ] {
        std::fs::write(folder.path().join("s.json"), script).unwrap();
        let told = refused(&["--script", "s.json"], folder.path()).await;
        assert!(told.starts_with(complaint), "{script}: {told}");
    }
    let told = refused(&["--script", "nowhere.json"], folder.path()).await;
    assert!(
        told.starts_with("error: nowhere.json: cannot be read: "),
        "{told}"
    );
}

#[tokio::test]
async fn an_address_in_use_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (_mock, url) = started(&[], folder.path()).await;
    let address = std::net::SocketAddr::from_str(url.strip_prefix("http://").unwrap()).unwrap();
    let told = refused(&["--listen", &address.to_string()], folder.path()).await;
    assert!(
        told.starts_with(&format!("error: cannot listen on {address}: ")),
        "{told}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn an_interrupt_ends_it_in_good_order() {
    let folder = tempfile::tempdir().unwrap();
    let (mut mock, url) = started(&[], folder.path()).await;
    assert_eq!(Client::at(&url).get("/v1/models").await.status, 200);
    let interrupted = Command::new("kill")
        .args(["-s", "INT", &mock.id().unwrap().to_string()])
        .status()
        .await
        .unwrap();
    assert!(interrupted.success());
    let status = tokio::time::timeout(PATIENCE, mock.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}
