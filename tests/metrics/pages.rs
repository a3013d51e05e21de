//! The page and the dashboard speak of the metrics that there are: of all of them, and of no others.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Bench, mix};

const PAGE: &str = include_str!("../../docs/metrics.md");
const DASHBOARD: &str = include_str!("../../deploy/grafana/millgate.json");

#[tokio::test]
async fn the_page_names_what_is_scraped() {
    let bench = Bench::start().await;
    let scrape = bench.scrape().await;
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.trim_end_matches('`').to_owned();
        let kind = cells.next()?.split(' ').next()?.to_owned();
        Some((name, kind))
    };
    let told: BTreeSet<_> = PAGE.lines().filter_map(row).collect();
    let scraped: BTreeSet<_> = scrape
        .families
        .iter()
        .map(|(name, family)| (name.clone(), family.kind.clone()))
        .collect();
    // Other systems tell less of a process.
    let is_expected =
        |(name, _): &&(String, String)| cfg!(target_os = "linux") || !name.starts_with("process_");
    let untold: Vec<_> = scraped.difference(&told).collect();
    let gone: Vec<_> = told.difference(&scraped).filter(is_expected).collect();
    assert!(
        untold.is_empty() && gone.is_empty(),
        "not on the page: {untold:#?}, not in the scrape: {gone:#?}"
    );
}

#[tokio::test]
async fn the_dashboard_asks_for_what_is_scraped_with_labels_that_are_there() {
    let bench = Bench::start().await;
    mix(&bench).await;
    let scrape = bench.scrape().await;
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut expressions = Vec::new();
    collect(&dashboard, &mut expressions);
    assert!(expressions.len() > 50, "{}", expressions.len());
    let mut asked = BTreeSet::new();
    for expression in &expressions {
        let names: Vec<_> = words(expression)
            .filter(|word| {
                ["millgate_", "gen_ai_", "process_"]
                    .iter()
                    .any(|start| word.starts_with(start))
            })
            // Labels that begin like metrics.
            .filter(|word| {
                !matches!(
                    *word,
                    "millgate_provider" | "gen_ai_request_model" | "gen_ai_token_type"
                )
            })
            .collect();
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            let suffix = ["_bucket", "_count", "_sum"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix));
            let family = suffix
                .filter(|family| scrape.families.contains_key(*family))
                .unwrap_or(name);
            let Some(found) = scrape.families.get(family) else {
                panic!("{name} is in no scrape: {expression}");
            };
            let is_histogram = found.kind == "histogram";
            assert_eq!(is_histogram, family != name, "{expression}");
            asked.insert(family.to_owned());
            for label in grouped_by(expression).filter(|label| *label != "le") {
                let has = found.samples.is_empty()
                    || found
                        .samples
                        .iter()
                        .any(|sample| sample.labels.contains_key(label));
                assert!(has, "{family} has no label {label}: {expression}");
            }
        }
    }
    let shown = asked.len();
    assert!(shown > 45, "the dashboard shows {shown} metrics");
}

/// Every `expr`, and the queries of variables.
fn collect(value: &Value, expressions: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "expr" || name == "definition" => {
                        expressions.push(text.clone());
                    }
                    member => collect(member, expressions),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, expressions)),
        _ => {}
    }
}

fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
}

/// The labels of each `by (…)`.
fn grouped_by(expression: &str) -> impl Iterator<Item = &str> {
    let groups = expression.split("by (").skip(1);
    groups.flat_map(|group| group.split(')').next().unwrap().split(", "))
}
