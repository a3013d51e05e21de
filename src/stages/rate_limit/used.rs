//! What an exchange is taken to use, and what it has used.

use millgate_plugin::{Endpoint, Exchange, Field, Outcome};

use crate::http::json;

/// Before the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Estimate {
    input: u64,
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// No more than this, the request says.
    AtMost(u64),
    /// Nobody knows; about this.
    Assumed(u64),
}

/// The members that say how long an answer may be, in the words of each endpoint.
const MOST: [&str; 3] = ["max_completion_tokens", "max_tokens", "max_output_tokens"];

impl Estimate {
    pub(super) fn of(exchange: &dyn Exchange, assumed: u64) -> Self {
        let number = |name| {
            exchange
                .get(Field::RequestMember, name)
                .and_then(json::as_u64)
        };
        let generates = matches!(
            exchange.endpoint(),
            Some(Endpoint::Chat | Endpoint::Completions | Endpoint::Responses)
        );
        let choices = number("n").unwrap_or(1).max(1);
        let most = MOST.into_iter().find_map(number);
        Self {
            input: exchange.number(Field::InputEstimate).unwrap_or(0),
            output: match most {
                _ if !generates => Output::AtMost(0),
                Some(most) => Output::AtMost(most.saturating_mul(choices)),
                None => Output::Assumed(assumed.saturating_mul(choices)),
            },
        }
    }

    /// In tokens. An assumption alone never makes it more than `most`.
    pub(super) fn tokens(&self, most: u64) -> u64 {
        match self.output {
            Output::AtMost(output) => self.input.saturating_add(output),
            Output::Assumed(output) => within(self.input, output, most),
        }
    }

    /// In billionths of a dollar; nothing where the model has no price.
    pub(super) fn billionths(&self, exchange: &dyn Exchange, most: u64) -> u64 {
        let cost = |tokens: u64, price| {
            let price = exchange.number(price).unwrap_or(0);
            let millionths = u128::from(tokens) * u128::from(price);
            u64::try_from(millionths.div_ceil(1_000_000)).unwrap_or(u64::MAX)
        };
        let input = cost(self.input, Field::InputPrice);
        match self.output {
            Output::AtMost(output) => input.saturating_add(cost(output, Field::OutputPrice)),
            Output::Assumed(output) => within(input, cost(output, Field::OutputPrice), most),
        }
    }
}

fn within(input: u64, assumed: u64, most: u64) -> u64 {
    input.saturating_add(assumed).min(most.max(input))
}

/// After the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) tokens: u64,
    pub(super) billionths: u64,
}

impl Used {
    pub(super) fn of(exchange: &dyn Exchange, outcome: Outcome) -> Self {
        let is_shared = exchange
            .cache_status()
            .is_some_and(millgate_plugin::CacheStatus::is_shared);
        let Some(tokens) = (if is_shared {
            None
        } else {
            tokens(exchange, outcome)
        }) else {
            return Self::default();
        };
        Self {
            tokens,
            billionths: exchange.number(Field::Cost).unwrap_or(0),
        }
    }
}

/// As the upstream counted, else as far as lengths tell; `None` where no upstream has done anything for it.
fn tokens(exchange: &dyn Exchange, outcome: Outcome) -> Option<u64> {
    let number = |field| exchange.number(field);
    let counted = (number(Field::InputTokens), number(Field::OutputTokens));
    if let (Some(_), _) | (_, Some(_)) = counted {
        return Some(
            counted
                .0
                .unwrap_or(0)
                .saturating_add(counted.1.unwrap_or(0)),
        );
    }
    let output = number(Field::OutputEstimate)?;
    let has_worked = match outcome {
        Outcome::Ok | Outcome::ClientClosed | Outcome::Timeout => true,
        // An upstream that fails at once takes nothing for it.
        _ => output > 0,
    };
    has_worked.then(|| output.saturating_add(number(Field::InputEstimate).unwrap_or(0)))
}
