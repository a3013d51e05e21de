//! The picture: a function of what the gateway has said, and of nothing else.

#[cfg(test)]
mod tests;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Borders, Cell, Paragraph, Row as Drawn, Sparkline, Table},
};
use serde_json::Value;

use super::model::{Model, Row, millis, number, percent, rate, text};
use crate::{cli::logs::line, config::finding::printable};

/// Columns narrower than this show the most important numbers alone.
const NARROW: u16 = 64;

/// So many rows of a table are shown at most; what else there is, is counted.
const MOST_ROWS: usize = 8;

/// How wide the names of a table are shown at least, and at most.
const NAMES: (usize, usize) = (16, 48);

/// Draws the whole picture, or what there is room for.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let (routes, targets) = (model.routes(), model.targets());
    let heights = heights(frame.area().height, &routes, &targets);
    let [head, numbers, bars, of_routes, of_targets, cache, exchanges] =
        Layout::vertical(heights.map(Constraint::Length)).areas(frame.area());
    frame.render_widget(head_line(model), head);
    frame.render_widget(Paragraph::new(totals(model)), numbers);
    let rates = model.rates();
    let most = rates.iter().max().copied().unwrap_or_default() as f64 / 10.0;
    let title = format!("rate, 5 minutes, at most {most:.1}/s");
    // The latest at the right edge, as far as there is room.
    let shown = rates.len().saturating_sub(usize::from(bars.width));
    let sparkline = Sparkline::default()
        .block(titled(&title))
        .style(Style::new().fg(Color::Cyan))
        .data(&rates[shown..]);
    frame.render_widget(sparkline, bars);
    table(frame, of_routes, "route", "tokens", &routes);
    table(frame, of_targets, "target", "", &targets);
    let cache_line = Paragraph::new(model.cache()).block(titled("cache, a minute"));
    frame.render_widget(cache_line, cache);
    latest(frame, exchanges, &model.exchanges);
}

/// The lines of each part, from the top of the picture, for a terminal of so many: the most telling parts first; one that does
/// not fit is left out, and exchanges take what is left.
fn heights(mut left: u16, routes: &[Row], targets: &[Row]) -> [u16; 7] {
    let table = |rows: &[Row]| rows.len().min(MOST_ROWS) as u16 + 2;
    let wanted = [1, 3, 5, table(routes), table(targets), 2, 2];
    let mut heights = [0; 7];
    for part in [0, 1, 3, 4, 6, 5, 2] {
        if wanted[part] <= left {
            heights[part] = wanted[part];
            left -= wanted[part];
        }
    }
    if heights[6] > 0 {
        heights[6] += left;
    }
    heights
}

fn head_line(model: &Model) -> Line<'static> {
    let status = &model.status;
    let name = Span::styled("millgate ", Style::new().add_modifier(Modifier::BOLD));
    if let Some(trouble) = &model.trouble {
        // The rest would be of a gateway that is no longer there.
        return Line::from(vec![name, Span::styled(printable(trouble), bad())]);
    }
    let state = match (status["draining"] == true, status["ready"] == true) {
        (true, _) => Span::styled("draining", bad()),
        (false, true) => Span::styled("ready", Style::new().fg(Color::Green)),
        (false, false) => Span::styled("no live target", bad()),
    };
    Line::from(vec![
        name,
        state,
        Span::raw(format!(
            "  {} in flight  up {}  generation {}  {}  {}",
            number(&status["in_flight"]),
            age(number(&status["uptime_s"])),
            number(&status["generation"]),
            text(&status["environment"]),
            text(&status["version"]),
        )),
    ])
}

/// The last minute, all together.
fn totals(model: &Model) -> Vec<Line<'static>> {
    let totals = &model.minute["totals"];
    let all = number(&totals["exchanges"]);
    let share = |name: &str| {
        percent(if all > 0.0 {
            number(&totals[name]) / all
        } else {
            0.0
        })
    };
    let times = |name: &str| {
        let times = &totals[name];
        let [p50, p95, p99] = ["p50_ms", "p95_ms", "p99_ms"].map(|p| millis(&times[p]));
        format!("p50 {p50}  p95 {p95}  p99 {p99}")
    };
    vec![
        Line::raw(format!(
            "rate {}  errors {}  refused {}  cancelled {}  tokens {}  cost {}",
            rate(&totals["rate"]),
            share("errors"),
            share("refused"),
            share("cancelled"),
            rate(&totals["tokens_per_s"]),
            cost(&totals["cost"]),
        )),
        Line::raw(format!("latency   {}", times("latency"))),
        Line::raw(format!("overhead  {}", times("overhead"))),
    ]
}

fn table(frame: &mut Frame<'_>, area: Rect, name: &str, last: &str, rows: &[Row]) {
    let head = [name, "rate", "errors", "p50", "p95", last];
    // Name, rate and errors, or all.
    let shown = if area.width < NARROW { 3 } else { head.len() };
    // Numbers stand close to what they are of, however wide the terminal is.
    let (narrowest, widest) = NAMES;
    let names = rows.iter().map(|row| Span::raw(&row.cells[0]).width());
    let names = names.max().unwrap_or_default().clamp(narrowest, widest) as u16;
    let room = area.width.saturating_sub(10 * (shown as u16 - 1));
    let mut widths = vec![Constraint::Length(names.min(room))];
    widths.resize(shown, Constraint::Length(9));
    let cell = |(at, text): (usize, &str)| {
        let text = Line::raw(text.to_owned());
        Cell::from(if at == 0 { text } else { text.right_aligned() })
    };
    let cells = |texts: &[&str]| {
        let texts = texts.iter().copied().take(shown).enumerate();
        Drawn::new(texts.map(cell).collect::<Vec<_>>())
    };
    let drawn = rows.iter().take(MOST_ROWS).map(|row| {
        let style = if row.is_bad { bad() } else { Style::new() };
        let texts: Vec<_> = row.cells.iter().map(String::as_str).collect();
        cells(&texts).style(style)
    });
    let more = rows.len().saturating_sub(MOST_ROWS);
    let title = match more {
        0 => String::new(),
        more => format!("{more} more"),
    };
    let table = Table::new(drawn, widths)
        .header(cells(&head).style(Style::new().add_modifier(Modifier::DIM)))
        .block(titled(&title));
    frame.render_widget(table, area);
}

/// The latest exchanges, as `millgate logs` prints them but for the day, the last one first.
fn latest(frame: &mut Frame<'_>, area: Rect, exchanges: &Value) {
    let exchanges = exchanges["exchanges"].as_array().into_iter().flatten();
    let lines = exchanges.take(usize::from(area.height)).map(|exchange| {
        let style = match exchange["outcome"].as_str() {
            Some("ok") => Style::new(),
            Some("client_closed" | "client_error" | "rejected") => Style::new().fg(Color::Yellow),
            _ => bad(),
        };
        Line::styled(line::short(exchange), style)
    });
    let lines: Vec<_> = lines.collect();
    let block = titled("latest exchanges, q quits");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn titled(title: &str) -> Block<'static> {
    let dim = Style::new().add_modifier(Modifier::DIM);
    let block = Block::new().borders(Borders::TOP).border_style(dim);
    if title.is_empty() {
        return block;
    }
    block.title(format!(" {title} "))
}

fn bad() -> Style {
    Style::new().fg(Color::Red)
}

/// Seconds, to be read at a glance.
fn age(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// What a minute has cost; `-` where the price is not known.
fn cost(of: &Value) -> String {
    of.as_f64().map_or_else(
        || "-".to_owned(),
        |dollars| format!("{}/min", line::money(dollars)),
    )
}
