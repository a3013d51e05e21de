//! Tasks that outlive the function that starts them: connections, and nothing that belongs to one exchange.

use std::future::Future;

/// Runs a connection to its end.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place for what no exchange owns"
)]
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::task::spawn(task);
}
