//! `rate_limit` above `cache`: everybody's request counts, the flight's tokens are its leader's.

use millgate::mock::{Mock, Script};
use tokio::task::JoinSet;

use super::{
    CHAT, PROMPT, asked, config, number, question,
    support::{Client, Gateway, PATIENCE, Reply, raw::RawClient},
    using,
};

const LIMITS: &str = "[stages.limit]\nkind = \"rate_limit\"\nlimits = [{ tokens = \"1k/day\", burst = 20000 }, { requests = \"100/day\" }]\n[stages.cache]\n";

const TOKENS: u64 = 20_000;
const REQUESTS: u64 = 100;
const USED: u64 = 50;
const MOST: u64 = 700;
/// What is taken for each request on its way in.
const ESTIMATE: u64 = PROMPT + MOST;

async fn start() -> (Gateway, Mock) {
    let gated = Script {
        gate: true,
        ..using(USED)
    };
    let mock = Mock::with(gated).await.unwrap();
    let gateway = Gateway::start(&config(&mock, &["limit", "cache"], LIMITS)).await;
    (gateway, mock)
}

/// What is left of tokens and requests, as a request finds it that uses no tokens.
async fn left(client: &Client) -> (u64, u64) {
    standing(&client.get("/v1/models").await)
}

#[track_caller]
fn standing(reply: &Reply) -> (u64, u64) {
    assert_eq!(reply.status, 200, "{}", reply.text());
    (
        number(reply, "x-ratelimit-remaining-tokens"),
        number(reply, "x-ratelimit-remaining-requests"),
    )
}

async fn collapsed(gateway: &Gateway, followers: u64) {
    let operators = Client::at(&format!("http://{}", gateway.admin));
    let joined = async {
        while operators.get("/api/cache").await.json()["collapsed"] != followers {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, joined).await;
    waited.expect("they never joined");
}

#[tokio::test]
async fn a_flight_is_charged_once_and_followers_and_hits_are_requests_without_tokens() {
    let (gateway, mock) = start().await;
    let client = Client::new(&gateway);
    let mut replies: JoinSet<Reply> = JoinSet::new();
    for n in 0..20 {
        let client = client.clone();
        replies.spawn(async move { client.post(CHAT, &question(MOST, n % 2 == 0)).await });
    }
    collapsed(&gateway, 19).await;
    // As long as it is under way, nobody knows what it will use.
    assert_eq!(left(&client).await, (TOKENS - 20 * ESTIMATE, REQUESTS - 21));
    mock.release(1000);
    while let Some(reply) = replies.join_next().await {
        let reply = reply.unwrap();
        assert!(reply.status == 200 && reply.complete, "{reply:?}");
        gateway.access_line(reply.header("x-request-id")).await;
    }
    assert_eq!(asked(&mock), 1);
    assert_eq!(left(&client).await, (TOKENS - USED, REQUESTS - 22));

    for (hits, stream) in [(1, true), (2, false)] {
        let hit = client.post(CHAT, &question(MOST, stream)).await;
        let status = hit.header("cache-status");
        assert!(status.starts_with("millgate; hit"), "{status}");
        let requests = REQUESTS - 22 - hits * 2 + 1;
        assert_eq!(standing(&hit), (TOKENS - USED - ESTIMATE, requests));
        gateway.access_line(hit.header("x-request-id")).await;
        assert_eq!(left(&client).await, (TOKENS - USED, requests - 1));
    }
    assert_eq!(asked(&mock), 1);
}

#[tokio::test]
async fn a_leader_that_left_is_charged_once_when_the_flight_has_ended() {
    let (gateway, mock) = start().await;
    let client = Client::new(&gateway);
    let mut leader = RawClient::post(&gateway, CHAT, "leader", &question(MOST, true)).await;
    mock.release(3);
    leader.read_until("word1 ").await;
    let mut follower = RawClient::post(&gateway, CHAT, "follower", &question(MOST, true)).await;
    follower.read_until("word1 ").await;
    drop(leader);
    // What comes after the leader has left is read by the follower alone.
    mock.release_one();
    follower.read_until("word2 ").await;
    assert_eq!(left(&client).await, (TOKENS - 2 * ESTIMATE, REQUESTS - 3));
    assert_eq!(gateway.access_lines("leader"), 0, "its flight goes on");

    mock.release(1000);
    follower.read_until("[DONE]").await;
    let leader = gateway.access_line("leader").await;
    assert_eq!(
        (
            &leader["outcome"],
            &leader["input_tokens"],
            &leader["output_tokens"]
        ),
        (&"client_closed".into(), &30.into(), &20.into())
    );
    let follower = gateway.access_line("follower").await;
    assert_eq!(follower["cache"], "collapsed");
    assert_eq!(left(&client).await, (TOKENS - USED, REQUESTS - 4));
    assert_eq!(gateway.access_lines("leader"), 1);
    assert_eq!(asked(&mock), 1);
}

#[tokio::test]
async fn where_all_have_left_the_leader_alone_pays_for_what_came() {
    let (gateway, mock) = start().await;
    let client = Client::new(&gateway);
    let mut both = Vec::new();
    mock.release(4);
    for id in ["leader", "follower"] {
        let mut reader = RawClient::post(&gateway, CHAT, id, &question(MOST, true)).await;
        reader.read_until("word2 ").await;
        both.push(reader);
    }
    drop(both);
    for id in ["leader", "follower"] {
        assert_eq!(gateway.access_line(id).await["outcome"], "client_closed");
    }
    // The prompt, and a token for each of three words.
    assert_eq!(left(&client).await, (TOKENS - PROMPT - 3, REQUESTS - 3));
}
