//! The dashboard: its files, served from the binary as they stand. They hold no data: the page asks the admin API for that.
//!
//! What a browser has seen it asks for again only by the hash of it (`ETag`, RFC 9110, 8.8.3), so that a new version of the
//! gateway is a new page at once.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

/// What the page may do: talk to the listener that it came from, and nothing else; no script or style that stands in its
/// markup, no frame around it (<https://www.w3.org/TR/CSP3/>).
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Each file: the path that it is found at, what it is, and its text.
macro_rules! files {
    ($($path:literal $content_type:ident $file:literal;)*) => {
        const FILES: &[(&str, &str, &str)] = &[$(($path, $content_type, include_str!(concat!("page/", $file)))),*];
    };
}

files! {
    "/" HTML "index.html";
    "/assets/api.js" SCRIPT "api.js";
    "/assets/app.js" SCRIPT "app.js";
    "/assets/cache.js" SCRIPT "cache.js";
    "/assets/charts.js" SCRIPT "charts.js";
    "/assets/detail.js" SCRIPT "detail.js";
    "/assets/dom.js" SCRIPT "dom.js";
    "/assets/exchanges.js" SCRIPT "exchanges.js";
    "/assets/format.js" SCRIPT "format.js";
    "/assets/icon.svg" SVG "icon.svg";
    "/assets/live.js" SCRIPT "live.js";
    "/assets/panels.css" CSS "panels.css";
    "/assets/pipeline.js" SCRIPT "pipeline.js";
    "/assets/providers.js" SCRIPT "providers.js";
    "/assets/session.js" SCRIPT "session.js";
    "/assets/status.js" SCRIPT "status.js";
    "/assets/style.css" CSS "style.css";
    "/assets/table.js" SCRIPT "table.js";
    "/assets/text.js" SCRIPT "text.js";
    "/assets/theme.js" SCRIPT "theme.js";
    "/assets/tiles.js" SCRIPT "tiles.js";
    "/assets/uplot.css" CSS "vendor/uplot/uPlot.min.css";
    "/assets/uplot.js" SCRIPT "vendor/uplot/uPlot.iife.min.js";
    "/assets/usage.js" SCRIPT "usage.js";
}

/// One file of the page.
#[derive(Clone, Debug)]
pub(super) struct Asset {
    /// The file.
    pub body: Bytes,
    /// Its media type.
    pub content_type: &'static str,
    /// Its hash, in quotes.
    pub etag: HeaderValue,
}

static ASSETS: LazyLock<Vec<(&'static str, Asset)>> = LazyLock::new(|| {
    let assets = FILES
        .iter()
        .map(|&(path, content_type, text)| (path, Asset::new(content_type, text)));
    assets.collect()
});

/// The file at this path, if there is one.
pub(super) fn serve(path: &str) -> Option<Asset> {
    let mut assets = ASSETS.iter();
    let (_, asset) = assets.find(|(known, _)| *known == path)?;
    Some(asset.clone())
}

impl Asset {
    fn new(content_type: &'static str, text: &'static str) -> Self {
        let hash = blake3::hash(text.as_bytes()).to_hex();
        let etag = format!("\"{}\"", &hash[..32]);
        Self {
            body: Bytes::from_static(text.as_bytes()),
            content_type,
            // Hexadecimal digits in quotes are a header's value.
            etag: HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("\"\"")),
        }
    }

    /// The reply to a request with these headers: the file, or 304 where the browser has it already.
    pub(super) fn response(self, asked: &HeaderMap) -> Response<Full<Bytes>> {
        let is_known = asked
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .any(|known| names(known, &self.etag));
        let mut response = Response::new(Full::default());
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            *response.body_mut() = Full::new(self.body);
        }
        let content_type = HeaderValue::from_static(self.content_type);
        let headers = [
            (header::CONTENT_TYPE, content_type),
            (header::ETAG, self.etag),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
            (
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            ),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                HeaderValue::from_static("same-origin"),
            ),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                HeaderValue::from_static("same-origin"),
            ),
        ];
        response.headers_mut().extend(headers);
        response
    }
}

/// Whether an `If-None-Match` names this tag. It compares weakly (RFC 9110, 13.1.2): a proxy may have marked the tag as weak.
fn names(if_none_match: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(known), Ok(etag)) = (if_none_match.to_str(), etag.to_str()) else {
        return false;
    };
    known
        .split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
