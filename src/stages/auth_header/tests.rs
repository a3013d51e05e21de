use std::collections::BTreeMap;

use millgate_plugin::SetError;

use super::*;
use crate::runtime::host::Process;

/// One attempt of a request, as far as this stage looks at it.
#[derive(Default)]
struct Fake {
    fields: Vec<(Field, &'static str, &'static str)>,
    upstream: BTreeMap<String, Option<String>>,
}

impl Exchange for Fake {
    fn get(&self, field: Field, key: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|known| known.0 == field && known.1 == key)
            .map(|known| known.2.as_bytes())
    }

    fn number(&self, _field: Field) -> Option<u64> {
        None
    }

    fn set(&mut self, field: Field, key: &str, value: Option<&[u8]>) -> Result<(), SetError> {
        assert_eq!(field, Field::UpstreamHeader);
        self.upstream.insert(
            key.to_owned(),
            value.map(|value| String::from_utf8(value.to_vec()).unwrap()),
        );
        Ok(())
    }

    fn each(&self, _field: Field, _visit: &mut dyn FnMut(&str, &[u8]) -> bool) {}
}

fn stage(config: &serde_json::Value) -> Result<AuthHeader, SetupError> {
    AuthHeader::new(
        "company",
        serde_json::from_value(config.clone()).unwrap(),
        &Process::default().host,
    )
}

fn run(config: &serde_json::Value, fake: &mut Fake) -> Flow {
    stage(config).unwrap().on_request(&mut (), fake).unwrap()
}

fn set(value: &str, fake: &mut Fake) -> Option<String> {
    let flow = run(&serde_json::json!({"headers": {"X-Value": value}}), fake);
    assert!(matches!(flow, Flow::Next));
    fake.upstream["x-value"].clone()
}

#[test]
fn uuids_are_fresh_for_every_attempt() {
    let config = serde_json::json!({"headers": {"Prompt-Msg-Id": "{uuid}"}});
    let stage = stage(&config).unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut fake = Fake::default();
        stage.on_request(&mut (), &mut fake).unwrap();
        let id = fake.upstream["prompt-msg-id"].clone().unwrap();
        assert_eq!(
            uuid::Uuid::parse_str(&id).unwrap().hyphenated().to_string(),
            id
        );
        seen.push(id);
    }
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn values_come_from_the_request_and_have_defaults() {
    let mut fake = Fake {
        fields: vec![
            (Field::CallerId, "", "kim"),
            (Field::CallerMeta, "ticket", "T-7"),
            (Field::RequestId, "", "r1"),
        ],
        ..Fake::default()
    };
    assert_eq!(
        set("{caller.id}/{caller.meta.ticket} {request.id}", &mut fake).unwrap(),
        "kim/T-7 r1"
    );
    assert_eq!(set("{caller.team:-none}", &mut fake).unwrap(), "none");
    assert_eq!(
        set("{{not a placeholder}}", &mut fake).unwrap(),
        "{not a placeholder}"
    );
    assert_eq!(set("", &mut fake).unwrap(), "");
}

#[test]
fn what_is_not_known_is_stripped_rather_than_left_to_the_client() {
    assert_eq!(set("{caller.meta.ticket}", &mut Fake::default()), None);
}

#[test]
fn korean_is_percent_encoded() {
    let mut fake = Fake {
        fields: vec![(Field::CallerId, "", "김철수")],
        ..Fake::default()
    };
    assert_eq!(
        set("{caller.id}", &mut fake).unwrap(),
        "%EA%B9%80%EC%B2%A0%EC%88%98"
    );
    assert_eq!(
        set("결제 system", &mut Fake::default()).unwrap(),
        "%EA%B2%B0%EC%A0%9C system"
    );
}

#[test]
fn a_line_break_refuses_the_request() {
    for value in ["kim\r\nx-admin: 1", "a\nb", "nul\0"] {
        let mut fake = Fake {
            fields: vec![(Field::CallerId, "", value)],
            ..Fake::default()
        };
        let flow = run(
            &serde_json::json!({"headers": {"User-ID": "{caller.id}"}}),
            &mut fake,
        );
        let Flow::Reject(refusal) = flow else {
            panic!("{value:?} passed")
        };
        assert_eq!(refusal.kind, RefusalKind::InvalidRequest);
        assert!(fake.upstream.is_empty());
    }
}

#[test]
fn clients_cannot_send_what_is_refused() {
    let config = serde_json::json!({"refuse": ["X-Dep-Ticket"], "remove": ["Cookie2"]});
    let mut honest = Fake::default();
    assert!(matches!(run(&config, &mut honest), Flow::Next));
    assert_eq!(honest.upstream["cookie2"], None);
    let mut spoof = Fake {
        fields: vec![(Field::RequestHeader, "x-dep-ticket", "mine")],
        ..Fake::default()
    };
    assert!(matches!(run(&config, &mut spoof), Flow::Reject(_)));
}

#[test]
fn bad_tables_are_told_by_their_place() {
    for (config, path) in [
        (
            serde_json::json!({"headers": {"x y": "1"}}),
            vec!["headers", "x y"],
        ),
        (
            serde_json::json!({"headers": {"x": "{uid}"}}),
            vec!["headers", "x"],
        ),
        (
            serde_json::json!({"headers": {"x": "{uuid"}}),
            vec!["headers", "x"],
        ),
        (
            serde_json::json!({"headers": {"x": "a\nb"}}),
            vec!["headers", "x"],
        ),
        (
            serde_json::json!({"headers": {"Content-Length": "1"}}),
            vec!["headers", "Content-Length"],
        ),
        (
            serde_json::json!({"remove": ["ok", ""]}),
            vec!["remove", "1"],
        ),
    ] {
        assert_eq!(
            stage(&config).err().map(|error| error.path).unwrap(),
            path,
            "{config}"
        );
    }
}
