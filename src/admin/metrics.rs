//! `/metrics`: all that is counted, for Prometheus and those who speak like it.

mod state;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::Full;

use super::reply::Reply;
use crate::{runtime::gateway::Gateway, telemetry::metrics::text::Form};

/// `GET /metrics`, in the form that `Accept` prefers.
pub(super) fn scrape(gateway: &Gateway, headers: &HeaderMap) -> Reply {
    let accepts = headers.get_all(header::ACCEPT).iter();
    let accepts: Vec<_> = accepts.filter_map(|accept| accept.to_str().ok()).collect();
    let form = Form::accepted(&accepts.join(","));
    let text = form.write(state::families(gateway));
    let mut response = Response::new(Full::new(Bytes::from(text)).into());
    let content_type = HeaderValue::from_static(form.content_type());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().insert(header::VARY, vary);
    response
}
