//! What a URL should not tell: user and password, and the values of telling parameters (RFC 3986).

use super::{
    candidate::{Candidate, score},
    kind::Kind,
    text::Text,
};

/// A longer authority or value is none.
const LONGEST: usize = 4096;

/// Parameters whose values are secrets: names in lower case without `-` and `_`.
const TELLING: &[&str] = &[
    "key",
    "apikey",
    "apitoken",
    "accesskey",
    "accesskeyid",
    "secretkey",
    "token",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "authtoken",
    "sessiontoken",
    "bearertoken",
    "secret",
    "clientsecret",
    "appsecret",
    "password",
    "passwd",
    "pwd",
    "pass",
    "passphrase",
    "auth",
    "authorization",
    "credential",
    "credentials",
    "session",
    "sessionid",
    "sid",
    "jwt",
    "sig",
    "signature",
    "xamzsignature",
    "xamzcredential",
    "xamzsecuritytoken",
    "xgoogsignature",
    "xgoogcredential",
    "subscriptionkey",
    "code",
    "otp",
    "ticket",
    "privatekey",
    "awsaccesskeyid",
    "hapikey",
    "licensekey",
    "saml",
    "samlresponse",
];

/// User and password before the host, where `://` stands at `at`.
pub(super) fn credentials(text: Text<'_>, at: usize) -> Option<Candidate> {
    let slashes = if text.at(at + 1) == b'\\' {
        r":\/\/"
    } else {
        "://"
    };
    if !text.has(at, slashes) || !text.before(at).is_ascii_alphanumeric() {
        return None;
    }
    let start = at + slashes.len();
    let is_authority = |byte: u8| {
        byte > b' '
            && !matches!(
                byte,
                b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\' | b','
            )
    };
    let end = text.run(start, LONGEST, is_authority);
    let authority = text.slice(start, end);
    let user = &authority[..authority.rfind('@')?];
    // A bare name is not worth hiding; a token in its place is.
    let is_secret = user
        .split_once(':')
        .is_some_and(|(_, password)| !password.is_empty())
        || user.len() >= 16;
    is_secret.then(|| {
        Candidate::new(
            Kind::UrlCredentials,
            start,
            start + user.len(),
            score::CERTAIN,
        )
    })
}

/// The value after the `=` at `at`, where the name before it is that of a secret and begins a parameter.
pub(super) fn parameter(text: Text<'_>, at: usize) -> Option<Candidate> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let name = text.run_back(at, 33, is_name);
    let is_parameter = match text.before(name) {
        b'?' | b'&' | b';' => true,
        b'#' => name + 4 < at,
        // `\u0026` is an ampersand that is careful about HTML.
        b'\\' => text.has(name, "u0026"),
        _ => false,
    };
    if !is_parameter || at == name {
        return None;
    }
    let name = text.slice(name, at);
    let name = name.strip_prefix("u0026").unwrap_or(name);
    let name: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if !TELLING.contains(&name.as_str()) {
        return None;
    }
    let start = at + 1;
    let is_value = |byte: u8| {
        byte > b' '
            && !matches!(
                byte,
                b'&' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\' | b';' | b')'
            )
            && byte < 0x80
    };
    let end = text.run(start, LONGEST, is_value);
    // `code=404` is a status, `code=4/0AX4XfWh…` lets somebody in.
    let shortest = if name == "code" { 6 } else { 1 };
    (end - start >= shortest).then(|| Candidate::new(Kind::UrlSecret, start, end, score::CHECKED))
}
