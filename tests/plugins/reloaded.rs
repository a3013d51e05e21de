//! Files that change while the gateway runs.

use std::{path::Path, process::Command};

use serde_json::Value;

use super::{
    config, echo,
    support::{Client, Gateway, plugins::Folder},
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
