//! The limits of a table, each as the rule that it is.

use std::sync::{Arc, OnceLock};

use governor::{Quota, clock::MonotonicClock};
use millgate_plugin::{SetupError, units::Rate};

use super::{
    bucket::{Bucket, Pace},
    budget::Account,
    calendar::Period,
    config::{Budget, Config, Limit, Per, Queue},
    keys::Keys,
    requests::{self, Requests},
    slots::SlotTable,
};

/// What has to let an exchange pass, in the order in which it is asked.
#[derive(Default)]
pub(super) struct Rules {
    pub(super) budgets: Vec<BudgetRule>,
    pub(super) tokens: Vec<TokenRule>,
    pub(super) requests: Vec<RequestRule>,
    pub(super) slots: Vec<SlotRule>,
}

/// So much in a day or month.
pub(super) struct BudgetRule {
    pub(super) per: Per,
    pub(super) unit: Unit,
    pub(super) amount: u64,
    pub(super) period: Period,
    /// Seconds ahead of UTC.
    pub(super) utc_offset: i32,
    accounts: OnceLock<Arc<Keys<Account>>>,
}

/// What a budget is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Billionths of a US dollar.
    Usd,
    Tokens,
}

impl Unit {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Usd => "usd",
            Self::Tokens => "tokens",
        }
    }
}

/// So many tokens in a time.
pub(super) struct TokenRule {
    pub(super) per: Per,
    pub(super) rate: Rate,
    pub(super) pace: Pace,
    buckets: OnceLock<Arc<Keys<Bucket>>>,
}

/// So many requests in a time.
pub(super) struct RequestRule {
    pub(super) per: Per,
    pub(super) rate: Rate,
    quota: Quota,
    requests: OnceLock<Arc<Requests<MonotonicClock>>>,
}

/// So many requests at a time.
pub(super) struct SlotRule {
    pub(super) per: Per,
    pub(super) places: u32,
    pub(super) queue: Option<Queue>,
    table: OnceLock<Arc<SlotTable>>,
}

// What rules remember is made when it is first needed, unless it is taken over before.

impl BudgetRule {
    pub(super) fn accounts(&self) -> &Keys<Account> {
        self.accounts.get_or_init(Arc::default)
    }
}

impl TokenRule {
    pub(super) fn buckets(&self) -> &Keys<Bucket> {
        self.buckets.get_or_init(Arc::default)
    }
}

impl RequestRule {
    pub(super) fn requests(&self) -> &Requests<MonotonicClock> {
        self.requests
            .get_or_init(|| Arc::new(Requests::new(self.quota, MonotonicClock)))
    }
}

impl SlotRule {
    pub(super) fn table(&self) -> &Arc<SlotTable> {
        self.table.get_or_init(|| {
            let table = Arc::<SlotTable>::default();
            table.set_places(self.places);
            table
        })
    }
}

impl Rules {
    pub(super) fn new(config: &Config) -> Result<Self, SetupError> {
        let mut rules = Self::default();
        let own = config.own();
        if limits_something(&own)
            || config.limits.is_empty()
            || own.burst.is_some()
            || own.queue.is_some()
        {
            rules.add(&[], &own)?;
        }
        for (index, limit) in config.limits.iter().enumerate() {
            rules.add(&["limits".to_owned(), index.to_string()], limit)?;
        }
        Ok(rules)
    }

    fn add(&mut self, path: &[String], limit: &Limit) -> Result<(), SetupError> {
        let wrong = |keys: &[&str], message: &str| {
            let keys = keys.iter().map(|key| (*key).to_owned());
            Err(SetupError::at(path.iter().cloned().chain(keys), message))
        };
        if !limits_something(limit) {
            return wrong(
                &[],
                "nothing is limited: add `requests`, `tokens`, `concurrent` or `budget`",
            );
        }
        match (limit.burst, limit.requests, limit.tokens) {
            (None, ..) => {}
            (Some(0), ..) => return wrong(&["burst"], "a burst must allow at least one"),
            (_, Some(_), Some(_)) => {
                let message =
                    "is this of requests or of tokens? Give each a limit of its own in `limits`";
                return wrong(&["burst"], message);
            }
            (_, None, None) => {
                return wrong(&["burst"], "only `requests` and `tokens` have a burst");
            }
            _ => {}
        }
        if let Some(rate) = limit.tokens {
            self.tokens.push(TokenRule {
                per: limit.per,
                rate,
                pace: Pace::new(rate, limit.burst),
                buckets: OnceLock::new(),
            });
        }
        if let Some(rate) = limit.requests {
            let Some(quota) = requests::quota(rate, limit.burst) else {
                return wrong(&["requests"], "this rate is beyond what can be counted");
            };
            self.requests.push(RequestRule {
                per: limit.per,
                rate,
                quota,
                requests: OnceLock::new(),
            });
        }
        match (limit.concurrent, &limit.queue) {
            (Some(0), _) => {
                return wrong(&["concurrent"], "a limit must allow at least one request");
            }
            (Some(places), queue) => self.slots.push(SlotRule {
                per: limit.per,
                places,
                queue: queue.clone(),
                table: OnceLock::new(),
            }),
            (None, Some(_)) => {
                return wrong(
                    &["queue"],
                    "requests can only wait for `concurrent`, which is not set",
                );
            }
            (None, None) => {}
        }
        match &limit.budget {
            Some(_) if limit.per == Per::Address => wrong(
                &["budget"],
                "an address is nobody's to give a budget to: use another `per`",
            ),
            Some(Budget {
                usd: None,
                tokens: None,
                ..
            }) => wrong(&["budget"], "nothing is limited: add `usd` or `tokens`"),
            Some(budget) if !self.add_budget(limit.per, budget) => {
                wrong(&["budget"], "there is such a budget already")
            }
            _ => Ok(()),
        }
    }

    /// Whether there was none of the kind before: two would be counted as one.
    fn add_budget(&mut self, per: Per, budget: &Budget) -> bool {
        let money = budget
            .usd
            .map(|money| (Unit::Usd, money.billionths, money.period));
        let tokens = budget
            .tokens
            .map(|limit| (Unit::Tokens, limit.tokens, limit.period));
        let mut all_new = true;
        for (unit, amount, period) in money.into_iter().chain(tokens) {
            let new = BudgetRule {
                per,
                unit,
                amount,
                period,
                utc_offset: budget.utc_offset.0,
                accounts: OnceLock::new(),
            };
            all_new &= !self.budgets.iter().any(|known| known.is_alike(&new));
            self.budgets.push(new);
        }
        all_new
    }

    /// Whether any of them is about providers, of which there are none above `route`.
    pub(super) fn need_provider(&self) -> bool {
        let mut all = (self.budgets.iter().map(|rule| rule.per))
            .chain(self.tokens.iter().map(|rule| rule.per))
            .chain(self.requests.iter().map(|rule| rule.per))
            .chain(self.slots.iter().map(|rule| rule.per));
        all.any(|per| per == Per::Provider)
    }

    /// Takes over what the rules of an older table remember, as far as they count the same for the same. Both share it
    /// from then on: what the older ones still have under way ends there too. Request rates do so only where nothing of
    /// them has changed.
    pub(super) fn adopt(&self, old: &Self) {
        for (new, old) in pairs(&self.budgets, &old.budgets, BudgetRule::is_alike) {
            share(&new.accounts, old.accounts.get());
        }
        for (new, old) in pairs(&self.tokens, &old.tokens, |one, other| one.per == other.per) {
            share(&new.buckets, old.buckets.get());
        }
        let same = |one: &RequestRule, other: &RequestRule| {
            (one.per, one.quota) == (other.per, other.quota)
        };
        for (new, old) in pairs(&self.requests, &old.requests, same) {
            share(&new.requests, old.requests.get());
        }
        for (new, old) in pairs(&self.slots, &old.slots, |one, other| one.per == other.per) {
            share(&new.table, old.table.get());
            new.table().set_places(new.places);
        }
    }
}

impl BudgetRule {
    fn is_alike(&self, other: &Self) -> bool {
        (self.per, self.unit, self.period) == (other.per, other.unit, other.period)
    }
}

fn limits_something(limit: &Limit) -> bool {
    limit.requests.is_some()
        || limit.tokens.is_some()
        || limit.concurrent.is_some()
        || limit.budget.is_some()
}

/// Each new rule with the old one that it is the same as, in the order in which they stand.
fn pairs<'a, R>(
    new: &'a [R],
    old: &'a [R],
    is_same: impl Fn(&R, &R) -> bool,
) -> Vec<(&'a R, &'a R)> {
    let mut left: Vec<&R> = old.iter().collect();
    let pair = |new| {
        let index = left.iter().position(|old| is_same(new, old))?;
        Some((new, left.remove(index)))
    };
    new.iter().filter_map(pair).collect()
}

fn share<T>(new: &OnceLock<Arc<T>>, old: Option<&Arc<T>>) {
    if let Some(old) = old {
        // A stage adopts before it is used, and once.
        let _ = new.set(old.clone());
    }
}
