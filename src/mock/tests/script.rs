//! Reading scripts and plans, and the content that they make.

use proptest::prelude::*;
use serde_json::json;

use super::super::{Fault, Plan, Script, Series};

fn plan(json: &serde_json::Value) -> Result<Plan, String> {
    json.to_string()
        .parse()
        .map_err(|error: serde_json::Error| error.to_string())
}

#[test]
fn a_plan_is_a_script_or_a_list_or_an_object_of_both() {
    let late = Script {
        delay: 5,
        ..Script::default()
    };
    assert_eq!(plan(&json!({ "delay": 5 })), Ok(Plan::from(late.clone())));
    assert_eq!(
        plan(&json!([{ "delay": 5 }, {}])),
        Ok(Plan::from(vec![late.clone(), Script::default()]))
    );
    let whole = plan(
        &json!({ "delay": 5, "only": ["a"], "models": { "a": [{}] }, "paths": { "/v1/models": { "status": 500 } } }),
    );
    let whole = whole.unwrap();
    assert_eq!(whole.default, Some(Series::One(Box::new(late))));
    assert_eq!(whole.models["a"], Series::List(vec![Script::default()]));
    assert_eq!(
        whole.paths["/v1/models"],
        Series::One(Box::new(Script::status(500)))
    );
    assert_eq!(whole.only, Some(vec!["a".to_owned()]));
    assert_eq!(plan(&json!({ "models": {} })).unwrap().default, None);
}

#[test]
fn an_unknown_key_is_named() {
    for wrong in [
        json!({ "dealy": 5 }),
        json!([{ "dealy": 5 }]),
        json!({ "models": { "a": { "dealy": 5 } } }),
    ] {
        let error = plan(&wrong).unwrap_err();
        assert!(error.contains("dealy"), "{error}");
    }
    assert!(
        plan(&json!({ "fault": "fire" }))
            .unwrap_err()
            .contains("fire")
    );
}

#[test]
fn a_script_survives_being_written_and_read() {
    let script = Script {
        at: Some(3),
        text: Some("안녕".into()),
        ..Script::fault(Fault::Continue100)
    };
    let json = serde_json::to_string(&script).unwrap();
    assert!(json.contains(r#""fault":"continue_100""#));
    assert_eq!(serde_json::from_str::<Script>(&json).unwrap(), script);
}

proptest! {
    #[test]
    fn text_is_whole_however_it_is_cut(text in "\\PC{0,60}", chunks in prop::option::of(0usize..20), chunk_bytes in prop::option::of(0usize..20)) {
        let script = Script { text: Some(text.clone()), chunks, chunk_bytes, ..Script::default() };
        let parts = script.parts();
        prop_assert_eq!(parts.concat(), text);
        prop_assert!(parts.iter().all(|part| !part.is_empty()));
        if let Some(chunks) = chunks {
            prop_assert!(parts.len() <= chunks.max(1));
        }
    }

    #[test]
    fn filler_is_as_much_as_asked(chunks in 0usize..300, bytes in 0usize..50) {
        let script = Script { chunks: Some(chunks), chunk_bytes: Some(bytes), ..Script::default() };
        let parts = script.parts();
        prop_assert_eq!(parts.len(), chunks);
        prop_assert!(parts.iter().all(|part| part.len() == bytes));
    }
}
