//! The list of models, from Anthropic's to OpenAI's.

use millgate_plugin::Refusal;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{completion::write_json, error};

#[derive(Deserialize)]
struct List {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    created_at: Option<String>,
}

/// Writes the list for a whole reply.
pub(crate) fn document(body: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let list: List = serde_json::from_slice(body).map_err(|_| error::garbled())?;
    let model = |model: Model| {
        let created = model.created_at.as_deref().and_then(seconds);
        json!({
            "id": model.id, "object": "model", "created": created.unwrap_or(0), "owned_by": "anthropic",
        })
    };
    let data: Vec<Value> = list.data.into_iter().map(model).collect();
    write_json(out, &json!({"object": "list", "data": data}));
    Ok(())
}

/// Seconds since the epoch of a date and time in UTC as RFC 3339 writes it (`2025-02-19T00:00:00Z`).
fn seconds(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_sane = text.ends_with('Z') && year >= 1970 && (1..=12).contains(&month) && day >= 1;
    is_sane.then(|| (days(year, month) + day - 1) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 to the first of a month of the Gregorian calendar.
fn days(year: u64, month: u64) -> u64 {
    const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap_years_to = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = leap_years_to(year) > leap_years_to(year - 1);
    let leap_days = leap_years_to(year - 1) - leap_years_to(1969) + u64::from(is_leap && month > 2);
    (year - 1970) * 365 + leap_days + BEFORE_MONTH[month as usize - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_seconds() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T23:59:59Z"), Some(951_868_799));
        assert_eq!(seconds("2000-03-01T00:00:00.5Z"), Some(951_868_800));
        assert_eq!(seconds("2025-02-19T00:00:00Z"), Some(1_739_923_200));
        for text in ["", "2025", "2025-13-01T00:00:00Z", "서울서울서울서울서울Z"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn the_list_has_openais_shape() {
        let body = r#"{"data":[{"type":"model","id":"claude-a","display_name":"Claude A","created_at":"1970-01-02T00:00:00Z"},{"id":"claude-b"}],"has_more":false}"#;
        let mut out = Vec::new();
        document(body.as_bytes(), &mut out).unwrap();
        let list: Value = serde_json::from_slice(&out).unwrap();
        let model = |id, created| json!({"id": id, "object": "model", "created": created, "owned_by": "anthropic"});
        let data = [model("claude-a", 86_400), model("claude-b", 0)];
        assert_eq!(list, json!({"object": "list", "data": data}));
        assert!(document(b"{}", &mut out).is_err());
    }
}
