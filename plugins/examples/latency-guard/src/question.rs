//! What the service is asked.

use std::time::Duration;

use millgate_plugin::{Exchange, Field, HttpCall};
use serde_json::json;

use crate::Config;

/// The most of an answer's body that is read: nothing in it is looked at.
const MOST_BODY: usize = 4 << 10;

/// The call to make for this request.
pub(crate) fn call(config: &Config, exchange: &dyn Exchange) -> HttpCall {
    let text = |field| exchange.text(field, "");
    let question = json!({
        "request_id": exchange.request_id(),
        "endpoint": exchange.endpoint().map(millgate_plugin::Endpoint::name),
        "model": exchange.model(),
        "stream": exchange.is_stream(),
        "caller": text(Field::CallerId),
        "team": text(Field::CallerTeam),
        "route": text(Field::Route),
        "input_tokens": exchange.number(Field::InputEstimate),
    });
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    if let Some(token) = &config.token {
        headers.push(("authorization".to_owned(), format!("Bearer {token}")));
    }
    HttpCall {
        method: "POST",
        url: config.url.clone(),
        headers,
        body: question.to_string().into(),
        timeout: time_left(exchange).map_or(config.deadline.get(), |left| {
            left.min(config.deadline.get())
        }),
        max_body: MOST_BODY,
    }
}

/// An answer that comes after the exchange's own deadline helps nobody.
fn time_left(exchange: &dyn Exchange) -> Option<Duration> {
    let left = exchange.number(Field::DeadlineLeft)?;
    Some(Duration::from_millis(left.max(1)))
}
