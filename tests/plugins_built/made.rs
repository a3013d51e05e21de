//! `millgate plugin new`: what it writes builds, passes its own test, loads and works.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::support::{
    Client, Gateway,
    plugins::{Folder, cargo, run, target},
};

fn new(folder: &Folder, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["plugin", "new"])
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap()
}

/// A new plugin in this folder, in Rust, tested and built: the library.
fn rust(folder: &Folder, name: &str, kind: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sdk = root.join("plugins/sdk");
    let output = new(
        folder,
        &[name, "--kind", kind, "--sdk", sdk.to_str().unwrap()],
    );
    assert!(output.status.success(), "{output:?}");
    let made = folder.path().join(name);
    // The versions that are there: this is to work without a network.
    std::fs::copy(root.join("Cargo.lock"), made.join("Cargo.lock")).unwrap();
    let said = run(cargo("test").current_dir(&made));
    assert!(said.contains("test result: ok"), "{said}");
    run(cargo("build").current_dir(&made));
    let library = format!("lib{}.so", name.replace('-', "_"));
    let to = folder.path().join(&library);
    std::fs::copy(target().join("debug").join(library), &to).unwrap();
    to
}

/// The same in C.
fn c(folder: &Folder, name: &str, kind: &str) -> PathBuf {
    let output = new(folder, &[name, "--kind", kind, "--lang", "c"]);
    assert!(output.status.success(), "{output:?}");
    let made = folder.path().join(name);
    run(Command::new("make").arg("test").current_dir(&made));
    run(Command::new("make").current_dir(&made));
    made.join(format!("{}.so", name.replace('-', "_")))
}

/// It is well, and a gateway serves with it; a reply's header `x-NAME`, and its text.
async fn serves(library: &Path, name: &str, tables: &str) -> (String, String) {
    let mut check = Command::new(env!("CARGO_BIN_EXE_millgate"));
    run(check.args(["plugin", "check"]).arg(library));
    let config = format!(
        "{tables}[plugins.{name}]\npath = \"{}\"\n",
        library.display()
    );
    let gateway = Gateway::start(&config).await;
    let reply = Client::new(&gateway).chat("hi", false).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    (reply.header(&format!("x-{name}")).to_owned(), reply.text())
}

fn stage(name: &str) -> String {
    format!(
        "pipeline = [\"mine\", \"route\"]\n[stages.mine]\nkind = \"{name}/stage\"\n\
         [providers.rehearsal]\nkind = \"rehearsal\"\n[routes.default]\ntargets = [\"rehearsal\"]\n"
    )
}

#[tokio::test]
async fn a_stage_in_rust() {
    let folder = Folder::new();
    let library = rust(&folder, "says-hello", "stage");
    let (header, _) = serves(&library, "says-hello", &stage("says-hello")).await;
    assert_eq!(header, "hello");
}

#[tokio::test]
async fn a_stage_in_c() {
    let folder = Folder::new();
    let library = c(&folder, "counts", "stage");
    let (header, _) = serves(&library, "counts", &stage("counts")).await;
    assert_eq!(header, "hello 1");
}

#[tokio::test]
async fn a_provider_in_rust() {
    let folder = Folder::new();
    let library = rust(&folder, "generates", "provider");
    let upstream = super::support::raw::RawUpstream::bind().await;
    let tables = format!(
        "[providers.mine]\nkind = \"generates/provider\"\nbase_url = \"{}\"\n[routes.default]\ntargets = [\"mine\"]\n",
        upstream.url()
    );
    let answer = async {
        let mut connection = upstream.accept().await;
        assert!(connection.request().await);
        let reply = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{\"text\":\"Good day.\"}";
        connection.write(reply.as_bytes()).await;
    };
    let ((_, text), ()) = tokio::join!(serves(&library, "generates", &tables), answer);
    assert!(text.contains("Good day."), "{text}");
}

#[tokio::test]
async fn a_provider_in_c() {
    let folder = Folder::new();
    let library = c(&folder, "answers_2", "provider");
    let tables =
        "[providers.mine]\nkind = \"answers_2/provider\"\n[routes.default]\ntargets = [\"mine\"]\n";
    let (_, text) = serves(&library, "answers_2", tables).await;
    assert!(text.contains("Good day."), "{text}");
}

#[test]
fn nothing_is_written_over_and_a_bad_name_is_told() {
    let folder = Folder::new();
    folder.write("mine", b"precious");
    let output = new(&folder, &["mine"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("nothing was written"), "{said}");
    assert_eq!(
        std::fs::read(folder.path().join("mine")).unwrap(),
        b"precious"
    );

    for (name, code) in [
        ("../up", 2),
        ("Mine", 2),
        ("9lives", 2),
        ("a b", 2),
        ("match", 1),
        ("serde", 1),
    ] {
        let output = new(&folder, &[name]);
        assert_eq!(output.status.code(), Some(code), "{name}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(name));
    }
    let output = new(&folder, &["yours", "--sdk", "/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!folder.path().join("yours").exists());

    // In C any word will do.
    assert!(new(&folder, &["match", "--lang", "c"]).status.success());
    assert!(new(&folder, &["yours"]).status.success());
    let manifest = std::fs::read_to_string(folder.path().join("yours/Cargo.toml")).unwrap();
    assert!(
        manifest.contains("millgate-plugin = { version = \"0.1\", git = \"https://"),
        "{manifest}"
    );
}
