use ratatui::{Terminal, backend::TestBackend, style::Color};
use serde_json::json;

use super::{super::model::Model, draw};

fn model() -> Model {
    let figures = json!({
        "exchanges": 100, "errors": 10, "refused": 5, "cancelled": 0, "rate": 1.75, "tokens_per_s": 123.4, "cost": 0.5,
        "latency": {"p50_ms": 812.0, "p95_ms": 2300.0, "p99_ms": 15_000.0},
        "overhead": {"p50_ms": 0.25, "p95_ms": 0.5, "p99_ms": null},
        "cache_hits": 3, "cache_misses": 1,
    });
    let target = |label: &str, live: bool| {
        json!({"label": label, "provider": label, "live": live, "rate": 1.0, "error_rate": 0.25,
            "latency": {"p50_ms": 700.0, "p95_ms": null, "p99_ms": null}})
    };
    Model {
        status: json!({
            "version": "0.1.0", "generation": 3, "environment": "production", "uptime_s": 7300.0, "ready": true,
            "draining": false, "in_flight": 4,
            "routes": [
                {"name": "default", "minute": figures, "targets": [target("up/gpt-4", true), target("away", false)]},
                {"name": "other", "minute": {"exchanges": 0, "rate": 0.0}, "targets": [target("away", false)]},
            ],
            "cache": {"entries": 7, "bytes": 1_048_576, "max_bytes": 67_108_864, "flights": 2},
        }),
        minute: json!({ "totals": figures }),
        history: json!({"points": [{"rate": 1.0}, {"rate": 4.0}, {"rate": 2.0}]}),
        exchanges: json!({"exchanges": [{"time": "2026-11-22T14:14:39.250Z", "status": 200, "outcome": "ok",
            "total_ms": 812.0, "caller": "alice", "route": "default", "provider": "up", "model": "gpt-4",
            "request_id": "req-\u{1b}[31m1"}]}),
        trouble: None,
    }
}

fn drawn(model: &Model, width: u16, height: u16) -> (Vec<String>, Terminal<TestBackend>) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    let cells = terminal.backend().buffer().content();
    let lines = cells.chunks(usize::from(width)).map(|line| {
        let line: String = line.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    });
    (lines.collect(), terminal)
}

#[test]
fn the_picture() {
    let (lines, _) = drawn(&model(), 88, 24);
    let expected = "\
millgate ready  4 in flight  up 2 h  generation 3  production  0.1.0
rate 1.8/s  errors 10.0 %  refused 5.0 %  cancelled 0.0 %  tokens 123/s  cost $0.50/min
latency   p50 812 ms  p95 2300 ms  p99 15.0 s
overhead  p50 0.2 ms  p95 0.5 ms  p99 -
 rate, 5 minutes, at most 4.0/s ────────────────────────────────────────────────────────
 █
 █
 ██
███
────────────────────────────────────────────────────────────────────────────────────────
route                 rate    errors       p50       p95    tokens
default              1.8/s    10.0 %    812 ms   2300 ms     123/s
other                0.0/s     0.0 %         -         -     0.0/s
────────────────────────────────────────────────────────────────────────────────────────
target                rate    errors       p50       p95
up/gpt-4             1.0/s    25.0 %    700 ms         -      live
away                 1.0/s    25.0 %    700 ms         -      down
 cache, a minute ───────────────────────────────────────────────────────────────────────
75.0 % hits   7 answers in 1.0 of 64 MiB   2 under way
 latest exchanges, q quits ─────────────────────────────────────────────────────────────
14:14:39  200 ok                812 ms  alice  default → up/gpt-4  req-·[31m1";
    let shown = lines.join("\n");
    assert_eq!(shown.trim_end(), expected, "\n{shown}");
}

#[test]
fn what_is_wrong_is_red() {
    let mut wrong = model();
    wrong.status["ready"] = false.into();
    let (lines, terminal) = drawn(&wrong, 88, 24);
    assert!(lines[0].starts_with("millgate no live target"));
    let of = |text: &str| {
        let line = lines
            .iter()
            .position(|line| line.starts_with(text))
            .unwrap();
        terminal.backend().buffer()[(0, line as u16)].fg
    };
    assert_eq!((of("away"), of("up/gpt-4")), (Color::Red, Color::Reset));
    wrong.trouble = Some("no gateway can be reached".to_owned());
    let (lines, _) = drawn(&wrong, 88, 24);
    assert_eq!(lines[0], "millgate no gateway can be reached");
}

#[test]
fn any_size_will_do() {
    for (width, height) in [(1, 1), (20, 5), (40, 12), (63, 30), (64, 30), (300, 100)] {
        drawn(&model(), width, height);
        drawn(&Model::default(), width, height);
    }
    // Where there is no room for all, the routes are there, and an exchange.
    let (lines, _) = drawn(&model(), 40, 10);
    for part in ["default", " latest exchanges", "14:14:39"] {
        assert!(
            lines.iter().any(|line| line.starts_with(part)),
            "{part}: {lines:#?}"
        );
    }
    let (lines, _) = drawn(&model(), 40, 24);
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("default") && line.ends_with("10.0 %"))
    );
    assert!(!lines.iter().any(|line| line.contains("p50       ")));
}
