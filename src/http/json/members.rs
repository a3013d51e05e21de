//! Where the members of the top-level object stand.

use std::{borrow::Cow, collections::HashSet, ops::Range};

use smallvec::SmallVec;

use super::{
    error::{Fault, JsonErrorKind},
    string,
};

/// Requests have about ten members; up to this many are kept, and compared with each other, without allocating.
const INLINE: usize = 16;

/// One member, as offsets into the document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// The key's opening quote.
    pub(super) key_start: usize,
    /// Behind the key's closing quote.
    pub(super) key_end: usize,
    /// The value's first byte.
    pub(super) value_start: usize,
    /// Behind the value's last byte.
    pub(super) value_end: usize,
}

impl Member {
    fn raw_name(self, body: &[u8]) -> &[u8] {
        body.get(self.key_start + 1..self.key_end - 1)
            .unwrap_or_default()
    }

    /// The decoded name.
    pub(super) fn name(self, body: &[u8]) -> Cow<'_, str> {
        string::decode(self.raw_name(body)).unwrap_or_default()
    }

    fn value(self) -> Range<usize> {
        self.value_start..self.value_end
    }
}

/// The members of a document's top-level object, in its order.
///
/// They are spans only: every method wants the very body that was scanned.
#[derive(Clone, Debug, Default)]
pub struct Members {
    list: SmallVec<[Member; INLINE]>,
    /// Whether any key is written with escapes, so that comparing names means decoding them.
    escaped: bool,
}

impl Members {
    pub(super) fn push(&mut self, member: Member, escaped: bool) {
        self.list.push(member);
        self.escaped |= escaped;
    }

    pub(super) fn list(&self) -> &[Member] {
        &self.list
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether the object is `{}`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The raw JSON of a member's value, by its decoded name.
    #[must_use]
    pub fn get<'b>(&self, body: &'b [u8], name: &str) -> Option<&'b [u8]> {
        body.get(self.span(body, name)?)
    }

    /// Where a member's value stands, by its decoded name.
    #[must_use]
    pub fn span(&self, body: &[u8], name: &str) -> Option<Range<usize>> {
        self.list
            .iter()
            .find(|member| self.is_named(**member, body, name))
            .map(|member| member.value())
    }

    /// Every member's decoded name and where its value stands.
    pub fn iter<'b>(
        &self,
        body: &'b [u8],
    ) -> impl Iterator<Item = (Cow<'b, str>, Range<usize>)> + use<'_, 'b> {
        self.list
            .iter()
            .map(|member| (member.name(body), member.value()))
    }

    pub(super) fn is_named(&self, member: Member, body: &[u8], name: &str) -> bool {
        if self.escaped {
            member.name(body) == name
        } else {
            member.raw_name(body) == name.as_bytes()
        }
    }

    pub(super) fn refuse_duplicates(&self, body: &[u8]) -> Result<(), Fault> {
        let twice = if self.escaped || self.list.len() > INLINE {
            // Comparing each with each would let a body of many keys burn time by their square.
            let mut seen = HashSet::with_capacity(self.list.len());
            self.list
                .iter()
                .find(|member| !seen.insert(member.name(body)))
        } else {
            let raw = |member: &Member| member.raw_name(body);
            self.list.iter().enumerate().find_map(|(at, member)| {
                let known = &self.list[..at];
                known
                    .iter()
                    .any(|earlier| raw(earlier) == raw(member))
                    .then_some(member)
            })
        };
        match twice {
            None => Ok(()),
            Some(member) => Err(Fault::new(
                JsonErrorKind::DuplicateKey(member.name(body).into_owned()),
                member.key_start,
            )),
        }
    }
}
