use std::fmt;

use bytes::Bytes;
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::*;

/// What `serde_json` makes of an object, duplicates included, values left raw.
struct Oracle<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Oracle<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Oracle<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Oracle(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

fn kind(bytes: &[u8]) -> JsonErrorKind {
    scan(bytes).expect_err("must be refused").kind
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \n\r\t]{1,3}"]
}

fn string() -> impl Strategy<Value = String> {
    pieces(0)
}

/// Mostly distinct: half of the documents shall not fall to a duplicate key.
fn key() -> impl Strategy<Value = String> {
    pieces(2)
}

fn pieces(least: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z가-힣 {}:,😀]{0,40}",
        1 => "[ -!#-\\[\\]-~]{60,200}",
        1 => r#"\\["\\/bfnrt]"#,
        1 => r"\\u00[0-9a-f]{2}",
        1 => Just(r"\ud83d\ude00".to_owned()),
    ];
    prop::collection::vec(piece, least..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        string(),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?",
        "true|false|null",
    ];
    leaf.prop_recursive(6, 32, 4, |inner| {
        let element = (space(), inner.clone(), space()).prop_map(|(a, v, b)| a + &v + &b);
        prop_oneof![
            prop::collection::vec(element, 0..4)
                .prop_map(|elements| format!("[{}]", elements.join(","))),
            object(inner, 0..4),
        ]
    })
}

fn object(
    value: impl Strategy<Value = String>,
    size: std::ops::Range<usize>,
) -> impl Strategy<Value = String> {
    let member = (space(), key(), space(), space(), value, space())
        .prop_map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"));
    (prop::collection::vec(member, size), space())
        .prop_map(|(members, inside)| format!("{{{inside}{}}}", members.join(",")))
}

fn document() -> impl Strategy<Value = String> {
    (space(), object(value(), 0..24), space()).prop_map(|(a, object, b)| a + &object + &b)
}

/// Either both refuse, or both see the same members.
fn agrees_with_serde(bytes: &[u8]) -> Result<(), TestCaseError> {
    let oracle = serde_json::from_slice::<Oracle<'_>>(bytes);
    match (scan(bytes), oracle) {
        (Ok(members), Ok(Oracle(pairs))) => {
            prop_assert_eq!(members.len(), pairs.len());
            for ((name, span), (key, value)) in members.iter(bytes).zip(&pairs) {
                prop_assert_eq!(&name, key);
                prop_assert_eq!(&bytes[span], value.get().as_bytes());
                prop_assert_eq!(members.get(bytes, key), Some(value.get().as_bytes()));
            }
        }
        (Err(error), Ok(Oracle(pairs))) => {
            let twice = |name: &str| pairs.iter().filter(|(key, _)| key == name).count() > 1;
            match error.kind {
                JsonErrorKind::DuplicateKey(name) => prop_assert!(twice(&name)),
                other => prop_assert_eq!(other, JsonErrorKind::TooDeep),
            }
        }
        // A key with a lone surrogate cannot become a Rust string; the grammar allows it.
        (Ok(members), Err(_)) => {
            prop_assert!(
                members
                    .iter(bytes)
                    .any(|(name, _)| name.contains(char::REPLACEMENT_CHARACTER))
            );
        }
        (Err(_), Err(_)) => {}
    }
    Ok(())
}

proptest! {
    #[test]
    fn valid_documents_are_seen_as_serde_sees_them(text in document()) {
        prop_assert!(serde_json::from_str::<Oracle<'_>>(&text).is_ok(), "the generator is wrong");
        agrees_with_serde(text.as_bytes())?;
    }

    #[test]
    fn damaged_documents_are_judged_as_serde_judges_them(
        text in document(), at in any::<prop::sample::Index>(), byte in prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]\",:\\u0-1.eE \n"[..])], how in 0..3
    ) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => { bytes.remove(at); }
        }
        agrees_with_serde(&bytes)?;
    }

    #[test]
    fn arbitrary_bytes_are_judged_as_serde_judges_them(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        agrees_with_serde(&bytes)?;
    }

    #[test]
    fn json_like_noise_is_judged_as_serde_judges_it(text in r#"[{}\[\]",:\\u0-9.eE+\-a-ftrulsn ]{0,40}"#) {
        agrees_with_serde(text.as_bytes())?;
        agrees_with_serde(format!("{{\"a\":{text}}}").as_bytes())?;
    }

    #[test]
    fn every_prefix_of_a_document_is_truncated(text in (space(), object(value(), 0..6), space()).prop_map(|(a, object, b)| a + &object + &b)) {
        let end = text.trim_end().len();
        for at in 0..end {
            match kind(&text.as_bytes()[..at]) {
                JsonErrorKind::Truncated => {}
                JsonErrorKind::Empty => prop_assert!(text[..at].trim().is_empty()),
                other => prop_assert!(false, "{other:?} at {at}"),
            }
        }
    }

    #[test]
    fn readers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), inside in r#"[\\"udD89abcefn0]{0,20}"#) {
        for raw in [&bytes[..], format!("\"{inside}\"").as_bytes()] {
            let _ = (as_str(raw), as_bool(raw), as_u64(raw), as_f64(raw), is_null(raw));
        }
    }

    #[test]
    fn strings_read_as_serde_reads_them(raw in string()) {
        let text: String = serde_json::from_str(&raw).expect("valid string");
        prop_assert_eq!(as_str(raw.as_bytes()).expect("a string"), text);
    }

    #[test]
    fn written_strings_read_back(text in any::<String>(), plain in "[a-z\u{0}-\u{1f}\"\\\\]{0,99}") {
        for text in [text, plain] {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("valid"), text);
        }
    }

    #[test]
    fn stops_are_found_where_a_plain_search_finds_them(
        bytes in prop::collection::vec(prop_oneof![9 => 0x20u8.., 1 => any::<u8>()], 0..300),
        plain in 0..200usize,
    ) {
        let bytes = [vec![b'a'; plain], bytes].concat();
        let is_stop = |at: &usize| matches!(bytes[*at], b'"' | b'\\' | 0..0x20);
        let mut expected: Vec<usize> = (0..bytes.len()).filter(is_stop).collect();
        expected.push(bytes.len());
        let mut found = stops::Stops::new(&bytes);
        let mut from = 0;
        for stop in expected {
            prop_assert_eq!(found.next(from), stop);
            from = stop + 1;
        }
    }
}

#[test]
fn a_request_is_seen_through() {
    let body = br#" { "model" : "gpt-4", "stream":true, "n": 2, "temperature": 0.7, "user": null, "messages":[{"role":"user","content":"hi"}] } "#;
    let members = scan(body).expect("valid");
    let get = |name| members.get(body, name);
    assert_eq!(get("model").and_then(as_str).as_deref(), Some("gpt-4"));
    assert_eq!(get("stream").and_then(as_bool), Some(true));
    assert_eq!(get("n").and_then(as_u64), Some(2));
    assert_eq!(get("temperature").and_then(as_f64), Some(0.7));
    assert!(get("user").is_some_and(is_null));
    assert_eq!(
        get("messages"),
        Some(&br#"[{"role":"user","content":"hi"}]"#[..])
    );
    assert_eq!(get("content"), None, "only top-level members count");
}

#[test]
fn keys_compare_by_their_decoded_names() {
    let body = br#"{"mod\u0065l":"a"}"#;
    let members = scan(body).expect("valid");
    assert_eq!(members.get(body, "model"), Some(&br#""a""#[..]));
    assert_eq!(members.get(body, r"mod\u0065l"), None);
    assert_eq!(
        kind(br#"{"model":"a","mod\u0065l":"b"}"#),
        JsonErrorKind::DuplicateKey("model".into())
    );
}

#[test]
fn duplicates_are_found_among_few_and_among_many() {
    assert_eq!(
        kind(br#"{"a":1,"b":{"a":1},"a":2}"#),
        JsonErrorKind::DuplicateKey("a".into())
    );
    let many: Vec<String> = (0..50_000).map(|n| format!("\"k{n}\":0")).collect();
    let body = format!("{{{}}}", many.join(","));
    assert_eq!(scan(body.as_bytes()).expect("valid").len(), 50_000);
    let body = format!("{{{},\"k7\":1}}", many.join(","));
    assert_eq!(
        kind(body.as_bytes()),
        JsonErrorKind::DuplicateKey("k7".into())
    );
}

#[test]
fn depth_is_capped_and_costs_no_stack() {
    let nested = |levels: usize| {
        let inner = levels - 1;
        format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
    };
    assert!(scan(nested(MAX_DEPTH).as_bytes()).is_ok());
    assert_eq!(
        kind(nested(MAX_DEPTH + 1).as_bytes()),
        JsonErrorKind::TooDeep
    );
    assert_eq!(kind(nested(1_000_000).as_bytes()), JsonErrorKind::TooDeep);
    let objects = "{\"a\":".repeat(MAX_DEPTH) + "0" + &"}".repeat(MAX_DEPTH);
    assert!(scan(objects.as_bytes()).is_ok());
    assert_eq!(
        kind(format!("{{\"a\":{objects}}}").as_bytes()),
        JsonErrorKind::TooDeep
    );
}

#[test]
fn other_documents_are_named_for_what_they_are() {
    assert_eq!(kind(b""), JsonErrorKind::Empty);
    assert_eq!(kind(b" \n"), JsonErrorKind::Empty);
    assert_eq!(kind(b"[{}]"), JsonErrorKind::NotAnObject);
    assert_eq!(kind(b"\"text\""), JsonErrorKind::NotAnObject);
    assert_eq!(kind(b"{} {}"), JsonErrorKind::Trailing);
    assert_eq!(kind(b"{\"a\":\"\xff\"}"), JsonErrorKind::InvalidUtf8);
    assert_eq!(kind("{\"a\":\"가".as_bytes()), JsonErrorKind::Truncated);
    assert_eq!(kind(b"{\"a\":\"\xea\xb0"), JsonErrorKind::Truncated);
    for broken in [
        "<html>",
        "\u{feff}{}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1,}",
        "{\"a\":[1,]}",
        "{\"a\":[1}}",
        "{\"a\" 1}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":-}",
        "{\"a\":NaN}",
        "{\"a\":nul}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":1 /* no */}",
    ] {
        assert!(
            matches!(kind(broken.as_bytes()), JsonErrorKind::Syntax(_)),
            "{broken}"
        );
    }
}

#[test]
fn lone_surrogates_read_as_replacement_characters() {
    assert_eq!(as_str(br#""a\ud800b""#).as_deref(), Some("a\u{fffd}b"));
    assert_eq!(
        as_str(br#""\udc00\ud800""#).as_deref(),
        Some("\u{fffd}\u{fffd}")
    );
    assert_eq!(as_str(br#""\ud83d\ude00""#).as_deref(), Some("😀"));
    assert!(scan(br#"{"a":"\ud800"}"#).is_ok());
}

#[test]
fn numbers_read_only_as_what_they_are() {
    assert_eq!(as_u64(b"18446744073709551615"), Some(u64::MAX));
    for not_whole in [
        "18446744073709551616",
        "-1",
        "1.0",
        "1e3",
        "+1",
        "\"1\"",
        "",
    ] {
        assert_eq!(as_u64(not_whole.as_bytes()), None, "{not_whole}");
    }
    assert_eq!(as_f64(b"-1.5e2"), Some(-150.0));
    for not_a_double in ["1e999", "inf", "-inf", "nan", "-nan", "\"1\"", "true", ""] {
        assert_eq!(as_f64(not_a_double.as_bytes()), None, "{not_a_double}");
    }
}

#[test]
fn errors_tell_what_where_and_what_to_do() {
    let text = |body: &str| scan(body.as_bytes()).expect_err("refused").to_string();
    assert_eq!(
        text("{\n  \"가나\": 1\n  \"b\": 2\n}"),
        "the body is not valid JSON at line 3, column 3: expected a comma or a closing brace"
    );
    assert_eq!(
        text("{\"가나\": x}"),
        "the body is not valid JSON at line 1, column 8: expected a value"
    );
    assert_eq!(
        text("{\"a\":1,\"a\":2}"),
        "the body has the member \"a\" a second time at line 1, column 8; send it once"
    );
    assert_eq!(
        text("{\"a\":"),
        "the JSON body ends early, at line 1, column 6; send the whole document"
    );
}

fn spliced(body: &str, edits: &[Edit<'_>]) -> String {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let members = scan(&body).expect("valid");
    let out = splice(&body, &members, edits);
    String::from_utf8(out.to_vec()).expect("UTF-8")
}

fn set<'a>(name: &'a str, value: &'a str) -> Edit<'a> {
    Edit::Set {
        name,
        value: value.as_bytes(),
    }
}

#[test]
fn splicing_touches_only_what_is_edited() {
    let body = "{ \"model\" : \"a\",\n  \"x\": [1, 2],\n  \"y\": null\n} ";
    assert_eq!(
        spliced(body, &[set("model", "\"b\""), set("n", "1")]),
        "{ \"model\" : \"b\",\n  \"x\": [1, 2],\n  \"y\": null,\"n\":1\n} "
    );
    let remove = |name| spliced(body, &[Edit::Remove { name }]);
    assert_eq!(remove("model"), "{ \"x\": [1, 2],\n  \"y\": null\n} ");
    assert_eq!(remove("x"), "{ \"model\" : \"a\",\n  \"y\": null\n} ");
    assert_eq!(remove("y"), "{ \"model\" : \"a\",\n  \"x\": [1, 2]\n} ");
    assert_eq!(remove("z"), body);
}

#[test]
fn splicing_handles_empty_and_emptied_objects() {
    assert_eq!(spliced(" { } ", &[set("a", "1")]), " {\"a\":1 } ");
    assert_eq!(
        spliced("{}", &[set("a", "1"), set("b\"", "2")]),
        r#"{"a":1,"b\"":2}"#
    );
    assert_eq!(
        spliced(r#"{"a":1}"#, &[Edit::Remove { name: "a" }, set("b", "2")]),
        r#"{"b":2}"#
    );
}

#[test]
fn the_last_edit_of_a_name_counts() {
    assert_eq!(spliced("{}", &[set("a", "1"), set("a", "2")]), r#"{"a":2}"#);
    assert_eq!(
        spliced("{}", &[set("a", "1"), Edit::Remove { name: "a" }]),
        "{}"
    );
    let again = [Edit::Remove { name: "a" }, set("a", "2")];
    assert_eq!(spliced(r#"{"\u0061":1}"#, &again), r#"{"\u0061":2}"#);
}

#[test]
fn splicing_nothing_shares_the_body() {
    let body = Bytes::from_static(b"{\"a\":1}");
    let members = scan(&body).expect("valid");
    for edits in [&[][..], &[Edit::Remove { name: "b" }]] {
        assert_eq!(splice(&body, &members, edits).as_ptr(), body.as_ptr());
    }
}

proptest! {
    #[test]
    fn splicing_equals_editing_the_parsed_map(
        keys in prop::collection::btree_set("[a-h가]|\\\\u0061b|[xyz]{2}", 0..8),
        values in prop::collection::vec(value(), 8),
        gaps in prop::collection::vec(space(), 8),
        edits in prop::collection::vec((prop::sample::select(&["a", "b", "c", "가", "ab", "new", "q\"\n"][..]), prop::option::of(value())), 0..6),
    ) {
        let members: Vec<String> = keys.iter().zip(&values).zip(&gaps)
            .map(|((key, value), gap)| format!("{gap}\"{key}\"{gap}:{gap}{value}{gap}")).collect();
        let body = Bytes::from(format!("{{{}}}", members.join(",")));
        let Ok(found) = scan(&body) else { return Ok(()) };
        let edit: Vec<Edit<'_>> = edits.iter().map(|(name, value)| match value {
            Some(value) => set(name, value),
            None => Edit::Remove { name },
        }).collect();

        let Oracle(pairs) = serde_json::from_slice(&body).expect("valid");
        let mut expected: Vec<(String, String)> =
            pairs.into_iter().map(|(key, value)| (key, value.get().to_owned())).collect();
        for (name, value) in &edits {
            let at = expected.iter().position(|(key, _)| key == name);
            match (at, value) {
                (Some(at), Some(value)) => expected[at].1.clone_from(value),
                (Some(at), None) => { expected.remove(at); }
                (None, Some(value)) => expected.push(((*name).to_owned(), value.clone())),
                (None, None) => {}
            }
        }
        expected.sort();

        let out = splice(&body, &found, &edit);
        let Oracle(pairs) = serde_json::from_slice(&out).expect("still valid");
        let mut actual: Vec<(String, String)> =
            pairs.into_iter().map(|(key, value)| (key, value.get().to_owned())).collect();
        actual.sort();
        prop_assert_eq!(actual, expected);
        // A valid document again, and its members stand where a new scan finds them.
        agrees_with_serde(&out)?;
        // What was not edited is there to the byte, its white space included.
        for ((key, text), _) in keys.iter().zip(&members).zip(&values) {
            let name = key.replace("\\u0061", "a");
            if edits.iter().all(|(edited, _)| *edited != name) {
                let text = text.trim();
                prop_assert!(memchr::memmem::find(&out, text.as_bytes()).is_some(), "{text} lost");
            }
        }
    }
}
