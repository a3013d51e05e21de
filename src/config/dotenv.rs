//! The `.env` file beside the configuration: variables for those that the process environment lacks.
//!
//! One `NAME=value` for each line, `export` or `set` before it allowed. In `'…'` everything is literal, in `"…"`
//! `\n`, `\r`, `\t`, `\"`, `\\` and `\$` are escapes; both may span lines. Elsewhere a `#` after a space begins a
//! comment. The last of several assignments counts.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{
    finding::{Finding, Findings, Place, Source},
    placeholder::is_name,
};

/// The variables of a `.env` file.
#[derive(Default)]
pub struct Dotenv(Vec<Assignment>);

struct Assignment {
    name: String,
    value: String,
    line: usize,
}

impl Dotenv {
    /// Reads the text of a `.env` file. Lines that cannot be understood become findings, which never quote them.
    #[must_use]
    pub fn parse(source: &Arc<Source>, findings: &Findings) -> Self {
        let mut rest = Lines { source, at: 0 };
        let mut assignments = Vec::new();
        while let Some((start, line)) = rest.next_line() {
            let before = rest.at;
            match rest.assignment(start, line) {
                Ok(assignment) => assignments.extend(assignment),
                Err((at, message)) => {
                    rest.at = before;
                    let place = Place {
                        source: Arc::clone(source),
                        span: at..at,
                    };
                    findings.add(Finding::error(message).at(place).help(HELP.to_owned()));
                }
            }
        }
        Self(assignments)
    }

    /// The value of a variable and the line, from 1, where it stands.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<(&str, usize)> {
        let found = self.0.iter().rev().find(|a| a.name == name)?;
        Some((&found.value, found.line))
    }
}

const HELP: &str = "a line is NAME=value, NAME='value' or NAME=\"value\"; the line is not shown because it may hold a secret";

/// What is left of the file.
struct Lines<'a> {
    source: &'a Source,
    at: usize,
}

/// Where it went wrong, and what.
type Fault = (usize, &'static str);

impl<'a> Lines<'a> {
    /// The start and text of the next line, without its end.
    fn next_line(&mut self) -> Option<(usize, &'a str)> {
        let start = self.at;
        let rest = self
            .source
            .text
            .get(start..)
            .filter(|rest| !rest.is_empty())?;
        let line = rest.split('\n').next().unwrap_or_default();
        self.at = start + line.len() + 1;
        Some((start, line.strip_suffix('\r').unwrap_or(line)))
    }

    /// The assignment of a line; `None` where it holds none. A quoted value may take further lines.
    fn assignment(&mut self, start: usize, line: &'a str) -> Result<Option<Assignment>, Fault> {
        let text = line.trim_start();
        if text.is_empty() || text.starts_with('#') {
            return Ok(None);
        }
        let begin = start + (line.len() - text.len());
        let equals = text.find('=').ok_or((begin, "this line has no `=`"))?;
        let name = without_prefix(text[..equals].trim());
        if !is_name(name) {
            return Err((
                begin,
                "what stands before `=` is not the name of a variable",
            ));
        }
        let after = begin + equals + 1;
        let raw = &text[equals + 1..];
        let value = match raw.trim_start().chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let open = after + (raw.len() - raw.trim_start().len());
                self.quoted(open, quote)?
            }
            _ => unquoted(raw).to_owned(),
        };
        let (line, _) = self.source.position(begin);
        let name = name.to_owned();
        Ok(Some(Assignment { name, value, line }))
    }

    /// The value whose opening quote stands at `open`; goes on behind the line of its closing quote.
    fn quoted(&mut self, open: usize, quote: char) -> Result<String, Fault> {
        let text = &self.source.text;
        let mut value = String::new();
        let mut characters = text[open + 1..].char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                _ if character == quote => {
                    let close = open + 1 + at + 1;
                    let rest = text[close..].split('\n').next().unwrap_or_default();
                    let tail = rest.trim();
                    if !tail.is_empty() && !tail.starts_with('#') {
                        return Err((close, "there is text behind the closing quote"));
                    }
                    self.at = close + rest.len() + 1;
                    return Ok(value);
                }
                '\\' if quote == '"' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, escaped @ ('"' | '\\' | '$'))) => value.push(escaped),
                    Some((_, other)) => value.extend(['\\', other]),
                    None => break,
                },
                // A file written on Windows says the same as one that was not.
                '\r' if text[open + 1 + at..].starts_with("\r\n") => {}
                other => value.push(other),
            }
        }
        Err((open, "this quote is not closed"))
    }
}

fn without_prefix(name: &str) -> &str {
    let (first, rest) = name.split_once([' ', '\t']).unwrap_or(("", name));
    if first == "export" || first.eq_ignore_ascii_case("set") {
        rest.trim_start()
    } else {
        name
    }
}

/// A value without quotes, up to its comment.
fn unquoted(raw: &str) -> &str {
    let is_comment = |at: &usize| raw[..*at].ends_with([' ', '\t']);
    let comment = raw.match_indices('#').map(|(at, _)| at).find(is_comment);
    raw[..comment.unwrap_or(raw.len())].trim()
}
