//! Kinds of providers from plugins.

use millgate::mock::{Mock, Script};

use super::support::{
    Client, Gateway,
    plugins::{Folder, check},
};

fn config(folder: &Folder, provider: &str) -> String {
    format!(
        "[plugins.oracle]\npath = \"{}\"\n[providers.seer]\n{provider}\n[routes.default]\ntargets = [\"seer\"]\n",
        folder.path().join("oracle.so").display()
    )
}

fn content(reply: &super::support::Reply) -> String {
    let document = reply.json();
    document["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn one_that_answers_by_itself_and_what_a_reload_makes_of_it() {
    let folder = Folder::new();
    folder.build("oracle.so", "oracle", &[]);
    let config = config(&folder, "kind = \"oracle/answers\"");
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let reply = client.chat("shall I?", false).await;
    assert_eq!(content(&reply), "perhaps");
    assert_eq!(reply.header("x-millgate-provider"), "seer");

    folder.build("oracle.so", "oracle", &["WORD=\"certainly\""]);
    gateway.signal("HUP");
    gateway.log_line(|line| line["generation"] == 2).await;
    assert_eq!(content(&client.chat("shall I?", false).await), "certainly");
}

#[tokio::test]
async fn one_that_asks_an_upstream() {
    let folder = Folder::new();
    folder.build("oracle.so", "oracle", &[]);
    let mock = Mock::with(Script::default()).await.unwrap();
    let provider = format!("kind = \"oracle/asks\"\nbase_url = \"{}\"", mock.url());
    let gateway = Gateway::start(&config(&folder, &provider)).await;
    let reply = Client::new(&gateway).chat("hi", false).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(!content(&reply).is_empty());
}

#[test]
fn what_check_says_of_them() {
    let folder = Folder::new();
    folder.build("oracle.so", "oracle", &[]);
    let (code, said) = check(&config(&folder, "kind = \"oracle/answers\""), &[], &[]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("  seer  oracle/answers  answers by itself\n"),
        "{said}"
    );
    assert!(
        said.contains("  oracle  0.1.0  oracle/answers, oracle/asks\n"),
        "{said}"
    );

    let (code, said) = check(&config(&folder, "kind = \"oracle/asks\""), &[], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("`base_url` is missing"), "{said}");

    let (code, said) = check(&config(&folder, "kind = \"oracle/answer\""), &[], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("there is no provider kind `oracle/answer`"),
        "{said}"
    );
    assert!(said.contains("did you mean `oracle/answers`?"), "{said}");
}
