//! The listener for operators: whether the process lives and should be sent requests, what it does and has done, its
//! config, its cache and its plugins; and what operators change.
//!
//! `routes` is the table of paths. Who may ask is decided here, before anything is done: the name and the page that a
//! request comes from ([`guard`](crate::http::guard)), then the token or a session ([`access`]), then, for what changes
//! something, that no form of another page can have sent it.

pub mod access;
mod body;
mod cache;
mod events;
mod exchanges;
mod history;
mod metrics;
mod page;
mod plugins;
mod query;
pub mod reload;
mod reply;
mod room;
mod routes;
mod session;
mod status;
#[cfg(test)]
mod tests;
mod usage;
mod wire;

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, Method, Request, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioTimer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use self::{
    access::{Access, Cookie, Token},
    query::Query,
    reload::Reload,
    reply::{Reply, document, error, json},
    room::{Room, Seat},
    routes::Action,
    wire::Wire,
};
use crate::{
    api::error::ApiError,
    http::guard::{Guard, Unwelcome, follows_a_link},
    runtime::gateway::Gateway,
    server,
};

/// For so many times the `header_timeout` whoever is connected may take nothing of what is sent: by its default for 30
/// seconds, since a person who stops the output of a terminal is to find it again.
const PATIENCE_TO_SEND: u32 = 3;

/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// What the API is, for programs.
const OPENAPI: &str = include_str!("admin/openapi.json");

/// What operators are served from.
pub struct Admin {
    gateway: Arc<Gateway>,
    guard: Guard,
    access: Access,
    followers: Arc<Semaphore>,
    reload: Reload,
    started: SystemTime,
}

impl Admin {
    /// What operators are served from, who may reach it, and how the config is read again.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, guard: Guard, reload: Reload) -> Arc<Self> {
        Arc::new(Self {
            gateway,
            guard,
            access: Access::default(),
            followers: Arc::new(Semaphore::new(events::MOST_FOLLOWERS)),
            reload,
            started: SystemTime::now(),
        })
    }

    /// What is asked for now; `None` where nothing is.
    fn token(&self) -> Option<Token> {
        self.gateway.runtime().admin_token
    }
}

/// One connection.
struct Caller {
    peer: SocketAddr,
    local: SocketAddr,
    /// How long a body may take to arrive.
    patience: Duration,
    seat: Seat,
}

/// Serves until the future is dropped. A connection may take `header_timeout` to send a head, as long again to send a
/// body, and be idle for as long.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, header_timeout: Duration) {
    let room = Room::new();
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(local) = stream.local_addr() else {
            continue;
        };
        let caller = Caller {
            peer,
            local,
            patience: header_timeout,
            seat: room.enter(peer.ip()),
        };
        server::spawn_connection(converse(stream, admin.clone(), caller));
    }
}

/// Answers the requests of one connection, one after another, until it ends or its place is needed.
async fn converse(stream: TcpStream, admin: Arc<Admin>, caller: Caller) {
    let service = hyper::service::service_fn(|request| {
        let (admin, caller) = (&admin, &caller);
        async move {
            let answered = answer(admin, request, caller).await;
            let mut reply = answered.unwrap_or_else(|refused| error(&refused));
            reply::protect(reply.headers_mut());
            Ok::<_, Infallible>(reply)
        }
    });
    let wire = Wire::new(stream, caller.patience * PATIENCE_TO_SEND);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(caller.patience)
        .max_buf_size(MAX_HEAD)
        .serve_connection(wire, service);
    tokio::select! {
        ended = connection => {
            if let Err(error) = ended {
                tracing::debug!(%error, "admin connection ended");
            }
        }
        () = caller.seat.is_needed() => {
            tracing::debug!(peer = %caller.peer, "admin connection made room for another");
        }
    }
}

/// Whether a request is let in. Simple probes of this machine speak HTTP/1.0 and name no host; no browser does.
fn admit(
    guard: &Guard,
    request: &Request<Incoming>,
    peer: SocketAddr,
    local: SocketAddr,
) -> Result<(), Unwelcome> {
    let headers = request.headers();
    let is_plain_probe = request.version() == Version::HTTP_10
        && !headers.contains_key(header::HOST)
        && request.uri().authority().is_none()
        && peer.ip().to_canonical().is_loopback();
    if is_plain_probe {
        return guard.admit_page(headers).map(drop);
    }
    if leads_to_the_page(request) {
        return guard.admit_host(request.uri(), headers, local).map(drop);
    }
    guard.admit_own(request.uri(), headers, local)
}

/// Whether somebody follows a link to the page, in a chat or a wiki perhaps. There is no data in it, and it changes nothing.
fn leads_to_the_page(request: &Request<Incoming>) -> bool {
    let found = routes::find(request.uri().path());
    let action = found.and_then(|(route, _)| route.action(request.method()));
    action == Some(Action::Page) && follows_a_link(request.headers())
}

/// What could not have been sent by a form of another page, whatever its browser tells (the guard goes by what it tells).
fn is_deliberate(method: &Method, headers: &HeaderMap) -> bool {
    // Browsers ask before they send anything else to another origin, and are not answered.
    *method != Method::POST
        || headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn answer(
    admin: &Arc<Admin>,
    request: Request<Incoming>,
    caller: &Caller,
) -> Result<Reply, ApiError> {
    admit(&admin.guard, &request, caller.peer, caller.local).map_err(|_| {
        ApiError::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "Not from there. Operators: see [admin] hosts.",
        )
    })?;
    let (path, headers) = (request.uri().path().to_owned(), request.headers());
    let found = routes::find(&path);
    let is_public = found.is_some_and(|(route, _)| route.access == routes::Access::Public);
    let cookie = Cookie::of(headers, caller.local.port());
    let pass = admin.access.pass(admin.token(), headers, &cookie);
    if pass.is_none() {
        caller.seat.seats_a_guest();
    }
    let Some(pass) = pass.or(is_public.then_some(access::Pass::Open)) else {
        return Err(session::unauthorized(what_is_wrong(headers)));
    };
    let (route, id) = found.ok_or_else(unknown_path)?;
    if !is_public && !caller.seat.seats_an_operator() {
        return Err(too_many_operators());
    }
    let Some(action) = route.action(request.method()) else {
        return Err(wrong_method(route.allow));
    };
    if !is_deliberate(request.method(), headers) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "Send `Content-Type: application/json`.",
        )
        .close());
    }
    // Probes may say what they like.
    let asked = request.uri().query();
    let asked = asked.filter(|_| route.path.starts_with("/api/"));
    let mut query = Query::parse(asked)?;
    let gateway = &admin.gateway;
    let reply = match action {
        Action::Health => json(StatusCode::OK, r#"{"status":"ok"}"#),
        Action::Readiness => status::readiness(gateway),
        Action::SessionState => session::state(admin, headers, &cookie),
        Action::SignIn => {
            query.end()?;
            return session::sign_in(admin, request, caller, &cookie).await;
        }
        Action::SignOut => session::sign_out(admin, headers, &cookie),
        Action::Status => document(&status::status(admin)),
        Action::History => document(&history::history(gateway, &mut query)?),
        Action::Exchanges => document(&exchanges::list(gateway, &mut query)?),
        Action::Exchange => document(&exchanges::one(gateway, id)?),
        Action::Events => events::follow(admin, pass, &mut query)?,
        Action::Usage => document(&usage::usage(gateway, &mut query).await?),
        Action::Config => document(&gateway.runtime().shown),
        Action::Cache => cache::stats(gateway),
        Action::Purge => {
            query.end()?;
            return cache::purge(gateway, request, caller).await;
        }
        Action::Plugins => plugins::list(gateway),
        Action::Reload => {
            query.end()?;
            return reload::reload(admin, request, caller).await;
        }
        Action::Metrics => metrics::scrape(gateway, headers),
        Action::Document => json(StatusCode::OK, OPENAPI),
        Action::Page => page::serve(&path)
            .ok_or_else(unknown_path)?
            .response(headers)
            .map(Into::into),
    };
    query.end()?;
    Ok(reply)
}

/// Why somebody is not let in.
fn what_is_wrong(headers: &HeaderMap) -> &'static str {
    match headers.get(header::AUTHORIZATION) {
        None => "Send `Authorization: Bearer …` with the token of [admin] token, or sign in at /.",
        Some(shown)
            if shown
                .as_bytes()
                .to_ascii_lowercase()
                .starts_with(b"bearer ") =>
        {
            "That is not the token of [admin] token."
        }
        Some(_) => "Send the token of [admin] token as `Authorization: Bearer …`.",
    }
}

fn too_many_operators() -> ApiError {
    let mut error = ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_many_connections",
        "Operators have as many connections as they may. Close one, or try again shortly.",
    )
    .close();
    error.retry_after = Some(Duration::from_secs(1));
    error
}

fn unknown_path() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown_path",
        "There is nothing here. /api/openapi.json lists what there is.",
    )
}

fn wrong_method(allowed: &'static str) -> ApiError {
    let mut error = ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("Use {allowed}."),
    );
    error.allow = Some(allowed);
    error
}
