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

/// Draws the whole picture. Whatever does not fit is left out from the bottom.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let (routes, targets) = (model.routes(), model.targets());
    let height = |rows: &[Row]| rows.len().min(MOST_ROWS) as u16 + 2;
    let [head, numbers, bars, of_routes, of_targets, cache, exchanges] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(3),
        Constraint::Length(5),
        Constraint::Length(height(&routes)),
        Constraint::Length(height(&targets)),
        Constraint::Length(2),
        Constraint::Fill(1),
    ])
    .areas(frame.area());
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

fn head_line(model: &Model) -> Line<'static> {
    let status = &model.status;
    let state = match (
        &model.trouble,
        status["draining"] == true,
        status["ready"] == true,
    ) {
        (Some(trouble), ..) => Span::styled(printable(trouble), bad()),
        (None, true, _) => Span::styled("draining", bad()),
        (None, false, true) => Span::styled("ready", Style::new().fg(Color::Green)),
        (None, false, false) => Span::styled("no live target", bad()),
    };
    Line::from(vec![
        Span::styled("millgate ", Style::new().add_modifier(Modifier::BOLD)),
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
    let mut widths = vec![Constraint::Fill(1)];
    widths.resize(shown, Constraint::Length(9));
    let drawn = rows.iter().take(MOST_ROWS).map(|row| {
        let style = if row.is_bad { bad() } else { Style::new() };
        Drawn::new(row.cells.iter().take(shown).cloned().map(Cell::from)).style(style)
    });
    let more = rows.len().saturating_sub(MOST_ROWS);
    let title = match more {
        0 => String::new(),
        more => format!("{more} more"),
    };
    let head = Drawn::new(
        head.iter()
            .take(shown)
            .map(|name| Cell::from(name.to_string())),
    );
    let table = Table::new(drawn, widths)
        .header(head.style(Style::new().add_modifier(Modifier::DIM)))
        .block(titled(&title));
    frame.render_widget(table, area);
}

/// The latest exchanges, as `millgate logs` prints them, the last one first.
fn latest(frame: &mut Frame<'_>, area: Rect, exchanges: &Value) {
    let exchanges = exchanges["exchanges"].as_array().into_iter().flatten();
    let lines = exchanges.take(usize::from(area.height)).map(|exchange| {
        let style = match exchange["outcome"].as_str() {
            Some("ok") => Style::new(),
            Some("client_closed" | "client_error" | "rejected") => Style::new().fg(Color::Yellow),
            _ => bad(),
        };
        Line::styled(line::of(exchange, false), style)
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
