//! How the server is connected to and waited for, and what its errors mean.

use std::{future::Future, io, path::Path, time::Duration};

use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, Error, config::SslMode, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    config::Secret,
    ledger::{LedgerError, backend::Purpose},
    routing::transport::tls_config,
};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a statement may take, by the server's clock and, a little later, by ours.
const STATEMENT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(15);

/// How long a lock is waited for: less than a statement may take, so that others who are in the way can be told from work
/// that is too much.
const LOCK: Duration = Duration::from_secs(5);

/// Says what is wrong with a URL, without it.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    config_of(url).map(|_| ())
}

fn config_of(url: &str) -> Result<Config, String> {
    // Certificates are always verified where TLS is spoken: the words for that mean nothing more here.
    let url = url
        .trim()
        .replace("sslmode=verify-full", "sslmode=require")
        .replace("sslmode=verify-ca", "sslmode=require");
    let mut config: Config = url
        .parse()
        .map_err(|error: Error| format!("this URL cannot be understood: {}", words(&error)))?;
    if config.get_hosts().is_empty() {
        return Err("this URL names no host".to_owned());
    }
    config
        .connect_timeout(CONNECT)
        .keepalives_idle(Duration::from_secs(30))
        .application_name("millgate");
    Ok(config)
}

/// An error with its causes, in one line.
fn words(error: &Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} ({})", error.message(), error.code().code());
    }
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

fn told(error: &Error) -> LedgerError {
    let Some(code) = error.code() else {
        if is_untrusted(error) {
            return LedgerError::Untrusted(words(error));
        }
        return LedgerError::Server(words(error));
    };
    if *code == SqlState::DISK_FULL {
        return LedgerError::Full(words(error));
    }
    if *code == SqlState::QUERY_CANCELED {
        return LedgerError::Slow(words(error));
    }
    // What a server says need not be what one says.
    match code.code().get(..2).unwrap_or_default() {
        // Data that the server cannot hold, or a constraint.
        "22" | "23" => LedgerError::Row(words(error)),
        "54" => LedgerError::TooMuch(words(error)),
        _ if *code == SqlState::OUT_OF_MEMORY => LedgerError::TooMuch(words(error)),
        _ if *code == SqlState::LOCK_NOT_AVAILABLE => LedgerError::Busy(words(error)),
        // Resources, transactions of others, the system: all that may pass.
        "53" | "40" | "58" => LedgerError::Busy(words(error)),
        // The connection, an operator who ends the server.
        "08" | "57" => LedgerError::Server(words(error)),
        _ => LedgerError::Refused(words(error)),
    }
}

/// Whether the server's certificate is the reason.
fn is_untrusted(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let inner = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let cause_of_tls = cause.downcast_ref::<rustls::Error>().or(inner);
        if matches!(cause_of_tls, Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        source = cause.source();
    }
    false
}

/// Connects by a URL, and sets the limits of the connection.
#[expect(
    clippy::disallowed_methods,
    reason = "the runtime is the connection's own, and ends with it"
)]
pub(super) fn open(
    runtime: &Runtime,
    url: &Secret,
    ca_file: Option<&Path>,
    purpose: Purpose,
) -> Result<Client, LedgerError> {
    let config = config_of(url.expose()).map_err(LedgerError::Server)?;
    let needs_tls = config.get_ssl_mode() != SslMode::Disable;
    let tls = tls_config(needs_tls, ca_file)
        .map_err(|error| LedgerError::Server(format!("[ledger] ca_file: {error}")))?;
    let connect = async {
        let (client, connection) = config.connect(MakeRustlsConnect::new(tls)).await?;
        // It ends with the client; why it ended, the client's next call says.
        tokio::spawn(async { drop(connection.await) });
        let limits = format!(
            "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
             SET default_transaction_read_only = {}",
            STATEMENT.as_millis(),
            LOCK.as_millis(),
            2 * STATEMENT.as_millis(),
            if purpose == Purpose::Read {
                "on"
            } else {
                "off"
            },
        );
        client.batch_execute(&limits).await?;
        Ok(client)
    };
    answer(runtime, connect)
}

/// Waits for what the server says, but not for ever.
pub(super) fn answer<T>(
    runtime: &Runtime,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, LedgerError> {
    let answered = runtime.block_on(async { tokio::time::timeout(ANSWER, work).await });
    match answered {
        Ok(answered) => answered.map_err(|error| told(&error)),
        Err(_) => Err(LedgerError::Silent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_or_told_without_its_password() {
        for url in [
            "postgres://me:canary@db/usage",
            "postgresql://me@db:5433/usage?sslmode=verify-full",
            "postgres:///usage?host=/run/postgresql",
        ] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for url in [
            "postgres://",
            "postgres://me:canary@db:port/usage",
            "postgres://me:canary@db/usage?sslmode=canary",
            "postgres://me:canary@db/usage?unknown=1",
        ] {
            let error = check_url(url).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
