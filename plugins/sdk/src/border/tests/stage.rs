//! The functions of a stage.

use millgate_plugin_abi as abi;
use serde_json::{Value, json};

use super::{
    driven::Made,
    gateway::{Output, Refused, Setup, connect},
    probe::{Looks, Probe},
};
use crate::{
    Field,
    testing::{self, FakeExchange},
};

fn chat() -> FakeExchange {
    FakeExchange::chat(&json!({"model": "m", "stream": true}))
}

fn acts(acts: &Value) -> Made {
    Made::new::<Probe>(&acts.to_string())
}

#[test]
fn a_stage_reads_and_writes_an_exchange() {
    let looks = Made::new::<Looks>("{}");
    let exchange = chat()
        .header("x-a", "1")
        .header("x-b", "2")
        .header("x-empty", "");
    let mut entered = looks.enter(exchange.clone());
    assert_eq!(entered.request(), abi::NEXT, "{:?}", entered.hook().failure);

    let mut entered = looks.enter(exchange.header("x-panic", "yes"));
    assert_eq!(entered.request(), abi::PANICKED);
    assert_eq!(entered.hook().failure.as_deref(), Some("at x-b"));
}

#[test]
fn a_reply_of_its_own_is_handed_over() {
    for hook in ["head", "request", "response"] {
        let made = acts(&json!({hook: "reply"}));
        let mut entered = made.enter(chat());
        let function = match hook {
            "head" => made.kind.on_request_head,
            "request" => made.kind.on_request,
            _ => made.kind.on_response,
        };
        assert_eq!(entered.call(function), abi::REPLY);
        let text = |text: &str| text.to_owned();
        assert_eq!(
            entered.hook().reply,
            [(text(""), text("418")), (text("x-pot"), text("tea"))]
        );
        assert_eq!(entered.hook().emitted, [b"short and stout"]);
    }
}

#[test]
fn a_refusal_is_handed_over() {
    let made = acts(&json!({"request": "reject"}));
    let mut entered = made.enter(chat());
    assert_eq!(entered.request(), abi::REJECT);
    let refused = Refused {
        kind: abi::REFUSAL_RATE_LIMITED,
        // Less than a millisecond is not nothing.
        retry_after: 1,
        texts: ["Later.", "later", "model", "patience"].map(str::to_owned),
    };
    assert_eq!(entered.hook().refusal, Some(refused));
}

#[test]
fn failures_and_panics_say_why() {
    let made = acts(&json!({"request": "fail", "response": "panic"}));
    let mut entered = made.enter(chat());
    assert_eq!(entered.request(), abi::FAILED);
    assert_eq!(entered.hook().failure.as_deref(), Some("as it was told"));
    assert_eq!(entered.response(), abi::PANICKED);
    assert_eq!(entered.hook().failure.as_deref(), Some("at response"));
}

#[test]
fn a_stage_that_panics_when_it_is_entered_is_not_called() {
    let made = acts(&json!({"begin": "panic"}));
    let mut entered = made.enter(chat());
    assert!(entered.state.is_null());
    assert_eq!(entered.request(), abi::PANICKED);
    assert_eq!(entered.chunk("keep").0, abi::PANICKED);
    entered.end(abi::OUTCOME_OK);
    assert_eq!(entered.hook().exchange.text(Field::Var, "end"), None);
}

#[test]
fn panics_in_drop_end_nothing_but_the_drop() {
    let made = acts(&json!({"request": "bomb", "drop": "panic"}));
    let mut entered = made.enter(chat());
    // State and future panic both, one by one.
    assert_eq!(entered.once(made.kind.on_request), abi::WAIT);
    drop(entered);

    let mut entered = made.enter(chat());
    assert_eq!(entered.once(made.kind.on_request), abi::WAIT);
    entered.end(abi::OUTCOME_CLIENT_CLOSED);
    drop(entered);
    drop(made);
}

#[test]
fn a_payload_that_panics_when_it_is_dropped_is_kept() {
    let contained =
        super::super::contain(|| std::panic::panic_any(super::probe::Bomb), str::to_owned);
    assert_eq!(contained, "no message");
}

#[test]
fn pieces_are_kept_dropped_replaced_and_split() {
    let made = acts(&json!({}));
    let mut entered = made.enter(chat());
    let none: Vec<String> = Vec::new();
    assert_eq!(entered.chunk("keep"), (abi::NEXT, none.clone()));
    assert_eq!(entered.chunk(""), (abi::NEXT, none.clone()));
    assert_eq!(entered.chunk("drop"), (abi::DROP, none.clone()));
    assert_eq!(
        entered.chunk("replace"),
        (abi::REPLACE, vec!["other".to_owned()])
    );
    assert_eq!(entered.chunk("empty"), (abi::REPLACE, vec![String::new()]));
    let split = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(entered.chunk("split"), (abi::REPLACE, split));
    assert_eq!(entered.chunk("fail"), (abi::FAILED, none.clone()));
    assert_eq!(entered.hook().failure.as_deref(), Some("cannot read it"));
    assert_eq!(entered.chunk("panic"), (abi::PANICKED, none));
}

#[test]
fn an_outcome_that_is_not_known_is_a_fault_of_the_gateway() {
    let made = acts(&json!({}));
    for (outcome, heard) in [
        (abi::OUTCOME_CLIENT_CLOSED, "client_closed after 1"),
        (0, "internal_error after 1"),
        (u32::MAX, "internal_error after 1"),
    ] {
        let mut entered = made.enter(chat());
        entered.request();
        entered.end(outcome);
        assert_eq!(entered.hook().exchange.text(Field::Var, "end"), Some(heard));
    }
}

#[test]
fn what_a_table_is_refused_for_is_told_with_its_place() {
    let refused = |config: &str, shadow| Made::try_new::<Probe>(config, shadow).err();
    let told =
        |status, path: &str, message: &str| Some((status, path.to_owned(), message.to_owned()));
    assert_eq!(
        refused(r#"{"new": "refuse"}"#, false),
        told(abi::FAILED, r#"["a","b"]"#, "not for it")
    );
    assert_eq!(
        refused(r#"{"new": "panic"}"#, false),
        told(abi::PANICKED, "[]", "panicked: in new")
    );
    let wrong = refused(r#"{"request": 1}"#, false).unwrap();
    assert_eq!((wrong.0, &*wrong.1), (abi::FAILED, r#"["request"]"#));
    assert!(wrong.2.contains("expected a string"), "{}", wrong.2);
    assert_eq!(refused("", false).unwrap().0, abi::FAILED);

    assert_eq!(refused(r#"{"new": "refuse shadow"}"#, false), None);
    assert_eq!(
        refused(r#"{"new": "refuse shadow"}"#, true),
        told(abi::FAILED, r#"["new"]"#, "in shadow mode")
    );
}

#[test]
fn what_a_stage_is_like_is_asked_of_it() {
    let ask = |made: &Made| {
        let kind = &made.kind;
        // SAFETY: the stage is that of these functions.
        unsafe {
            (
                kind.hooks.unwrap()(made.stage),
                kind.place.unwrap()(made.stage),
                kind.needs_store.unwrap()(made.stage),
            )
        }
    };
    let hooks = abi::HOOK_REQUEST | abi::HOOK_END;
    assert_eq!(ask(&acts(&json!({}))), (hooks, abi::PLACE_ANYWHERE, 0));
    assert_eq!(
        ask(&acts(&json!({"place": "above", "store": "yes"}))),
        (hooks, abi::PLACE_ABOVE_ROUTE, 1)
    );
    // A stage that cannot say is asked for everything, and stands where its kind does.
    assert_eq!(
        ask(&acts(&json!({"hooks": "panic", "place": "panic"}))),
        (u32::MAX, abi::PLACE_BELOW_ROUTE, 0)
    );
}

#[test]
fn a_stage_takes_over_from_another() {
    let old = acts(&json!({}));
    let mut entered = old.enter(chat());
    entered.end(abi::OUTCOME_OK);
    drop(entered);
    for adopts in ["", "panic"] {
        let new = acts(&json!({"adopt": adopts}));
        // SAFETY: both are of these functions.
        unsafe { new.kind.adopt.unwrap()(new.stage, old.stage) };
    }
}

#[test]
fn the_schema_is_written() {
    connect();
    let kind = super::super::stage_type::<Probe>();
    let mut output = Output::default();
    // SAFETY: the output lives for the call.
    unsafe { kind.schema.unwrap()((&raw mut output).cast()) };
    let schema: Value = serde_json::from_slice(&output.bytes).unwrap();
    assert_eq!(schema["additionalProperties"], json!({"type": "string"}));
}

#[test]
fn nothing_is_freed_where_nothing_is() {
    let kind = super::super::stage_type::<Probe>();
    // SAFETY: null is none.
    unsafe {
        kind.destroy.unwrap()(std::ptr::null_mut());
        kind.end.unwrap()(std::ptr::null_mut());
    }
}

#[test]
fn a_stage_is_made_by_the_test_kit_as_by_the_border() {
    let host = testing::FakeHost::new().host();
    let refused = testing::stage::<Probe>(&json!({"new": "refuse"}), &host).err();
    assert_eq!(refused.unwrap().to_string(), "a.b: not for test");
    let mut setup = Setup::default();
    assert!(setup.error.take().is_none());
}
