//! Who may connect: a web page must not reach a gateway that listens on loopback.
//!
//! A browser sends `Origin` with every request of a page to another origin, and its own idea of the name in `Host`,
//! which is how a rebound DNS name shows. Programs send no `Origin` and the name that they were configured with.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Uri, header};

/// The names and origins that a listener knows.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    hosts: Vec<String>,
    origins: Vec<String>,
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwelcome {
    /// `Host` names somebody else.
    Host,
    /// A page of this origin may not call.
    Origin,
}

impl Guard {
    /// `hosts`: names beside the loopback ones and IP addresses; `origins`: pages that may call, as `https://app.example`.
    #[must_use]
    pub fn new(hosts: &[String], origins: &[String]) -> Self {
        Self {
            hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            origins: origins
                .iter()
                .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
                .collect(),
        }
    }

    /// Checks a request that came in on `local`. `Ok` carries the origin where there is one that is welcome.
    pub fn admit<'a>(
        &self,
        uri: &Uri,
        headers: &'a HeaderMap,
        local: SocketAddr,
    ) -> Result<Option<&'a http::HeaderValue>, Unwelcome> {
        // HTTP/2 has the name in the request's authority.
        let host = uri
            .authority()
            .map(http::uri::Authority::as_str)
            .or_else(|| {
                headers
                    .get(header::HOST)
                    .and_then(|host| host.to_str().ok())
            });
        if !host.is_some_and(|host| self.knows(host, local)) {
            return Err(Unwelcome::Host);
        }
        match headers.get(header::ORIGIN) {
            None => Ok(None),
            Some(origin) if self.welcomes(origin) => Ok(Some(origin)),
            Some(_) => Err(Unwelcome::Origin),
        }
    }

    fn knows(&self, host: &str, local: SocketAddr) -> bool {
        let name = without_port(host);
        // A rebound name is a name: an address in `Host` can only be the one that was connected to.
        if let Ok(address) = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
        {
            return address == local.ip()
                || local.ip().is_loopback() && address.is_loopback()
                || !local.ip().is_loopback();
        }
        name.eq_ignore_ascii_case("localhost")
            || name.to_ascii_lowercase().ends_with(".localhost")
            || self
                .hosts
                .iter()
                .any(|known| known == "*" || known.eq_ignore_ascii_case(name))
    }

    fn welcomes(&self, origin: &http::HeaderValue) -> bool {
        origin.to_str().is_ok_and(|origin| {
            self.origins
                .iter()
                .any(|known| known == "*" || known.eq_ignore_ascii_case(origin))
        })
    }
}

fn without_port(host: &str) -> &str {
    if host.starts_with('[') {
        return host.split_inclusive(']').next().unwrap_or(host);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(guard: &Guard, host: &str, origin: Option<&str>) -> Result<bool, Unwelcome> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        let local = "127.0.0.1:8080".parse().unwrap();
        guard
            .admit(&Uri::from_static("/v1/models"), &headers, local)
            .map(|origin| origin.is_some())
    }

    #[test]
    fn loopback_names_are_known() {
        let guard = Guard::default();
        for host in [
            "localhost:8080",
            "127.0.0.1:8080",
            "127.0.0.1",
            "[::1]:8080",
            "LOCALHOST",
            "app.localhost",
        ] {
            assert_eq!(admit(&guard, host, None), Ok(false), "{host}");
        }
    }

    #[test]
    fn a_rebound_name_is_not() {
        let guard = Guard::default();
        for host in [
            "evil.example",
            "localhost.evil.example:8080",
            "192.168.0.5:8080",
            "",
        ] {
            assert_eq!(admit(&guard, host, None), Err(Unwelcome::Host), "{host}");
        }
        assert_eq!(
            admit(
                &Guard::new(&["gate.corp".into()], &[]),
                "Gate.corp:8080",
                None
            ),
            Ok(false)
        );
    }

    #[test]
    fn pages_call_only_from_origins_that_are_named() {
        let guard = Guard::new(&[], &["https://app.example/".into()]);
        assert_eq!(
            admit(&guard, "localhost", Some("https://app.example")),
            Ok(true)
        );
        for origin in [
            "https://evil.example",
            "null",
            "http://app.example",
            "http://localhost:8080",
        ] {
            assert_eq!(
                admit(&guard, "localhost", Some(origin)),
                Err(Unwelcome::Origin),
                "{origin}"
            );
        }
    }
}
