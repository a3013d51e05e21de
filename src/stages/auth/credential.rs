//! The credential of a request: `Authorization: Bearer` (RFC 6750, 2.1), else `api-key`, else `x-api-key`.

use millgate_plugin::{Exchange, Field, SetError};

const AUTHORIZATION: &str = "authorization";

/// Every header that a credential may stand in, the one that counts first.
const HEADERS: [&str; 3] = [AUTHORIZATION, "api-key", "x-api-key"];

/// What a request says of who it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presented<'a> {
    /// Nothing.
    Nothing,
    /// Something that can be no key.
    Malformed,
    /// A key or a token.
    Key(&'a str),
}

/// The credential of the first of the headers that is there.
pub(super) fn presented(exchange: &dyn Exchange) -> Presented<'_> {
    for name in HEADERS {
        if let Some(value) = exchange.request_header(name) {
            let key = if name == AUTHORIZATION {
                bearer(value)
            } else {
                visible(value)
            };
            return key.map_or(Presented::Malformed, Presented::Key);
        }
    }
    Presented::Nothing
}

/// Takes all of them out of the request, so that none reaches an upstream.
pub(super) fn take_out(exchange: &mut dyn Exchange) -> Result<(), SetError> {
    for name in HEADERS {
        if exchange.request_header(name).is_some() {
            exchange.set(Field::RequestHeader, name, None)?;
        }
    }
    Ok(())
}

/// Puts the client's own key where upstreams look for it, and nowhere else.
pub(super) fn pass_on(exchange: &mut dyn Exchange, key: &str) -> Result<(), SetError> {
    take_out(exchange)?;
    let value = format!("Bearer {key}");
    exchange.set(Field::RequestHeader, AUTHORIZATION, Some(value.as_bytes()))?;
    exchange.set(Field::ForwardsAuth, "", Some(b"1"))
}

/// What stands behind `Bearer`, in whatever case, and at least one space.
fn bearer(value: &[u8]) -> Option<&str> {
    let (scheme, rest) = value.split_at_checked(6)?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer") && rest.first() == Some(&b' ');
    is_bearer.then(|| visible(rest.trim_ascii())).flatten()
}

/// A value that is visible ASCII without spaces, and not empty.
fn visible(value: &[u8]) -> Option<&str> {
    let is_visible = !value.is_empty() && value.iter().all(u8::is_ascii_graphic);
    is_visible
        .then(|| std::str::from_utf8(value).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bearer_token_is_what_stands_behind_the_word() {
        assert_eq!(bearer(b"Bearer sk-1"), Some("sk-1"));
        assert_eq!(bearer(b"bEARER   sk-1  "), Some("sk-1"));
        for wrong in [
            &b""[..],
            b"Bearer",
            b"Bearer ",
            b"Bearer\tsk-1",
            b"Bearersk-1",
            b"Basic c2s6MQ==",
            b"sk-1",
            b"Bearer sk-1 sk-2",
            b"Bearer sk\x80",
            "Bearer 키".as_bytes(),
        ] {
            assert_eq!(bearer(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            for key in [bearer(&value), visible(&value)].into_iter().flatten() {
                prop_assert!(!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(value.ends_with(key.as_bytes()) || value.trim_ascii().ends_with(key.as_bytes()));
            }
        }

        #[test]
        fn every_key_that_can_be_sent_is_found(key in "[!-~]{1,80}", spaces in " {1,3}") {
            let value = format!("Bearer{spaces}{key}");
            prop_assert_eq!(bearer(value.as_bytes()), Some(&*key));
            prop_assert_eq!(visible(key.as_bytes()), Some(&*key));
        }
    }
}
