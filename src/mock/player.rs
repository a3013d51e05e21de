//! Sending a reply: when, and in what pieces.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::WriteHalf;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::reply::{Ending, Reply};
use super::script::Script;

/// Sends `reply` in the time that `script` gives it, and returns how it ended: never by
/// [`Ending::Stall`], since a stall has no end.
///
/// Fails where the peer takes no more.
pub(super) async fn play(
    writer: WriteHalf<'_>,
    reply: &Reply,
    script: &Script,
    gate: &Semaphore,
) -> io::Result<Ending> {
    let mut out = Outgoing {
        writer,
        pending: Vec::new(),
        one_byte: false,
    };
    wait(script.delay).await;
    if !reply.silent {
        out.pending = reply.head();
    }
    if script.first_byte_delay > 0 || script.one_byte {
        out.flush().await?;
        wait(script.first_byte_delay).await;
    }
    out.one_byte = script.one_byte;
    for (index, event) in reply.events.iter().enumerate() {
        if index > 0 || script.gate {
            out.flush().await?;
        }
        if index > 0 {
            wait(script.interval).await;
        }
        if script.gate
            && let Ok(permit) = gate.acquire().await
        {
            permit.forget();
        }
        out.push(event, reply.length.is_none());
    }
    if matches!(reply.ending, Ending::Complete | Ending::CompleteThenClose)
        && reply.length.is_none()
        && !reply.has_no_body()
    {
        out.pending.extend_from_slice(b"0\r\n\r\n");
    }
    out.flush().await?;
    if reply.ending == Ending::Stall {
        std::future::pending::<()>().await;
    }
    Ok(reply.ending)
}

async fn wait(milliseconds: u64) {
    if milliseconds > 0 {
        sleep(Duration::from_millis(milliseconds)).await;
    }
}

/// What is to be written, gathered so that a small reply is one write.
struct Outgoing<'a> {
    writer: WriteHalf<'a>,
    pending: Vec<u8>,
    one_byte: bool,
}

impl Outgoing<'_> {
    fn push(&mut self, event: &[u8], chunked: bool) {
        // A chunk of no bytes would end the body.
        if !chunked {
            self.pending.extend_from_slice(event);
        } else if !event.is_empty() {
            self.pending
                .extend_from_slice(format!("{:x}\r\n", event.len()).as_bytes());
            self.pending.extend_from_slice(event);
            self.pending.extend_from_slice(b"\r\n");
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.one_byte {
            for byte in self.pending.chunks(1) {
                self.writer.write_all(byte).await?;
                // Lets a reader in the same process see the byte alone.
                tokio::task::yield_now().await;
            }
        } else {
            self.writer.write_all(&self.pending).await?;
        }
        self.pending.clear();
        Ok(())
    }
}
