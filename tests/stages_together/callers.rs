//! `auth` above other stages: limits go by the caller and the team that it has found.

use millgate::mock::{Mock, Script};

use super::{
    ask_as, asked, assert_limited, config, number, question,
    support::{Client, Gateway, Reply},
    using,
};

const CALLERS: &str = r#"
    [stages.auth]
    [callers.kim]
    key = "kim-0123456789abcdef"
    team = "red"
    [callers.lee]
    key = "lee-0123456789abcdef"
    team = "red"
    [callers.choi]
    key = "choi-0123456789abcdef"
    team = "blue"
    [stages.limit]
    kind = "rate_limit"
"#;

struct Bench {
    mock: Mock,
    gateway: Gateway,
    client: Client,
}

impl Bench {
    async fn start(script: Script, limits: &str) -> Self {
        let mock = Mock::with(script).await.unwrap();
        let tables = format!("{CALLERS}{limits}\n");
        let gateway = Gateway::start(&config(&mock, &["auth", "limit"], &tables)).await;
        let client = Client::new(&gateway);
        Self {
            mock,
            gateway,
            client,
        }
    }

    async fn ask(&self, name: &str) -> Reply {
        let key = format!("{name}-0123456789abcdef");
        ask_as(&self.gateway, &self.client, &key, &question(700, false)).await
    }

    /// Asks, and is answered with this limit in the headers, and so much left of it.
    #[track_caller]
    fn passes(reply: &Reply, unit: &str, (limit, remaining): (u64, u64)) {
        assert_eq!(reply.status, 200, "{}", reply.text());
        let shown = (
            number(reply, &format!("x-ratelimit-limit-{unit}")),
            number(reply, &format!("x-ratelimit-remaining-{unit}")),
        );
        assert_eq!(shown, (limit, remaining));
    }
}

#[tokio::test]
async fn requests_are_counted_by_caller_and_by_team() {
    let limits = "limits = [{ per = \"caller\", requests = \"3/day\" }, { per = \"team\", requests = \"4/day\" }]";
    let bench = Bench::start(Script::default(), limits).await;
    // The caller's limit is 3, the team's 4: that of which the smaller part is left is told.
    for (name, told) in [
        ("kim", (3, 2)),
        ("kim", (3, 1)),
        ("lee", (4, 1)),
        ("lee", (4, 0)),
        ("choi", (3, 2)),
    ] {
        Bench::passes(&bench.ask(name).await, "requests", told);
    }
    for name in ["kim", "lee"] {
        let reply = bench.ask(name).await;
        assert_limited(&reply, "rate_limit_exceeded");
        assert!(reply.text().contains("per team: 4/day"), "{}", reply.text());
        assert_eq!(number(&reply, "x-ratelimit-limit-requests"), 4);
    }
    for told in [(3, 1), (3, 0)] {
        Bench::passes(&bench.ask("choi").await, "requests", told);
    }
    let reply = bench.ask("choi").await;
    assert_limited(&reply, "rate_limit_exceeded");
    assert!(
        reply.text().contains("per caller: 3/day"),
        "{}",
        reply.text()
    );
    assert_eq!(asked(&bench.mock), 7);
}

#[tokio::test]
async fn tokens_are_counted_by_caller_and_by_team() {
    let limits = "limits = [{ per = \"caller\", tokens = \"1000/day\" }, { per = \"team\", tokens = \"1500/day\" }]";
    let bench = Bench::start(using(500), limits).await;
    // 708 are taken on the way in, 500 are used.
    Bench::passes(&bench.ask("kim").await, "tokens", (1000, 292));
    Bench::passes(&bench.ask("lee").await, "tokens", (1500, 292));
    Bench::passes(&bench.ask("choi").await, "tokens", (1000, 292));
    let reply = bench.ask("kim").await;
    assert_limited(&reply, "rate_limit_exceeded");
    assert_eq!(reply.json()["error"]["type"], "tokens");
    assert!(reply.text().contains("per caller"), "{}", reply.text());
    assert_eq!(asked(&bench.mock), 3);
}

#[tokio::test]
async fn a_key_that_nobody_has_uses_up_nothing() {
    let bench = Bench::start(Script::default(), "per = \"all\"\nrequests = \"1/day\"").await;
    for _ in 0..3 {
        assert_eq!(bench.ask("nobody").await.status, 401);
    }
    Bench::passes(&bench.ask("kim").await, "requests", (1, 0));
}

#[tokio::test]
async fn server_timing_names_every_stage_that_was_asked() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let tables = CALLERS.to_owned()
        + "requests = \"5/day\"\n[stages.cache]\n[stages.headers]\nkind = \"auth_header\"\nheaders = { x-team = \"{caller.team}\" }\n";
    let config = config(&mock, &["auth", "limit", "cache"], &tables).replacen(
        "\"route\"]",
        "\"route\", \"headers\"]",
        1,
    );
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let body = question(10, false);
    for timed in [
        &["auth", "limit", "cache", "headers", "upstream", "total"][..],
        &["auth", "limit", "cache", "total"],
    ] {
        let reply = ask_as(&gateway, &client, "kim-0123456789abcdef", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let metrics = reply.header("server-timing").split(", ");
        let names: Vec<_> = metrics
            .map(|metric| {
                let (name, took) = metric.split_once(";dur=").unwrap();
                assert!(took.parse::<f64>().unwrap() >= 0.0, "{metric}");
                name
            })
            .collect();
        assert_eq!(names, timed);
    }
    let unknown = ask_as(&gateway, &client, "nobody-0123456789abcdef", &body).await;
    assert_eq!(unknown.status, 401);
    let timing = unknown.header("server-timing");
    assert!(timing.starts_with("auth;dur="), "{timing:?}");
}
