//! How tokens are chosen, how many, and where to stop.

use millgate_plugin::Refusal;
use serde_json::{Map, Value};

use crate::error::{invalid, unsupported};

/// How tokens are chosen. What says no more than Anthropic's defaults is absent, because models that take no such
/// members at all would refuse it.
#[derive(Debug, Default)]
pub(crate) struct Sampling {
    pub(crate) temperature: Option<Value>,
    pub(crate) top_p: Option<Value>,
    pub(crate) top_k: Option<Value>,
}

impl Sampling {
    /// Reads `temperature`, `top_p` and `top_k`.
    ///
    /// OpenAI's temperatures go up to 2, Anthropic's to 1, which is its default: what is above is as good as 1. Of
    /// temperature and `top_p` its models take one, so temperature wins.
    pub(crate) fn read(body: &mut Map<String, Value>) -> Result<Self, Refusal> {
        let temperature =
            number(body, "temperature", 2.0)?.filter(|(temperature, _)| *temperature < 1.0);
        let top_p =
            number(body, "top_p", 1.0)?.filter(|(top_p, _)| *top_p < 1.0 && temperature.is_none());
        let top_k = given(body, "top_k");
        if top_k.as_ref().is_some_and(|top_k| top_k.as_u64().is_none()) {
            return Err(invalid("top_k", "`top_k` must be a whole number"));
        }
        Ok(Self {
            temperature: temperature.map(|(_, value)| value),
            top_p: top_p.map(|(_, value)| value),
            top_k,
        })
    }
}

fn number(
    body: &mut Map<String, Value>,
    name: &str,
    largest: f64,
) -> Result<Option<(f64, Value)>, Refusal> {
    let Some(value) = given(body, name) else {
        return Ok(None);
    };
    match value.as_f64() {
        Some(number) if (0.0..=largest).contains(&number) => Ok(Some((number, value))),
        _ => {
            let message = format!("`{name}` must be a number from 0 to {largest}");
            Err(invalid(name, message))
        }
    }
}

/// `max_tokens`: of the two names that OpenAI has, the newer one counts.
pub(crate) fn max_tokens(body: &mut Map<String, Value>, default: u64) -> Result<u64, Refusal> {
    let mut limit = default;
    for name in ["max_tokens", "max_completion_tokens"] {
        let Some(value) = given(body, name) else {
            continue;
        };
        limit = value.as_u64().filter(|limit| *limit > 0).ok_or_else(|| {
            let message = format!("`{name}` must be a whole number of at least 1");
            invalid(name, message)
        })?;
    }
    Ok(limit)
}

/// `stop_sequences`.
pub(crate) fn stop(body: &mut Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let wrong = || invalid("stop", "`stop` must be a string or an array of strings");
    let stops = match given(body, "stop") {
        None => return Ok(Vec::new()),
        Some(Value::String(stop)) => vec![stop],
        Some(Value::Array(stops)) => stops
            .into_iter()
            .map(|stop| match stop {
                Value::String(stop) => Ok(stop),
                _ => Err(wrong()),
            })
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(wrong()),
    };
    if stops.iter().any(|stop| stop.trim().is_empty()) {
        let message = "Anthropic stops at nothing that is only space: put a visible character into each of `stop`";
        return Err(unsupported("stop", message));
    }
    Ok(stops)
}

/// Takes a member that says something: null is as good as absent.
pub(crate) fn given(body: &mut Map<String, Value>, name: &str) -> Option<Value> {
    body.remove(name).filter(|value| !value.is_null())
}
