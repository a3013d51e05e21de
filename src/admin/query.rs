//! The query of a request: known names, each once.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::api::error::ApiError;

/// No path takes more than these. Each name is compared with all before it.
const MOST: usize = 16;

/// Names and values that nobody has asked for yet.
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads a query as forms write it (<https://url.spec.whatwg.org/#application/x-www-form-urlencoded>).
    pub(super) fn parse(query: Option<&'a str>) -> Result<Self, ApiError> {
        let mut values: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        for pair in query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            if values.len() == MOST {
                let message = "No path takes so many parameters. See /api/openapi.json.";
                return Err(ApiError::invalid("invalid_parameter", message));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if values.iter().any(|(known, _)| *known == name) {
                return Err(invalid(&name, "stands there twice"));
            }
            values.push((name, value));
        }
        Ok(Self(values))
    }

    /// The value of that name; an empty one counts as none.
    pub(super) fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1).filter(|value| !value.is_empty())
    }

    /// Refuses what nobody has asked for: who misspells a filter would take everything for what he wanted.
    pub(super) fn end(self) -> Result<(), ApiError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(invalid(name, "is no parameter of this path")),
        }
    }
}

fn decoded(text: &str) -> Result<Cow<'_, str>, ApiError> {
    let spaced = if text.contains('+') {
        Cow::Owned(text.replace('+', " "))
    } else {
        Cow::Borrowed(text)
    };
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded
        .map(|text| Cow::Owned(text.into_owned()))
        .map_err(|_| ApiError::invalid("invalid_parameter", "The query is not UTF-8 text."))
}

/// What is wrong with a parameter.
pub(super) fn invalid(name: &str, what: &str) -> ApiError {
    let name = name.chars().take(64).collect::<String>();
    ApiError::invalid(
        "invalid_parameter",
        format!("`{name}` {what}. See /api/openapi.json."),
    )
    .param(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_with_a_few_others_and_not_with_any_number() {
        let query = |count: usize| {
            let names: Vec<_> = (0..count).map(|number| format!("{number}=x&")).collect();
            names.concat()
        };
        assert!(Query::parse(Some(&query(MOST))).is_ok());
        for count in [MOST + 1, 20_000] {
            let query = query(count);
            let refused = Query::parse(Some(&query)).err().unwrap();
            assert_eq!(refused.status.as_u16(), 400);
            assert!(refused.message.contains("so many"));
        }
    }

    #[test]
    fn a_form_is_read_as_it_was_written() {
        let mut query = Query::parse(Some("a=1+%2B%c3%a9&b=&&c&d=x=y")).unwrap();
        assert_eq!(query.take("a").as_deref(), Some("1 +é"));
        assert_eq!(query.take("b"), None);
        assert_eq!(query.take("c"), None);
        assert_eq!(query.take("d").as_deref(), Some("x=y"));
        assert!(query.end().is_ok());
        assert!(Query::parse(Some("a=1&%61=2")).is_err());
        assert!(Query::parse(Some("a=%ff")).is_err());
        assert!(Query::parse(Some("a=1")).unwrap().end().is_err());
    }
}
