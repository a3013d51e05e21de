use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse(keys: &Value) -> Result<KeySet, &'static str> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

fn coordinate(byte: u8) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([byte; 32])
}

fn ed(id: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": coordinate(1)})
}

fn with(key: &Value, name: &str, value: Value) -> Value {
    let mut key = key.clone();
    key[name] = value;
    key
}

#[test]
fn only_public_keys_for_signatures_that_we_accept_are_taken() {
    let rsa = json!({"kty": "RSA", "n": BASE64_URL_SAFE_NO_PAD.encode([7; 256]), "e": "AQAB"});
    let ec = json!({"kty": "EC", "crv": "P-256", "x": coordinate(1), "y": coordinate(2)});
    for key in [
        rsa.clone(),
        with(&rsa, "alg", "RS256".into()),
        ec.clone(),
        with(&ec, "use", "sig".into()),
        with(&ec, "key_ops", json!(["verify"])),
        with(&ed("d"), "alg", "EdDSA".into()),
        with(&ed("d"), "x5c", json!(["whatever"])),
    ] {
        assert!(parse(&json!([key])).is_ok(), "{key}");
    }
    for key in [
        json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}),
        with(&rsa, "alg", "HS256".into()),
        with(&rsa, "alg", "RS512".into()),
        with(&rsa, "alg", "ES256".into()),
        with(&rsa, "use", "enc".into()),
        with(&rsa, "e", json!(null)),
        with(&rsa, "n", "not base64!".into()),
        with(&ec, "crv", "P-384".into()),
        with(&ec, "x", "AQAB".into()),
        with(&ec, "key_ops", json!(["sign"])),
        with(&ed("d"), "crv", "X25519".into()),
        with(&ed("d"), "kty", "EC".into()),
        json!("key"),
        json!({}),
    ] {
        assert!(parse(&json!([key])).is_err(), "{key}");
        assert_eq!(
            parse(&json!([key, ed("d")])).unwrap().keys.len(),
            1,
            "{key}"
        );
    }
    assert!(KeySet::parse(b"[]").is_err());
    assert!(KeySet::parse(b"{\"keys\": {}}").is_err());
}

#[test]
fn a_set_is_another_one_where_any_key_is() {
    let set = |keys: &Value| parse(keys).unwrap();
    let one = set(&json!([ed("a"), ed("b")]));
    assert!(one.says_the_same(&set(&json!([ed("a"), with(&ed("b"), "use", "sig".into())]))));
    for other in [
        json!([ed("a")]),
        json!([ed("a"), ed("c")]),
        json!([ed("a"), with(&ed("b"), "x", coordinate(2).into())]),
    ] {
        assert!(!one.says_the_same(&set(&other)), "{other}");
    }
}

#[test]
fn a_token_without_a_name_is_of_the_only_key_for_its_algorithm() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let key = |id: &str| with(&ed(id), "x", x.clone().into());
    let token = |header: &Value| {
        let header = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
        let signed = format!("{header}.e30");
        let signature = BASE64_URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    };
    let check =
        |keys: &Value, token: &str| parse(keys).unwrap().check(&Token::parse(token).unwrap());
    let unnamed = token(&json!({"alg": "EdDSA"}));
    assert_eq!(check(&json!([key("a")]), &unnamed), Ok(()));
    assert!(matches!(
        check(&json!([key("a"), key("b")]), &unnamed),
        Err(NotSigned::Never(_))
    ));
    let named = token(&json!({"alg": "EdDSA", "kid": "b"}));
    assert_eq!(check(&json!([key("a"), key("b")]), &named), Ok(()));
    assert_eq!(
        check(&json!([key("a")]), &named),
        Err(NotSigned::UnknownKey)
    );
    for header in [
        json!({"alg": "HS256", "kid": "a"}),
        json!({"alg": "none", "kid": "a"}),
        json!({"alg": "ES256", "kid": "a"}),
    ] {
        let told = check(&json!([key("a")]), &token(&header));
        assert!(
            matches!(told, Err(NotSigned::Never(_))),
            "{header}: {told:?}"
        );
    }
}

proptest! {
    #[test]
    fn whatever_is_published_is_read_or_refused(document in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = KeySet::parse(&document);
    }

    /// No text that somebody makes up is signed.
    #[test]
    fn nothing_made_up_is_signed(
        alg in "RS256|ES256|EdDSA|HS256|none",
        kid in proptest::option::of("a|b"),
        payload in "[A-Za-z0-9_-]{0,40}",
        signature in "[A-Za-z0-9_-]{0,90}",
    ) {
        let set = parse(&json!([ed("a")])).unwrap();
        let header = BASE64_URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": kid}).to_string());
        let text = format!("{header}.{payload}.{signature}");
        prop_assert!(set.check(&Token::parse(&text).unwrap()).is_err());
    }
}
