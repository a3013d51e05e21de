//! A gateway that other machines can reach must be wanted as such.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::process::{Command, Output};

/// Runs millgate in a folder whose config says this of `[server]`.
fn millgate(server: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "pipeline = [\"route\"]\n[server]\n{server}\n[providers.rehearsal]\n[routes.default]\ntargets = [\"rehearsal\"]\n"
    );
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .output()
        .unwrap()
}

#[test]
fn a_listener_beyond_loopback_is_refused_where_it_is_not_wanted() {
    for address in ["0.0.0.0:8080", "192.168.0.5:8080", "[::]:8080"] {
        let checked = millgate(&format!("listen = \"{address}\""), &["check"]);
        let told = String::from_utf8_lossy(&checked.stdout);
        assert_eq!(checked.status.code(), Some(1), "{address}: {told}");
        assert!(told.contains("config.toml:3:10"), "{told}");
        assert!(told.contains("allow_anonymous = true"), "{told}");
    }
}

#[test]
fn it_is_accepted_where_it_is() {
    let checked = millgate(
        "listen = \"0.0.0.0:8080\"\nallow_anonymous = true",
        &["check"],
    );
    let told = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(0), "{told}");
}

#[test]
fn loopback_is_always_accepted() {
    for address in ["127.0.0.1:8080", "[::1]:8080", "localhost:8080"] {
        let checked = millgate(&format!("listen = \"{address}\""), &["check"]);
        assert_eq!(checked.status.code(), Some(0), "{address}");
    }
}

#[test]
fn the_command_line_is_no_way_around_it() {
    let served = millgate(
        "",
        &[
            "serve",
            "--listen",
            "0.0.0.0:0",
            "--admin-listen",
            "127.0.0.1:0",
        ],
    );
    assert_eq!(served.status.code(), Some(1));
    let told = String::from_utf8_lossy(&served.stderr);
    assert!(told.contains("allow_anonymous = true"), "{told}");
}

#[test]
fn a_body_of_the_largest_size_fits_among_all_bodies() {
    let checked = millgate(
        "max_body_size = \"2MiB\"\nmax_buffered = \"1MiB\"",
        &["check"],
    );
    let told = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(1), "{told}");
    assert!(told.contains("config.toml:4:16"), "{told}");
    let checked = millgate(
        "max_body_size = \"1MiB\"\nmax_buffered = \"1MiB\"",
        &["check"],
    );
    assert_eq!(checked.status.code(), Some(0));
}
