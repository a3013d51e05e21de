//! Server-sent events of a body that arrives cut anywhere (WHATWG HTML, 9.2.6). Of their fields only the data matters:
//! it says itself what it is.

use millgate_plugin::{Refusal, RefusalKind};

/// The longest event that is waited for, in bytes.
const LONGEST: usize = 16 << 20;

/// Puts events together again.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// The line that has begun and not ended.
    line: Vec<u8>,
    /// The data of the event that has begun and not ended.
    data: Vec<u8>,
}

impl Events {
    /// Takes the next bytes and hands over the data of every event that they complete.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            let is_whole = if self.line.is_empty() {
                self.end_line(line)
            } else {
                let mut begun = std::mem::take(&mut self.line);
                begun.extend_from_slice(line);
                self.end_line(&begun)
            };
            if is_whole {
                take(&self.data)?;
                self.data.clear();
            }
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() + self.data.len() > LONGEST {
            return Err(Refusal::new(
                RefusalKind::BadUpstream,
                "the upstream sent an event that does not end",
            ));
        }
        Ok(())
    }

    /// Whether the line ends an event that has data.
    fn end_line(&mut self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return !self.data.is_empty();
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            if !self.data.is_empty() {
                self.data.push(b'\n');
            }
            self.data
                .extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
        }
        false
    }

    /// The data of an event that has come whole but for its last blank line.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let line = std::mem::take(&mut self.line);
        self.end_line(&line);
        std::mem::take(&mut self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(bytes: &[u8]) -> (Vec<String>, String) {
        let mut events = Events::default();
        let mut taken = Vec::new();
        let fed = events.feed(bytes, |data| {
            taken.push(String::from_utf8_lossy(data).into_owned());
            Ok(())
        });
        fed.unwrap();
        (taken, String::from_utf8_lossy(&events.rest()).into_owned())
    }

    #[test]
    fn data_is_taken_and_all_else_left() {
        let stream = b": hello\nevent: a\ndata: 1\n\nid: 7\n\ndata:2\r\ndata: 3\r\n\r\n\n\ndata: 4";
        let taken = vec!["1".to_owned(), "2\n3".to_owned()];
        assert_eq!(events(stream), (taken, "4".to_owned()));
    }

    #[test]
    fn an_event_without_end_is_given_up() {
        let mut events = Events::default();
        let line = vec![b'x'; LONGEST];
        assert!(events.feed(&line, |_| Ok(())).is_ok());
        assert!(events.feed(b"x", |_| Ok(())).is_err());
    }
}
