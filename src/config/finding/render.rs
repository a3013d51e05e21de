//! Findings for people, as a compiler would show them, and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Finding, Place, Severity, Source, mask, width::width};

/// A tab is drawn as so many columns.
const TAB: usize = 4;
/// Lines wider than this are cut around the caret.
const WIDEST: usize = 120;
/// Columns kept before the caret of a line that is cut.
const BEFORE: usize = 40;

/// Turns findings into text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Renderer {
    color: bool,
}

impl Renderer {
    /// Without colours.
    #[must_use]
    pub const fn plain() -> Self {
        Self { color: false }
    }

    /// With ANSI colours, or without.
    #[must_use]
    pub const fn color(mut self, color: bool) -> Self {
        self.color = color;
        self
    }

    /// All findings, a blank line between two.
    #[must_use]
    pub fn render_all(self, findings: &[Finding]) -> String {
        let all: Vec<_> = findings.iter().map(|f| self.render(f)).collect();
        all.join("\n")
    }

    /// One finding, ending with a newline.
    #[must_use]
    pub fn render(self, finding: &Finding) -> String {
        let mut out = String::new();
        let severity = match finding.severity {
            Severity::Error => "1;31",
            Severity::Warning => "1;33",
        };
        let head = self.paint(severity, finding.severity.name());
        let message = self.paint("1", &format!(": {}", printable(&finding.message)));
        line(&mut out, format_args!("{head}{message}"));
        let margin = match &finding.place {
            Some(place) => self.place(&mut out, place, severity),
            None => 0,
        };
        if let Some(help) = &finding.help {
            let indent = " ".repeat(margin);
            let (mark, word) = (self.paint("1;34", "="), self.paint("1;36", "help:"));
            line(
                &mut out,
                format_args!("{indent} {mark} {word} {}", printable(help)),
            );
        }
        out
    }

    /// Draws where it is; returns the width of the margin.
    fn place(self, out: &mut String, place: &Place, severity: &str) -> usize {
        let source = &place.source;
        let (number, column) = source.position(place.span.start);
        let margin = number.to_string().len();
        let indent = " ".repeat(margin);
        let arrow = self.paint("1;34", "-->");
        let name = printable(&source.name);
        line(
            out,
            format_args!("{indent}{arrow} {name}:{number}:{column}"),
        );
        if !source.shown {
            return margin;
        }
        let drawing = Drawing::of(source, place);
        let bar = self.paint("1;34", "|");
        let shown_number = self.paint("1;34", &number.to_string());
        let carets = self.paint(severity, &"^".repeat(drawing.carets));
        line(out, format_args!("{indent} {bar}"));
        line(out, format_args!("{shown_number} {bar} {}", drawing.text));
        line(
            out,
            format_args!("{indent} {bar} {}{carets}", " ".repeat(drawing.before)),
        );
        margin
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.color {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Appends a line without spaces at its end.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(text);
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
}

/// A line of a file as a terminal shows it, with the columns of the caret run.
struct Drawing {
    text: String,
    before: usize,
    carets: usize,
}

impl Drawing {
    fn of(source: &Source, place: &Place) -> Self {
        let text = &source.text;
        let at = text.floor_char_boundary(place.span.start);
        let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[at..]
            .find('\n')
            .map_or(text.len(), |newline| at + newline);
        let line = text[start..end].trim_end_matches('\r');
        let (from, to) = (at - start, place.span.end.saturating_sub(start));
        let mut masked = mask::secrets(line).into_iter().peekable();
        let mut cells = Vec::new();
        // Columns before each cell, and of all of them.
        let mut columns = vec![0];
        for (byte, character) in line.char_indices() {
            while masked.next_if(|part| part.end <= byte).is_some() {}
            let is_hidden = masked.peek().is_some_and(|part| part.contains(&byte));
            let (shown, width) = cell(if is_hidden { '*' } else { character });
            columns.push(columns.last().copied().unwrap_or_default() + width);
            cells.push((byte, shown));
        }
        let first = cells.partition_point(|(byte, _)| *byte < from);
        let last = cells.partition_point(|(byte, _)| *byte < to).max(first);
        let mut shown = 0..cells.len();
        if columns[shown.end] > WIDEST {
            shown.start = columns.partition_point(|column| column + BEFORE < columns[first]);
            shown.end =
                columns.partition_point(|column| *column <= columns[shown.start] + WIDEST) - 1;
        }
        let (cut_before, cut_after) = (shown.start > 0, shown.end < cells.len());
        let mut text = String::from(if cut_before { "…" } else { "" });
        for (_, character) in &cells[shown.clone()] {
            match character {
                '\t' => text.push_str(&" ".repeat(TAB)),
                other => text.push(*other),
            }
        }
        text.push_str(if cut_after { "…" } else { "" });
        Self {
            before: usize::from(cut_before) + columns[first] - columns[shown.start],
            carets: (columns[last.min(shown.end)] - columns[first]).max(1),
            text,
        }
    }
}

/// What is drawn for a character, and its columns. Control characters must not reach a terminal.
fn cell(character: char) -> (char, usize) {
    match character {
        '\t' => ('\t', TAB),
        other if is_harmful(other) => ('·', 1),
        other => (other, width(other)),
    }
}

/// Control characters, and those that turn the direction of writing.
fn is_harmful(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Characters that take no room and cannot be seen, so that two names look alike: zero-width ones, marks of direction, soft
/// hyphens, separators of lines and tags.
fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}'
            | '\u{206A}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}'
    )
}

/// A text in one line that does nothing to a terminal, and in which nothing is hidden: `·` for each character that would.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if is_harmful(c) || is_unseen(c) {
                '·'
            } else {
                c
            }
        })
        .collect()
}

impl Finding {
    /// For programs: `severity`, `message`, and where known `file`, `line`, `column`, `end_line`, `end_column`
    /// (from 1, in characters, the end exclusive) and `help`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut json = json!({ "severity": self.severity.name(), "message": self.message });
        if let Some(Place { source, span }) = &self.place {
            let (line, column) = source.position(span.start);
            let (end_line, end_column) = source.position(span.end);
            json["file"] = source.name.as_str().into();
            json["line"] = line.into();
            json["column"] = column.into();
            json["end_line"] = end_line.into();
            json["end_column"] = end_column.into();
        }
        if let Some(help) = &self.help {
            json["help"] = help.as_str().into();
        }
        json
    }
}
