use millgate_plugin::{Endpoint, Field};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::cache::bench::{request, route, runtime};

fn key(body: &str) -> Key {
    key_of(&request(Endpoint::Chat, body))
}

fn key_of(request: &ClientRequest) -> Key {
    of(request, &route(""), &[0; 32], Scope::Caller, false)
}

fn canonical(body: &str) -> Key {
    let request = request(Endpoint::Chat, body);
    of(&request, &route(""), &[0; 32], Scope::Caller, true)
}

const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"안녕"}],"temperature":0}"#;

#[test]
fn the_order_of_members_and_what_no_answer_depends_on_make_no_difference() {
    for same in [
        r#"{"temperature":0,"messages":[{"role":"user","content":"안녕"}],"model":"m"}"#,
        r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"안녕"}],"temperature":0}"#,
        r#"{"model":"m","user":"kim","metadata":{"a":"b"},"store":false,"messages":[{"role":"user","content":"안녕"}],"temperature":0}"#,
        "{ \"model\" : \"m\",\n \"messages\":[{\"role\":\"user\",\"content\":\"안녕\"}] ,\"temperature\": 0 }",
    ] {
        assert_eq!(key(BODY), key(same), "{same}");
    }
}

#[test]
fn whatever_else_differs_separates() {
    let different = [
        r#"{"model":"n","messages":[{"role":"user","content":"안녕"}],"temperature":0}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"안녕하세요"}],"temperature":0}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"안녕"}],"temperature":0.0}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"안녕"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"안녕"}],"temperature":0,"nobody_thought_of_it":1}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"안녕"}],"temperature":0,"service_tier":"flex"}"#,
    ];
    let mut keys: Vec<Key> = different.iter().map(|body| key(body)).collect();
    keys.push(key(BODY));
    for (index, one) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(one), "{index}");
    }
}

#[test]
fn fields_do_not_run_into_each_other() {
    let one = key(r#"{"model":"m","messages":[],"a":"b","c":"d"}"#);
    for other in [
        r#"{"model":"m","messages":[],"a":"b\",\"c\":\"d"}"#,
        r#"{"model":"m","messages":[],"ac":"bd"}"#,
        r#"{"model":"m","messages":[],"a":"bc","":"d"}"#,
    ] {
        assert_ne!(one, key(other), "{other}");
    }
}

#[test]
fn a_response_tells_who_asked_so_that_there_it_separates() {
    let with = r#"{"model":"m","input":"x","metadata":{"a":"b"}}"#;
    let without = r#"{"model":"m","input":"x"}"#;
    let key = |endpoint, body| key_of(&request(endpoint, body));
    assert_ne!(
        key(Endpoint::Responses, with),
        key(Endpoint::Responses, without)
    );
    assert_eq!(key(Endpoint::Chat, with), key(Endpoint::Chat, without));
    assert_ne!(key(Endpoint::Chat, with), key(Endpoint::Completions, with));
}

#[test]
fn callers_share_as_far_as_the_scope_goes() {
    let route = route("");
    let of = |caller: Option<&str>, team: Option<&str>, peer: [u8; 4], scope| {
        let mut request = request(Endpoint::Chat, BODY);
        let mut set = |field, text: Option<&str>| {
            request.set(field, "", text.map(str::as_bytes)).unwrap();
        };
        set(Field::CallerId, caller);
        set(Field::CallerTeam, team);
        request.peer = peer.into();
        super::of(&request, &route, &[0; 32], scope, false)
    };
    let (here, there) = ([127, 0, 0, 1], [127, 0, 0, 2]);
    let alone = of(Some("kim"), Some("red"), here, Scope::Caller);
    assert_eq!(alone, of(Some("kim"), Some("blue"), there, Scope::Caller));
    assert_ne!(alone, of(Some("lee"), Some("red"), here, Scope::Caller));
    assert_ne!(
        of(None, None, here, Scope::Caller),
        of(None, None, there, Scope::Caller)
    );
    let team = of(Some("kim"), Some("red"), here, Scope::Team);
    assert_eq!(team, of(Some("lee"), Some("red"), there, Scope::Team));
    assert_ne!(team, of(Some("lee"), Some("blue"), here, Scope::Team));
    assert_ne!(
        of(Some("kim"), None, here, Scope::Team),
        of(Some("lee"), None, here, Scope::Team)
    );
    // A caller whose id is an address, or the name of a team, is neither.
    assert_ne!(
        of(Some("127.0.0.1"), None, here, Scope::Team),
        of(None, None, here, Scope::Team)
    );
    assert_ne!(of(Some("red"), None, here, Scope::Team), team);
    let all = of(Some("kim"), Some("red"), here, Scope::All);
    assert_eq!(all, of(None, None, there, Scope::All));
}

#[test]
fn a_config_that_asks_for_another_answer_separates() {
    let key = |base: &str, model: &str, lines: &str, more: &str| {
        let runtime = runtime(base, model, lines, more);
        let route = &runtime.routes.0[0];
        let stages = &runtime.pipeline.fingerprint;
        of(
            &request(Endpoint::Chat, BODY),
            route,
            stages,
            Scope::Caller,
            false,
        )
    };
    let base = "http://127.0.0.1:9/v1";
    let one = key(base, "gpt-4", "", "");
    for other in [
        key(base, "gpt-5", "", ""),
        key("http://127.0.0.1:8/v1", "gpt-4", "", ""),
        key(base, "gpt-4", "params = { top_p = 0.5 }", ""),
    ] {
        assert_ne!(one, other);
    }
    // How it is reached and how patiently decides nothing.
    for same in [
        key(base, "gpt-4", "retries = 7\nattempt_timeout = \"9s\"", ""),
        key(
            base,
            "gpt-4",
            "",
            "[providers.up2]\nkind = \"ollama\"\nbase_url = \"http://127.0.0.1:7\"",
        ),
    ] {
        assert_eq!(one, same);
    }
}

#[test]
fn headers_that_reach_the_upstream_separate() {
    let with = |name: &'static str, value: &'static str, lines: &str| {
        let mut request = request(Endpoint::Chat, BODY);
        request
            .headers
            .insert(name, HeaderValue::from_static(value));
        let runtime = runtime("http://127.0.0.1:9/v1", "gpt-4", "", lines);
        of(
            &request,
            &runtime.routes.0[0],
            &[0; 32],
            Scope::Caller,
            false,
        )
    };
    assert_ne!(with("openai-beta", "a", ""), with("openai-beta", "b", ""));
    assert_eq!(with("user-agent", "a", ""), with("user-agent", "b", ""));
    assert_eq!(with("x-team", "a", ""), with("x-team", "b", ""));
    let mut query = request(Endpoint::Chat, BODY);
    query.query = Some("api-version=2".into());
    assert_ne!(key_of(&query), key(BODY));
}

#[test]
fn canonical_keys_see_values_and_not_how_they_are_written() {
    let one = r#"{"model":"m","messages":[{"role":"user","content":"안\n녕"}],"n":1}"#;
    for same in [
        r#"{"n":1,"messages":[ {"content":"안\u000a녕", "role" :"user"} ],"model":"m"}"#,
        r#"{"model":"m","messages":[{"role":"\u0075ser","content":"\uc548\n녕"}],"n":1}"#,
    ] {
        assert_eq!(canonical(one), canonical(same), "{same}");
        assert_ne!(key(one), key(same), "{same}");
    }
    for different in [
        r#"{"model":"m","messages":[{"role":"user","content":"안\\n녕"}],"n":1}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"안\n녕"}],"n":1.0}"#,
        r#"{"model":"m","messages":[[{"role":"user","content":"안\n녕"}]],"n":1}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"안\n녕"},{}],"n":1}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"\ud800"}],"n":1}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"\ud801"}],"n":1}"#,
    ] {
        assert_ne!(canonical(one), canonical(different), "{different}");
    }
    let half = |half| format!(r#"{{"model":"m","messages":["\ud80{half}"]}}"#);
    assert_ne!(canonical(&half(0)), canonical(&half(1)));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a한\"\\\\\n ]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abc]{0,2}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The same with its members the other way round.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(reversed).collect(),
        Value::Object(map) => Value::Object(
            map.iter()
                .rev()
                .map(|(name, value)| (name.clone(), reversed(value)))
                .collect::<Map<_, _>>(),
        ),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn canonical_forms_are_the_same_exactly_where_the_values_are(one in value(), other in value()) {
        let form = |text: String| canonical::form(text.as_bytes());
        prop_assert_eq!(form(one.to_string()), form(format!("{:#}", reversed(&one))));
        let other_form = form(other.to_string());
        prop_assert_eq!(form(one.to_string()) == other_form, one == other);
    }

    #[test]
    fn nothing_makes_the_walk_over_a_value_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = canonical::form(&bytes);
        let text = json!({"a": String::from_utf8_lossy(&bytes)}).to_string();
        prop_assert!(!canonical::form(text.as_bytes()).is_empty());
    }
}
