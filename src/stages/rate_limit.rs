//! `rate_limit`: how much each caller, team, model or provider may ask for.
//!
//! Every exchange (below `route` every attempt) is asked on its way in by one rule after the other: budgets, token
//! rates, request rates, places. What it takes of them it has to give an account of at its end: tokens are taken by
//! estimate and settled with what was really used, so that an answer that turned out longer leaves a debt, and one that
//! came from the cache costs none. What is refused has taken nothing.

mod bucket;
mod budget;
mod calendar;
mod config;
mod headers;
mod keys;
mod requests;
mod rules;
mod slots;
mod subject;
#[cfg(test)]
mod tests;
mod used;

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use millgate_plugin::{
    BoxFuture, Exchange, Field, Flow, Hooks, Host, Outcome, Place as Stands, Refusal, RefusalKind,
    SetupError, Stage, StageError,
};
use smallvec::SmallVec;

use self::{
    bucket::{Bucket, Empty},
    budget::{Account, SetAside},
    headers::{Nearest, Standing},
    rules::{Rules, SlotRule, Unit},
    slots::{Place, Verdict, Waiter, Waits},
    subject::Subject,
    used::{Estimate, Used},
};
pub use config::Config;
use config::Per;
pub use slots::waiting;

/// The stage.
pub struct RateLimit {
    name: Box<str>,
    host: Host,
    rules: Rules,
    assumed_output: u64,
}

/// What one exchange has taken.
#[derive(Default)]
pub struct State {
    /// Whether all but the places have been asked.
    is_charged: bool,
    /// Whether it was let in.
    is_admitted: bool,
    aside: SmallVec<[(usize, u64, SetAside); 1]>,
    tokens: SmallVec<[(usize, u64, u64); 2]>,
    requests: SmallVec<[(usize, u64); 2]>,
    places: SmallVec<[Place; 1]>,
    nearest: Nearest,
}

/// Buckets count the time from here.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// When a place may be free again, nobody knows; a client that waits for this long does no harm.
const PLACE_AGAIN: Duration = Duration::from_secs(1);

impl Stage for RateLimit {
    const KIND: &'static str = "rate_limit";
    type Config = Config;
    type State = State;

    fn new(name: &str, config: Config, host: &Host) -> Result<Self, SetupError> {
        Ok(Self {
            name: name.into(),
            host: host.clone(),
            rules: Rules::new(&config)?,
            assumed_output: u64::from(config.assumed_output),
        })
    }

    fn place(&self) -> Stands {
        if self.rules.need_provider() {
            Stands::BelowRoute
        } else {
            Stands::Anywhere
        }
    }

    fn adopt(&self, old: &Self) {
        self.rules.adopt(&old.rules);
    }

    fn hooks(&self) -> Hooks {
        Hooks::REQUEST | Hooks::RESPONSE | Hooks::END
    }

    fn needs_store(&self) -> bool {
        !self.rules.budgets.is_empty()
    }

    fn begin(&self) -> State {
        State::default()
    }

    fn on_request(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        let now = START.elapsed();
        let asked = if state.is_charged {
            Ok(())
        } else {
            state.is_charged = true;
            self.charge(state, exchange, now)
        };
        let refusal = match asked.and_then(|()| self.enter(state, exchange)) {
            Ok(None) => {
                state.is_admitted = true;
                return Ok(Flow::Next);
            }
            Ok(Some(wait)) => return Ok(Flow::Wait(wait)),
            Err(refusal) => refusal,
        };
        self.give_back(state, now);
        if !self.host.is_shadow() {
            // In shadow mode it goes on, and what it spends is spent.
            self.release(state, 0, 0);
        }
        Ok(Flow::Reject(refusal))
    }

    fn on_response(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        let is_below_route = exchange.number(Field::Attempt).is_some();
        if !is_below_route && !self.host.is_shadow() {
            state.nearest.write(exchange)?;
        }
        Ok(Flow::Next)
    }

    fn on_end(&self, state: &mut State, exchange: &mut dyn Exchange, outcome: Outcome) {
        let now = START.elapsed();
        let used = Used::of(exchange, outcome);
        if !state.is_admitted {
            // It left while it waited for a place, or was refused.
            self.give_back(state, now);
        }
        state.places.clear();
        for (index, key, taken) in state.tokens.drain(..) {
            let rule = &self.rules.tokens[index];
            let worth = |bucket: &Bucket| bucket.worth(&rule.pace, now);
            rule.buckets().with(key, worth, |bucket| {
                bucket.settle(&rule.pace, now, taken, used.tokens);
            });
        }
        self.release(state, used.tokens, used.billionths);
    }
}

impl RateLimit {
    /// Asks all rules but those about places.
    fn charge(
        &self,
        state: &mut State,
        exchange: &dyn Exchange,
        now: Duration,
    ) -> Result<(), Refusal> {
        if !self.rules.budgets.is_empty() || !self.rules.tokens.is_empty() {
            let estimate = Estimate::of(exchange, self.assumed_output);
            self.charge_budgets(state, exchange, &estimate)?;
            self.charge_tokens(state, exchange, &estimate, now)?;
        }
        self.charge_requests(state, exchange)
    }

    /// All budgets take note of an exchange, whichever of them refuses it: in shadow mode it goes on nevertheless.
    fn charge_budgets(
        &self,
        state: &mut State,
        exchange: &dyn Exchange,
        estimate: &Estimate,
    ) -> Result<(), Refusal> {
        let mut refused = Ok(());
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let clock = since_1970.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
        for (index, rule) in self.rules.budgets.iter().enumerate() {
            let subject = Subject::of(rule.per, exchange);
            let moment = rule.period.at(clock, rule.utc_offset);
            let amount = match rule.unit {
                Unit::Usd => estimate.billionths(exchange, rule.amount),
                Unit::Tokens => estimate.tokens(rule.amount),
            };
            let tally = || {
                let (unit, period, kind) = (rule.unit.name(), moment.span, subject.kind);
                let key = format!("{}/{unit}/{period}/{kind}/{}", self.name, subject.name);
                self.host.tally(&key)
            };
            let key = rule.accounts().key(&subject);
            let (aside, fits) = rule.accounts().with(key, Account::worth, |account| {
                account.set_aside(rule.amount, amount, moment.span, tally)
            });
            state.aside.push((index, key, aside));
            if !fits && refused.is_ok() {
                let what = match rule.unit {
                    Unit::Usd => "US dollars",
                    Unit::Tokens => "tokens",
                };
                let message = format!(
                    "This {}'s budget of {what}{} is used up, or too little of it is left for this request. Ask who runs the gateway for more, or come back when the next {} begins.",
                    rule.period.name(),
                    rule.per.words(),
                    rule.period.name(),
                );
                let refusal = Refusal::new(RefusalKind::RateLimited, message)
                    .code("insufficient_quota")
                    .retry_after(Duration::from_secs(moment.ends_in));
                refused = Err(refusal);
            }
        }
        refused
    }

    fn charge_tokens(
        &self,
        state: &mut State,
        exchange: &dyn Exchange,
        estimate: &Estimate,
        now: Duration,
    ) -> Result<(), Refusal> {
        for (index, rule) in self.rules.tokens.iter().enumerate() {
            let (pace, buckets) = (&rule.pace, rule.buckets());
            let key = buckets.key(Subject::of(rule.per, exchange));
            let tokens = estimate.tokens(pace.burst());
            let worth = |bucket: &Bucket| bucket.worth(pace, now);
            let (taken, standing) = buckets.with(key, worth, |bucket| {
                let taken = bucket.take(pace, now, tokens);
                let standing = Standing {
                    limit: pace.burst(),
                    remaining: bucket.left(pace, now),
                    reset: bucket.full_in(pace, now),
                };
                (taken, standing)
            });
            match taken {
                Ok(()) => {
                    state.tokens.push((index, key, tokens));
                    state.nearest.see_tokens(standing);
                }
                Err(empty) => {
                    state.nearest.tokens = Some(standing);
                    return Err(too_many_tokens(rule, tokens, empty));
                }
            }
        }
        Ok(())
    }

    fn charge_requests(&self, state: &mut State, exchange: &dyn Exchange) -> Result<(), Refusal> {
        for (index, rule) in self.rules.requests.iter().enumerate() {
            let requests = rule.requests();
            let key = requests.key(Subject::of(rule.per, exchange));
            let limit = u64::from(requests.quota().burst_size().get());
            match requests.take(key) {
                Ok(left) => {
                    state.requests.push((index, key));
                    state.nearest.see_requests(Standing {
                        limit,
                        remaining: left.requests,
                        reset: left.full_in,
                    });
                }
                Err(wait) => {
                    let reset = requests.quota().burst_size_replenished_in();
                    state.nearest.requests = Some(Standing {
                        limit,
                        remaining: 0,
                        reset,
                    });
                    let message = format!(
                        "Rate limit reached for requests{}: {}. Try again in {}.",
                        rule.per.words(),
                        rule.rate,
                        seconds(wait),
                    );
                    let refusal = Refusal::new(RefusalKind::RateLimited, message);
                    return Err(refusal.retry_after(whole_millis(wait)));
                }
            }
        }
        Ok(())
    }

    /// Takes a place of every rule about them; a future where one has to be waited for first.
    fn enter(
        &self,
        state: &mut State,
        exchange: &dyn Exchange,
    ) -> Result<Option<BoxFuture>, Refusal> {
        if let Some(place) = state.places.last()
            && let Some(waiter) = &place.waiter
            && waiter.verdict() != Verdict::Placed
        {
            // The future is done, and yet there is no place.
            let rule = &self.rules.slots[state.places.len() - 1];
            return Err(no_place(rule, waiter.verdict() == Verdict::Waiting));
        }
        while let Some(rule) = self.rules.slots.get(state.places.len()) {
            let key = rule.table().key(Subject::of(rule.per, exchange));
            let queue = rule.queue.as_ref().map_or(0, |queue| queue.size);
            let place = if self.host.is_shadow() {
                rule.table().count(key, queue)
            } else {
                let caller = rule.table().key(Subject::of(Per::Caller, exchange));
                rule.table().ask(key, caller, queue)
            };
            let place = place.ok_or_else(|| no_place(rule, false))?;
            let waiter = place.waiter.clone();
            state.places.push(place);
            if let Some(waiter) = waiter.filter(|waiter| waiter.verdict() == Verdict::Waiting) {
                return Ok(Some(self.wait(rule, waiter, exchange)));
            }
        }
        Ok(None)
    }

    /// Until the waiter is told, the rule's patience is at its end, or the deadline is there.
    fn wait(&self, rule: &SlotRule, waiter: Arc<Waiter>, exchange: &dyn Exchange) -> BoxFuture {
        let patience = rule.queue.as_ref().map(|queue| queue.wait.get());
        let left = exchange
            .number(Field::DeadlineLeft)
            .map(Duration::from_millis);
        let longest = patience.into_iter().chain(left).min().unwrap_or_default();
        let alarm = self.host.sleep(longest);
        tracing::debug!(
            stage = &*self.name,
            request_id = exchange.request_id(),
            "waits for a place"
        );
        let waits = Waits::begin();
        Box::pin(async move {
            let _waits = waits;
            tokio::select! {
                () = waiter.told() => {}
                () = alarm => {}
            }
        })
    }

    /// Gives back what was taken of rates and places.
    fn give_back(&self, state: &mut State, now: Duration) {
        state.places.clear();
        for (index, key) in state.requests.drain(..) {
            self.rules.requests[index].requests().give_back(key);
        }
        for (index, key, taken) in state.tokens.drain(..) {
            let rule = &self.rules.tokens[index];
            let settle = |bucket: &mut Bucket| bucket.settle(&rule.pace, now, taken, 0);
            rule.buckets().with_known(key, settle);
        }
    }

    /// Ends what was set aside of budgets, and adds what was spent.
    fn release(&self, state: &mut State, tokens: u64, billionths: u64) {
        for (index, key, aside) in state.aside.drain(..) {
            let rule = &self.rules.budgets[index];
            aside.spend(match rule.unit {
                Unit::Usd => billionths,
                Unit::Tokens => tokens,
            });
            rule.accounts()
                .with_known(key, |account| account.release(&aside));
        }
    }
}

fn too_many_tokens(rule: &rules::TokenRule, tokens: u64, empty: Empty) -> Refusal {
    let limit = format!("tokens{}: {}", rule.per.words(), rule.rate);
    let refusal = |message| Refusal::new(RefusalKind::RateLimited, message).error_type("tokens");
    match empty {
        Empty::For(wait) => refusal(format!(
            "Rate limit reached for {limit}, and this request asks for about {tokens}. Try again in {}.",
            seconds(wait),
        ))
        .retry_after(whole_millis(wait)),
        Empty::TooSmall => refusal(format!(
            "This request is too large for the rate limit of {limit}: it asks for about {tokens}, and no more than {} pass at once. Shorten the prompt or ask for fewer tokens.",
            rule.pace.burst(),
        )),
    }
}

fn no_place(rule: &SlotRule, has_waited: bool) -> Refusal {
    let (places, per) = (rule.places, rule.per.words());
    let message = if has_waited {
        format!(
            "{places} requests{per} are allowed at a time, and none ended while this one waited. Try again later."
        )
    } else {
        format!(
            "{places} requests{per} are allowed at a time, and as many are under way. Try again when one has ended."
        )
    };
    Refusal::new(RefusalKind::RateLimited, message).retry_after(PLACE_AGAIN)
}

/// Rounded up, so that a client that keeps to it is not early.
fn whole_millis(time: Duration) -> Duration {
    let millis = time.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX).max(1))
}

fn seconds(time: Duration) -> String {
    let tenths = time.as_millis().div_ceil(100).max(1);
    format!("{}.{}s", tenths / 10, tenths % 10)
}
