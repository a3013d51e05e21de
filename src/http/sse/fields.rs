//! What one event says.

use std::borrow::Cow;

/// The fields of an event that matter to a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// The value of `event:`; empty where there is none, which means `message`.
    pub name: &'a [u8],
    /// The values of the `data:` lines, joined with LF; borrowed where there is one line only.
    pub data: Cow<'a, [u8]>,
    /// Whether every line is a comment or empty, so that clients see nothing of the event.
    pub is_comment_only: bool,
}

/// Reads an event as the splitter gives it; `id` and `retry` are passed over.
#[must_use]
pub fn fields(event: &[u8]) -> Fields<'_> {
    let mut fields = Fields {
        is_comment_only: true,
        ..Fields::default()
    };
    let mut has_data = false;
    for line in Lines(event) {
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" if !has_data => {
                fields.data = Cow::Borrowed(value);
                has_data = true;
            }
            b"data" => {
                let data = fields.data.to_mut();
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            b"event" => fields.name = value,
            _ => {}
        }
        fields.is_comment_only &= field.is_empty();
    }
    fields
}

/// The data of an event, its `data:` lines joined with LF. Empty where it has none.
#[must_use]
pub fn data(event: &[u8]) -> Cow<'_, [u8]> {
    fields(event).data
}

/// Whether an event holds nothing but comments (`: ping`) and empty lines.
#[must_use]
pub fn is_comment_only(event: &[u8]) -> bool {
    fields(event).is_comment_only
}

/// The lines of an event, whatever ends them.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let Some(len) = memchr::memchr2(b'\n', b'\r', self.0) else {
            return Some(std::mem::take(&mut self.0));
        };
        let (line, rest) = self.0.split_at(len);
        self.0 = rest
            .strip_prefix(b"\r\n")
            .unwrap_or_else(|| rest.get(1..).unwrap_or_default());
        Some(line)
    }
}
