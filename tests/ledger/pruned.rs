//! What is deleted in `PostgreSQL`, because it is old or too much.

use crate::{
    database::Database,
    postgres::{config, connect, database, serves},
    support::Gateway,
    usage_json,
};

/// So many rows, ten for each second before now, each of a caller of its own and with something captured.
fn rows(count: u32) -> String {
    format!(
        "INSERT INTO millgate_exchanges (id, time, request_id, caller, method, endpoint, attempts, outcome, shared, stream, \
         estimated, total_us, reading_us, overhead_us, request_bytes, bytes) \
         SELECT gen_random_uuid(), now() - make_interval(secs => n / 10.0), 'r', 'caller-' || n, 'POST', 'chat', 1, 'ok', false, false, \
         false, 1, 1, 1, 1, 1 FROM generate_series(1, {count}) n; \
         INSERT INTO millgate_captured SELECT id, 'k', 'content' FROM millgate_exchanges ON CONFLICT DO NOTHING"
    )
}

/// A gateway that is stopped when it has tended its ledger.
async fn tended(config: &str) -> Gateway {
    let mut gateway = Gateway::start(config).await;
    serves(&gateway, 1).await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    gateway
}

struct Bench {
    database: Database,
    client: tokio_postgres::Client,
    _cluster: Option<crate::cluster::Cluster>,
}

impl Bench {
    /// A ledger with so many rows beside one of a gateway's own.
    async fn with(count: u32) -> Self {
        let (database, cluster) = database().await;
        let Database::Postgres(url) = &database else {
            panic!("another database")
        };
        let client = connect(url).await;
        tended(&config(&database, "")).await;
        client.batch_execute(&rows(count)).await.unwrap();
        Self {
            database,
            client,
            _cluster: cluster,
        }
    }

    async fn number(&self, query: &str) -> i64 {
        self.client.query_one(query, &[]).await.unwrap().get(0)
    }

    async fn rows(&self) -> i64 {
        let strays = "SELECT count(*) FROM millgate_captured WHERE id NOT IN (SELECT id FROM millgate_exchanges)";
        assert_eq!(self.number(strays).await, 0, "content outlives its row");
        self.number("SELECT count(*) FROM millgate_exchanges").await
    }
}

#[tokio::test]
async fn rows_that_are_older_than_they_may_be_are_deleted_and_no_others() {
    let bench = Bench::with(5000).await;
    tended(&config(&bench.database, "max_age = \"100s\"")).await;
    let left = bench.rows().await;
    // Two of gateways, and those of the last hundred seconds; the test itself takes some. The time between the gateways, in which
    // none ran, is not believed yet.
    assert!((500..=1500).contains(&left), "{left}");
    let too_old =
        "SELECT count(*) FROM millgate_exchanges WHERE time < now() - interval '200 seconds'";
    assert_eq!(bench.number(too_old).await, 0);
}

#[tokio::test]
async fn a_ledger_that_is_too_large_loses_its_oldest_rows_and_no_more_the_next_time() {
    let bench = Bench::with(20_000).await;
    let gateway = tended(&config(&bench.database, "")).await;
    let told = usage_json(&gateway.config_path(), "caller");
    let callers = told["rows"].as_array().unwrap();
    assert_eq!(
        (callers.len(), &callers[1000]["key"]),
        (1001, &"other".into())
    );
    assert_eq!(told["totals"]["exchanges"], bench.rows().await);
    let small = config(&bench.database, "max_size = \"2MiB\"");
    tended(&small).await;
    let left = bench.rows().await;
    assert!((1000..12_000).contains(&left), "{left}");
    let newest = format!(
        "SELECT count(*) FROM millgate_exchanges WHERE caller IN (SELECT 'caller-' || n FROM generate_series(1, {}) n)",
        left - 10
    );
    assert_eq!(
        bench.number(&newest).await,
        left - 10,
        "the oldest went first"
    );
    // The tables are as large as before on the disk, which is no reason to delete any more.
    for _ in 0..2 {
        tended(&small).await;
    }
    let after = bench.rows().await;
    assert!((left - 30..=left + 2).contains(&after), "{left} {after}");
}
