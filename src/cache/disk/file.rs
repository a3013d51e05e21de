//! One entry as bytes: a mark, a BLAKE3 hash of the rest, the length of the head (four bytes, little-endian), the head as
//! JSON, and the answer.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use crate::{
    cache::{
        config::Rules,
        entry::{Cut, Entry, Labels},
        flight,
        key::Key,
    },
    pipeline::view::ReplyHead,
    routing::answer::Seen,
};

/// Another form of files, or of what goes into a key, gets another number: files of the old one are then removed.
const MARK: &[u8; 8] = b"millgc1\n";
const HASH: usize = 32;

#[derive(Serialize, Deserialize)]
struct Head {
    key: [u8; 32],
    rules: Rules,
    stored: SystemTime,
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    provider: String,
    model: String,
    is_stream: bool,
    is_all: bool,
    seen: Seen,
    labels: Labels,
    cuts: Vec<(u32, bool)>,
}

/// The bytes of a file; `None` where the entry is none that a file can hold, kept before 1970 perhaps.
pub(super) fn encode(key: &Key, rules: Rules, entry: &Entry) -> Option<Vec<u8>> {
    let (body, cuts) = entry.raw();
    let reply = &entry.head.reply;
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    let head = Head {
        key: *key.as_bytes(),
        rules,
        stored: entry.stored,
        status: reply.status.as_u16(),
        headers: reply.headers.iter().map(header).collect(),
        provider: entry.head.provider.to_string(),
        model: entry.head.model.to_string(),
        is_stream: entry.head.is_stream,
        is_all: entry.head.is_all,
        seen: entry.seen,
        labels: entry.labels.clone(),
        cuts: cuts.iter().map(|cut| (cut.end, cut.is_usage)).collect(),
    };
    let head = serde_json::to_vec(&head).ok()?;
    let length = u32::try_from(head.len()).ok()?.to_le_bytes();
    let mut hash = blake3::Hasher::new();
    hash.update(&length).update(&head).update(body);
    let hash = hash.finalize();
    Some([MARK, hash.as_slice(), &length, &head, body].concat())
}

/// What the bytes of a file say; `None` where they are not a whole entry.
pub(super) fn decode(bytes: &[u8]) -> Option<(Key, Rules, Entry)> {
    let rest = bytes.strip_prefix(MARK)?;
    let (hash, rest) = rest.split_at_checked(HASH)?;
    if blake3::hash(rest).as_slice() != hash {
        return None;
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (head, body) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let head: Head = serde_json::from_slice(head).ok()?;
    // Pieces are slices: what does not cut the answer must not get so far.
    let ends = head.cuts.iter().map(|(end, _)| *end);
    let end = ends.clone().next_back().unwrap_or_default();
    if !ends.is_sorted() || end as usize != body.len() {
        return None;
    }
    let mut headers = HeaderMap::new();
    for (name, value) in head.headers {
        headers.append(
            HeaderName::try_from(name).ok()?,
            HeaderValue::try_from(value).ok()?,
        );
    }
    let cuts = head.cuts.into_iter();
    let entry = Entry::restored(
        flight::Head {
            reply: ReplyHead {
                status: StatusCode::from_u16(head.status).ok()?,
                headers,
            },
            provider: head.provider.into(),
            model: head.model.into(),
            is_stream: head.is_stream,
            is_all: head.is_all,
        },
        (
            Bytes::copy_from_slice(body),
            cuts.map(|(end, is_usage)| Cut { end, is_usage }).collect(),
        ),
        head.seen,
        head.labels,
        head.stored,
    );
    Some((Key::from_bytes(head.key), head.rules, entry))
}
