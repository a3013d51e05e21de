//! Plugins: which files are loaded, which are refused and in what words, and what a reload makes of another file.

#[path = "plugins/providers.rs"]
mod providers;
#[path = "plugins/refused.rs"]
mod refused;
#[path = "plugins/reloaded.rs"]
mod reloaded;
#[path = "plugins/rogue.rs"]
mod rogue;
#[path = "plugins/tables.rs"]
mod tables;

mod support;

use std::path::Path;

use support::{Client, Gateway, plugins::Folder};

/// A config with the plugin `probe` from this file, a stage `echo` of it with this table, and answers by rehearsal.
fn config(library: &Path, plugin: &str, table: &str) -> String {
    format!(
        "pipeline = [\"echo\", \"route\"]\n\
         [plugins.probe]\npath = \"{}\"\n{plugin}\n\
         [stages.echo]\nkind = \"probe/echo\"\n{table}\n\
         [providers.rehearsal]\nkind = \"rehearsal\"\n\
         [routes.default]\ntargets = [\"rehearsal\"]\n",
        library.display()
    )
}

/// What the stage says that it is made from.
async fn echo(client: &Client) -> String {
    let reply = client.chat("hi", false).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.header("x-probe").to_owned()
}

#[tokio::test]
async fn a_stage_of_a_plugin_is_named_by_its_kind_and_gets_its_table_as_json() {
    let folder = Folder::new();
    let library = folder.build("probe.so", "probe", &[]);
    let table = "on_error = \"skip\"\nword = \"${WORD}\"\nnumbers = [1, 2.5]\nwhen_added = 2026-11-22\n[stages.echo.deep]\nyes = true";
    let environment = [("WORD", "from outside")];
    let gateway = Gateway::start_with(&config(&library, "", table), &environment).await;
    assert_eq!(
        echo(&Client::new(&gateway)).await,
        r#"1.0.0 {"word":"from outside","numbers":[1,2.5],"when_added":"2026-11-22","deep":{"yes":true}}"#
    );
}

#[tokio::test]
async fn what_a_plugin_logs_as_it_is_loaded_is_in_the_log() {
    let folder = Folder::new();
    let library = folder.build("probe.so", "probe", &[]);
    let gateway = Gateway::start(&config(&library, "", "")).await;
    let line = gateway
        .log_line(|line| line["message"] == "version 1.0.0 is there")
        .await;
    assert_eq!(line["plugin"], "probe");
}
