//! An answer that is kept.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::{flight::Head, key::Key};
use crate::{
    pipeline::view::ReplyHead,
    routing::answer::{Piece, Seen},
};

/// A whole answer, in the form that the upstream gave it in.
#[derive(Debug)]
pub struct Entry {
    /// Status, headers and origin.
    pub head: Head,
    /// What it used.
    pub seen: Seen,
    /// When it was complete.
    pub stored: SystemTime,
    /// What it can be purged by.
    pub labels: Labels,
    /// All pieces, one behind the other.
    body: Bytes,
    cuts: Box<[Cut]>,
}

/// What an answer can be purged by, beside its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// The model that the client asked for.
    pub asked: Box<str>,
    /// Who was answered first: the caller's id, else its address.
    pub caller: Box<str>,
    /// What the request was marked with, and the caller's team.
    pub tags: Vec<Box<str>>,
}

/// Where a piece ends, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Offset behind its last byte.
    pub end: u32,
    /// Whether it is the usage chunk.
    pub is_usage: bool,
}

/// What an entry costs beside its bytes, about: its place in the tables, the table of its headers.
const OVERHEAD: usize = 1024;

/// The same headers in memory of their own, one piece of it: as they come, each holds the whole buffer that a connection
/// read them into.
fn copied(headers: &HeaderMap) -> HeaderMap {
    let mut values = BytesMut::with_capacity(headers.values().map(HeaderValue::len).sum());
    for value in headers.values() {
        values.extend_from_slice(value.as_bytes());
    }
    let mut values = values.freeze();
    let mut own = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if let Ok(mut copy) = HeaderValue::from_maybe_shared(values.split_to(value.len())) {
            copy.set_sensitive(value.is_sensitive());
            own.append(name.clone(), copy);
        }
    }
    own
}

/// The pieces one behind the other, in memory of their own, and where they are cut.
fn joined<'a>(pieces: impl Iterator<Item = &'a Piece> + Clone) -> (Bytes, Box<[Cut]>) {
    let length = pieces.clone().map(|piece| piece.bytes.len()).sum();
    let mut body = BytesMut::with_capacity(length);
    let cuts = pieces.map(|piece| {
        body.extend_from_slice(&piece.bytes);
        Cut {
            end: body.len() as u32,
            is_usage: piece.is_usage,
        }
    });
    let cuts = cuts.collect();
    (body.freeze(), cuts)
}

impl Entry {
    /// Keeps these pieces. They and the headers are copied: what they are slices of is much larger.
    #[must_use]
    pub fn new<'a>(
        head: &Head,
        pieces: impl Iterator<Item = &'a Piece> + Clone,
        seen: Seen,
        labels: Labels,
    ) -> Self {
        let head = Head {
            reply: ReplyHead {
                status: head.reply.status,
                headers: copied(&head.reply.headers),
            },
            provider: head.provider.clone(),
            model: head.model.clone(),
            ..*head
        };
        Self::restored(head, joined(pieces), seen, labels, SystemTime::now())
    }

    /// An entry that was kept elsewhere since `stored`.
    #[must_use]
    pub fn restored(
        head: Head,
        (body, cuts): (Bytes, Box<[Cut]>),
        seen: Seen,
        labels: Labels,
        stored: SystemTime,
    ) -> Self {
        Self {
            head,
            seen,
            stored,
            labels,
            body,
            cuts,
        }
    }

    /// How old it is by now; nothing where the clock was set back.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.stored.elapsed().unwrap_or_default()
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        let headers: usize = self
            .head
            .reply
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        let tags: usize = self.labels.tags.iter().map(|tag| tag.len()).sum();
        self.body.len() + size_of_val(&*self.cuts) + headers + tags + OVERHEAD
    }

    /// All its bytes, and where they are cut.
    #[must_use]
    pub fn raw(&self) -> (&Bytes, &[Cut]) {
        (&self.body, &self.cuts)
    }

    /// Its pieces, as they came.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        let mut start = 0;
        self.cuts.iter().map(move |cut| {
            let end = cut.end as usize;
            let bytes = self.body.slice(start..end);
            start = end;
            Piece {
                bytes,
                is_usage: cut.is_usage,
            }
        })
    }

    /// The same in as few pieces as can be: for readers who look at none of them.
    #[must_use]
    pub fn joined(&self) -> Vec<Piece> {
        let mut joined = Vec::with_capacity(3);
        let mut start = 0;
        let mut cuts = self.cuts.iter().peekable();
        while let Some(cut) = cuts.next() {
            if cuts
                .peek()
                .is_some_and(|next| next.is_usage == cut.is_usage)
            {
                continue;
            }
            let end = cut.end as usize;
            joined.push(Piece {
                bytes: self.body.slice(start..end),
                is_usage: cut.is_usage,
            });
            start = end;
        }
        joined
    }
}

/// What is to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purge {
    /// Everything.
    All,
    /// The answer with a key that begins so, in hexadecimal digits.
    Key(String),
    /// Answers of a model, by the name that was asked for or the one that answered.
    Model(String),
    /// What a caller was answered.
    Caller(String),
    /// What was marked so.
    Tag(String),
}

impl Purge {
    /// Whether the answer under `key` is meant, given by `model` and with these labels.
    #[must_use]
    pub fn means(&self, key: &Key, labels: &Labels, model: &str) -> bool {
        match self {
            Self::All => true,
            Self::Key(begin) => key.in_full().starts_with(&**begin),
            Self::Model(name) => *labels.asked == **name || model == name,
            Self::Caller(caller) => *labels.caller == **caller,
            Self::Tag(tag) => labels.tags.iter().any(|known| **known == **tag),
        }
    }
}

/// An entry that is shared.
pub type Kept = Arc<Entry>;

#[cfg(test)]
mod tests {
    use http::{StatusCode, header};

    use super::*;

    /// A cache of small answers must not hold the large buffers that they were read into.
    #[test]
    fn an_entry_holds_nothing_of_the_buffers_that_its_answer_came_in() {
        let buffer = Bytes::from(vec![b'a'; 8 << 10]);
        let slice = buffer.slice(100..110);
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_maybe_shared(slice.clone()).unwrap();
        headers.insert(header::CONTENT_TYPE, value);
        let head = Head {
            reply: ReplyHead {
                status: StatusCode::OK,
                headers,
            },
            provider: "a".into(),
            model: "m".into(),
            is_stream: false,
            is_all: true,
        };
        let piece = Piece {
            bytes: slice,
            is_usage: false,
        };
        let entry = Entry::new(
            &head,
            std::iter::once(&piece),
            Seen::default(),
            Labels::default(),
        );
        drop((piece, head));
        assert_eq!(entry.head.reply.headers[header::CONTENT_TYPE], "aaaaaaaaaa");
        assert_eq!(entry.joined()[0].bytes, "aaaaaaaaaa");
        assert!(buffer.is_unique(), "the entry holds the buffer");
    }
}
