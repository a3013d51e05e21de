//! What is drawn: the gateway's own documents, read where they are needed.

use serde_json::Value;

use crate::{cli::logs::line::duration, config::finding::printable};

/// What the gateway has said.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    /// `/api/status`
    pub(super) status: Value,
    /// `/api/history` of the last minute
    pub(super) minute: Value,
    /// `/api/history` of the last five
    pub(super) history: Value,
    /// `/api/exchanges`
    pub(super) exchanges: Value,
    /// Why there is nothing newer.
    pub(super) trouble: Option<String>,
}

/// A row of a table, with how it should be seen.
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    pub(super) is_bad: bool,
}

impl Model {
    /// Exchanges in a second, for each step of the last five minutes, times ten: bars have no fractions.
    pub(super) fn rates(&self) -> Vec<u64> {
        let points = self.history["points"].as_array();
        let points = points.into_iter().flatten();
        points
            .map(|point| (number(&point["rate"]) * 10.0).ceil() as u64)
            .collect()
    }

    /// Name, rate, share of errors, p50, p95, tokens in a second.
    pub(super) fn routes(&self) -> Vec<Row> {
        let row = |route: &Value| {
            let minute = &route["minute"];
            let (all, errors) = (number(&minute["exchanges"]), number(&minute["errors"]));
            Row {
                cells: vec![
                    text(&route["name"]),
                    rate(&minute["rate"]),
                    percent(if all > 0.0 { errors / all } else { 0.0 }),
                    millis(&minute["latency"]["p50_ms"]),
                    millis(&minute["latency"]["p95_ms"]),
                    rate(&minute["tokens_per_s"]),
                ],
                is_bad: errors > 0.0,
            }
        };
        rows(&self.status["routes"], row)
    }

    /// The same of the targets, each once, with whether it lives in place of tokens.
    pub(super) fn targets(&self) -> Vec<Row> {
        let routes = self.status["routes"].as_array();
        let targets = routes
            .into_iter()
            .flatten()
            .filter_map(|route| route["targets"].as_array())
            .flatten();
        let mut seen: Vec<&Value> = Vec::new();
        for target in targets {
            if !seen.iter().any(|known| known["label"] == target["label"]) {
                seen.push(target);
            }
        }
        let row = |target: &&Value| {
            let lives = target["live"] == true;
            Row {
                cells: vec![
                    text(&target["label"]),
                    rate(&target["rate"]),
                    percent(number(&target["error_rate"])),
                    millis(&target["latency"]["p50_ms"]),
                    millis(&target["latency"]["p95_ms"]),
                    if lives { "live" } else { "down" }.to_owned(),
                ],
                is_bad: !lives,
            }
        };
        seen.iter().map(row).collect()
    }

    /// How the cache does, in a line.
    pub(super) fn cache(&self) -> String {
        let cache = &self.status["cache"];
        if cache.is_null() {
            return "none in the pipeline".to_owned();
        }
        let count = |name: &str| number(&cache[name]);
        let minute = &self.minute["totals"];
        let (hits, misses) = (
            number(&minute["cache_hits"]),
            number(&minute["cache_misses"]),
        );
        let ratio = if hits + misses > 0.0 {
            percent(hits / (hits + misses))
        } else {
            "-".to_owned()
        };
        format!(
            "{ratio} hits   {} answers in {:.1} of {:.0} MiB   {} under way",
            count("entries"),
            count("bytes") / f64::from(1 << 20),
            count("max_bytes") / f64::from(1 << 20),
            count("flights"),
        )
    }
}

fn rows(array: &Value, row: impl Fn(&Value) -> Row) -> Vec<Row> {
    array.as_array().into_iter().flatten().map(row).collect()
}

/// A text, safe for a terminal.
pub(super) fn text(value: &Value) -> String {
    printable(value.as_str().unwrap_or_default())
}

/// A number; 0 where there is none.
pub(super) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

/// Something in a second.
pub(super) fn rate(value: &Value) -> String {
    let rate = number(value);
    if rate >= 100.0 {
        format!("{rate:.0}/s")
    } else {
        format!("{rate:.1}/s")
    }
}

/// A share of one.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A time; nothing where there is none.
pub(super) fn millis(value: &Value) -> String {
    value.as_f64().map_or("-".to_owned(), duration)
}
