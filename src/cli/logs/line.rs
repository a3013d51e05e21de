//! An exchange in a line.

use serde_json::Value;

use crate::config::finding::printable;

/// `2026-11-22 14:14:39  200 ok  812 ms  alice  default → up/gpt-4  11+4 tokens  $0.0012  hit  req-1`
pub(in crate::cli) fn of(exchange: &Value, color: bool) -> String {
    let time = exchange["time"].as_str().and_then(|time| time.get(..19));
    tell(exchange, &time.unwrap_or_default().replace('T', " "), color)
}

/// The same for a narrower place: without the day, and without colors.
#[cfg(feature = "top")]
pub(in crate::cli) fn short(exchange: &Value) -> String {
    let time = exchange["time"].as_str().and_then(|time| time.get(11..19));
    tell(exchange, time.unwrap_or_default(), false)
}

fn tell(exchange: &Value, time: &str, color: bool) -> String {
    let text = |name: &str| printable(exchange[name].as_str().unwrap_or_default());
    let time = printable(time);
    let outcome = text("outcome");
    let state = format!(
        "{:>3} {outcome:<14}",
        exchange["status"].as_u64().unwrap_or(0)
    );
    let mut parts = vec![
        paint(&time, "2", color),
        paint(&state, shade(&outcome), color),
        format!(
            "{:>8}",
            duration(exchange["total_ms"].as_f64().unwrap_or(0.0))
        ),
        text("caller"),
        way(exchange),
    ];
    let tokens = &exchange["tokens"];
    if let (Some(input), Some(output)) = (tokens["input"].as_u64(), tokens["output"].as_u64()) {
        let about = if tokens["estimated"] == true { "~" } else { "" };
        parts.push(format!("{about}{input}+{output} tokens"));
    }
    if let Some(cost) = exchange["cost"].as_f64() {
        parts.push(money(cost));
    }
    for name in ["cache", "error"] {
        if exchange[name].is_string() {
            parts.push(text(name));
        }
    }
    parts.push(paint(&text("request_id"), "2", color));
    parts.join("  ")
}

/// Which rule it fell under, who answered, and after how many tries.
fn way(exchange: &Value) -> String {
    let text = |name: &str| exchange[name].as_str().map(printable);
    let route = text("route").unwrap_or_else(|| text("path").unwrap_or_default());
    let answered = match (text("provider"), text("model")) {
        (Some(provider), Some(model)) => format!(" → {provider}/{model}"),
        _ => text("asked").map_or(String::new(), |asked| format!(" ({asked})")),
    };
    let tries = exchange["attempts"].as_array().map_or(0, Vec::len);
    let tries = if tries > 1 {
        format!(" ×{tries}")
    } else {
        String::new()
    };
    format!("{route}{answered}{tries}")
}

/// Milliseconds, to be read at a glance.
pub(in crate::cli) fn duration(millis: f64) -> String {
    if millis >= 10_000.0 {
        format!("{:.1} s", millis / 1000.0)
    } else if millis >= 10.0 {
        format!("{millis:.0} ms")
    } else {
        format!("{millis:.1} ms")
    }
}

/// Dollars, to be read at a glance.
pub(in crate::cli) fn money(dollars: f64) -> String {
    if dollars == 0.0 || dollars >= 0.01 {
        format!("${dollars:.2}")
    } else {
        format!("${dollars:.6}")
    }
}

fn shade(outcome: &str) -> &'static str {
    match outcome {
        "ok" => "32",
        "client_closed" | "client_error" | "rejected" => "33",
        _ => "31",
    }
}

fn paint(text: &str, style: &str, color: bool) -> String {
    if color {
        format!("\x1b[{style}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_tells_what_matters() {
        let exchange = json!({
            "id": "0198", "request_id": "req-1", "time": "2026-11-22T14:14:39.250Z", "status": 200, "outcome": "ok",
            "total_ms": 812.4, "caller": "alice", "route": "default", "asked": "gpt", "provider": "up",
            "model": "gpt-4", "attempts": [{}, {}], "tokens": {"input": 11, "output": 4, "estimated": false},
            "cost": 0.0012, "cache": "miss", "error": null,
        });
        assert_eq!(
            of(&exchange, false),
            "2026-11-22 14:14:39  200 ok                812 ms  alice  default → up/gpt-4 ×2  11+4 tokens  $0.001200  miss  req-1"
        );
        assert!(of(&exchange, true).contains("\x1b[32m200 ok"));
    }

    #[test]
    fn a_client_cannot_paint_the_terminal() {
        let exchange = json!({
            "time": "x", "status": 404, "outcome": "client_error", "path": "/v1/\x1b[31m", "asked": "a\nb\u{9b}c",
            "caller": "\u{202e}ada\u{200b}\u{2069}", "total_ms": 20_000.0, "error": "unknown_model",
        });
        let line = of(&exchange, false);
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(
            line.contains("20.0 s  ·ada··  ") && line.contains("(a·b·c)"),
            "{line}"
        );
    }
}
