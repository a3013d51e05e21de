//! How batches get to the collector: over the transport that upstreams are asked over, and a verdict on what came back (OTLP
//! 1.x, <https://opentelemetry.io/docs/specs/otlp/>).

use std::{
    io::Write as _,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;

#[cfg(feature = "otlp-grpc")]
use super::grpc;
use super::settings::Settings;
use crate::{
    config::traces::{Compression, Protocol},
    routing::upload::UpstreamBody,
};

/// Of what a collector says no more than that is read.
const LARGEST_REPLY: usize = 64 << 10;

/// What a collector that is told to come back may ask for at most.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Taken, but for so many of its spans.
    Taken {
        /// Spans that the collector would not have.
        rejected: u64,
    },
    /// It may be sent again, after this time where the collector has named one.
    Again(Option<Duration>),
    /// It will not be taken, however often it is sent.
    Refused,
}

impl Verdict {
    /// What a collector says of a batch that it has taken (partial success).
    pub(super) fn taken(reply: &[u8]) -> Self {
        let reply = ExportTraceServiceResponse::decode(reply);
        let partial = reply.ok().and_then(|reply| reply.partial_success);
        let rejected = partial.map_or(0, |partial| partial.rejected_spans);
        Self::Taken {
            rejected: rejected.try_into().unwrap_or(0),
        }
    }
}

/// Sends batches.
pub(super) struct Client {
    settings: Arc<Settings>,
}

impl Client {
    pub(super) const fn new(settings: Arc<Settings>) -> Self {
        Self { settings }
    }

    /// A batch as it goes out.
    pub(super) fn body(&self, spans: Vec<Span>) -> Bytes {
        let attributes = self.settings.resource.iter();
        let resource = Resource {
            attributes: attributes.map(|(key, value)| text(key, value)).collect(),
            ..Resource::default()
        };
        let scope = InstrumentationScope {
            name: "millgate".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let spans = ScopeSpans {
            scope: Some(scope),
            spans,
            ..ScopeSpans::default()
        };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource),
                scope_spans: vec![spans],
                ..ResourceSpans::default()
            }],
        };
        let message = request.encode_to_vec();
        let message = match self.settings.compression {
            Compression::None => message,
            Compression::Gzip => gzip(&message),
        };
        match self.settings.protocol {
            Protocol::HttpProtobuf => message.into(),
            #[cfg(feature = "otlp-grpc")]
            Protocol::Grpc => grpc::framed(&message, self.settings.compression),
            // It has been refused with the config.
            #[cfg(not(feature = "otlp-grpc"))]
            Protocol::Grpc => Bytes::new(),
        }
    }

    /// Sends such a batch.
    pub(super) async fn send(&self, body: Bytes) -> Verdict {
        let reply = tokio::time::timeout(self.settings.timeout, self.exchange(body)).await;
        let Ok(Some((reply, trailers))) = reply else {
            return Verdict::Again(None);
        };
        match self.settings.protocol {
            #[cfg(feature = "otlp-grpc")]
            Protocol::Grpc if reply.status() == StatusCode::OK => grpc::verdict(&reply, &trailers),
            _ => {
                drop(trailers);
                verdict(&reply)
            }
        }
    }

    /// The reply and its trailers; `None` where none came, or not all of it.
    async fn exchange(&self, body: Bytes) -> Option<(Response<Bytes>, HeaderMap)> {
        let endpoint = &self.settings.endpoint;
        let mut headers = self.settings.headers.clone();
        let is_gzip = self.settings.compression == Compression::Gzip;
        let path = match self.settings.protocol {
            Protocol::HttpProtobuf => {
                let protobuf = HeaderValue::from_static("application/x-protobuf");
                headers.insert(header::CONTENT_TYPE, protobuf);
                if is_gzip {
                    let gzip = HeaderValue::from_static("gzip");
                    headers.insert(header::CONTENT_ENCODING, gzip);
                }
                endpoint.path()
            }
            #[cfg(feature = "otlp-grpc")]
            Protocol::Grpc => {
                headers.extend(grpc::headers(is_gzip));
                grpc::PATH
            }
            #[cfg(not(feature = "otlp-grpc"))]
            Protocol::Grpc => return None,
        };
        let body = UpstreamBody::Full(Some(body));
        let transport = &self.settings.transport;
        let query = endpoint.query();
        let sent = transport.send(Method::POST, path, query, headers, body);
        let (head, body) = sent.await.ok()?.into_parts();
        let (body, trailers) = match Limited::new(body, LARGEST_REPLY).collect().await {
            Ok(body) => {
                let trailers = body.trailers().cloned();
                (body.to_bytes(), trailers.unwrap_or_default())
            }
            // Its status says enough.
            Err(error) if error.is::<LengthLimitError>() => Default::default(),
            Err(_) => return None,
        };
        Some((Response::from_parts(head, body), trailers))
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

fn gzip(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(message);
    encoder.finish().unwrap_or_default()
}

fn verdict(response: &Response<Bytes>) -> Verdict {
    match response.status() {
        status if status.is_success() => Verdict::taken(response.body()),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            Verdict::Again(retry_after(response.headers(), SystemTime::now()))
        }
        _ => Verdict::Refused,
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        date.duration_since(now).unwrap_or_default()
    };
    Some(pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    use super::*;

    fn reply(status: u16, retry_after: Option<&str>, body: Vec<u8>) -> Response<Bytes> {
        let mut response = Response::builder().status(status);
        if let Some(after) = retry_after {
            response = response.header("retry-after", after);
        }
        response.body(body.into()).unwrap()
    }

    #[test]
    fn a_reply_is_read_as_the_protocol_says() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let partial = ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: 3,
                error_message: "too old".to_owned(),
            }),
        };
        for (reply, expected) in [
            (reply(200, None, vec![]), Verdict::Taken { rejected: 0 }),
            (
                reply(200, None, partial.encode_to_vec()),
                Verdict::Taken { rejected: 3 },
            ),
            (
                reply(200, None, b"<html>".to_vec()),
                Verdict::Taken { rejected: 0 },
            ),
            (reply(429, Some("7"), vec![]), Verdict::Again(seconds(7))),
            (
                reply(503, Some("86400"), vec![]),
                Verdict::Again(seconds(60)),
            ),
            (
                reply(503, Some("Thu, 01 Jan 1970 00:00:00 GMT"), vec![]),
                Verdict::Again(seconds(0)),
            ),
            (reply(503, Some("soon"), vec![]), Verdict::Again(None)),
            (reply(502, None, vec![]), Verdict::Again(None)),
            (reply(504, None, vec![]), Verdict::Again(None)),
            (reply(500, Some("1"), vec![]), Verdict::Refused),
            (reply(400, None, vec![]), Verdict::Refused),
            (reply(401, None, vec![]), Verdict::Refused),
        ] {
            assert_eq!(verdict(&reply), expected, "{reply:?}");
        }
    }
}
