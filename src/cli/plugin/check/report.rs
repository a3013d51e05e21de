//! What a check finds, as the child says it and as a person reads it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A line of the child's.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// What it does next.
    Doing(String),
    /// What the plugin is, by name and value.
    Plugin(Vec<(String, String)>),
    /// A kind of stage or provider begins: its full name with what it is.
    Kind(String),
    /// Something about that kind, by name and value.
    Fact(String, String),
    /// Something is wrong.
    Fault(String),
    /// All has been done.
    Done,
}

/// All that was said.
#[derive(Default)]
pub(super) struct Report {
    doing: String,
    text: String,
    faults: Vec<String>,
    is_complete: bool,
}

impl Report {
    pub(super) fn take(&mut self, line: Line) {
        match line {
            Line::Doing(what) => self.doing = what,
            Line::Plugin(facts) => facts
                .iter()
                .for_each(|(name, value)| self.fact(name, value)),
            Line::Kind(name) => self.text.extend(["\n", &name, "\n"]),
            Line::Fact(name, value) => self.fact(&name, &value),
            Line::Fault(what) => self.faults.push(what),
            Line::Done => self.is_complete = true,
        }
    }

    fn fact(&mut self, name: &str, value: &str) {
        let line = format!("  {name:<18} {value}\n");
        self.text.push_str(&line);
    }

    /// The child has ended, otherwise than it should.
    pub(super) fn ended(&mut self, how: &str) {
        let doing = if self.doing.is_empty() {
            "starting"
        } else {
            &self.doing
        };
        self.faults.push(format!("{doing}: {how}"));
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    pub(super) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if !self.text.is_empty() {
            writeln!(f)?;
        }
        for fault in &self.faults {
            writeln!(f, "wrong: {fault}")?;
        }
        match self.faults.len() {
            0 => writeln!(f, "nothing is wrong with it"),
            1 => writeln!(f, "1 thing is wrong with it"),
            many => writeln!(f, "{many} things are wrong with it"),
        }
    }
}
