//! Lines of a body that arrives cut anywhere.

use millgate_plugin::{Refusal, RefusalKind};

/// Longest line that is waited for, in bytes. Ollama puts a token, or one whole tool call, on a line.
const LONGEST: usize = 16 << 20;

/// Puts lines together again.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line that has begun and not ended.
    begun: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes and hands over every line that they complete, without its line feed.
    pub(super) fn feed(
        &mut self,
        mut data: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        while let Some(end) = memchr::memchr(b'\n', data) {
            let (line, rest) = (&data[..end], &data[end + 1..]);
            data = rest;
            if self.begun.is_empty() {
                take(line)?;
            } else {
                self.begun.extend_from_slice(line);
                let line = std::mem::take(&mut self.begun);
                take(&line)?;
            }
        }
        if self.begun.len() + data.len() > LONGEST {
            return Err(Refusal::new(
                RefusalKind::BadUpstream,
                "the upstream sent a line that does not end",
            ));
        }
        self.begun.extend_from_slice(data);
        Ok(())
    }

    /// What came after the last line feed.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.begun)
    }
}
