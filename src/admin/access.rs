//! Who may ask: the token, and the sessions that a browser gets for it, since its event source cannot send a token.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::rand;
use blake3::Hash;
use http::{HeaderMap, header};

/// How long a session lasts.
pub(super) const SESSION: Duration = Duration::from_hours(12);

/// So many sessions there can be; the oldest makes room.
const MOST_SESSIONS: usize = 64;

/// So often may a sign-in fail from one address within [`PAUSE`]; then that address waits for as long.
const MOST_FAILURES: u32 = 5;

/// See [`MOST_FAILURES`].
const PAUSE: Duration = Duration::from_mins(1);

/// So many addresses are remembered for their failures.
const MOST_ADDRESSES: usize = 1024;

/// The id of a session, in hexadecimal digits.
const ID: usize = 64;

/// A token, of which only the hash is kept. It is compared in a time that tells nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(Hash);

impl Token {
    /// The token of this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(blake3::hash(text.as_bytes()))
    }
}

/// The name of the cookie of a session. A browser sends the cookies of a host to all of its ports (RFC 6265, 8.5): without a
/// port in the name, two gateways on one host would sign each other's operators out.
pub(super) struct Cookie(String);

impl Cookie {
    /// The one of the port that a browser has asked; where it names none, of the port that it has reached.
    pub(super) fn of(headers: &HeaderMap, reached: u16) -> Self {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let port = host
            .and_then(|host| host.rsplit_once(':')?.1.parse().ok())
            .unwrap_or(reached);
        Self(format!("millgate_session_{port}"))
    }

    fn set(&self, id: &str, lasts: Duration) -> String {
        let (name, seconds) = (&self.0, lasts.as_secs());
        format!("{name}={id}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}")
    }

    /// The ids of sessions among the cookies (RFC 6265, 4.2).
    fn ids<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let values = headers.get_all(header::COOKIE).iter();
        let pairs = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'));
        let named = pairs.filter_map(|pair| pair.trim().split_once('='));
        named.filter_map(move |(name, id)| (name == self.0 && id.len() == ID).then_some(id))
    }
}

/// What a request was let in with.
#[derive(Clone, Copy)]
pub(super) enum Pass {
    /// Nothing is asked for.
    Open,
    /// The token itself.
    Token(Token),
    /// A session, by the hash of its id.
    Session(Hash),
}

/// Sessions and failures.
#[derive(Default)]
pub(super) struct Access {
    sessions: Mutex<HashMap<Hash, Session>>,
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

/// A session. It is worth nothing once the token is another.
struct Session {
    token: Token,
    began: Instant,
}

struct Failures {
    count: u32,
    since: Instant,
}

impl Access {
    /// What these headers let in with; `None` where a token is asked for and they prove nothing.
    pub(super) fn pass(
        &self,
        token: Option<Token>,
        headers: &HeaderMap,
        cookie: &Cookie,
    ) -> Option<Pass> {
        let Some(token) = token else {
            return Some(Pass::Open);
        };
        let by_token = bearer(headers)
            .map(Token::of)
            .filter(|shown| *shown == token);
        let passes = by_token.map(Pass::Token).into_iter();
        let by_session = cookie
            .ids(headers)
            .map(|id| Pass::Session(blake3::hash(id.as_bytes())));
        passes
            .chain(by_session)
            .find(|pass| self.holds(Some(token), *pass))
    }

    /// Whether a pass still holds, now that this is the token.
    pub(super) fn holds(&self, token: Option<Token>, pass: Pass) -> bool {
        match (pass, token) {
            (_, None) => true,
            (Pass::Open, Some(_)) => false,
            (Pass::Token(shown), Some(token)) => shown == token,
            (Pass::Session(id), Some(token)) => lock(&self.sessions)
                .get(&id)
                .is_some_and(|session| session.is_alive(token, Instant::now())),
        }
    }

    /// Begins a session for whoever has shown this token: its `Set-Cookie`. `None` where there is no randomness.
    pub(super) fn sign_in(&self, token: Token, cookie: &Cookie) -> Option<String> {
        let mut id = [0; 32];
        rand::fill(&mut id).ok()?;
        let id = Hash::from_bytes(id).to_hex();
        let now = Instant::now();
        let mut sessions = lock(&self.sessions);
        sessions.retain(|_, session| session.is_alive(token, now));
        if sessions.len() >= MOST_SESSIONS {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.began);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                sessions.remove(&oldest);
            }
        }
        sessions.insert(blake3::hash(id.as_bytes()), Session { token, began: now });
        Some(cookie.set(&id, SESSION))
    }

    /// Ends the sessions that these headers name: the `Set-Cookie` that makes a browser forget.
    pub(super) fn sign_out(&self, headers: &HeaderMap, cookie: &Cookie) -> String {
        let mut sessions = lock(&self.sessions);
        for id in cookie.ids(headers) {
            sessions.remove(&blake3::hash(id.as_bytes()));
        }
        cookie.set("", Duration::ZERO)
    }

    /// How long this address has to wait before it may try to sign in.
    pub(super) fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let failures = lock(&self.failures);
        let failed = failures.get(&network(address))?;
        let left = (failed.since + PAUSE).checked_duration_since(now)?;
        (failed.count >= MOST_FAILURES && !left.is_zero()).then_some(left)
    }

    /// A sign-in from this address has failed.
    pub(super) fn failed(&self, address: IpAddr, now: Instant) {
        let mut failures = lock(&self.failures);
        if failures.len() >= MOST_ADDRESSES {
            failures.retain(|_, failed| now < failed.since + PAUSE);
        }
        if failures.len() >= MOST_ADDRESSES {
            failures.clear();
        }
        let failed = failures.entry(network(address)).or_insert(Failures {
            count: 0,
            since: now,
        });
        if now >= failed.since + PAUSE {
            failed.count = 0;
        }
        failed.count += 1;
        if failed.count == 1 || failed.count == MOST_FAILURES {
            failed.since = now;
        }
    }
}

impl Session {
    fn is_alive(&self, token: Token, now: Instant) -> bool {
        self.token == token && now < self.began + SESSION
    }
}

/// `Authorization: Bearer …` (RFC 6750, 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let is_only = values.next().is_none() && scheme.eq_ignore_ascii_case("bearer");
    is_only.then(|| token.trim())
}

/// Whose address it is: of IPv6 a household has 2^64.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
        address @ IpAddr::V4(_) => address,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    fn at(port: u16) -> Cookie {
        Cookie::of(&HeaderMap::new(), port)
    }

    fn of_cookie(set: &str) -> HeaderMap {
        with(header::COOKIE, set.split(';').next().unwrap())
    }

    #[test]
    fn only_the_token_and_a_session_of_the_token_let_in() {
        let access = Access::default();
        let (token, next) = (Token::of("one"), Token::of("two"));
        let lets_in = |token, headers: &HeaderMap| access.pass(token, headers, &at(9090)).is_some();
        assert!(lets_in(None, &HeaderMap::new()));
        assert!(!lets_in(Some(token), &HeaderMap::new()));
        for (value, is_right) in [
            ("Bearer one", true),
            ("bearer one", true),
            ("Bearer two", false),
            ("Basic one", false),
            ("one", false),
            ("Bearer ", false),
        ] {
            let headers = with(header::AUTHORIZATION, value);
            assert_eq!(lets_in(Some(token), &headers), is_right, "{value}");
        }
        let mut twice = with(header::AUTHORIZATION, "Bearer one");
        twice.append(header::AUTHORIZATION, "Bearer two".parse().unwrap());
        assert!(!lets_in(Some(token), &twice));

        let set = access.sign_in(token, &at(9090)).unwrap();
        assert!(set.contains("; HttpOnly; SameSite=Strict; Path=/"), "{set}");
        let session = of_cookie(&set);
        assert!(lets_in(Some(token), &session));
        assert!(!lets_in(Some(next), &session), "the token was changed");
        assert!(!lets_in(Some(token), &of_cookie("millgate_session_9090=")));
        access.sign_out(&session, &at(9090));
        assert!(!lets_in(Some(token), &session));
    }

    #[test]
    fn a_cookie_is_of_the_port_that_a_browser_knows() {
        for (host, port) in [
            ("gate.corp:9091", 9091),
            ("[::1]:9091", 9091),
            ("[::1]", 9090),
            ("gate.corp", 9090),
            ("gate.corp:", 9090),
        ] {
            let name = Cookie::of(&with(header::HOST, host), 9090).0;
            assert_eq!(name, format!("millgate_session_{port}"), "{host}");
        }
    }

    #[test]
    fn a_session_is_found_among_any_number_of_cookies() {
        let access = Access::default();
        let (one, other) = (Token::of("one"), Token::of("two"));
        let mut all = with(header::COOKIE, "theme=dark; millgate_session_9090=old");
        for port in 9000..9100 {
            let set = access.sign_in(other, &at(port)).unwrap();
            all.append(header::COOKIE, of_cookie(&set)[header::COOKIE].clone());
        }
        assert!(access.pass(Some(one), &all, &at(9090)).is_none());
        let set = access.sign_in(one, &at(9090)).unwrap();
        all.append(header::COOKIE, of_cookie(&set)[header::COOKIE].clone());
        assert!(access.pass(Some(one), &all, &at(9090)).is_some());
        assert!(access.pass(Some(one), &all, &at(9091)).is_none());
    }

    #[test]
    fn sessions_are_bounded_and_the_oldest_makes_room() {
        let access = Access::default();
        let token = Token::of("one");
        let sessions: Vec<_> = (0..=MOST_SESSIONS)
            .map(|_| of_cookie(&access.sign_in(token, &at(9090)).unwrap()))
            .collect();
        let alive = |session: &HeaderMap| access.pass(Some(token), session, &at(9090)).is_some();
        assert_eq!(
            sessions.iter().filter(|one| alive(one)).count(),
            MOST_SESSIONS
        );
        assert!(!alive(&sessions[0]));
    }

    #[test]
    fn an_address_that_guesses_waits_and_others_do_not() {
        let access = Access::default();
        let (guesser, other) = ("2001:db8::1".parse().unwrap(), "10.0.0.1".parse().unwrap());
        let now = Instant::now();
        for _ in 0..MOST_FAILURES {
            assert_eq!(access.wait(guesser, now), None);
            access.failed(guesser, now);
        }
        assert_eq!(access.wait(guesser, now), Some(PAUSE));
        assert!(access.wait("2001:db8::2".parse().unwrap(), now).is_some());
        assert_eq!(access.wait(other, now), None);
        assert_eq!(access.wait(guesser, now + PAUSE), None);
        access.failed(guesser, now + PAUSE);
        assert_eq!(access.wait(guesser, now + PAUSE), None);
    }

    #[test]
    fn what_is_remembered_of_guessers_is_bounded() {
        let access = Access::default();
        let now = Instant::now();
        for number in 0..5000_u32 {
            access.failed(std::net::Ipv4Addr::from_bits(number).into(), now);
        }
        assert!(lock(&access.failures).len() <= MOST_ADDRESSES);
    }
}
