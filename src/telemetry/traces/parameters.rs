//! What a request asks of a model, as far as a span tells of it: numbers and words, never what was said.

use serde_json::Value;

use crate::{
    http::json,
    pipeline::request::ClientRequest,
    routing::{route::Route, target::Params},
};

/// The members that spans tell of.
const NAMES: [&str; 15] = [
    "n",
    "seed",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "stop",
    "response_format",
    "text",
    "encoding_format",
    "dimensions",
];

/// Bytes of JSON of which a tree is made: of a longer member, a schema perhaps, the type alone is looked for.
const LONGEST: usize = 64 << 10;

/// Bytes of JSON that are kept of a member: what a span tells of are numbers, words and a few stop sequences. Many requests
/// are held at a time, and none is to take more room than such members need.
const KEPT: usize = 1 << 10;

/// Members of a request, read once it is over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    /// Those that the client has set.
    client: Vec<(&'static str, Value)>,
    /// Those that the route adds where client and target leave them out.
    route: Vec<(&'static str, Value)>,
}

impl Parameters {
    /// Those of a request that fell under this route.
    #[must_use]
    pub fn of(request: &ClientRequest, route: Option<&Route>) -> Self {
        let member = |name: &'static str| {
            let raw = request.members.get(&request.body, name)?;
            Some((name, brief(name, raw)?))
        };
        Self {
            client: NAMES.into_iter().filter_map(member).collect(),
            route: route.map_or_else(Vec::new, |route| known(&route.params)),
        }
    }

    /// A member as it is asked of a target that adds these itself.
    #[must_use]
    pub fn get(&self, name: &str, target: &Params) -> Option<Value> {
        let of = |list: &[(&'static str, Value)]| {
            let found = list.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        of(&self.client)
            .or_else(|| of(&known(target)))
            .or_else(|| of(&self.route))
            .filter(|value| !value.is_null())
    }
}

fn known(params: &Params) -> Vec<(&'static str, Value)> {
    let member = |(name, raw): &(Box<str>, Box<str>)| {
        let name = NAMES.into_iter().find(|known| *known == &**name)?;
        Some((name, brief(name, raw.as_bytes())?))
    };
    params.iter().filter_map(member).collect()
}

fn value(raw: &[u8]) -> Option<Value> {
    if raw.len() > LONGEST {
        // Of a large schema its type is still to be had, without building all of it.
        let members = json::scan(raw).ok()?;
        let kind = json::as_str(members.get(raw, "type")?)?;
        return Some(serde_json::json!({ "type": kind }));
    }
    serde_json::from_slice(raw).ok()
}

/// What is kept of a member. Of what says how an answer is formatted the type alone: a schema is content.
fn brief(name: &str, raw: &[u8]) -> Option<Value> {
    let is_word = |kind: &Value| kind.as_str().is_none_or(|kind| kind.len() <= KEPT);
    match name {
        "response_format" => Some(value(raw)?["type"].clone()).filter(is_word),
        "text" => Some(value(raw)?["format"]["type"].clone()).filter(is_word),
        _ if raw.len() > KEPT => None,
        "stop" => value(raw).filter(|value| !value.is_object()),
        _ => value(raw).filter(|value| !value.is_object() && !value.is_array()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(params: &[(&str, &str)]) -> Params {
        params
            .iter()
            .map(|(name, raw)| ((*name).into(), (*raw).into()))
            .collect()
    }

    #[test]
    fn the_client_comes_before_the_target_and_that_before_the_route() {
        let parameters = Parameters {
            client: vec![("temperature", json!(0))],
            route: known(&list(&[
                ("temperature", "0.7"),
                ("top_p", "0.9"),
                ("seed", "1"),
            ])),
        };
        let target = list(&[("top_p", "0.5"), ("messages", "[]")]);
        assert_eq!(parameters.get("temperature", &target), Some(json!(0)));
        assert_eq!(parameters.get("top_p", &target), Some(json!(0.5)));
        assert_eq!(parameters.get("seed", &target), Some(json!(1)));
        assert_eq!(parameters.get("messages", &target), None, "content");
    }

    #[test]
    fn what_is_kept_of_a_request_is_small_whatever_it_holds() {
        let many = format!("[{}0]", "0,".repeat(30_000));
        let long = format!("\"{}\"", "x".repeat(30_000));
        for name in NAMES {
            for raw in [&many, &long, "{\"a\":1}", "[1]"] {
                let kept = known(&list(&[(name, raw)]));
                let text = serde_json::to_string(&kept.first().map(|(_, value)| value)).unwrap();
                assert!(text.len() < 16, "{name}: {text}");
            }
        }
        let stop = known(&list(&[("stop", r#"["끝", "end"]"#)]));
        assert_eq!(stop, [("stop", json!(["끝", "end"]))]);
    }

    #[test]
    fn of_a_format_only_its_type_is_kept() {
        let schema = r#"{"type":"json_schema","json_schema":{"description":"canary"}}"#;
        let parameters = known(&list(&[("response_format", schema)]));
        assert_eq!(parameters, [("response_format", json!("json_schema"))]);
    }
}
