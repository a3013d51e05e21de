//! Which kind a stage or a provider is: what its table says, else the table's name.

use crate::{
    config::{Loaded, Severity},
    nearest::nearest,
};

/// Tells that `[TABLE.NAME]` is of a kind that does not exist. `thing` is what the table holds one of; `given` is the
/// `kind` in the table, where there is one.
pub(super) fn tell_unknown<'a>(
    loaded: &Loaded,
    (table, name, thing): (&str, &str, &str),
    given: Option<&str>,
    known: impl Iterator<Item = &'a str> + Clone,
) {
    let kind = given.unwrap_or(name);
    let help = match nearest(kind, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
    };
    let message = format!("there is no {thing} kind `{kind}`");
    if given.is_some() {
        loaded.report(&[table, name, "kind"], Severity::Error, message, Some(help));
    } else {
        loaded.report_key(&[table, name], Severity::Error, message, Some(help));
    }
}
