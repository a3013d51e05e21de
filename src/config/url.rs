//! URLs, checked when the file is read.

use std::{borrow::Cow, fmt, str::FromStr};

use http::Uri;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::Secret;

/// Where a provider is: `http://` or `https://`, a host, and maybe a port and a path. No trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// The URL without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BaseUrl {
    type Err = &'static str;

    /// The error says what is wrong, without the URL.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let uri = parse(text, &["http", "https"])?;
        if text.contains('@') && uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err("a base URL holds no user name or password; give the key as `api_key`");
        }
        if text.contains(['?', '#']) {
            return Err("a base URL has no query and no fragment");
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

/// An HTTP proxy. It may hold a password, so it is treated as a secret.
#[derive(Clone, Debug)]
pub struct ProxyUrl(Secret);

impl ProxyUrl {
    /// The URL with what it holds of a user name and password: to connect, never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl FromStr for ProxyUrl {
    type Err = &'static str;

    /// The error says what is wrong, without the URL.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        parse(text, &["http"])?;
        Ok(Self(text.to_owned().into()))
    }
}

fn parse(text: &str, schemes: &[&str]) -> Result<Uri, &'static str> {
    const SHAPE: &str = "expected a URL like \"https://host:port/path\"";
    let uri: Uri = text.parse().map_err(|_| SHAPE)?;
    let host = uri.host().unwrap_or_default();
    let scheme = uri.scheme_str().unwrap_or_default();
    if host.is_empty() || scheme.is_empty() {
        return Err(SHAPE);
    }
    if !schemes.contains(&scheme) {
        return Err(if schemes.contains(&"https") {
            "expected a URL that begins with http:// or https://"
        } else {
            "expected a URL that begins with http://"
        });
    }
    Ok(uri)
}

/// Reads and describes a URL type through its `FromStr`.
macro_rules! url_serde {
    ($url:ty, $name:literal, $pattern:literal) => {
        impl<'de> Deserialize<'de> for $url {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $url {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}
url_serde!(BaseUrl, "BaseUrl", "^https?://");
url_serde!(ProxyUrl, "ProxyUrl", "^http://");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_loses_its_trailing_slash() {
        let url: BaseUrl = "http://localhost:11434/v1/".parse().unwrap();
        assert_eq!(url.as_str(), "http://localhost:11434/v1");
    }

    #[test]
    fn what_is_no_base_url_is_refused_in_words() {
        for (text, why) in [
            ("localhost:11434", "expected a URL"),
            ("localhost", "expected a URL"),
            ("", "expected a URL"),
            ("ftp://host", "http:// or https://"),
            ("http://user:pw@host", "api_key"),
            ("http://host/?q=1", "no query"),
        ] {
            let error = text.parse::<BaseUrl>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_proxy_may_have_a_password_and_never_shows_it() {
        let proxy: ProxyUrl = "http://user:canary@proxy:1080".parse().unwrap();
        assert!(!format!("{proxy:?}").contains("canary"));
        assert!("socks5://proxy".parse::<ProxyUrl>().is_err());
    }
}
