//! `redact` through the real binary: the command, the filter of the logs, and what is captured.

mod support;

use std::{
    io::{Read, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

use millgate::mock::{Mock, Script};
use serde_json::{Value, json};
use support::{Client, Gateway, config, refused};

/// `millgate redact` in this folder with this on its standard input.
fn redact(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .arg("redact")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A command that refuses its config reads nothing.
    let writing = std::thread::spawn(move || drop(to.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn text_in_redacted_text_out() {
    let folder = tempfile::tempdir().unwrap();
    let text = "메일 kim@example.com\n\n주민번호 900101-1234568입니다\nlast 4111 1111 1111 1111";
    let output = redact(folder.path(), &[], text.as_bytes());
    assert_eq!(
        stdout(&output),
        "메일 <EMAIL>\n\n주민번호 <KR_RRN>입니다\nlast <CREDIT_CARD>"
    );
    let output = redact(folder.path(), &[], b"\xFF kim@example.com\n");
    assert_eq!(stdout(&output), "\u{FFFD} <EMAIL>\n");
}

#[test]
fn spans_count_code_points_of_each_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = "🙂 한글 kim@example.com 끝\nnothing\n🙂🙂０１０－１２３４－５６７８";
    let output = stdout(&redact(folder.path(), &["--json"], text.as_bytes()));
    let lines: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    let entity = |line: usize| {
        let entity = &lines[line]["entities"][0];
        let number = |name: &str| usize::try_from(entity[name].as_u64().unwrap()).unwrap();
        let source: Vec<char> = text.lines().nth(line).unwrap().chars().collect();
        let value: String = source[number("start")..number("end")].iter().collect();
        (entity["type"].as_str().unwrap().to_owned(), value)
    };
    assert_eq!(
        entity(0),
        ("EMAIL_ADDRESS".to_owned(), "kim@example.com".to_owned())
    );
    assert_eq!(lines[1], json!({"entities": []}));
    assert_eq!(
        entity(2),
        (
            "PHONE_NUMBER".to_owned(),
            "０１０－１２３４－５６７８".to_owned()
        )
    );
}

#[test]
fn the_config_of_the_folder_is_used_unless_another_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let table = "pipeline = [\"pii\", \"route\"]\n[stages.pii]\nkind = \"redact\"\n";
    let write = |name: &str, more: &str| {
        std::fs::write(folder.path().join(name), format!("{table}{more}")).unwrap();
    };
    let input = b"kim@example.com EMP-1\n";
    write(
        "config.toml",
        "style = \"mask\"\nexcept = [\"PHONE_NUMBER\"]\n[stages.pii.patterns.staff]\nregex = \"EMP-[0-9]\"\n",
    );
    assert_eq!(
        stdout(&redact(folder.path(), &[], input)),
        "***@*******.*** ***-*\n"
    );
    write("other.toml", "style = \"drop\"\n");
    assert_eq!(
        stdout(&redact(folder.path(), &["--config", "other.toml"], input)),
        " EMP-1\n"
    );
    let missing = redact(folder.path(), &["--config", "missing.toml"], input);
    assert_eq!(missing.status.code(), Some(1));
    write("config.toml", "entities = [\"EMIAL_ADDRESS\"]\n");
    let refused = redact(folder.path(), &[], input);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stdout.is_empty());
    assert!(
        said.contains("config.toml:4") && said.contains("EMAIL_ADDRESS"),
        "{said}"
    );
}

/// It passes on what it has before more comes, and ends quietly when nobody listens any longer.
#[test]
fn it_streams_and_ends_with_its_reader() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .arg("redact")
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut from = child.stdout.take().unwrap();
    to.write_all(b"kim@example.com\n").unwrap();
    let mut line = [0; 8];
    from.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"<EMAIL>\n");
    drop(from);
    // The pipe breaks with one of these, if not with the first.
    for _ in 0..1000 {
        if to.write_all(b"kim@example.com\n").is_err() {
            break;
        }
    }
    drop(to);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

const RRN: &str = "900101-1234568";
const EMAIL: &str = "canary.kim@example.com";
const CARD: &str = "4111-1111-1111-1111";
const AWS: &str = "AKIAIOSFODNN7CANARY3";
const KEY: &str = "config-canary-0123456789";

/// The values that no log line may show.
const CANARIES: &[&str] = &[RRN, EMAIL, CARD, AWS, KEY];

fn with_redact(config: &str, table: &str) -> String {
    let config = config.replace("[\"route\"]", "[\"redact\", \"route\"]");
    format!("{config}[log]\nlevel = \"trace\"\n[stages.redact]\n{table}\n")
}

/// An upstream that quotes it all: in a status, in a stream, in something that is no JSON, in a connection's end.
#[tokio::test]
async fn what_upstreams_say_is_redacted_in_every_log_line() {
    let quote = format!("user {EMAIL} ({RRN}) paid with {CARD}, key {AWS}, ours was {KEY}");
    let mock = Mock::with(Script::default()).await.unwrap();
    let config = with_redact(
        &config(
            &[("a", "openai", &mock.url())],
            "retries = 0\nattempt_timeout = \"500ms\"",
        ),
        "",
    )
    .replace("[providers.a]\n", "[providers.a]\napi_key = \"${KEY}\"\n");
    let gateway = Gateway::start_with(&config, &[("KEY", KEY)]).await;
    let client = Client::new(&gateway);
    let error = json!({"error": {"message": quote, "type": "t", "code": "c"}}).to_string();
    let event = format!("data: {{\"error\":{{\"message\":\"{quote}\"}}}}\n\n");
    for (status, body) in [
        (Some(401), error.clone()),
        (Some(403), error.clone()),
        (Some(400), error.clone()),
        (Some(429), error.clone()),
        (Some(500), error.clone()),
        (None, error),
        (None, event),
        (None, quote.clone()),
    ] {
        mock.set_script(Script {
            status,
            body: Some(body),
            ..Script::default()
        });
        for stream in [false, true] {
            let reply = client.chat(&quote, stream).await;
            gateway.access_line(reply.header("x-request-id")).await;
        }
        let path = format!("/v1/nowhere/{EMAIL}?q={RRN}");
        let reply = client.get(&path).await;
        gateway.access_line(reply.header("x-request-id")).await;
    }
    let lines = gateway.log();
    for line in &lines {
        for canary in CANARIES {
            assert!(!line.to_string().contains(canary), "{canary} in {line:#}");
        }
    }
    let has = |text: &str| lines.iter().any(|line| line.to_string().contains(text));
    assert!(
        has("<EMAIL>") && has("<KR_RRN>") && has("[secret]"),
        "{lines:#?}"
    );
    // What the access log is there to tell is not touched.
    let line = lines
        .iter()
        .find(|line| line["target"] == "millgate::access")
        .unwrap();
    assert_eq!(line["peer"], "127.0.0.1");
}

#[tokio::test]
async fn captured_content_is_redacted_across_the_deltas_of_a_stream() {
    let said = format!("메일은 {EMAIL}, 번호는 {RRN}입니다");
    let delta = |c: char| {
        let delta = json!({"choices": [{"index": 0, "delta": {"content": c.to_string()}}]});
        format!("data: {delta}\n\n")
    };
    let deltas = said.chars().map(delta).collect::<Vec<_>>().concat();
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let script = Script {
        body: Some(format!("{deltas}data: {end}\n\ndata: [DONE]\n\n")),
        headers: [("content-type".to_owned(), "text/event-stream".to_owned())].into(),
        ..Script::default()
    };
    let mock = Mock::with(script).await.unwrap();
    let table = "capture = \"redacted\"\ncapture_limit = \"1KiB\"";
    let config = with_redact(&config(&[("a", "openai", &mock.url())], ""), table);
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let reply = client.chat(&format!("내 카드는 {CARD}"), true).await;
    assert_eq!(reply.streamed_text(), said, "clients see what was said");
    let captured = |id: String| {
        let gateway = &gateway;
        async move {
            gateway
                .log_line(|line| {
                    line["target"] == "millgate::capture" && line["request_id"] == id.as_str()
                })
                .await
        }
    };
    let line = captured(reply.header("x-request-id").to_owned()).await;
    assert_eq!(line["level"], "DEBUG");
    assert_eq!(line["reply"], "메일은 <EMAIL>, 번호는 <KR_RRN>입니다");
    assert!(
        line["request"]
            .as_str()
            .unwrap()
            .ends_with("내 카드는 <CREDIT_CARD>"),
        "{line}"
    );

    // However long the request is, no more is captured than is wanted, and no half of a value.
    mock.set_script(Script::default());
    let long = format!("{} {EMAIL}", "가".repeat(338)) + &format!(" {CARD}").repeat(1000);
    let reply = client.chat(&long, false).await;
    let line = captured(reply.header("x-request-id").to_owned()).await;
    let request = line["request"].as_str().unwrap();
    assert!(request.len() <= 1024 + "<EMAIL>".len(), "{request}");
    for line in gateway.log() {
        for canary in CANARIES {
            assert!(!line.to_string().contains(canary), "{canary} in {line:#}");
        }
    }
}

#[tokio::test]
async fn a_reload_puts_another_filter_in_force() {
    let plain = config(&[("a", "openai", "http://127.0.0.1:9")], "");
    let gateway = Gateway::start(&plain).await;
    let client = Client::new(&gateway);
    let path = format!("/v1/nowhere/{EMAIL}");
    let reply = client.get(&path).await;
    let line = gateway.access_line(reply.header("x-request-id")).await;
    assert_eq!(line["path"], path.as_str(), "without the stage");
    gateway.write_config(&with_redact(&plain, "style = \"mask\""));
    gateway.signal("HUP");
    gateway
        .log_line(|line| line["message"] == "config reloaded")
        .await;
    let reply = client.get(&path).await;
    let line = gateway.access_line(reply.header("x-request-id")).await;
    assert_eq!(line["path"], "/v1/nowhere/******.***@*******.***");
}

#[test]
fn capture_that_nobody_hears_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let check = |level: &str| {
        let base = config(&[("a", "rehearsal", "http://127.0.0.1:9")], "");
        let text = with_redact(&base, "capture = \"redacted\"").replace("\"trace\"", level);
        let text = text.replace("base_url = \"http://127.0.0.1:9\"\n", "");
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_millgate"))
            .arg("check")
            .current_dir(folder.path())
            .env_clear()
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let told = check("\"info\"");
    assert!(
        told.contains("does not let through") && told.contains("info,millgate::capture=debug"),
        "{told}"
    );
    let quiet = check("\"info,millgate::capture=debug\"");
    assert!(quiet.contains("ready to serve"), "{quiet}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_place() {
    let base = config(&[("a", "openai", "http://127.0.0.1:9")], "");
    for (table, says) in [
        ("when = { model = \"x\" }", "`when` means nothing"),
        ("mode = \"shadow\"", "`mode` means nothing"),
        ("on_error = \"skip\"", "`on_error` means nothing"),
        ("[stages.redact.patterns.p]\nregex = \"(\"", "no regex"),
        (
            "[stages.redact.patterns.p]\nregex = \"x\"\nvalidate = \"lhun\"",
            "luhn",
        ),
        ("entities = [\"EMIAL_ADDRESS\"]", "EMAIL_ADDRESS"),
        ("style = \"labels\"", "label"),
    ] {
        let (code, said) = refused(&with_redact(&base, table), &[]).await;
        assert_eq!(code, Some(1), "{table}: {said}");
        assert!(
            said.contains(says) && said.contains("config.toml:") && said.contains('^'),
            "{table}: {said}"
        );
    }
    let two = with_redact(&base, "[stages.more]\nkind = \"redact\"")
        .replace("[\"redact\", ", "[\"redact\", \"more\", ");
    let (code, said) = refused(&two, &[]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("redacts already"), "{said}");
}
