//! Tables that make no sense, each told with its place.

use super::support::refused;

async fn told(stage: &str, wanted: &[&str]) {
    let config = format!(
        "pipeline = [\"limit\", \"route\"]\n[providers.up]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9\"\n[routes.default]\ntargets = [\"up\"]\n[stages.limit]\nkind = \"rate_limit\"\n{stage}\n"
    );
    let (code, text) = refused(&config, &[]).await;
    assert_eq!(code, Some(1), "{text}");
    for words in wanted {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_with_a_caret() {
    for (stage, wanted) in [
        (
            "requests = \"-5/min\"",
            "a negative value makes no sense here",
        ),
        ("requests = \"0/min\"", "a rate must allow at least one"),
        ("tokens = \"0/min\"", "a rate must allow at least one"),
        ("requests = 600", "a rate like"),
        (
            "requests = \"9M/s\"\nburst = 5000000000",
            "beyond what can be counted",
        ),
        ("concurrent = 0", "at least one request"),
        ("concurrent = -1", "concurrent"),
        ("per = \"nobody\"\nrequests = \"1/s\"", "nobody"),
        ("", "nothing is limited"),
        ("limits = [{ per = \"team\" }]", "nothing is limited"),
        (
            "requests = \"1/s\"\ntokens = \"1/s\"\nburst = 3",
            "of requests or of tokens",
        ),
        ("requests = \"1/s\"\nburst = 0", "at least one"),
        (
            "concurrent = 1\nburst = 3",
            "only `requests` and `tokens` have a burst",
        ),
        (
            "requests = \"1/s\"\nqueue = {}",
            "`concurrent`, which is not set",
        ),
        ("budget = {}", "add `usd` or `tokens`"),
        (
            "budget = { usd = \"-1/day\" }",
            "a negative value makes no sense here",
        ),
        (
            "budget = { usd = \"0/day\" }",
            "a budget must allow something",
        ),
        ("budget = { usd = \"10/week\" }", "dollars like"),
        ("budget = { tokens = \"10/min\" }", "tokens like"),
        (
            "budget = { usd = \"1/day\", utc_offset = \"KST\" }",
            "hours and minutes like",
        ),
        (
            "per = \"address\"\nbudget = { usd = \"1/day\" }",
            "nobody's to give a budget to",
        ),
        (
            "budget = { usd = \"1/day\" }\nlimits = [{ budget = { usd = \"2/day\" } }]",
            "such a budget already",
        ),
        (
            "per = \"provider\"\nrequests = \"1/s\"",
            "must stand after \"route\"",
        ),
        ("request = \"1/s\"", "did you mean `requests`?"),
        (
            "requests = \"1/s\"\n[prices.\"gpt*\"]\ninput = -1",
            "from 0 to 1000000",
        ),
        (
            "requests = \"1/s\"\n[prices.\"gpt*\"]\nin = 1",
            "unknown key",
        ),
        ("requests = \"1/s\"\n[prices]\ngpt = 1", "expected a table"),
    ] {
        told(stage, &[wanted, "^", "config.toml:"]).await;
    }
}
