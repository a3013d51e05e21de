//! The report of `check` for a person at a terminal.

use std::fmt::{Display, Write};

use millgate_plugin::Stage as _;

use super::report::{Compiled, Place, Plugin, Report, Route, Step, StepStage, Target, Upstream};
use crate::{
    config::{Patterns, route::Strategy, stage},
    stages::redact::Redact,
};

/// Columns before the values of a route.
const LABEL: usize = 10;

/// The whole report.
pub(super) fn describe(report: &Report, color: bool) -> String {
    let mut page = Page {
        text: String::new(),
        color,
    };
    let title = page.paint("1;36", "environment");
    let unset = if report.variables.iter().any(|v| v.name == "ENVIRONMENT") {
        ""
    } else {
        " (ENVIRONMENT is not set)"
    };
    page.line(0, format_args!("{title}  {}{unset}", report.environment));
    if !report.variables.is_empty() {
        page.heading("variables");
        let rows = report.variables.iter();
        page.table(rows.map(|variable| vec![variable.name.clone(), variable.source.clone()]));
    }
    if let Some(compiled) = &report.compiled {
        page.compiled(compiled);
    }
    page.text
}

struct Page {
    text: String,
    color: bool,
}

impl Page {
    fn compiled(&mut self, compiled: &Compiled) {
        self.heading("listeners");
        let listeners = &compiled.listeners;
        self.table(
            [
                ("clients", &listeners.clients),
                ("operators", &listeners.operators),
            ]
            .map(|(who, url)| vec![who.to_owned(), url.clone()]),
        );
        self.heading("pipeline");
        self.pipeline(&compiled.pipeline);
        self.heading("routes");
        for (index, route) in compiled.routes.iter().enumerate() {
            if index > 0 {
                self.text.push('\n');
            }
            self.route(route);
        }
        self.heading("providers");
        self.table(compiled.providers.iter().map(provider));
        if !compiled.plugins.is_empty() {
            self.heading("plugins");
            self.table(compiled.plugins.iter().flat_map(plugin));
        }
    }

    fn pipeline(&mut self, steps: &[Step]) {
        let width = steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
        let mut place = Place::Route;
        for step in steps {
            if step.place != place {
                place = step.place;
                match place {
                    Place::AboveRoute => self.dim(2, "once for each request:"),
                    Place::BelowRoute => self.dim(2, "once for each attempt:"),
                    Place::Route => {}
                }
            }
            match &step.stage {
                None => self.line(2, &step.name),
                Some(stage) => {
                    self.line(4, format_args!("{:width$}  {}", step.name, said(stage)));
                    if let Some(why) = &stage.not_reached {
                        self.dim(4, format_args!("{:width$}  not reached: {why}", ""));
                    }
                }
            }
        }
    }

    fn route(&mut self, route: &Route) {
        let title = self.paint("1", &route.name);
        self.line(2, title);
        if route.paths.is_empty() {
            self.label("models", route.models.join(", "));
        } else {
            self.label("paths", route.paths.join(", "));
            if route.models != ["*"] {
                self.label("models", route.models.join(", "));
            }
        }
        let strategy = match route.strategy {
            Strategy::Fallback => "fallback: one after the other",
            Strategy::Weighted => "weighted: by lot, the others stand in",
            Strategy::LeastBusy => "least_busy: the one with the fewest requests under way first",
        };
        let rows = route.targets.iter().enumerate();
        let rows: Vec<_> = rows
            .map(|(index, each)| target(index, each, route))
            .collect();
        for (index, row) in aligned(&rows).into_iter().enumerate() {
            self.label(if index == 0 { "targets" } else { "" }, row);
        }
        if route.targets.len() > 1 {
            self.label("strategy", strategy);
        }
        let retries = match route.retries {
            0 => "none".to_owned(),
            count => format!("{count} for each target, backoff {}", route.backoff),
        };
        self.label("retries", retries);
        let stream = route
            .stream_timeout
            .map_or("none".to_owned(), |limit| limit.to_string());
        let timers = [
            ("attempt_timeout", route.attempt_timeout.to_string()),
            ("deadline", route.deadline.to_string()),
            ("idle_timeout", route.idle_timeout.to_string()),
            ("stream_timeout", stream),
        ];
        let timers = timers.map(|(name, limit)| format!("{name} {limit}"));
        self.label("timers", timers.join(", "));
        let fallback = if route.fallback_on.is_empty() {
            "never".to_owned()
        } else {
            format!("on {}", route.fallback_on.join(", "))
        };
        self.label("fallback", fallback);
        if !route.params.is_empty() {
            self.label(
                "params",
                format!("{} where left out", route.params.join(", ")),
            );
        }
        if route.commit == crate::config::route::Commit::Head {
            self.label("commit", "head: a reply is final as soon as it begins");
        }
        if route.shared_state {
            self.label("state", "shared: callers see each other's objects");
        }
    }

    fn heading(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let title = self.paint("1;36", title);
        self.line(0, title);
    }

    fn label(&mut self, label: &str, value: impl Display) {
        let label = self.paint("2", &format!("{label:LABEL$}"));
        self.line(4, format_args!("{label}{value}"));
    }

    fn table(&mut self, rows: impl IntoIterator<Item = Vec<String>>) {
        let rows: Vec<_> = rows.into_iter().collect();
        for row in aligned(&rows) {
            self.line(2, row);
        }
    }

    fn dim(&mut self, indent: usize, text: impl Display) {
        let text = self.paint("2", &text.to_string());
        self.line(indent, text);
    }

    fn line(&mut self, indent: usize, text: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{:indent$}{text}", "");
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push('\n');
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color && !text.trim().is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Cells below each other, two spaces apart.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widths = cells.map(|cell: &String| cell.chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// What is said of a stage, defaults left out.
fn said(stage: &StepStage) -> String {
    let mut said = vec![stage.kind.clone()];
    if stage.kind == Redact::KIND {
        // It has none of what follows.
        said.push("for all that is logged".to_owned());
        return said.join(", ");
    }
    let when = &stage.when;
    let conditions = [
        ("provider", &when.provider),
        ("model", &when.model),
        ("path", &when.path),
        ("caller", &when.caller),
        ("team", &when.team),
    ];
    for (what, patterns) in conditions {
        if let Some(patterns) = patterns {
            let patterns: Vec<_> = Patterns::iter(patterns).collect();
            said.push(format!("when {what} is {}", patterns.join(" or ")));
        }
    }
    said.extend(stage.on_error.map(|on_error| match on_error {
        stage::OnError::Fail => "on_error fail".to_owned(),
        stage::OnError::Skip => "on_error skip".to_owned(),
    }));
    said.extend(stage.mode.map(|mode| match mode {
        stage::Mode::Shadow => "mode shadow: refuses nothing".to_owned(),
        stage::Mode::Enforce => "mode enforce".to_owned(),
    }));
    said.join(", ")
}

fn target(index: usize, target: &Target, route: &Route) -> Vec<String> {
    let mut asked = match &target.model {
        Some(model) => format!("asked for {model}"),
        None => "asked for the client's model".to_owned(),
    };
    if let Some(model) = &target.embedding_model
        && target.embedding_model != target.model
    {
        let _ = write!(asked, ", for embeddings {model}");
    }
    if route.strategy != Strategy::Fallback {
        let _ = write!(asked, ", weight {}", target.weight);
    }
    if target.is_last_resort {
        asked.push_str(", only where no other can be reached");
    }
    vec![
        format!("{}. {}", index + 1, target.provider),
        target.kind.to_owned(),
        asked,
    ]
}

fn provider(provider: &Upstream) -> Vec<String> {
    let host = match (&provider.host, provider.answers_by_itself) {
        (Some(host), false) => host.clone(),
        (_, true) => "answers by itself".to_owned(),
        (None, false) => "-".to_owned(),
    };
    let mut said = Vec::new();
    if !provider.answers_by_itself {
        said.push(if provider.has_key {
            "with a key"
        } else {
            "no key"
        });
    }
    if provider.forwards_auth {
        said.push("passes on the clients' keys");
    }
    if provider.has_proxy {
        said.push("through a proxy");
    }
    if !provider.is_used {
        said = vec!["not used in this environment"];
    }
    vec![
        provider.name.clone(),
        provider.kind.clone(),
        host,
        said.join(", "),
    ]
}

/// A line for what it holds, and one for the digest of its file.
fn plugin(plugin: &Plugin) -> Vec<Vec<String>> {
    let name = plugin.name.clone();
    let Some(image) = &plugin.image else {
        return vec![vec![name, "not loaded".to_owned()]];
    };
    let kinds: Vec<_> = image
        .stages
        .iter()
        .chain(&image.providers)
        .copied()
        .collect();
    let pin = format!("sha256 = \"{}\"", image.sha256);
    let pin = if plugin.is_pinned {
        pin
    } else {
        format!("not pinned; this file has {pin}")
    };
    vec![
        vec![name, image.version.to_owned(), kinds.join(", ")],
        vec![String::new(), String::new(), pin],
    ]
}
