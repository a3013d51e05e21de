//! Usage as a table for people, and as comma-separated values.

use std::fmt::Write as _;

use super::{Usage, UsageRow};
use crate::config::finding::{printable, width};

/// Columns of a table in which every number is zero, or not known, say nothing and are left out; these never are.
const ALWAYS: usize = 4;

/// One line for each key below the titles, and the totals. Numbers stand to the right; a wide character takes two columns.
pub(super) fn for_people(usage: &Usage) -> String {
    let mut text = format!("{} to {}\n", minute(&usage.since), minute(&usage.until));
    if usage.rows.is_empty() {
        text.push_str("no exchanges; what has just ended is written a moment later\n");
        return text;
    }
    let titles = [
        usage.by.name(),
        "exchanges",
        "input",
        "output",
        "cached",
        "reasoning",
        "estimated",
        "errors",
        "cancelled",
        "hits",
        "saved",
        "unpriced",
        "cost",
    ];
    let titles = titles.map(str::to_uppercase);
    let mut lines: Vec<_> = usage.rows.iter().map(cells).collect();
    let mut totals = cells(&usage.totals);
    "total".clone_into(&mut totals[0]);
    let last = titles.len() - 1;
    let is_shown =
        |at: usize| at < ALWAYS || at == last || !matches!(&*totals[at], "0" | "$0.0000");
    let shown: Vec<_> = (0..titles.len()).filter(|at| is_shown(*at)).collect();
    lines.insert(0, titles);
    lines.push(totals);
    let wide = |text: &str| text.chars().map(width).sum::<usize>();
    let widths: Vec<usize> = (0..=last)
        .map(|at| lines.iter().map(|line| wide(&line[at])).max().unwrap_or(0))
        .collect();
    let totals = lines.len() - 1;
    for (number, line) in lines.iter().enumerate() {
        if number == totals {
            let rule: usize = shown.iter().map(|at| widths[*at] + 2).sum();
            text.push_str(&"─".repeat(rule - 2));
            text.push('\n');
        }
        let mut written = String::new();
        for at in &shown {
            let padding = " ".repeat(widths[*at] - wide(&line[*at]));
            let (before, after) = if *at == 0 {
                ("", &*padding)
            } else {
                (&*padding, "")
            };
            // Writing to a string does not fail.
            let _ = write!(written, "{before}{}{after}  ", line[*at]);
        }
        text.push_str(written.trim_end());
        text.push('\n');
    }
    if usage.totals.unpriced_exchanges > 0 {
        text.push_str("the cost of unpriced exchanges is not known: set [prices.\"MODEL\"]\n");
    }
    text
}

fn cells(row: &UsageRow) -> [String; 13] {
    [
        match (&row.key, row.others) {
            (Some(key), Some(others)) => format!("{} ({})", printable(key), thousands(others)),
            (Some(key), None) => printable(key),
            (None, _) => "-".to_owned(),
        },
        thousands(row.exchanges),
        thousands(row.input_tokens),
        thousands(row.output_tokens),
        thousands(row.cached_tokens),
        thousands(row.reasoning_tokens),
        thousands(row.estimated_tokens),
        thousands(row.errors),
        thousands(row.cancelled),
        thousands(row.cache_hits),
        dollars(row.saved),
        thousands(row.unpriced_exchanges),
        dollars(row.cost),
    ]
}

/// `1 234 567`
fn thousands(number: i64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

fn dollars(money: Option<f64>) -> String {
    money.map_or_else(|| "?".to_owned(), |money| format!("${money:.4}"))
}

/// `2026-11-22 14:14 UTC`
fn minute(time: &str) -> String {
    let minute = time.get(..16).unwrap_or(time);
    minute.replace('T', " ") + " UTC"
}

/// The same as comma-separated values (RFC 4180): titles as in the JSON, all columns, no totals; what is not known is empty.
pub(super) fn csv(usage: &Usage) -> String {
    let mut text = usage.by.name().to_owned()
        + ",exchanges,errors,cancelled,input_tokens,output_tokens,cached_tokens,reasoning_tokens,estimated_tokens,cost,unpriced_exchanges,cache_hits,saved,others\r\n";
    let money = |money: Option<f64>| money.map(|money| format!("{money:.9}")).unwrap_or_default();
    for row in &usage.rows {
        let line = [
            quoted(row.key.as_deref().unwrap_or_default()),
            row.exchanges.to_string(),
            row.errors.to_string(),
            row.cancelled.to_string(),
            row.input_tokens.to_string(),
            row.output_tokens.to_string(),
            row.cached_tokens.to_string(),
            row.reasoning_tokens.to_string(),
            row.estimated_tokens.to_string(),
            money(row.cost),
            row.unpriced_exchanges.to_string(),
            row.cache_hits.to_string(),
            money(row.saved),
            row.others
                .map(|others| others.to_string())
                .unwrap_or_default(),
        ];
        text += &(line.join(",") + "\r\n");
    }
    text
}

/// A text that no spreadsheet takes for a formula, and no reader for several fields.
fn quoted(text: &str) -> String {
    let text = if text
        .trim_start()
        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
    {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::usage::By;

    fn usage() -> Usage {
        let row = |key: Option<&str>, tokens, cost| UsageRow {
            key: key.map(str::to_owned),
            exchanges: 1,
            input_tokens: tokens,
            cost,
            saved: Some(0.0),
            ..UsageRow::default()
        };
        Usage {
            since: "2026-11-22T14:14:39.250Z".to_owned(),
            until: "2026-11-23T14:14:39.250Z".to_owned(),
            by: By::Caller,
            rows: vec![
                row(Some("김철수"), 1_234_567, Some(1.5)),
                row(Some("=anna, \"b\""), 12, None),
                row(None, 0, Some(0.0)),
            ],
            totals: UsageRow {
                unpriced_exchanges: 1,
                ..row(None, 1_234_579, Some(1.5))
            },
        }
    }

    #[test]
    fn columns_stand_below_each_other_whatever_the_script() {
        let text = for_people(&usage());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "2026-11-22 14:14 UTC to 2026-11-23 14:14 UTC");
        assert_eq!(
            lines[1],
            "CALLER      EXCHANGES      INPUT  OUTPUT  UNPRICED     COST"
        );
        assert_eq!(
            lines[2],
            "김철수              1  1 234 567       0         0  $1.5000"
        );
        assert_eq!(
            lines[3],
            "=anna, \"b\"          1         12       0         0        ?"
        );
        assert_eq!(
            lines[6],
            "total               1  1 234 579       0         1  $1.5000"
        );
        assert_eq!(lines.len(), 8);
    }

    #[test]
    fn names_do_nothing_to_a_terminal() {
        let mut usage = usage();
        usage.rows[0].key = Some("\u{202e}a\u{1b}[2Jb\u{200b}".to_owned());
        assert!(for_people(&usage).contains("\n·a·[2Jb·  "), "{usage:?}");
    }

    #[test]
    fn values_with_commas_are_quoted_and_formulas_are_not_run() {
        let mut usage = usage();
        usage.rows.push(UsageRow {
            key: Some("other".to_owned()),
            others: Some(7),
            ..usage.rows[0].clone()
        });
        let csv = csv(&usage);
        let lines: Vec<_> = csv.split("\r\n").collect();
        // How many they are tells them from somebody of that name.
        assert!(lines[4].starts_with("other,") && lines[4].ends_with(",7"));
        assert_eq!(
            lines[1],
            "김철수,1,0,0,1234567,0,0,0,0,1.500000000,0,0,0.000000000,"
        );
        assert!(
            lines[2].starts_with("\"'=anna, \"\"b\"\"\",1,"),
            "{}",
            lines[2]
        );
        assert!(lines[3].starts_with(",1,"), "{}", lines[3]);
    }
}
