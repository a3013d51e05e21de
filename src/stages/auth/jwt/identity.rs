//! Who a token says that its bearer is.

use std::{collections::BTreeMap, time::SystemTime};

use millgate_plugin::{Exchange, Field, SetError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::token::Fault;

/// Longest id, in bytes: it is logged, and is sent in headers.
const LONGEST_ID: usize = 256;

/// Which claims of a token say what of the caller. A claim within others is named by a JSON pointer (RFC 6901), such as
/// `"/realm_access/roles"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Claims {
    /// The claim that is the caller's id. A token without it is refused. Default: `"sub"`.
    pub id: String,
    /// The claim that is the team. Default: none.
    pub team: Option<String>,
    /// The claim with the models that may be asked for: an array of patterns, or a string of them with spaces between.
    /// A token without it may ask for none. Default: none, and all may be asked for.
    pub models: Option<String>,
    /// Claims to know the caller by, as `{caller.meta.NAME}` in headers. Default: none.
    pub meta: BTreeMap<String, String>,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            id: "sub".to_owned(),
            team: None,
            models: None,
            meta: BTreeMap::new(),
        }
    }
}

/// The bearer of a token.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::stages::auth) struct Identity {
    id: String,
    team: Option<String>,
    /// Patterns, one a line.
    models: Option<String>,
    meta: Vec<(String, String)>,
    /// When the token ends.
    pub(super) until: SystemTime,
}

impl Identity {
    /// The identity that the claims of a token in force until `until` tell.
    pub(super) fn new(
        names: &Claims,
        claims: &Map<String, Value>,
        until: SystemTime,
    ) -> Result<Self, Fault> {
        let id = find(claims, &names.id)
            .and_then(text)
            .ok_or("it has no claim for the caller's id")?;
        if id.len() > LONGEST_ID || id.chars().any(char::is_control) {
            return Err("its claim for the caller's id cannot be one");
        }
        let meta = names.meta.iter().filter_map(|(name, claim)| {
            let value = find(claims, claim).and_then(text)?;
            Some((name.clone(), value))
        });
        let models = |claim: &String| find(claims, claim).map(patterns).unwrap_or_default();
        Ok(Self {
            id,
            team: names
                .team
                .as_ref()
                .and_then(|claim| text(find(claims, claim)?)),
            models: names.models.as_ref().map(models),
            meta: meta.collect(),
            until,
        })
    }

    /// Makes it the caller of an exchange.
    pub(in crate::stages::auth) fn introduce(
        &self,
        exchange: &mut dyn Exchange,
    ) -> Result<(), SetError> {
        exchange.set(Field::CallerKey, "", None)?;
        exchange.set(Field::CallerId, "", Some(self.id.as_bytes()))?;
        if let Some(team) = &self.team {
            exchange.set(Field::CallerTeam, "", Some(team.as_bytes()))?;
        }
        if let Some(models) = &self.models {
            exchange.set(Field::CallerModels, "", Some(models.as_bytes()))?;
        }
        for (name, value) in &self.meta {
            exchange.set(Field::CallerMeta, name, Some(value.as_bytes()))?;
        }
        Ok(())
    }
}

fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let Some(pointer) = name.strip_prefix('/') else {
        return claims.get(name);
    };
    let (first, rest) = pointer.split_at(pointer.find('/').unwrap_or(pointer.len()));
    claims
        .get(&first.replace("~1", "/").replace("~0", "~"))?
        .pointer(rest)
}

/// A claim as one text; nothing where it is empty.
fn text(claim: &Value) -> Option<String> {
    let text = match claim {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Array(values) => values.iter().filter_map(text).collect::<Vec<_>>().join(","),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// A claim as patterns, one a line.
fn patterns(claim: &Value) -> String {
    let words: Vec<&str> = match claim {
        Value::String(words) => words.split_whitespace().collect(),
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    words.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity(names: &Value, claims: &Value) -> Result<Identity, Fault> {
        let names: Claims = serde_json::from_value(names.clone()).unwrap();
        Identity::new(&names, claims.as_object().unwrap(), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn claims_become_what_the_config_says() {
        let names = json!({
            "id": "email",
            "team": "/org/groups/0",
            "models": "models",
            "meta": {"number": "employee", "groups": "/org/groups", "slash": "/a~1b", "gone": "gone"},
        });
        let claims = json!({
            "email": "kim@example.com",
            "org": {"groups": ["ml", "ops"]},
            "models": ["gpt-4*", "llama*"],
            "employee": 7,
            "a/b": true,
        });
        let found = identity(&names, &claims).unwrap();
        assert_eq!(found.id, "kim@example.com");
        assert_eq!(found.team.as_deref(), Some("ml"));
        assert_eq!(found.models.as_deref(), Some("gpt-4*\nllama*"));
        let meta: Vec<_> = found.meta.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(
            meta,
            [("groups", "ml,ops"), ("number", "7"), ("slash", "true")]
        );
    }

    #[test]
    fn an_id_is_needed_and_must_be_one() {
        assert!(identity(&json!({}), &json!({"sub": "kim"})).is_ok());
        for sub in [
            json!(null),
            json!(""),
            json!({}),
            json!("a\nb"),
            json!("x".repeat(257)),
        ] {
            assert!(
                identity(&json!({}), &json!({ "sub": sub })).is_err(),
                "{sub}"
            );
        }
    }

    #[test]
    fn a_list_of_models_that_is_wanted_and_missing_is_an_empty_one() {
        let names = json!({"models": "scope"});
        for (claims, lines) in [
            (json!({"sub": "kim"}), ""),
            (json!({"sub": "kim", "scope": 7}), ""),
            (
                json!({"sub": "kim", "scope": "gpt-4  llama*"}),
                "gpt-4\nllama*",
            ),
        ] {
            let found = identity(&names, &claims).unwrap();
            assert_eq!(found.models.as_deref(), Some(lines), "{claims}");
        }
        assert_eq!(
            identity(&json!({}), &json!({"sub": "kim"})).unwrap().models,
            None
        );
    }
}
