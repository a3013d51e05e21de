//! Budgets in the embedded store: across a restart, between processes, and where one is killed.

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use millgate::{calendar::timestamp, mock::Mock, store::Store};

use super::{
    CHAT, asked, assert_limited, config, question,
    support::{Client, Gateway, PATIENCE, Reply},
    using,
};

/// A thousand tokens, or what they cost.
const BUDGETS: [&str; 2] = ["tokens = \"1k/month\"", "usd = \"1/month\""];

/// A gateway whose state is in this folder.
async fn gateway(state: &Path, mock: &Mock, budget: &str) -> Gateway {
    let tables = format!(
        "[server]\nstate_dir = \"{}\"\n[stages.limit]\nkind = \"rate_limit\"\nper = \"all\"\nbudget = {{ {budget} }}\n[prices.\"dear*\"]\ninput = 1000\noutput = 1000\n",
        state.display()
    );
    Gateway::start(&config(mock, &["limit"], &tables)).await
}

/// A reply, once its exchange has ended.
async fn ask(gateway: &Gateway, most: u64) -> Reply {
    let client = Client::new(gateway);
    let reply = client.post(CHAT, &question(most, false)).await;
    gateway.access_line(reply.header("x-request-id")).await;
    reply
}

#[tokio::test]
async fn what_was_spent_is_spent_after_a_restart() {
    for budget in BUDGETS {
        let folder = tempfile::tempdir().unwrap();
        let mock = Mock::with(using(600)).await.unwrap();
        let mut first = gateway(folder.path(), &mock, budget).await;
        assert_eq!(ask(&first, 700).await.status, 200);
        first.signal("TERM");
        assert!(first.ended().await.success());

        let second = gateway(folder.path(), &mock, budget).await;
        assert_limited(&ask(&second, 700).await, "insufficient_quota");
        assert_eq!(ask(&second, 300).await.status, 200);
        for _ in 0..2 {
            assert_limited(&ask(&second, 1).await, "insufficient_quota");
        }
        assert_eq!(asked(&mock), 2, "{budget}");
    }
}

#[tokio::test]
async fn two_processes_spend_of_one_budget() {
    for budget in BUDGETS {
        let folder = tempfile::tempdir().unwrap();
        let mock = Mock::with(using(600)).await.unwrap();
        let one = gateway(folder.path(), &mock, budget).await;
        let two = gateway(folder.path(), &mock, budget).await;
        assert_eq!(ask(&one, 10).await.status, 200);
        // By itself, neither has used up anything.
        let client = Client::new(&one);
        assert_eq!(client.get("/v1/models").await.status, 200);
        assert_eq!(ask(&two, 10).await.status, 200);
        for gateway in [&one, &two] {
            let client = Client::new(gateway);
            let begun = Instant::now();
            while client.get("/v1/models").await.status == 200 {
                assert!(begun.elapsed() < PATIENCE, "they never added up: {budget}");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            assert_limited(&ask(gateway, 10).await, "insufficient_quota");
        }
        assert_eq!(asked(&mock), 2);
    }
}

/// What the store has of a budget of this month, once nobody else has it open.
fn kept(folder: &Path, unit: &str) -> u64 {
    let store = Store::default();
    store.keep_in(Ok(folder.to_owned()));
    assert!(store.open(PATIENCE));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let date = timestamp(now.as_secs());
    let tally = store.tally(&format!("limit/{unit}/{}/all/", &date[.."2026-11".len()]));
    let total = tally.total();
    store.close(PATIENCE);
    total.try_into().unwrap()
}

#[tokio::test]
async fn a_kill_loses_what_was_spent_in_the_last_second_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let mock = Mock::with(using(600)).await.unwrap();
    let budget = "tokens = \"100M/month\", usd = \"1000000/month\"";
    let mut killed = gateway(folder.path(), &mock, budget).await;
    let (begun, mut ended) = (Instant::now(), Vec::new());
    while begun.elapsed() < Duration::from_millis(2500) {
        assert_eq!(ask(&killed, 10).await.status, 200);
        ended.push(Instant::now());
    }
    let killed_at = Instant::now();
    killed.signal("KILL");
    assert!(!killed.ended().await.success());

    let is_older = |end: &&Instant| **end + Duration::from_secs(1) <= killed_at;
    let older = ended.iter().filter(is_older).count() as u64;
    let all = ended.len() as u64;
    let exchanges = older..=all;
    // A token costs a thousandth of a dollar: a million of the units that are counted.
    for (unit, one) in [("tokens", 600), ("usd", 600 * 1_000_000)] {
        let kept = kept(folder.path(), unit);
        assert_eq!(kept % one, 0);
        assert!(
            older > 0 && exchanges.contains(&(kept / one)),
            "{unit}: {} are kept of {all}, {older} of which are older",
            kept / one
        );
    }
}
