//! The same in a real `PostgreSQL`: one that the test starts, or the one that `MILLGATE_TEST_POSTGRES` names, in which every
//! test has a schema of its own.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime},
};

use millgate::telemetry::ended::id_of;
use serde_json::Value;
use tokio_postgres::NoTls;

use crate::{
    database::Database,
    killed::what_a_killed_gateway_loses,
    mix::every_exchange_has_its_exact_row,
    support::{Client, Gateway, PATIENCE},
};

/// A cluster of the test's own. Stopped, and gone, when dropped.
struct Cluster {
    folder: tempfile::TempDir,
    server: Option<Child>,
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
    async fn start() -> Self {
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
        let mut cluster = Self {
            folder,
            server: None,
        };
        cluster.run().await;
        cluster
    }

    /// Starts the server and waits until it answers. Its socket is in the folder; it has no port.
    async fn run(&mut self) {
        let server = as_user(&program("postgres"))
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .arg("-k")
            .arg(self.folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.server = Some(server);
        let answers = async {
            while tokio_postgres::connect(&self.url(), NoTls).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let answered = tokio::time::timeout(PATIENCE, answers).await;
        answered.expect("PostgreSQL did not start");
    }

    /// Ends the server at once, without a word to its clients.
    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let quit = Command::new("kill")
                .args(["-s", "QUIT", &server.id().to_string()])
                .status();
            assert!(quit.unwrap().success());
            server.wait().unwrap();
        }
    }

    fn url(&self) -> String {
        let folder = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://millgate:canary-password@{folder}/postgres?sslmode=disable")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A database, and what keeps it running.
async fn database() -> (Database, Option<Cluster>) {
    let Ok(url) = std::env::var("MILLGATE_TEST_POSTGRES") else {
        let cluster = Cluster::start().await;
        return (Database::Postgres(cluster.url()), Some(cluster));
    };
    let schema = format!("millgate_test_{}", id_of(SystemTime::now()).simple());
    let client = connect(&url).await;
    let make = format!("CREATE SCHEMA {schema}");
    client.batch_execute(&make).await.unwrap();
    let joint = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{joint}options=-csearch_path%3D{schema}");
    (Database::Postgres(url), None)
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// All rows; none where there is no table yet.
pub async fn rows(url: &str) -> Vec<Value> {
    let client = connect(url).await;
    let read = "SELECT row_to_json(e)::text FROM millgate_exchanges e ORDER BY id";
    let rows = client.query(read, &[]).await.unwrap_or_default();
    rows.iter()
        .map(|row| serde_json::from_str(row.get(0)).unwrap())
        .collect()
}

fn state() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state").to_str().unwrap().to_owned();
    (folder, state)
}

#[tokio::test]
async fn every_exchange_has_its_exact_row_in_postgres() {
    let (database, _cluster) = database().await;
    let (_folder, state) = state();
    every_exchange_has_its_exact_row(database, &state).await;
}

#[tokio::test]
async fn a_killed_gateway_loses_what_ended_last_and_writes_nothing_twice_in_postgres() {
    let (database, _cluster) = database().await;
    let (_folder, state) = state();
    what_a_killed_gateway_loses(database, &state).await;
}

fn config(database: &Database, keys: &str) -> String {
    format!(
        "[providers.rehearsal]\n[routes.default]\ntargets = [\"rehearsal\"]\n{}",
        database.config(keys)
    )
}

async fn serves(gateway: &Gateway, times: usize) {
    let client = Client::new(gateway);
    for _ in 0..times {
        assert_eq!(client.chat("hi", false).await.status, 200);
    }
}

fn says(line: &Value, words: &str) -> bool {
    line["message"]
        .as_str()
        .is_some_and(|message| message.contains(words))
}

#[tokio::test]
async fn a_server_that_goes_and_comes_back_costs_what_does_not_fit_the_queue() {
    let mut cluster = Cluster::start().await;
    let database = Database::Postgres(cluster.url());
    let keys = "interval = \"50ms\"\nqueue = 10";
    let gateway = Gateway::start(&config(&database, keys)).await;
    serves(&gateway, 3).await;
    database.wait_for_rows(3).await;
    cluster.stop();
    serves(&gateway, 15).await;
    let line = gateway
        .log_line(|line| says(line, "the ledger cannot be written"))
        .await;
    assert!(!line.to_string().contains("canary-password"), "{line}");
    gateway
        .log_line(|line| says(line, "their rows are lost"))
        .await;
    cluster.run().await;
    assert_eq!(database.wait_for_rows(13).await.len(), 13);
    let line = gateway
        .log_line(|line| says(line, "these rows of exchanges are lost"))
        .await;
    assert_eq!(line["lost"], 5);
    serves(&gateway, 2).await;
    assert_eq!(database.wait_for_rows(15).await.len(), 15);
}

/// A connection is held up in the middle of its work, as by a lock that somebody else has.
#[tokio::test]
async fn a_table_that_is_locked_keeps_nobody_waiting() {
    let cluster = Cluster::start().await;
    let database = Database::Postgres(cluster.url());
    let mut gateway = Gateway::start(&config(&database, "interval = \"50ms\"")).await;
    serves(&gateway, 1).await;
    database.wait_for_rows(1).await;
    let other = connect(&cluster.url()).await;
    let lock = "BEGIN; LOCK TABLE millgate_exchanges IN ACCESS EXCLUSIVE MODE";
    other.batch_execute(lock).await.unwrap();
    serves(&gateway, 5).await;
    other.batch_execute("ROLLBACK").await.unwrap();
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    assert_eq!(database.rows().await.len(), 6);
}

#[tokio::test]
async fn gateways_that_start_at_once_share_their_tables() {
    let (database, _cluster) = database().await;
    let config = config(&database, "interval = \"50ms\"");
    let (one, two, three) = tokio::join!(
        Gateway::start(&config),
        Gateway::start(&config),
        Gateway::start(&config)
    );
    for gateway in [&one, &two, &three] {
        serves(gateway, 4).await;
    }
    assert_eq!(database.wait_for_rows(12).await.len(), 12);
}
