//! `millgate plugin check`, of good plugins and bad ones.

use std::{path::Path, process::Command};

use super::support::plugins::Folder;

/// The exit code, and what is said.
fn check(library: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["plugin", "check"])
        .arg(library)
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), said + &errors)
}

#[track_caller]
fn says(said: &str, wanted: &[&str]) {
    for wanted in wanted {
        assert!(said.contains(wanted), "no `{wanted}` in\n{said}");
    }
}

#[test]
fn a_stage_in_c_is_told_of_run_and_timed() {
    let folder = Folder::new();
    let library = folder.word_filter("-O1");
    let (code, said) = check(&library, &["--config", r#"{"words": ["there"]}"#]);
    assert_eq!(code, 0, "{said}");
    let wanted = [
        "word-filter-c",
        "0.1.0",
        "1.0",
        "sha256 = \"",
        "stage word-filter-c/filter",
        "words (required), requests, replies, replacement",
        "on_request, on_chunk",
        // Of a stream's five events one holds the word.
        "0 fields set, 4 of 5 pieces kept",
        "on_chunk ",
        " ns",
        "nothing is wrong with it",
    ];
    says(&said, &wanted);
}

#[test]
fn stages_and_providers_in_rust_are_too() {
    let folder = Folder::new();
    let (code, said) = check(&folder.rust("millgate-anthropic"), &[]);
    assert_eq!(code, 0, "{said}");
    says(
        &said,
        &[
            "provider anthropic/messages",
            "chat, models",
            "asks POST /messages",
            "on_data ",
        ],
    );

    let library = folder.rust("millgate-latency-guard");
    let (code, said) = check(
        &library,
        &["--config", r#"{"url": "http://guard.internal/"}"#],
    );
    assert_eq!(code, 0, "{said}");
    says(&said, &["stands above route", "passes: 0 fields set"]);

    let library = folder.rust("millgate-ticket-header");
    let (code, said) = check(&library, &[]);
    assert_eq!(code, 0, "that it needs a table is no fault of its\n{said}");
    says(&said, &["not run", "`headers` is missing"]);

    let (code, said) = check(&folder.rust("millgate-trouble"), &[]);
    assert_eq!(code, 0, "{said}");
    says(
        &said,
        &[
            "trouble/maker",
            "trouble/parrot",
            "answers with 1 pieces",
            "answers with 4 pieces",
        ],
    );
}

#[test]
fn a_table_is_held_against_the_schema() {
    let folder = Folder::new();
    let library = folder.word_filter("-O1");
    let (code, said) = check(
        &library,
        &["--config", r#"{"words": ["a"], "replys": "pass"}"#],
    );
    assert_eq!(code, 1, "{said}");
    says(&said, &["it refuses the table", "replys", "replies"]);
    let (code, said) = check(&library, &["--config", "[]"]);
    assert_eq!(code, 2, "{said}");
    let (code, said) = check(&library, &["--kind", "filtre"]);
    assert_eq!(code, 1, "{said}");
    says(&said, &["no kind of stage or provider called `filtre`"]);
}

#[test]
fn what_is_no_plugin_is_not_run() {
    let folder = Folder::new();
    let text = folder.write("text.so", b"not a library");
    let (code, said) = check(&text, &[]);
    assert_eq!(code, 1, "{said}");
    says(&said, &["no shared library (ELF)"]);
    let (code, said) = check(&folder.path().join("nowhere.so"), &[]);
    assert_eq!(code, 1, "{said}");
    says(&said, &["there is no file"]);
}

#[test]
fn what_a_plugin_does_wrong_is_said_in_words() {
    let folder = Folder::new();
    let library = folder.rust("millgate-trouble");
    for (what, hook, wanted) in [
        (
            "panic",
            "on_request",
            "a reply: panicked: on_request panics",
        ),
        ("panic", "on_chunk", "panicked: on_chunk panics"),
        ("panic", "on_end", "trouble/maker panicked"),
        ("panic", "new", "it refuses the table"),
        (
            "fail",
            "on_response",
            "on_response fails, as it was told to",
        ),
        (
            "abort",
            "on_request",
            "on_request of trouble/maker: it crashed with SIGABRT",
        ),
        (
            "abort",
            "on_end",
            "on_end of trouble/maker: it crashed with SIGABRT",
        ),
        ("block", "on_response", "did not come back for a second"),
    ] {
        let table = format!(r#"{{"what": "{what}", "at": "{hook}"}}"#);
        let (code, said) = check(&library, &["--kind", "maker", "--config", &table]);
        assert_eq!(code, 1, "{what} {hook}\n{said}");
        says(&said, &[wanted, "wrong with it"]);
    }
}

#[test]
fn what_a_plugin_in_c_does_wrong_is_too() {
    let folder = Folder::new();
    for (define, wanted) in [
        ("AT_LOAD=CRASH", "loading it: it crashed with SIGSEGV"),
        (
            "AT_LOAD=_Exit(3)",
            "loading it: it ended the process with exit status: 3",
        ),
        (
            "AT_LOAD=_Exit(0)",
            "loading it: it ended the process with exit status: 0",
        ),
        (
            "DOES=CRASH",
            "on_request of faulty/stage: it crashed with SIGSEGV",
        ),
        ("DOES=return 77", "came back with status 77"),
        (
            "DOES=return MG_WAIT",
            "came back with WAIT, but took no token",
        ),
        (
            "DOES=return MG_REPLY",
            "came back with REPLY, but set and emitted nothing",
        ),
        (
            "DOES=host->token(exchange); return MG_WAIT",
            "faulty/stage failed",
        ),
    ] {
        let library = folder.build("faulty.so", "faulty", &[define]);
        let (code, said) = check(&library, &[]);
        assert_eq!(code, 1, "{define}\n{said}");
        says(&said, &[wanted]);
    }
    let (code, said) = check(&folder.build("faulty.so", "faulty", &[]), &[]);
    assert_eq!(code, 0, "{said}");
    says(&said, &["no schema: the plugin alone judges it"]);
}

#[test]
fn a_hook_that_does_not_come_back_is_not_waited_for_forever() {
    let folder = Folder::new();
    let library = folder.rust("millgate-trouble");
    let table = r#"{"what": "hang", "at": "on_chunk"}"#;
    let (code, said) = check(&library, &["--kind", "maker", "--config", table]);
    assert_eq!(code, 1, "{said}");
    says(
        &said,
        &["on_chunk of trouble/maker: it has not come back within 10 seconds"],
    );
}
