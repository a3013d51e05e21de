use proptest::prelude::*;

use super::*;

/// A request as it may be told from its bytes.
#[derive(Clone, Debug)]
enum Request {
    Bare,
    Sized(Vec<u8>),
    Chunked(Vec<Vec<u8>>),
}

impl Request {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"\r\nPOST /v1/x HTTP/1.1\r\nHost: localhost\r\n".to_vec();
        match self {
            Self::Bare => bytes.extend_from_slice(b"\r\n"),
            Self::Sized(body) => {
                let field = format!("Content-Length:  {} \r\n\r\n", body.len());
                bytes.extend_from_slice(field.as_bytes());
                bytes.extend_from_slice(body);
            }
            Self::Chunked(chunks) => {
                bytes.extend_from_slice(b"transfer-Encoding: chunked\r\nx: y\r\n\r\n");
                for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                    bytes.extend_from_slice(format!("{:X};a=b\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\ntrailer: content-length: 7\r\n\r\n");
            }
        }
        bytes
    }
}

fn request() -> impl Strategy<Value = Request> {
    // Bodies that look like heads.
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(CONFLICT.to_vec()),
    ];
    prop_oneof![
        Just(Request::Bare),
        body.clone().prop_map(Request::Sized),
        prop::collection::vec(body, 0..4).prop_map(Request::Chunked),
    ]
}

const CONFLICT: &[u8] =
    b"POST / HTTP/1.1\r\ncontent-length: 4\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";

/// What is found where bytes come in parts of this size.
fn found(bytes: &[u8], size: usize) -> Option<u64> {
    let mut framing = Framing::default();
    let found = bytes.chunks(size).find_map(|part| framing.look(part));
    assert!(found.is_none() || framing.look(CONFLICT).is_none());
    found
}

proptest! {
    #[test]
    fn a_conflict_is_found_behind_whatever_came_before(
        requests in prop::collection::vec(request(), 0..6),
        size in 1usize..200,
    ) {
        let mut bytes: Vec<u8> = requests.iter().flat_map(Request::bytes).collect();
        prop_assert_eq!(found(&bytes, size), None);
        bytes.extend_from_slice(CONFLICT);
        prop_assert_eq!(found(&bytes, size), Some(requests.len() as u64));
    }

    #[test]
    fn anything_may_come(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1usize..50) {
        prop_assert_eq!(found(&bytes, size), found(&bytes, bytes.len().max(1)));
    }
}

#[test]
fn both_fields_in_any_order_and_case() {
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "TRANSFER-ENCODING:chunked\r\nx: y\r\ncontent-length:4\r\n",
        "transfer-encoding: chunked\ncontent-length: 0\n",
        "content-length: nothing\r\n",
    ] {
        let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        for size in [1, 7, head.len()] {
            assert_eq!(found(head.as_bytes(), size), Some(0), "{fields:?}");
        }
    }
    let padded = format!(
        "GET / HTTP/1.1\r\ncontent-length:{}4\r\ntransfer-encoding:{}chunked\r\n\r\n",
        " ".repeat(500),
        " ".repeat(500)
    );
    assert_eq!(found(padded.as_bytes(), 9), Some(0));
}

#[test]
fn chunks_of_anything_but_the_body_itself() {
    for fields in [
        "transfer-encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "transfer-encoding: chunked\r\nx: y\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: identity\r\n",
    ] {
        let head = format!("POST / HTTP/1.1\r\n{fields}\r\n");
        for size in [1, 7, head.len()] {
            assert_eq!(found(head.as_bytes(), size), Some(0), "{fields:?}");
        }
    }
    let plain = "POST / HTTP/1.1\r\nTransfer-Encoding:\t Chunked \r\n\r\n0\r\n\r\n";
    assert_eq!(found(plain.as_bytes(), 1), None);
}

#[test]
fn behind_a_chunk_whose_size_cannot_be_told_nothing_is_trusted() {
    let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    for size in ["", "zz", "-1", "10000000000000000", "ffffffffffffffff"] {
        assert_eq!(found(format!("{head}{size}\r\n").as_bytes(), 300), Some(1));
    }
    let zeros = format!("{head}{}\r\n\r\n", "0".repeat(100));
    assert_eq!(found(zeros.as_bytes(), 300), None);
    // In parts that is too long to be kept.
    assert_eq!(found(zeros.as_bytes(), 60), Some(1));
}

#[test]
fn http2_is_not_looked_at() {
    let mut framing = Framing::default();
    assert_eq!(framing.look(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), None);
    assert_eq!(framing.look(CONFLICT), None);
}
