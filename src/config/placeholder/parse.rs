//! Finds the placeholders of a text.

use super::is_name;

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// As it stands.
    Literal(&'a str),
    /// `${NAME}` or `${NAME:-default}`; `whole` is all of it.
    Variable {
        whole: &'a str,
        name: &'a str,
        default: Option<&'a str>,
    },
    /// `${file:path}`; `whole` is all of it.
    File { whole: &'a str, path: &'a str },
}

/// A placeholder that is not written like one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed<'a> {
    /// The part of the text at fault.
    pub(super) whole: &'a str,
    /// What is wrong with it.
    pub(super) message: &'static str,
}

/// The parts of a text in order.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Malformed<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find("${") {
        let (before, from) = rest.split_at(dollar);
        if let Some(before) = before.strip_suffix('$') {
            pieces.extend([Piece::Literal(before), Piece::Literal("${")]);
            rest = &from[2..];
            continue;
        }
        let length = length(from).ok_or(Malformed {
            whole: from,
            message: "this placeholder has no closing `}`",
        })?;
        let (whole, after) = from.split_at(length);
        pieces.extend([Piece::Literal(before), placeholder(whole)?]);
        rest = after;
    }
    pieces.push(Piece::Literal(rest));
    pieces.retain(|piece| *piece != Piece::Literal(""));
    Ok(pieces)
}

/// The bytes of the placeholder that a text begins with, up to the brace that closes it.
fn length(text: &str) -> Option<usize> {
    let mut open = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open == 1 => return Some(at + 1),
            b'}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn placeholder(whole: &str) -> Result<Piece<'_>, Malformed<'_>> {
    let malformed = |message| Malformed { whole, message };
    let inner = whole
        .strip_prefix("${")
        .and_then(|inner| inner.strip_suffix('}'))
        .unwrap_or(whole);
    if let Some(path) = inner.strip_prefix("file:") {
        let path = path.trim();
        return match path {
            "" => Err(malformed("this placeholder names no file")),
            path => Ok(Piece::File { whole, path }),
        };
    }
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_name(name) {
        return Err(malformed("this is not a placeholder that can be resolved"));
    }
    Ok(Piece::Variable {
        whole,
        name,
        default,
    })
}
