//! How batches get to the collector: the gateway's own transport in the place of the exporter's, and a verdict on what
//! came back (OTLP 1.x, <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>).

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;

use super::settings::Settings;
use crate::routing::upload::UpstreamBody;

/// A collector says no more than that.
const LARGEST_REPLY: usize = 64 << 10;

/// What a collector that is told to come back may ask for at most.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

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

/// Sends for the exporter.
#[derive(Debug)]
pub(super) struct Client {
    settings: Arc<Settings>,
    verdict: Arc<Mutex<Verdict>>,
}

impl Client {
    pub(super) fn new(settings: Arc<Settings>, verdict: Arc<Mutex<Verdict>>) -> Self {
        Self { settings, verdict }
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.judge(Verdict::Again(None));
        let sent = self.exchange(request);
        let response = tokio::time::timeout(self.settings.timeout, sent)
            .await
            .map_err(|_| "it took too long")??;
        self.judge(verdict(&response));
        Ok(response)
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let transport = self
            .settings
            .transport
            .as_ref()
            .ok_or("there is no way to it")?;
        let (parts, body) = request.into_parts();
        // The exporter reads headers from the environment by itself; those of the config come from there too, and are
        // the only ones that count.
        let mut headers = HeaderMap::new();
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
            if let Some(value) = parts.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        headers.extend(self.settings.headers.clone());
        let response = transport
            .send(
                Method::POST,
                parts.uri.path(),
                parts.uri.query(),
                headers,
                UpstreamBody::Full(Some(body)),
            )
            .await
            .map_err(|error| format!("{error:?}"))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_REPLY).collect().await?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    fn judge(&self, verdict: Verdict) {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = verdict;
    }
}

impl HttpClient for Client {
    fn send_bytes<'client, 'future>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
    where
        'client: 'future,
        Self: 'future,
    {
        Box::pin(self.send(request))
    }
}

fn verdict(response: &Response<Bytes>) -> Verdict {
    match response.status() {
        status if status.is_success() => {
            let reply = ExportTraceServiceResponse::decode(response.body().clone());
            let partial = reply.ok().and_then(|reply| reply.partial_success);
            let rejected = partial.map_or(0, |partial| partial.rejected_spans);
            Verdict::Taken {
                rejected: rejected.try_into().unwrap_or(0),
            }
        }
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
