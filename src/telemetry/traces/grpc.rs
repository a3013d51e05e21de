//! OTLP over gRPC: one unary call for each batch (<https://opentelemetry.io/docs/specs/otlp/#otlpgrpc>,
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::time::Duration;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use prost::Message;

use super::client::{LONGEST_PAUSE, Verdict};
use crate::config::traces::Compression;

/// The call.
pub(super) const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What stands before a message: whether it is compressed, and its length in four bytes.
const PREFIX: usize = 5;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Status codes (<https://grpc.io/docs/guides/status-codes/>) after which the same may be sent again: cancelled, deadline
/// exceeded, aborted, out of range, unavailable, data loss.
const AGAIN: [u32; 6] = [1, 4, 10, 11, 14, 15];

/// Resource exhausted: to be sent again only where the collector says when.
const EXHAUSTED: u32 = 8;

/// Binary metadata may come with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `google.rpc.Status`, as far as it matters here.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// `google.protobuf.Any`
#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Delay>,
}

/// `google.protobuf.Duration`
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// A message with its prefix.
pub(super) fn framed(message: &[u8], compression: Compression) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(u8::from(compression == Compression::Gzip));
    // A batch is far from 4 GiB.
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    framed.freeze()
}

/// The headers of a call.
pub(super) fn headers(is_gzip: bool) -> HeaderMap {
    let own = |name, value| (name, HeaderValue::from_static(value));
    let mut headers: HeaderMap = [
        own(header::CONTENT_TYPE, "application/grpc"),
        own(header::TE, "trailers"),
    ]
    .into_iter()
    .collect();
    if is_gzip {
        let name = HeaderName::from_static("grpc-encoding");
        headers.insert(name, HeaderValue::from_static("gzip"));
    }
    headers
}

/// What a collector says of a batch: its status is in the trailers, or, where there is no message, in the headers.
pub(super) fn verdict(reply: &Response<Bytes>, trailers: &HeaderMap) -> Verdict {
    let find = |name| trailers.get(&name).or_else(|| reply.headers().get(&name));
    let status = find(STATUS).and_then(|status| status.to_str().ok()?.parse().ok());
    let pause = || find(DETAILS).and_then(|details| pause(details.as_bytes()));
    match status {
        Some(0) => Verdict::taken(reply.body().get(PREFIX..).unwrap_or_default()),
        Some(EXHAUSTED) => pause().map_or(Verdict::Refused, |pause| Verdict::Again(Some(pause))),
        Some(status) if AGAIN.contains(&status) => Verdict::Again(pause()),
        // A call that was cut off before its status.
        None => Verdict::Again(None),
        Some(_) => Verdict::Refused,
    }
}

/// How long the collector wants to be left in peace.
fn pause(details: &[u8]) -> Option<Duration> {
    let status = Status::decode(&*BASE64.decode(details).ok()?).ok()?;
    let is_info = |detail: &&Detail| detail.type_url.ends_with("/google.rpc.RetryInfo");
    let info = status.details.iter().find(is_info)?;
    let delay = RetryInfo::decode(&*info.value).ok()?.delay?;
    let seconds = Duration::from_secs(delay.seconds.try_into().unwrap_or(0));
    let nanos = Duration::from_nanos(delay.nanos.try_into().unwrap_or(0));
    Some(seconds.saturating_add(nanos).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };

    use super::*;

    fn headers_of(status: &str, wait: Option<(i64, i32)>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(STATUS, status.parse().unwrap());
        if let Some((seconds, nanos)) = wait {
            let delay = Some(Delay { seconds, nanos });
            let info = Detail {
                type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
                value: RetryInfo { delay }.encode_to_vec(),
            };
            let status = Status {
                details: vec![Detail::default(), info],
            };
            let text = STANDARD_NO_PAD.encode(status.encode_to_vec());
            headers.insert(DETAILS, text.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_status_is_read_as_the_protocol_says_wherever_it_stands() {
        let again = |millis| Verdict::Again(Some(Duration::from_millis(millis)));
        for (status, wait, expected) in [
            ("0", None, Verdict::Taken { rejected: 0 }),
            ("1", None, Verdict::Again(None)),
            ("3", None, Verdict::Refused),
            ("4", None, Verdict::Again(None)),
            ("7", Some((1, 0)), Verdict::Refused),
            ("8", None, Verdict::Refused),
            ("8", Some((1, 500_000_000)), again(1500)),
            ("12", None, Verdict::Refused),
            ("14", None, Verdict::Again(None)),
            ("14", Some((86_400, 0)), again(60_000)),
            ("14", Some((-1, -1)), again(0)),
            ("16", None, Verdict::Refused),
            ("word", None, Verdict::Again(None)),
        ] {
            let headers = headers_of(status, wait);
            let trailed = Response::new(Bytes::new());
            assert_eq!(verdict(&trailed, &headers), expected, "{status}");
            let mut alone = Response::new(Bytes::new());
            *alone.headers_mut() = headers;
            assert_eq!(verdict(&alone, &HeaderMap::new()), expected, "{status}");
        }
        let cut = Response::new(Bytes::new());
        assert_eq!(verdict(&cut, &HeaderMap::new()), Verdict::Again(None));
    }

    #[test]
    fn what_a_collector_would_not_have_of_a_batch_is_told_apart() {
        let partial = ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: 3,
                error_message: "too old".to_owned(),
            }),
        };
        let reply = Response::new(framed(&partial.encode_to_vec(), Compression::None));
        let trailers = headers_of("0", None);
        assert_eq!(verdict(&reply, &trailers), Verdict::Taken { rejected: 3 });
    }
}
