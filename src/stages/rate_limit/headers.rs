//! `x-ratelimit-*`, as OpenAI sends them.

use std::{fmt::Write as _, time::Duration};

use millgate_plugin::{Exchange, Field, SetError};

/// Where a limit stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The most that there can be.
    pub(super) limit: u64,
    /// What there is.
    pub(super) remaining: u64,
    /// Until there is as much as there can be.
    pub(super) reset: Duration,
}

/// The limits nearest refusal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Nearest {
    pub(super) requests: Option<Standing>,
    pub(super) tokens: Option<Standing>,
}

const REQUESTS: [&str; 3] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
];
const TOKENS: [&str; 3] = [
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
];

impl Nearest {
    pub(super) fn see_requests(&mut self, standing: Standing) {
        self.requests = Some(nearer(self.requests, standing));
    }

    pub(super) fn see_tokens(&mut self, standing: Standing) {
        self.tokens = Some(nearer(self.tokens, standing));
    }

    /// Writes them into a reply, unless another stage has written what is nearer.
    pub(super) fn write(&self, exchange: &mut dyn Exchange) -> Result<(), SetError> {
        for (names, own) in [(REQUESTS, self.requests), (TOKENS, self.tokens)] {
            let Some(own) = own else {
                continue;
            };
            let number = |name| exchange.text(Field::ReplyHeader, name)?.parse().ok();
            let written = number(names[0]).zip(number(names[1]));
            if written.is_some_and(|(limit, remaining)| !own.is_nearer(limit, remaining)) {
                continue;
            }
            let values = [
                own.limit.to_string(),
                own.remaining.to_string(),
                reset(own.reset),
            ];
            for (name, value) in names.into_iter().zip(values) {
                exchange.set(Field::ReplyHeader, name, Some(value.as_bytes()))?;
            }
        }
        Ok(())
    }
}

impl Standing {
    /// Whether a smaller part of it is left than of another limit.
    fn is_nearer(&self, limit: u64, remaining: u64) -> bool {
        u128::from(self.remaining) * u128::from(limit)
            < u128::from(remaining) * u128::from(self.limit)
    }
}

fn nearer(known: Option<Standing>, new: Standing) -> Standing {
    known
        .filter(|known| !new.is_nearer(known.limit, known.remaining))
        .unwrap_or(new)
}

/// `20ms`, `1s`, `6m0s`, `1h0m0.5s`: rounded up to the millisecond.
fn reset(time: Duration) -> String {
    let millis = time.as_nanos().div_ceil(1_000_000);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::with_capacity(12);
    // Writing to a string does not fail.
    let _ = match (hours, minutes, seconds) {
        (0, 0, 0) if millis > 0 => return format!("{millis}ms"),
        (0, 0, _) => write!(text, "{seconds}"),
        (0, _, _) => write!(text, "{minutes}m{seconds}"),
        _ => write!(text, "{hours}h{minutes}m{seconds}"),
    };
    if millis > 0 {
        let _ = write!(text, ".{millis:03}");
        text.truncate(text.trim_end_matches('0').len());
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_openai_does() {
        for (millis, text) in [
            (0, "0s"),
            (20, "20ms"),
            (1000, "1s"),
            (8640, "8.64s"),
            (10_000, "10s"),
            (60_000, "1m0s"),
            (150_000, "2m30s"),
            (360_000, "6m0s"),
            (3_600_500, "1h0m0.5s"),
            (86_400_000, "24h0m0s"),
        ] {
            assert_eq!(reset(Duration::from_millis(millis)), text);
        }
        assert_eq!(reset(Duration::from_nanos(1)), "1ms");
        assert!(reset(Duration::MAX).ends_with('s'));
    }

    #[test]
    fn the_limit_with_the_smaller_part_left_is_nearer() {
        let standing = |limit, remaining| Standing {
            limit,
            remaining,
            reset: Duration::ZERO,
        };
        let mut nearest = Nearest::default();
        nearest.see_requests(standing(10, 5));
        nearest.see_requests(standing(1000, 600));
        assert_eq!(nearest.requests, Some(standing(10, 5)));
        nearest.see_requests(standing(1000, 499));
        assert_eq!(nearest.requests, Some(standing(1000, 499)));
        nearest.see_tokens(standing(7, 0));
        nearest.see_tokens(standing(9, 0));
        assert_eq!(nearest.tokens, Some(standing(7, 0)), "of equals the first");
    }
}
