//! A fresh machine: no key, no Ollama, the config of the repository.

mod support;

use std::process::Stdio;

use support::{Client, Gateway, PATIENCE, nobody};

#[tokio::test]
async fn the_shipped_config_answers_on_a_fresh_machine_and_says_that_rehearsal_did() {
    let config = include_str!("../config.toml");
    // Nothing listens there, whatever runs on the machine of the test.
    let gateway = Gateway::start_with(config, &[("OLLAMA_BASE_URL", "http://127.0.0.1:9")]).await;
    for stream in [false, true] {
        let reply = Client::new(&gateway).chat("안녕하세요", stream).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("x-millgate-provider"), "rehearsal");
        let text = if stream {
            reply.streamed_text()
        } else {
            reply.json()["choices"][0]["message"]["content"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert!(
            text.contains("rehearsal") && text.contains("안녕하세요"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn nobody_need_read_what_it_says_at_its_start() {
    let folder = tempfile::tempdir().unwrap();
    // A warning for standard error, the greeting for standard output, and an access line.
    let config = "[providers.r]\nkind = \"rehearsal\"\n[providers.unused]\nkind = \"rehearsal\"\n[routes.all]\ntargets = [\"r\"]\n";
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    let closed = || Stdio::from(std::io::pipe().unwrap().1);
    let url = nobody();
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["serve", "--listen", url.trim_start_matches("http://")])
        .args(["--admin-listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(closed())
        .stderr(closed())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let up = async {
        while tokio::net::TcpStream::connect(url.trim_start_matches("http://"))
            .await
            .is_err()
        {
            assert_eq!(child.try_wait().unwrap(), None, "it has ended");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, up).await.unwrap();
    for stream in [false, true] {
        assert_eq!(Client::at(&url).chat("hi", stream).await.status, 200);
    }
}
