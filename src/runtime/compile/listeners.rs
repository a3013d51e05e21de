//! Whether the gateway may listen where it is told to.

use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;

use super::auth;
use crate::config::{Loaded, Severity};

/// What to do about a listener that everybody could use.
pub const REMEDY: &str = "listen on 127.0.0.1, ask for keys with a stage of the kind `auth` above \"route\", or say that everybody who reaches the address may use the providers' keys: [server] allow_anonymous = true";

/// Refuses a listener for clients that is open to the network and asks nobody who they are.
pub(super) fn check(loaded: &Loaded) {
    if let Some(message) = objection(loaded, loaded.config.server.listen.0) {
        loaded.report(
            &["server", "listen"],
            Severity::Error,
            message,
            Some(REMEDY.to_owned()),
        );
    }
}

/// What to do about a listener for operators that everybody could use.
pub const OPERATORS_REMEDY: &str =
    "listen on 127.0.0.1, or have a token asked for: [admin] token = \"${MILLGATE_ADMIN_TOKEN}\"";

/// The fewest characters of a token that nobody guesses.
const SHORTEST_TOKEN: usize = 16;

/// Refuses a listener for operators that is open to the network and asks for no token, or for one that can be guessed.
pub(super) fn check_operators(loaded: &Loaded) {
    let admin = &loaded.config.admin;
    if let Some(message) = operators_objection(loaded, admin.listen.0) {
        loaded.report(
            &["admin", "listen"],
            Severity::Error,
            message,
            Some(OPERATORS_REMEDY.to_owned()),
        );
    }
    let Some(token) = admin.token() else {
        return;
    };
    let is_sendable = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.chars().count() < SHORTEST_TOKEN || !is_sendable {
        loaded.report(
            &["admin", "token"],
            Severity::Error,
            format!("a token has {SHORTEST_TOKEN} characters or more, visible ones of ASCII"),
            Some("make one with `openssl rand -hex 32`".to_owned()),
        );
    }
}

/// Refuses names of hosts that no request can have.
pub(super) fn check_hosts(loaded: &Loaded) {
    let (server, admin) = (&loaded.config.server.hosts, &loaded.config.admin.hosts);
    for (table, hosts) in [("server", server), ("admin", admin)] {
        if let Some(host) = hosts.iter().find(|host| !is_host(host)) {
            loaded.report(
                &[table, "hosts"],
                Severity::Error,
                format!("`{host}` is no name of a host"),
                Some("write the name alone, without scheme, port or path: \"llm.example.com\"; each by itself, since `*` stands for none".to_owned()),
            );
        }
    }
}

/// Whether it is the name or the address of a host, and nothing else.
fn is_host(text: &str) -> bool {
    let authority = text.parse::<Authority>();
    !text.contains('*') && authority.is_ok_and(|authority| authority.host() == text)
}

/// Why operators may not be listened for at an address; `None` where they may.
#[must_use]
pub fn operators_objection(loaded: &Loaded, address: SocketAddr) -> Option<String> {
    let is_refused = loaded.config.admin.token().is_none() && !is_loopback(address.ip());
    is_refused.then(|| {
        format!(
            "`{address}` can be reached from other machines, and operators are asked for no token"
        )
    })
}

/// Refuses a config under which the operators' listener that there is already would be open to anybody.
pub fn check_operators_bound(loaded: &Loaded, bound: SocketAddr) {
    let is_told_already = operators_objection(loaded, loaded.config.admin.listen.0).is_some();
    if let Some(message) = operators_objection(loaded, bound).filter(|_| !is_told_already) {
        loaded.report(
            &["admin", "token"],
            Severity::Error,
            format!("operators are being served: {message}"),
            Some("keep [admin] token, or restart to listen elsewhere".to_owned()),
        );
    }
}

/// Refuses a config under which the listener that there is already would be open to anybody: `--listen` may have made it,
/// or an earlier config.
pub fn check_bound(loaded: &Loaded, bound: SocketAddr) {
    let is_told_already = objection(loaded, loaded.config.server.listen.0).is_some();
    if let Some(message) = objection(loaded, bound).filter(|_| !is_told_already) {
        let help = "keep the stage `auth` or [server] allow_anonymous = true, or restart to listen elsewhere";
        loaded.report(
            &["server", "allow_anonymous"],
            Severity::Error,
            format!("clients are being served: {message}"),
            Some(help.to_owned()),
        );
    }
}

/// Why clients may not be listened for at an address; `None` where they may.
#[must_use]
pub fn objection(loaded: &Loaded, address: SocketAddr) -> Option<String> {
    let is_open = !loaded.config.server.allow_anonymous && !auth::is_everybody_asked(loaded);
    let is_refused = is_open && !is_loopback(address.ip());
    is_refused.then(|| {
        format!("`{address}` can be reached from other machines, and nobody is asked for a key")
    })
}

/// Whether only this machine can reach an address.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_alone() {
        for host in ["llm.example.com", "gateway", "10.0.0.1", "[::1]"] {
            assert!(is_host(host), "{host}");
        }
        for host in [
            "",
            "a b",
            "http://x.y/",
            "x.y:80",
            "x.y/",
            "*",
            "*.x.y",
            "me@x.y",
        ] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn only_loopback_is_open_to_anybody() {
        for (address, is_fine) in [
            ("127.0.0.1:8080", true),
            ("127.9.9.9:1", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]:8080", true),
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("192.168.0.5:8080", false),
            ("[::ffff:10.0.0.1]:8080", false),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(is_loopback(address.ip()), is_fine, "{address}");
        }
    }
}
