//! Files that change while the gateway runs.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use millgate::mock::{Mock, Script};
use serde_json::Value;

use super::{
    config, echo,
    support::{Client, Gateway, chat_body, plugins::Folder},
};

async fn reload(gateway: &Gateway, config: &str, generation: u64) {
    gateway.write_config(config);
    gateway.signal("HUP");
    gateway
        .log_line(|line| line["message"] == "config reloaded" && line["generation"] == generation)
        .await;
}

async fn plugins(gateway: &Gateway) -> Vec<Value> {
    let operators = Client::at(&format!("http://{}", gateway.admin));
    let document = operators.get("/api/plugins").await.json();
    document["plugins"].as_array().unwrap().clone()
}

fn build(folder: &Folder, version: &str) -> std::path::PathBuf {
    folder.build("probe.so", "probe", &[&format!("VERSION=\"{version}\"")])
}

#[tokio::test]
async fn a_new_file_counts_from_the_next_reload_and_the_old_one_until_then() {
    let folder = Folder::new();
    let library = build(&folder, "1.0.0");
    let config = config(&library, "", "");
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    assert_eq!(echo(&client).await, "1.0.0 {}");

    build(&folder, "2.0.0");
    assert_eq!(
        echo(&client).await,
        "1.0.0 {}",
        "nobody has asked for the new one yet"
    );
    reload(&gateway, &config, 2).await;
    assert_eq!(
        echo(&client).await,
        "2.0.0 {}",
        "the table is the same, the file is not"
    );

    let images = plugins(&gateway).await;
    let seen: Vec<_> = images
        .iter()
        .map(|image| (&image["version"], &image["in_use"]))
        .collect();
    assert_eq!(
        seen,
        [
            (&"1.0.0".into(), &false.into()),
            (&"2.0.0".into(), &true.into())
        ]
    );

    // The first one is there still, and is not loaded again.
    build(&folder, "1.0.0");
    reload(&gateway, &config, 3).await;
    assert_eq!(echo(&client).await, "1.0.0 {}");
    let images = plugins(&gateway).await;
    let seen: Vec<_> = images.iter().map(|image| &image["in_use"]).collect();
    assert_eq!(seen, [true, false]);
}

/// Writing over a library in its place would change the code under a running process, were it not a copy that runs.
#[tokio::test]
async fn a_file_that_is_overwritten_or_gone_does_not_matter_to_what_runs() {
    let folder = Folder::new();
    let library = build(&folder, "1.0.0");
    let config = config(&library, "", "");
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    std::fs::write(&library, vec![0xcc; 64 << 10]).unwrap();
    assert_eq!(echo(&client).await, "1.0.0 {}");

    gateway.signal("HUP");
    let refusal = gateway
        .log_line(|line| line["message"] == "config refused")
        .await;
    let finding = refusal["finding"].as_str().unwrap();
    assert!(finding.contains("no shared library (ELF)"), "{finding}");
    assert_eq!(
        echo(&client).await,
        "1.0.0 {}",
        "the old config stays in force, and so does its plugin"
    );

    std::fs::remove_file(&library).unwrap();
    assert_eq!(echo(&client).await, "1.0.0 {}");
}

#[tokio::test]
async fn one_that_hangs_as_it_is_loaded_holds_up_its_reload_and_nothing_else() {
    let folder = Folder::new();
    let library = build(&folder, "1.0.0");
    let gateway = Gateway::start(&config(&library, "", "")).await;
    folder.build("probe.so", "probe", &["VERSION=\"2.0.0\"", "HANGS"]);
    gateway.signal("HUP");
    gateway
        .log_line(|line| line["message"] == "version 2.0.0 is there")
        .await;
    assert_eq!(echo(&Client::new(&gateway)).await, "1.0.0 {}");
    let images = plugins(&gateway).await;
    assert_eq!(images.len(), 1, "the other one is not there yet");
    assert_eq!(images[0]["version"], "1.0.0");
}

#[tokio::test]
async fn a_plugin_that_the_config_names_no_more_is_out_of_use() {
    let folder = Folder::new();
    let library = build(&folder, "1.0.0");
    let with = config(&library, "", "");
    let gateway = Gateway::start(&with).await;
    let client = Client::new(&gateway);
    let without = "[providers.rehearsal]\nkind = \"rehearsal\"\n[routes.default]\ntargets = [\"rehearsal\"]\n";
    reload(&gateway, without, 2).await;
    assert_eq!(echo(&client).await, "");
    assert_eq!(plugins(&gateway).await[0]["in_use"], false);
    reload(&gateway, &with, 3).await;
    assert_eq!(echo(&client).await, "1.0.0 {}");
    assert_eq!(plugins(&gateway).await.len(), 1);
}

/// It is handed secrets, and may log what it is handed.
#[tokio::test]
async fn a_secret_that_a_reload_brings_is_not_in_what_a_plugin_logs_meanwhile() {
    let folder = Folder::new();
    let library = build(&folder, "1.0.0");
    let environment = [
        ("FIRST_TOKEN", "canary-one"),
        ("SECOND_TOKEN", "canary-two"),
    ];
    let table = |variable: &str| config(&library, "", &format!("word = \"${{{variable}}}\""));
    let gateway = Gateway::start_with(&table("FIRST_TOKEN"), &environment).await;
    reload(&gateway, &table("SECOND_TOKEN"), 2).await;
    let log = gateway.log();
    let is_made = |line: &&Value| {
        line["message"]
            .as_str()
            .is_some_and(|message| message.contains("\"word\""))
    };
    assert_eq!(log.iter().filter(is_made).count(), 2, "{log:#?}");
    assert!(!format!("{log:?}").contains("canary"), "{log:#?}");
}

/// What the stage says of itself: its number among those of its image, and the number of the one it took over from.
async fn made(client: &Client) -> String {
    client
        .chat("hi", false)
        .await
        .header("x-probe-made")
        .to_owned()
}

#[tokio::test]
async fn a_stage_is_kept_where_nothing_changed_and_takes_over_only_from_one_of_its_image() {
    let folder = Folder::new();
    let library = build(&folder, "1.0.0");
    let gateway = Gateway::start(&config(&library, "", "")).await;
    let client = Client::new(&gateway);
    assert_eq!(made(&client).await, "1 after 0");
    let more = config(&library, "", "") + "[stages.redact]\n";
    reload(&gateway, &more, 2).await;
    assert_eq!(
        made(&client).await,
        "1 after 0",
        "its table and image are the same"
    );
    reload(&gateway, &config(&library, "", "a = 1"), 3).await;
    assert_eq!(made(&client).await, "2 after 1", "its table is another");
    build(&folder, "2.0.0");
    reload(&gateway, &config(&library, "", "a = 2"), 4).await;
    assert_eq!(made(&client).await, "1 after 0", "its image is another");
}

#[tokio::test]
async fn a_stream_that_has_begun_ends_on_the_image_it_began_with() {
    let script = Script {
        gate: true,
        ..Script::default()
    };
    let mock = Mock::with(script).await.unwrap();
    let folder = Folder::new();
    let library = build(&folder, "1.0.0");
    let upstream = format!("kind = \"openai\"\nbase_url = \"{}/v1\"", mock.url());
    let config = config(&library, "", "").replace("kind = \"rehearsal\"", &upstream);
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    mock.release(2);
    let mut live = client
        .open("/v1/chat/completions", &chat_body("hi", true))
        .await;
    live.next().await.unwrap().unwrap();
    build(&folder, "2.0.0");
    reload(&gateway, &config, 2).await;
    mock.release(100);
    let reply = live.rest().await;
    assert!(
        reply.complete && reply.text().ends_with("data: [DONE]\n\n"),
        "{reply:?}"
    );
    assert!(
        reply.text().ends_with(": 1.0.0\n\ndata: [DONE]\n\n"),
        "{}",
        reply.text()
    );
    assert!(!reply.text().contains("2.0.0"), "{}", reply.text());
    assert_eq!(echo(&client).await, "2.0.0 {}");
}

#[tokio::test]
async fn no_request_fails_while_images_change() {
    let folder = Folder::new();
    let library = build(&folder, "0.0.0");
    let config = config(&library, "", "");
    let gateway = Gateway::start(&config).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut load = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (client, stop) = (Client::new(&gateway), stop.clone());
        load.spawn(async move {
            let mut answers = 0;
            while !stop.load(Ordering::Relaxed) {
                assert!(echo(&client).await.ends_with(".0.0 {}"));
                answers += 1;
            }
            answers
        });
    }
    let client = Client::new(&gateway);
    for round in 1..=6 {
        build(&folder, &format!("{round}.0.0"));
        reload(&gateway, &config, round + 1).await;
        assert_eq!(echo(&client).await, format!("{round}.0.0 {{}}"));
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(answers) = load.join_next().await {
        assert!(answers.unwrap() > 0);
    }
    assert_eq!(plugins(&gateway).await.len(), 7);
}

fn list(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["plugin", "list", "--url"])
        .arg(format!("http://{}", gateway.admin))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_what_is_loaded() {
    let folder = Folder::new();
    let library = build(&folder, "1.0.0");
    let gateway = Gateway::start(&config(&library, "", "")).await;
    let image = &plugins(&gateway).await[0];
    let digest = sha256sum(&library);
    assert_eq!(image["sha256"], digest);
    for (key, value) in [
        ("name", Value::from("probe")),
        ("version", "1.0.0".into()),
        ("sdk", "C".into()),
        ("abi_minor", 0.into()),
        ("path", library.display().to_string().into()),
        ("in_use", true.into()),
        ("stages", vec!["probe/echo"].into()),
        ("providers", Vec::<Value>::new().into()),
        ("panics", 0.into()),
        ("failures", 0.into()),
        ("blocked", 0.into()),
        ("off", false.into()),
    ] {
        assert_eq!(image[key], value, "{key}");
    }
    let loaded_at = image["loaded_at"].as_str().unwrap();
    assert_eq!(loaded_at.len(), "2026-11-22T14:14:39Z".len(), "{loaded_at}");

    let table = list(&gateway, &[]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(
        lines,
        [
            &*format!(
                "NAME   VERSION  STATE   KINDS       PANICS  FAILURES  BLOCKED  IMAGE         {}",
                "PATH"
            ),
            &*format!(
                "probe  1.0.0    in use  probe/echo  0       0         0        {}  {}",
                &digest[..12],
                library.display()
            ),
        ]
    );
    let json: Value = serde_json::from_str(&list(&gateway, &["--json"])).unwrap();
    assert_eq!(json["plugins"][0], *image);
    assert!(json["metrics"].is_array());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_plugins_says_so() {
    let gateway = Gateway::start("[providers.rehearsal]\nkind = \"rehearsal\"\n[routes.default]\ntargets = [\"rehearsal\"]\n").await;
    assert!(list(&gateway, &[]).starts_with("no plugins are loaded"));
    let operators = Client::at(&format!("http://{}", gateway.admin));
    assert_eq!(
        operators
            .post("/api/plugins", &serde_json::json!({}))
            .await
            .status,
        405
    );
}

fn sha256sum(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}
