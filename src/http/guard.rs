//! Who may connect: a web page must not reach a gateway that listens on loopback.
//!
//! A browser sends `Origin` with every request of a page to another origin, and its own idea of the name in `Host`,
//! which is how a rebound DNS name shows. Programs send no `Origin` and the name that they were configured with.
//!
//! Some requests of a page carry no `Origin`: images, scripts, forms with GET, links. Browsers tell of those in
//! `Sec-Fetch-Site` (<https://www.w3.org/TR/fetch-metadata/>), which no page can set: `none` where a person typed the
//! address or used a bookmark, `same-origin` from a page of the listener itself. What comes from another page is refused, a
//! link that somebody follows to here among it, unless it [leads](follows_a_link) to a page that holds no data.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, Uri, header};

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
        self.admit_host(uri, headers, local)?;
        self.admit_page(headers)
    }

    /// Checks a request that came in on `local`, where pages of the listener itself may call besides.
    pub fn admit_own(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        local: SocketAddr,
    ) -> Result<(), Unwelcome> {
        let host = self.admit_host(uri, headers, local)?;
        let origin = only(headers, &header::ORIGIN);
        if origin.is_some_and(|origin| is_of(origin, host)) && !is_of_another_page(headers) {
            return Ok(());
        }
        self.admit_page(headers).map(drop)
    }

    /// Checks the name that a request is sent to, and gives it back, whatever page it comes from.
    pub fn admit_host<'a>(
        &self,
        uri: &'a Uri,
        headers: &'a HeaderMap,
        local: SocketAddr,
    ) -> Result<&'a str, Unwelcome> {
        // HTTP/2 has the name in the request's authority.
        uri.authority()
            .map(http::uri::Authority::as_str)
            .or_else(|| only(headers, &header::HOST))
            .filter(|host| self.knows(host, local))
            .ok_or(Unwelcome::Host)
    }

    /// Checks which web page a request comes from, if from any, whatever name it was sent to.
    pub fn admit_page<'a>(
        &self,
        headers: &'a HeaderMap,
    ) -> Result<Option<&'a http::HeaderValue>, Unwelcome> {
        match headers.get(header::ORIGIN) {
            Some(origin) if self.welcomes(origin) => Ok(Some(origin)),
            Some(_) => Err(Unwelcome::Origin),
            None if is_of_another_page(headers) && !self.welcomes_all() => Err(Unwelcome::Origin),
            None => Ok(None),
        }
    }

    fn knows(&self, host: &str, local: SocketAddr) -> bool {
        let name = match Host::parse(host) {
            None => return false,
            // A rebound name is a name: an address in `Host` can only be the one that was connected to.
            Some(Host::Address(address)) => {
                return address == local.ip()
                    || local.ip().is_loopback() && address.is_loopback()
                    || !local.ip().is_loopback();
            }
            Some(Host::Name(name)) => name,
        };
        name.eq_ignore_ascii_case("localhost")
            || name.to_ascii_lowercase().ends_with(".localhost")
            || self
                .hosts
                .iter()
                .any(|known| known == "*" || known.eq_ignore_ascii_case(name))
    }

    fn welcomes_all(&self) -> bool {
        self.origins.iter().any(|known| known == "*")
    }

    fn welcomes(&self, origin: &http::HeaderValue) -> bool {
        origin.to_str().is_ok_and(|origin| {
            self.origins
                .iter()
                .any(|known| known == "*" || known.eq_ignore_ascii_case(origin))
        })
    }
}

/// Whether an origin is that of a page which was loaded from this host and port. A proxy before the listener may speak TLS.
fn is_of(origin: &str, host: &str) -> bool {
    let scheme = |scheme| origin.strip_prefix(scheme);
    let page = scheme("http://").or_else(|| scheme("https://"));
    page.is_some_and(|page| page.eq_ignore_ascii_case(host))
}

/// What a `Host` names, less its port (RFC 9110, 7.2).
enum Host<'a> {
    Address(IpAddr),
    Name(&'a str),
}

impl<'a> Host<'a> {
    /// `None` for what is neither a name nor an address with perhaps a port behind it: `[::1]x`, `127.0.0.1:x`, `a@b`.
    fn parse(host: &'a str) -> Option<Self> {
        if let Some(rest) = host.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            return is_port(port).then_some(Self::Address(address.into()));
        }
        let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        if !is_name || !is_port(port) {
            return None;
        }
        let address = name.parse::<Ipv4Addr>().map(IpAddr::from);
        Some(address.map_or(Self::Name(name), Self::Address))
    }
}

/// Nothing, or a colon and a number.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|port| {
            port.is_empty() || port.parse::<u16>().is_ok() && !port.starts_with('+')
        })
}

/// A field that must not come twice (RFC 9112, 3.2).
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(())?;
    value.to_str().ok()
}

/// Whether somebody has followed a link, or typed the address: the whole window shows what is answered, and the page that the
/// link was on sees none of it. Forms may not have sent it, nor frames.
#[must_use]
pub fn follows_a_link(headers: &HeaderMap) -> bool {
    let is = |name, value| headers.get(name).is_some_and(|told| told == value);
    is("sec-fetch-mode", "navigate")
        && is("sec-fetch-dest", "document")
        && !headers.contains_key(header::ORIGIN)
}

fn is_of_another_page(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site" || site == "same-site")
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

    /// Beyond loopback the address that a client writes is often not the one that arrives here: of a container's host, of
    /// a port that is passed on. A page cannot make its name an address, so that any is known; names are not.
    #[test]
    fn beyond_loopback_any_address_is_known_but_no_unknown_name() {
        let guard = Guard::default();
        let admit_at = |local: &str, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            let local = local.parse().unwrap();
            guard
                .admit(&Uri::from_static("/v1/models"), &headers, local)
                .is_ok()
        };
        for host in ["10.0.0.5:8080", "192.0.2.7", "[2001:db8::1]:443"] {
            assert!(admit_at("10.0.0.5:8080", host), "{host}");
            assert!(!admit_at("127.0.0.1:8080", host), "{host}");
        }
        assert!(admit_at("127.0.0.1:8080", "127.0.0.2"));
        for host in ["evil.example", "10.0.0.5.evil.example"] {
            assert!(!admit_at("10.0.0.5:8080", host), "{host}");
        }
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
            "[::1]x.evil",
            "[::1].evil",
            "[::1]:x",
            "[::1",
            "::1",
            "[127.0.0.1]",
            "127.0.0.1]",
            "127.0.0.1:evil.com",
            "127.0.0.1:80:80",
            "127.0.0.1:99999",
            "localhost:evil.com",
            "evil@localhost",
            "localhost/evil",
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
