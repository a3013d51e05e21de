//! What no log line may show: the filter that every free text passes on its way out of the process.
//!
//! It knows the secrets of the config, which it always takes out, and the redactor of the stage `redact`, where there
//! is one. It belongs to a runtime and is put in force with it. Typed fields are not scanned ([`is_typed`]).

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use arc_swap::ArcSwapOption;

use crate::{
    config::Secret,
    redact::{Redactor, secrets::Secrets},
};

/// A filter.
#[derive(Debug, Default)]
pub struct Filter {
    values: Vec<Secret>,
    secrets: Option<Secrets>,
    redactor: Option<Redactor>,
}

static IN_FORCE: LazyLock<ArcSwapOption<Filter>> = LazyLock::new(ArcSwapOption::empty);

impl Filter {
    /// A filter that takes out these values and what this redactor finds. Values that `previous` knew are still taken
    /// out: exchanges under way may hold them.
    #[must_use]
    pub fn new(values: Vec<Secret>, redactor: Option<Redactor>, previous: Option<&Self>) -> Self {
        let all = values
            .iter()
            .chain(previous.into_iter().flat_map(|previous| &previous.values));
        Self {
            secrets: Secrets::new(all.map(Secret::expose)),
            values,
            redactor,
        }
    }

    /// Puts it in force, in the place of the one before.
    pub fn install(self: &Arc<Self>) {
        IN_FORCE.store(Some(self.clone()));
    }

    /// A text as it may be seen.
    #[must_use]
    pub fn clean<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let text = match &self.secrets {
            Some(secrets) => secrets.remove(text),
            None => Cow::Borrowed(text),
        };
        match (&self.redactor, text) {
            (None, text) => text,
            (Some(redactor), Cow::Borrowed(text)) => redactor.redact(text),
            (Some(redactor), Cow::Owned(text)) => Cow::Owned(redactor.redact(&text).into_owned()),
        }
    }
}

/// A text as the filter in force lets it be seen; before a config has been read, as it is.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    match &*IN_FORCE.load() {
        Some(filter) => filter.clean(text),
        None => Cow::Borrowed(text),
    }
}

/// Whether a text has a secret of the config in it. What a client has chosen may not become a typed field then.
#[must_use]
pub fn holds_secret(text: &str) -> bool {
    let filter = IN_FORCE.load();
    let secrets = filter.as_ref().and_then(|filter| filter.secrets.as_ref());
    secrets.is_some_and(|secrets| matches!(secrets.remove(text), Cow::Owned(_)))
}

/// The target of the access log.
pub(crate) const ACCESS: &str = "millgate::access";

/// Fields of the gateway's own events that are ids, names of the config or one of a few words. They are written
/// as they are: an address that the access log is there to tell is no leak.
const TYPED: &[&str] = &[
    "attempt",
    "caller",
    "class",
    "endpoint",
    "generation",
    "kind",
    "method",
    "outcome",
    "peer",
    "provider",
    "request_id",
    "route",
    "signal",
    "stage",
    "upstream",
];

/// The same of the access log alone: words of the gateway, and what has passed the filter where the record was made.
const FILTERED: &[&str] = &["asked", "cache", "cache_key", "model", "path"];

/// Whether a field of an event is not scanned, by the event's target and the field's name.
#[must_use]
pub fn is_typed(target: &str, field: &str) -> bool {
    let is_own = target.starts_with("millgate") && TYPED.binary_search(&field).is_ok();
    is_own || (target == ACCESS && FILTERED.contains(&field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_order() {
        assert!(TYPED.is_sorted());
        assert!(is_typed("millgate::access", "request_id"));
        assert!(is_typed("millgate::access", "asked"));
        assert!(!is_typed("millgate::access", "failed"));
        assert!(!is_typed("millgate::routing", "model"));
        assert!(!is_typed("hyper::proto", "request_id"));
        assert!(!is_typed("millgate::routing", "detail"));
    }

    #[test]
    fn secrets_go_first_and_those_of_before_too() {
        let secret = |text: &str| Secret::from(text.to_owned());
        let before = Filter::new(vec![secret("hunter2hunter2")], None, None);
        let filter = Filter::new(
            vec![secret("correct-horse")],
            Some(Redactor::default()),
            Some(&before),
        );
        assert_eq!(
            filter.clean("hunter2hunter2, correct-horse and kim@example.com"),
            "[secret], [secret] and <EMAIL>"
        );
        assert!(matches!(
            filter.clean("nothing of the sort"),
            Cow::Borrowed(_)
        ));
        let next = Filter::new(Vec::new(), None, Some(&filter));
        assert_eq!(
            next.clean("hunter2hunter2 correct-horse"),
            "hunter2hunter2 [secret]"
        );
    }
}
