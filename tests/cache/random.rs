//! Many clients at once, any mix of questions, forms, callers and early leaving, of any seed: nobody ever gets a message,
//! a tool call or a usage that no upstream has sent for that very question.

use std::collections::BTreeMap;

use millgate::mock::{Fault, Plan, Script, Series};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Bench, open_with, support::Client};

/// What upstream answers to the model of this number, and nobody else does.
fn script(number: u64) -> Script {
    Script {
        text: Some(format!("답 {number} {number} 입니다")),
        prompt_tokens: Some(100 + number),
        completion_tokens: Some(200 + number),
        delay: number % 3,
        ..Script::default()
    }
}

fn plan() -> Plan {
    let mut models = BTreeMap::new();
    for number in 0..6 {
        // Some fail now and then; what they say in the end is still theirs alone.
        let faulty = match number {
            1 => Some(Script {
                fault: Some(Fault::CutMidStream),
                at: Some(3),
                ..script(number)
            }),
            2 => Some(Script {
                status: Some(503),
                ..script(number)
            }),
            3 => Some(Script {
                tool_calls: Some(1),
                ..script(number)
            }),
            _ => None,
        };
        let mut series: Vec<_> = faulty.into_iter().collect();
        series.push(script(number));
        models.insert(format!("m{number}"), Series::List(series));
    }
    Plan {
        models,
        ..Plan::default()
    }
}

fn check(number: u64, with_usage: bool, stream: bool, body: &str) {
    let document: Vec<Value> = if stream {
        let data = body
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("data: "));
        data.filter_map(|data| serde_json::from_str(data).ok())
            .collect()
    } else {
        vec![serde_json::from_str(body).unwrap_or_default()]
    };
    let mut said = String::new();
    for part in &document {
        assert!(
            part["model"].is_null() || part["model"] == format!("m{number}"),
            "{part}"
        );
        for choice in part["choices"].as_array().into_iter().flatten() {
            let message = if stream {
                &choice["delta"]
            } else {
                &choice["message"]
            };
            said += message["content"].as_str().unwrap_or_default();
        }
        if part["usage"].is_object() {
            assert!(with_usage || !stream, "nobody asked for {part}");
            assert_eq!(part["usage"]["prompt_tokens"], 100 + number);
            assert_eq!(part["usage"]["completion_tokens"], 200 + number);
        }
    }
    let whole = format!("답 {number} {number} 입니다");
    assert!(whole.starts_with(&said), "{said:?} of {whole:?}");
}

#[tokio::test]
async fn nobody_gets_what_no_upstream_sent_for_the_question() {
    for (round, cache) in [
        "cacheable = \"always\"",
        "max_size = \"8KiB\"",
        "max_entry_size = \"600\"",
        "scope = \"all\"\nttl = \"0s\"\nstale_while_revalidate = \"1h\"",
    ]
    .iter()
    .enumerate()
    {
        let mut random = fastrand::Rng::with_seed(round as u64);
        let bench = Bench::start(plan(), cache).await;
        let clients: Vec<_> = [1, 2]
            .map(|last| Client::from_address(&bench.gateway, &format!("127.0.0.{last}")))
            .into();
        for _ in 0..4 {
            let mut all = JoinSet::new();
            for _ in 0..60 {
                let number = random.u64(0..6);
                let (stream, with_usage, leaves) =
                    (random.bool(), random.bool(), random.u8(0..4) == 0);
                let client = random.choice(&clients).unwrap().clone();
                let mut body = json!({
                    "model": format!("m{number}"), "temperature": 0, "stream": stream,
                    "messages": [{ "role": "user", "content": "안녕" }],
                    "tools": [{ "type": "function", "function": { "name": "f" } }],
                });
                if stream && with_usage {
                    body["stream_options"] = json!({ "include_usage": true });
                }
                let control = *random
                    .choice(&["", "", "", "no-cache", "max-age=0", "no-store"])
                    .unwrap();
                all.spawn(async move {
                    let mut live = open_with(&client, &[("cache-control", control)], &body).await;
                    if live.status != 200 {
                        // It was refused, or broke off before a document was complete.
                        let is_faulty = number == 1 || number == 2;
                        assert!(is_faulty && matches!(live.status.as_u16(), 502 | 503));
                        return;
                    }
                    if leaves {
                        let _ = live.next().await;
                        return;
                    }
                    check(number, with_usage, stream, &live.rest().await.text());
                });
            }
            while let Some(done) = all.join_next().await {
                let odd = |line: &Value| line.is_string() || line["level"] == "ERROR";
                done.unwrap_or_else(|error| {
                    let log = bench.gateway.log().into_iter().filter(odd);
                    panic!("{error}: {:#?}", log.collect::<Vec<_>>())
                });
            }
        }
    }
}
