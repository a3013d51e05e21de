//! `json::scan` sees what `serde_json` sees, and `json::splice` changes what it is told to and nothing else.
#![no_main]

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use millgate::http::json::{self, Edit, JsonErrorKind, Members};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object as `serde_json` finds them, duplicates included.
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

fuzz_target!(|bytes: &[u8]| {
    let body = Bytes::copy_from_slice(bytes);
    let oracle = serde_json::from_slice::<Oracle<'_>>(&body);
    match (json::scan(&body), oracle) {
        (Ok(members), Ok(Oracle(pairs))) => {
            agree(&body, &members, &pairs);
            edit(&body, &members, &pairs);
        }
        (Err(error), Ok(Oracle(pairs))) => match error.kind {
            JsonErrorKind::DuplicateKey(name) => {
                assert!(pairs.iter().filter(|(key, _)| *key == *name).count() > 1);
            }
            other => assert_eq!(other, JsonErrorKind::TooDeep),
        },
        // A key with a lone surrogate cannot become a Rust string; the grammar allows it.
        (Ok(members), Err(error)) => assert!(
            members
                .iter(&body)
                .any(|(name, _)| name.contains(char::REPLACEMENT_CHARACTER)),
            "{error}"
        ),
        (Err(error), Err(_)) => drop(error.to_string()),
    }
});

fn agree(body: &Bytes, members: &Members, pairs: &[(String, &RawValue)]) {
    assert_eq!(members.len(), pairs.len());
    for ((name, span), (key, value)) in members.iter(body).zip(pairs) {
        assert_eq!(name, *key);
        assert_eq!(&body[span], value.get().as_bytes());
        assert_eq!(members.get(body, key), Some(value.get().as_bytes()));
        let raw = value.get().as_bytes();
        let number: Option<u64> = serde_json::from_slice(raw).ok();
        assert_eq!(json::as_u64(raw), number);
        if let Ok(text) = serde_json::from_slice::<String>(raw) {
            assert_eq!(json::as_str(raw).as_deref(), Some(&*text));
        }
    }
}

/// Sets and removes some of the members there are, and one that there is not.
fn edit(body: &Bytes, members: &Members, pairs: &[(String, &RawValue)]) {
    let value: &[u8] = br#"{"set":[1]}"#;
    let mut edits = vec![Edit::Set {
        name: "new \"\n",
        value,
    }];
    let mut wanted: BTreeMap<&str, &[u8]> = pairs
        .iter()
        .map(|(name, value)| (&**name, value.get().as_bytes()))
        .collect();
    wanted.insert("new \"\n", value);
    for (at, (name, raw)) in pairs.iter().enumerate() {
        // The values themselves decide, so that any combination can come about.
        match (at + raw.get().len()) % 3 {
            0 => {
                edits.push(Edit::Set { name, value });
                wanted.insert(name, value);
            }
            1 => {
                edits.push(Edit::Remove { name });
                wanted.remove(&**name);
            }
            _ => {}
        }
    }
    let edited = json::splice(body, members, &edits);
    let Oracle(pairs) = serde_json::from_slice(&edited).expect("valid still");
    assert_eq!(pairs.len(), wanted.len());
    for (name, value) in &pairs {
        assert_eq!(wanted.get(&**name), Some(&value.get().as_bytes()));
    }
    let again = json::scan(&edited).expect("valid still");
    assert_eq!(again.len(), wanted.len());
}
