//! A plugin built against the interface as version 1.0 had it: it must load into every later gateway, and do what it did.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use http::Method;
use millgate::mock::{Mock, Script};

use super::support::{
    Client, Gateway, Reply, chat_body,
    plugins::{Folder, check, run},
};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plugins/fixture-v1")
}

fn build(folder: &Folder) -> PathBuf {
    let library = folder.path().join("fixture.so");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    run(Command::new(compiler)
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-fPIC"])
        .args(["-shared", "-I", ".", "-o"])
        .arg(&library)
        .arg("plugin.c")
        .current_dir(source()));
    library
}

fn config(library: &Path, provider: &str) -> String {
    format!(
        "pipeline = [\"fixture\", \"route\"]\n\
         [plugins.fixture]\npath = \"{}\"\n\
         [stages.fixture]\nkind = \"fixture/stage\"\ngreeting = \"hello\"\n\
         [providers.it]\n{provider}\n\
         [routes.default]\ntargets = [\"it\"]\nretries = 0\n",
        library.display()
    )
}

async fn chat(client: &Client, header: &str, stream: bool) -> Reply {
    let headers = [("content-type", "application/json"), (header, "1")];
    let body = chat_body("hi", stream).to_string();
    let sent = client.send(Method::POST, "/v1/chat/completions", &headers, body);
    sent.await.rest().await
}

/// Who changes these has changed what was released.
#[test]
fn it_is_as_it_was_released() {
    for (file, expected) in [
        (
            "plugin.c",
            "6441ed88a239ad437d6fe8162c2cb303bf65bf0bd90abbd4247baec481d69172",
        ),
        (
            "millgate_plugin.h",
            "08852246673938dc868c8e198876669ed68389f84febb153d8a73ac4df3fd645",
        ),
    ] {
        let bytes = std::fs::read(source().join(file)).unwrap();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
        let digest: Vec<_> = digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(digest.concat(), expected, "{file}");
    }
}

#[tokio::test]
async fn its_stage_and_the_provider_that_answers() {
    let folder = Folder::new();
    let library = build(&folder);
    let gateway = Gateway::start(&config(&library, "kind = \"fixture/answers\"")).await;
    let client = Client::new(&gateway);

    let reply = chat(&client, "x-plain", false).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        reply.header("x-fixture"),
        "hello; status 200; waited 1; headers some"
    );
    assert_eq!(
        reply.json()["choices"][0]["message"]["content"],
        "Hello from 1.0."
    );

    let reply = chat(&client, "x-plain", true).await;
    assert!(reply.complete);
    assert_eq!(reply.streamed_text(), "Hello from 1.0.");
    assert!(
        reply.text().contains(": the fixture was here\n\n"),
        "{}",
        reply.text()
    );
    assert_eq!(reply.events().last().unwrap(), "[DONE]");

    let reply = chat(&client, "x-refuse", false).await;
    assert_eq!(reply.status, 429);
    assert_eq!(reply.refusal(), "fixture_refused");
    assert_eq!(reply.json()["error"]["type"], "fixture_error");
    assert_eq!(reply.json()["error"]["param"], "x-refuse");
    assert_eq!(reply.header("retry-after"), "3");

    let reply = chat(&client, "x-reply", false).await;
    assert_eq!(
        (reply.status.as_u16(), reply.text()),
        (203, "a reply of the fixture's".to_owned())
    );

    gateway
        .log_line(|line| {
            line.to_string()
                .contains("the fixture of version 1.0 is loaded")
        })
        .await;
    gateway
        .log_line(|line| line.to_string().contains("exchange ended with 4"))
        .await;
    let operators = Client::at(&format!("http://{}", gateway.admin));
    let document = operators.get("/api/plugins").await.json();
    let counted: Vec<_> = document["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| metric["name"].as_str().unwrap())
        .collect();
    for name in ["fixture_requests_total", "fixture_request_bytes"] {
        assert!(
            counted.iter().any(|counted| counted.ends_with(name)),
            "{document}"
        );
    }
    let plugin = &document["plugins"][0];
    assert_eq!(plugin["failures"], 0, "{plugin}");
}

#[tokio::test]
async fn its_provider_that_asks() {
    let folder = Folder::new();
    let library = build(&folder);
    let mock = Mock::with(Script::default()).await.unwrap();
    let provider = format!("kind = \"fixture/asks\"\nbase_url = \"{}\"", mock.url());
    let gateway = Gateway::start(&config(&library, &provider)).await;
    let client = Client::new(&gateway);
    for stream in [false, true] {
        let reply = chat(&client, "x-plain", stream).await;
        assert!(reply.status == 200 && reply.complete, "{}", reply.text());
    }
    let requests = mock.requests();
    assert_eq!(requests[0].path, "/v1/chat/completions");
    assert_eq!(requests[0].query.as_deref(), Some("fixture=1"));
    assert!(
        requests[0]
            .headers
            .contains(&("x-fixture".to_owned(), "1.0".to_owned()))
    );
}

#[tokio::test]
async fn its_words_for_an_upstreams_error() {
    let folder = Folder::new();
    let library = build(&folder);
    let script = Script {
        status: Some(418),
        ..Script::default()
    };
    let mock = Mock::with(script).await.unwrap();
    let provider = format!("kind = \"fixture/asks\"\nbase_url = \"{}\"", mock.url());
    let gateway = Gateway::start(&config(&library, &provider)).await;
    let reply = chat(&Client::new(&gateway), "x-plain", false).await;
    assert_eq!(
        reply.status,
        418,
        "the status is the upstream's: {}",
        reply.text()
    );
    assert_eq!(reply.refusal(), "teapot");
}

#[test]
fn what_it_refuses_is_told_where_it_stands() {
    let folder = Folder::new();
    let config = config(&build(&folder), "kind = \"fixture/answers\"");
    let (code, said) = check(&config.replace("greeting = \"hello\"", ""), &[], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("the fixture wants something to say"),
        "{said}"
    );
    let (code, said) = check(&config.replace("greeting", "greetings"), &[], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("did you mean `greeting`?"), "{said}");
}
