//! What a client may say of the cache, and what it is told: `Cache-Control` of requests ([RFC 9111, 5.2.1]) and
//! `Cache-Status` of replies ([RFC 9211]).
//!
//! [RFC 9111, 5.2.1]: https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1
//! [RFC 9211]: https://www.rfc-editor.org/rfc/rfc9211

use std::{fmt, time::Duration};

use http::{HeaderMap, HeaderValue, header};

/// The directives of a request that count here; what else it says is passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// The answer is neither stored nor shared.
    pub no_store: bool,
    /// What is stored does not do: ask, and store the new answer.
    pub no_cache: bool,
    /// Nor does what is older than this.
    pub max_age: Option<Duration>,
    /// Nobody is to be asked.
    pub only_if_cached: bool,
}

impl Control {
    /// Reads the headers of a request. `Pragma: no-cache` counts where there is no `Cache-Control`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        let mut is_told = false;
        for value in headers.get_all(header::CACHE_CONTROL) {
            is_told = true;
            directives(value).for_each(|directive| control.take(directive));
        }
        if !is_told {
            let mut pragma = headers.get_all(header::PRAGMA).iter().flat_map(directives);
            control.no_cache = pragma.any(|directive| directive.eq_ignore_ascii_case("no-cache"));
        }
        control
    }

    fn take(&mut self, directive: &str) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim_end().to_ascii_lowercase().as_str() {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => {
                // One that makes no sense is taken for the strictest (RFC 9111, 4.2.1).
                let seconds = value.trim().trim_matches('"').parse().unwrap_or(0);
                self.max_age = Some(Duration::from_secs(seconds));
            }
            _ => {}
        }
    }

    /// Whether an answer of this age will do.
    #[must_use]
    pub fn takes(&self, age: Duration) -> bool {
        !self.no_cache && self.max_age.is_none_or(|most| age <= most)
    }
}

fn directives(value: &HeaderValue) -> impl Iterator<Item = &str> {
    let text = value.to_str().unwrap_or_default();
    text.split(',').map(str::trim)
}

/// Whether an upstream forbids to store its answer.
#[must_use]
pub fn forbids_storing(headers: &HeaderMap) -> bool {
    let mut directives = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .flat_map(directives);
    directives.any(|directive| directive.eq_ignore_ascii_case("no-store"))
}

/// What became of a request in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Stored; so many seconds of its time are left, or over.
    Hit {
        /// Seconds until it is stale; negative once it is.
        ttl: i64,
    },
    /// Not stored, and fetched.
    Miss {
        /// Whether the answer has been stored by now.
        stored: bool,
    },
    /// Stored, but the request wanted it fetched.
    Refetched {
        /// Whether the answer has been stored by now.
        stored: bool,
    },
    /// Stored, but too old, and fetched.
    Stale {
        /// Whether the answer has been stored by now.
        stored: bool,
    },
    /// Fetched for another request, and shared.
    Collapsed,
    /// None for a cache.
    Bypass(Why),
    /// Nothing stored, and nobody to be asked.
    Absent,
}

/// Why a request is none for a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It said so.
    NoStore,
    /// Its endpoint is not one whose answers are kept.
    Endpoint,
    /// Asked twice, it may be answered in two ways: no temperature of 0, no seed.
    Temperature,
    /// It wants several choices, which are meant to differ.
    SeveralChoices,
    /// It leaves something behind at the upstream, or follows on what was left there.
    State,
    /// It carries a credential of its own to the upstream.
    Credential,
    /// The answer that was there could not be given in the form that was asked for.
    Form,
}

impl Why {
    /// A token for clients and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoStore => "no_store",
            Self::Endpoint => "endpoint",
            Self::Temperature => "temperature",
            Self::SeveralChoices => "several_choices",
            Self::State => "state",
            Self::Credential => "credential",
            Self::Form => "form",
        }
    }
}

impl Status {
    /// The value of `Cache-Status`.
    #[must_use]
    pub fn header(self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.to_string()).ok()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("millgate; ")?;
        let stored = match self {
            Self::Hit { ttl } => return write!(f, "hit; ttl={ttl}"),
            Self::Collapsed => return f.write_str("fwd=miss; collapsed"),
            Self::Absent => return f.write_str("fwd=miss; fwd-status=504"),
            Self::Bypass(Why::NoStore) => return f.write_str("fwd=request"),
            Self::Bypass(why) => return write!(f, "fwd=bypass; detail={}", why.name()),
            Self::Miss { stored } => {
                f.write_str("fwd=miss")?;
                stored
            }
            Self::Refetched { stored } => {
                f.write_str("fwd=request")?;
                stored
            }
            Self::Stale { stored } => {
                f.write_str("fwd=stale")?;
                stored
            }
        };
        f.write_str(if *stored { "; stored" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(value: &'static str) -> Control {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
        Control::of(&headers)
    }

    #[test]
    fn directives_are_read_in_any_case_and_order() {
        let all = control("No-Cache , max-age=30,ONLY-IF-CACHED, no-store, foo=bar");
        assert!(all.no_cache && all.no_store && all.only_if_cached);
        assert_eq!(all.max_age, Some(Duration::from_secs(30)));
        assert_eq!(control("max-stale, no-transform"), Control::default());
        assert_eq!(
            control("max-age=\"7\"").max_age,
            Some(Duration::from_secs(7))
        );
        assert_eq!(control("max-age=soon").max_age, Some(Duration::ZERO));
        let mut headers = HeaderMap::new();
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        assert!(Control::of(&headers).no_cache);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=9"));
        assert!(!Control::of(&headers).no_cache);
    }

    #[test]
    fn age_is_measured_by_what_the_request_takes() {
        let young = Duration::from_secs(5);
        assert!(Control::default().takes(Duration::MAX));
        assert!(control("max-age=5").takes(young));
        assert!(!control("max-age=4").takes(young));
        assert!(!control("no-cache").takes(Duration::ZERO));
    }

    #[test]
    fn status_is_told_as_the_rfc_has_it() {
        for (status, told) in [
            (Status::Hit { ttl: 431 }, "millgate; hit; ttl=431"),
            (Status::Hit { ttl: -3 }, "millgate; hit; ttl=-3"),
            (Status::Miss { stored: false }, "millgate; fwd=miss"),
            (Status::Miss { stored: true }, "millgate; fwd=miss; stored"),
            (Status::Refetched { stored: false }, "millgate; fwd=request"),
            (
                Status::Stale { stored: true },
                "millgate; fwd=stale; stored",
            ),
            (Status::Collapsed, "millgate; fwd=miss; collapsed"),
            (Status::Bypass(Why::NoStore), "millgate; fwd=request"),
            (
                Status::Bypass(Why::Temperature),
                "millgate; fwd=bypass; detail=temperature",
            ),
        ] {
            assert_eq!(status.header().unwrap(), told);
        }
    }
}
