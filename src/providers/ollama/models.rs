//! The list of models, from `/api/tags` to OpenAI's.

use millgate_plugin::Refusal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::refusals;
use crate::providers::answer::write_json;

#[derive(Deserialize)]
struct Tags {
    models: Option<Vec<Tag>>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    modified_at: Option<String>,
}

/// Writes the list for a whole reply.
pub(super) fn document(body: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let tags: Tags = serde_json::from_slice(body).map_err(|_| refusals::garbled())?;
    let model = |tag: Tag| {
        let modified = tag.modified_at.as_deref().and_then(seconds);
        json!({
            "id": tag.name, "object": "model", "created": modified.unwrap_or(0), "owned_by": "ollama",
        })
    };
    let data: Vec<Value> = tags.models.into_iter().flatten().map(model).collect();
    write_json(out, &json!({"object": "list", "data": data}));
    Ok(())
}

/// Seconds since the epoch of a date and time as RFC 3339 writes it; fractions are dropped.
fn seconds(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let zone = text
        .get(19..)?
        .trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign @ ("+" | "-"), offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let offset = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            if sign == "+" { offset } else { -offset }
        }
        _ => return None,
    };
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. Years are counted from March, so that the leap day is the
/// last of its year.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn dates_with_and_without_fractions_and_zones() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T23:59:59.999Z"), Some(951_868_799));
        assert_eq!(
            seconds("2025-06-01T14:07:59.123456789+09:00"),
            Some(1_748_754_479)
        );
        assert_eq!(seconds("2024-12-31T19:00:00-05:00"), Some(1_735_689_600));
    }

    #[test]
    fn anything_else_is_no_date() {
        for text in [
            "",
            "2025",
            "2025-06-01",
            "2025-06-01T14:07:59",
            "서울서울서울서울서울",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
