//! Changing members of the top-level object in place.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Members, members::Member, string::write_string};

/// One change to a top-level member. Of several edits of one name the last counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit<'a> {
    /// Replaces the member's value where it stands, or appends the member.
    Set {
        /// The member's name, not escaped.
        name: &'a str,
        /// Its new value: one valid JSON value. It is written as it is.
        value: &'a [u8],
    },
    /// Removes the member and one comma; nothing happens where there is none.
    Remove {
        /// The member's name, not escaped.
        name: &'a str,
    },
}

impl<'a> Edit<'a> {
    /// The member's name.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        match self {
            Self::Set { name, .. } | Self::Remove { name } => name,
        }
    }
}

/// The document with `edits` made; every byte that they do not concern stays, white space included.
///
/// `members` must come from scanning this `body`. Costs one allocation, and none where nothing changes.
#[must_use]
pub fn splice(body: &Bytes, members: &Members, edits: &[Edit<'_>]) -> Bytes {
    if edits.is_empty() {
        return body.clone();
    }
    let mut draft = Draft::default();
    let (head, tail) = match members.list() {
        [first, .., last] => (first.key_start, last.value_end),
        [only] => (only.key_start, only.value_end),
        // Nothing but white space stands before the brace of a valid document.
        [] => memchr::memchr(b'{', body).map_or((0, 0), |at| (at + 1, at + 1)),
    };
    draft.keep(0..head);
    let mut separator = None;
    for member in members.list() {
        let comma = separator.unwrap_or(member.key_start)..member.key_start;
        let edit = edits
            .iter()
            .rfind(|edit| members.is_named(*member, body, edit.name()));
        draft.member(*member, comma, edit);
        separator = draft.has_members.then_some(member.value_end);
    }
    for (at, edit) in edits.iter().enumerate() {
        let Edit::Set { name, value } = edit else {
            continue;
        };
        let is_last = edits[at + 1..].iter().all(|later| later.name() != *name);
        if is_last && members.span(body, name).is_none() {
            draft.append(name, value);
        }
    }
    draft.keep(tail..body.len());
    draft.write(body)
}

/// A piece of the new document.
enum Piece<'a> {
    Kept(Range<usize>),
    New(&'a [u8]),
    Name(&'a str),
}

/// The new document before its bytes are put together.
#[derive(Default)]
struct Draft<'a> {
    pieces: SmallVec<[Piece<'a>; 16]>,
    has_members: bool,
}

impl<'a> Draft<'a> {
    /// Keeps bytes of the old document; neighbours become one piece.
    fn keep(&mut self, range: Range<usize>) {
        match self.pieces.last_mut() {
            Some(Piece::Kept(last)) if last.end == range.start => last.end = range.end,
            _ => self.pieces.push(Piece::Kept(range)),
        }
    }

    /// Takes over a member of the old document and, unless it is the first, the `comma` before it.
    fn member(&mut self, member: Member, comma: Range<usize>, edit: Option<&Edit<'a>>) {
        match edit {
            Some(Edit::Remove { .. }) => return,
            None => self.keep(comma.start..member.value_end),
            Some(Edit::Set { value, .. }) => {
                self.keep(comma.start..member.value_start);
                self.pieces.push(Piece::New(value));
            }
        }
        self.has_members = true;
    }

    fn append(&mut self, name: &'a str, value: &'a [u8]) {
        if self.has_members {
            self.pieces.push(Piece::New(b","));
        }
        self.pieces.push(Piece::Name(name));
        self.pieces.push(Piece::New(b":"));
        self.pieces.push(Piece::New(value));
        self.has_members = true;
    }

    fn write(self, body: &Bytes) -> Bytes {
        if let [Piece::Kept(all)] = &self.pieces[..]
            && *all == (0..body.len())
        {
            return body.clone();
        }
        let len = self.pieces.iter().map(Piece::len).sum();
        let mut out = Vec::with_capacity(len);
        for piece in &self.pieces {
            match piece {
                Piece::Kept(range) => out.extend_from_slice(&body[range.clone()]),
                Piece::New(bytes) => out.extend_from_slice(bytes),
                Piece::Name(name) => write_string(&mut out, name),
            }
        }
        out.into()
    }
}

impl Piece<'_> {
    /// Its length in bytes; for a name that needs escapes, which nobody sends, at least.
    fn len(&self) -> usize {
        match self {
            Self::Kept(range) => range.len(),
            Self::New(bytes) => bytes.len(),
            Self::Name(name) => name.len() + 2,
        }
    }
}
