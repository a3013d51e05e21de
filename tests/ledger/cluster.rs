//! A `PostgreSQL` server of a test's own.

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::support::PATIENCE;

/// A cluster of the test's own. Stopped, and gone, when dropped.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    server: Option<Child>,
    /// Where it listens with TLS, beside its socket.
    port: Option<u16>,
}

/// Where Debian, Ubuntu and others put what is not in the path.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut found: Vec<_> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| name.into())
}

/// The server refuses to run as root: it then runs as nobody.
fn as_user(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"])
        .arg(program);
    command
}

impl Cluster {
    /// Makes one that listens on its socket alone.
    pub(crate) async fn start() -> Self {
        let mut cluster = Self::make();
        cluster.run().await;
        cluster
    }

    /// Makes one that listens on a port too, where it wants TLS and shows this certificate.
    pub(crate) async fn start_with_tls(certificate: &str, key: &str) -> Self {
        let mut cluster = Self::make();
        let hosts = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";
        for (name, text) in [
            ("server.crt", certificate),
            ("server.key", key),
            ("pg_hba.conf", hosts),
        ] {
            let written = cluster.folder.path().join(name);
            std::fs::write(&written, text).unwrap();
            let copied = as_user(Path::new("install"))
                .args(["-m", "600"])
                .arg(written)
                .arg(cluster.folder.path().join("data").join(name))
                .status();
            assert!(copied.unwrap().success());
        }
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        cluster.port = Some(free.local_addr().unwrap().port());
        drop(free);
        cluster.run().await;
        cluster
    }

    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let made = as_user(&program("initdb"))
            .args([
                "--auth=trust",
                "--username=millgate",
                "--encoding=UTF8",
                "--no-sync",
                "-D",
            ])
            .arg(folder.path().join("data"))
            .env("LC_ALL", "C.UTF-8")
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Self {
            folder,
            server: None,
            port: None,
        }
    }

    /// Starts the server and waits until it says that it is ready. Its socket is in the folder.
    pub(crate) async fn run(&mut self) {
        self.run_with("on").await;
    }

    /// The same, without TLS on its port.
    pub(crate) async fn run_without_tls(&mut self) {
        self.run_with("off").await;
    }

    async fn run_with(&mut self, tls: &str) {
        let mut command = as_user(&program("postgres"));
        command
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .arg("-k")
            .arg(self.folder.path())
            .args(["-c", "fsync=off"]);
        match self.port {
            Some(port) => command
                .args(["-c", "listen_addresses=127.0.0.1", "-c"])
                .arg(format!("ssl={tls}"))
                .arg("-p")
                .arg(port.to_string()),
            None => command.args(["-c", "listen_addresses="]),
        };
        let mut server = command
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(server.stderr.take().unwrap());
        self.server = Some(server);
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        // To the end, so that the server can always say something.
        std::thread::spawn(move || {
            let mut ready = Some(ready);
            let mut before = String::new();
            for line in said.lines().map_while(Result::ok) {
                before = before + &line + "\n";
                if line.contains("ready to accept connections")
                    && let Some(ready) = ready.take()
                {
                    // Nobody waits any more where it took too long.
                    let _ = ready.send(());
                }
            }
            assert!(ready.is_none(), "PostgreSQL did not start: {before}");
        });
        let is_ready = tokio::time::timeout(PATIENCE, is_ready).await;
        is_ready.unwrap().expect("PostgreSQL did not start");
    }

    /// Ends the server at once, without a word to its clients.
    pub(crate) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let quit = Command::new("kill")
                .args(["-s", "QUIT", &server.id().to_string()])
                .status();
            assert!(quit.unwrap().success());
            server.wait().unwrap();
        }
    }

    pub(crate) fn url(&self) -> String {
        let folder = self.folder.path().to_str().unwrap().replace('/', "%2F");
        let port = self.port.unwrap_or(5432);
        format!("postgres://millgate:canary-password@{folder}:{port}/postgres?sslmode=disable")
    }

    /// The same server on its port, with these words on TLS.
    pub(crate) fn url_with(&self, words: &str) -> String {
        let port = self.port.unwrap();
        format!("postgres://millgate:canary-password@127.0.0.1:{port}/postgres{words}")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}
