//! Puts values in the place of placeholders.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use super::{
    Origin, Variable,
    parse::{Malformed, Piece, pieces},
};
use crate::config::{
    dotenv::Dotenv,
    finding::{Finding, Findings, Place},
    tree::{Node, Text, Unset, Value},
};

/// Placeholders within defaults of placeholders within …
const DEEPEST: usize = 8;
/// A file with a secret is not larger.
const LARGEST_FILE: u64 = 1 << 20;

/// Knows the value of every variable.
pub struct Resolver<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    dotenv: &'a Dotenv,
    folder: &'a Path,
    variables: RefCell<Vec<Variable>>,
}

impl<'a> Resolver<'a> {
    /// Looks in `environment` first, then in `dotenv`. Relative paths of `${file:…}` begin at `folder`.
    pub fn new(
        environment: &'a dyn Fn(&str) -> Option<String>,
        dotenv: &'a Dotenv,
        folder: &'a Path,
    ) -> Self {
        Self {
            environment,
            dotenv,
            folder,
            variables: RefCell::default(),
        }
    }

    /// The value of a variable and where it came from; `None` where it is unset or empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<(String, Origin)> {
        let from_process = (self.environment)(name).map(|value| (value, Origin::Environment));
        let from_dotenv = || {
            let (value, line) = self.dotenv.get(name)?;
            Some((value.to_owned(), Origin::DotEnv { line }))
        };
        from_process
            .or_else(from_dotenv)
            .filter(|(value, _)| !value.is_empty())
    }

    /// Remembers that a variable was asked for.
    pub fn note(&self, name: &str, origin: Origin) {
        let name = name.to_owned();
        let variable = Variable { name, origin };
        let mut all = self.variables.borrow_mut();
        if !all.contains(&variable) {
            all.push(variable);
        }
    }

    /// The variables that were asked for, in the order in which they were.
    #[must_use]
    pub fn into_variables(self) -> Vec<Variable> {
        self.variables.into_inner()
    }

    /// Resolves every string below a node. Malformed placeholders become findings; those without a value become
    /// [`Value::Unset`], and so an error only where they are read.
    pub fn resolve(&self, node: &mut Node, findings: &Findings) {
        match &mut node.value {
            Value::Table(table) => {
                for (_, child) in table.iter_mut() {
                    self.resolve(child, findings);
                }
            }
            Value::Array(elements) => {
                for element in elements {
                    self.resolve(element, findings);
                }
            }
            Value::String(text) if text.text.contains("${") => {
                node.value = match self.text(&text.text) {
                    Ok(text) => Value::String(text),
                    Err(fault) => {
                        let unset = fault.at(&node.place);
                        if fault.is_malformed {
                            findings.add(Finding::from(&unset));
                        }
                        Value::Unset(unset)
                    }
                };
            }
            _ => {}
        }
    }

    fn text(&self, text: &str) -> Result<Text, Fault> {
        let mut resolved = Text::literal("");
        let pieces = pieces(text)?;
        resolved.adapts = matches!(
            pieces.as_slice(),
            [Piece::Variable { .. } | Piece::File { .. }]
        );
        self.append(&mut resolved, &pieces, 0)?;
        Ok(resolved)
    }

    fn append(&self, to: &mut Text, pieces: &[Piece<'_>], depth: usize) -> Result<(), Fault> {
        for piece in pieces {
            match *piece {
                Piece::Literal(text) => to.text.push_str(text),
                Piece::File { whole, path } => {
                    let content = self.file(whole, path)?;
                    to.text.push_str(&content);
                    to.from.push(format!("the file {path}"));
                }
                Piece::Variable {
                    whole,
                    name,
                    default,
                } => {
                    let found = self.variable(name);
                    let origin = match (&found, default) {
                        (Some((_, origin)), _) => origin.clone(),
                        (None, Some(_)) => Origin::Default,
                        (None, None) => Origin::Unset,
                    };
                    if origin != Origin::Unset {
                        to.from.push(format!("`{name}` ({origin})"));
                    }
                    self.note(name, origin);
                    match (found, default) {
                        (Some((value, _)), _) => to.text.push_str(&value),
                        (None, Some(_)) if depth == DEEPEST => return Err(too_deep(whole)),
                        (None, Some(default)) => {
                            self.append(to, &self::pieces(default)?, depth + 1)?;
                        }
                        (None, None) => return Err(self.unset(whole, name)),
                    }
                }
            }
        }
        Ok(())
    }

    fn unset(&self, whole: &str, name: &str) -> Fault {
        let is_empty = (self.environment)(name).is_some() || self.dotenv.get(name).is_some();
        let state = if is_empty {
            "set, but empty"
        } else {
            "not set"
        };
        Fault {
            whole: whole.to_owned(),
            message: format!("the variable `{name}` is {state}"),
            help: format!(
                "set it in the environment or in the .env file beside the configuration, or give a default: `${{{name}:-…}}`"
            ),
            is_malformed: false,
        }
    }

    fn file(&self, whole: &str, path: &str) -> Result<String, Fault> {
        let full = self.folder.join(path);
        let fault = |what: &str, help: &str| {
            self.note(&format!("file:{path}"), Origin::Unset);
            Fault {
                whole: whole.to_owned(),
                message: format!("the file `{path}` {what}"),
                help: help.to_owned(),
                is_malformed: false,
            }
        };
        let content = read_text(&full).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => fault(
                "does not exist",
                "create it, or correct the path; a relative one begins at the folder of the configuration",
            ),
            io::ErrorKind::PermissionDenied => fault(
                "may not be read",
                "let the user that millgate runs as read it",
            ),
            io::ErrorKind::InvalidData => {
                fault("is not UTF-8 text", "only text can be put into the configuration")
            }
            _ => fault("cannot be read", &error.to_string()),
        })?;
        let content = content.trim_end_matches(['\r', '\n']);
        if content.is_empty() {
            return Err(fault("is empty", "write the value into it"));
        }
        self.note(&format!("file:{path}"), Origin::File(full));
        Ok(content.to_owned())
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(LARGEST_FILE + 1);
    if file.read_to_string(&mut text)? as u64 > LARGEST_FILE {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}

/// A placeholder that came to nothing.
struct Fault {
    whole: String,
    message: String,
    help: String,
    is_malformed: bool,
}

impl Fault {
    /// With the caret at the placeholder, where it stands in the file as it is.
    fn at(&self, value: &Place) -> Unset {
        let span = value.span.clone();
        let written = value.source.text.get(span.clone()).unwrap_or_default();
        let span = match written.find(&self.whole) {
            Some(at) => span.start + at..span.start + at + self.whole.len(),
            None => span,
        };
        Unset {
            message: self.message.clone(),
            help: self.help.clone(),
            place: Place {
                source: Arc::clone(&value.source),
                span,
            },
        }
    }
}

impl From<Malformed<'_>> for Fault {
    fn from(malformed: Malformed<'_>) -> Self {
        Self {
            whole: malformed.whole.to_owned(),
            message: malformed.message.to_owned(),
            help: "there are `${NAME}`, `${NAME:-default}` and `${file:/path}`; `$${` is a literal `${`"
                .to_owned(),
            is_malformed: true,
        }
    }
}

fn too_deep(whole: &str) -> Fault {
    Fault::from(Malformed {
        whole,
        message: "placeholders are nested too deep",
    })
}

impl From<&Unset> for Finding {
    fn from(unset: &Unset) -> Self {
        Self::error(unset.message.clone())
            .at(unset.place.clone())
            .help(unset.help.clone())
    }
}
