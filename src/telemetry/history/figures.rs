//! What is counted of exchanges.

use millgate_plugin::{CacheStatus, Outcome};

use super::{Buckets, tier::Counted};
use crate::telemetry::ended::Ended;

/// Exchanges, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many have ended.
    pub exchanges: u64,
    /// Of these, failures of the gateway or of what is behind it: [`Ended::has_failed`].
    pub errors: u64,
    /// Of these, refusals of a stage.
    pub refused: u64,
    /// Of these, those whose client left first.
    pub cancelled: u64,
    /// From start to end.
    pub total: Buckets,
    /// What the gateway itself took: [`Ended::overhead`].
    pub overhead: Buckets,
    /// From start to the first byte of the body.
    pub first: Buckets,
    /// Tokens of prompts that were charged for, as upstreams have counted them: [`Ended::charged`].
    pub input: u64,
    /// Tokens of answers that were charged for, as upstreams have counted them.
    pub output: u64,
    /// Tokens of prompts and answers that nobody has counted, estimated from lengths; not among the others.
    pub estimated: u64,
    /// What those cost whose price is known, in billionths of a US dollar.
    pub cost: u64,
    /// Exchanges whose price is known.
    pub priced: u64,
    /// Exchanges that used tokens whose price is not known.
    pub unpriced: u64,
    /// What the cache has saved, in the same unit.
    pub saved: u64,
    /// Answers that the cache gave or shared: [`Ended::is_shared`].
    pub hits: u64,
    /// Answers that it did not have.
    pub misses: u64,
}

impl Figures {
    /// One more exchange.
    pub fn add(&mut self, ended: &Ended) {
        self.exchanges += 1;
        self.errors += u64::from(ended.has_failed());
        self.refused += u64::from(ended.outcome == Outcome::Rejected);
        self.cancelled += u64::from(ended.outcome == Outcome::ClientClosed);
        self.total.add(ended.total);
        self.overhead.add(ended.overhead());
        if let Some(first) = ended.first {
            self.first.add(first);
        }
        if let Some(tokens) = ended.charged() {
            let (input, output) = (tokens.usage.input, tokens.usage.output);
            if tokens.is_estimate {
                let both = input.saturating_add(output);
                self.estimated = self.estimated.saturating_add(both);
            } else {
                self.input = self.input.saturating_add(input);
                self.output = self.output.saturating_add(output);
            }
            self.unpriced += u64::from(ended.cost.is_none());
        }
        self.priced += u64::from(ended.cost.is_some());
        self.cost = self.cost.saturating_add(ended.cost.unwrap_or_default());
        self.saved = self.saved.saturating_add(ended.saved.unwrap_or_default());
        self.hits += u64::from(ended.is_shared());
        self.misses += u64::from(ended.cache == Some(CacheStatus::Miss));
    }

    /// All of another's.
    pub fn merge(&mut self, other: &Self) {
        self.exchanges += other.exchanges;
        self.errors += other.errors;
        self.refused += other.refused;
        self.cancelled += other.cancelled;
        self.total.merge(&other.total);
        self.overhead.merge(&other.overhead);
        self.first.merge(&other.first);
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.estimated = self.estimated.saturating_add(other.estimated);
        self.cost = self.cost.saturating_add(other.cost);
        self.priced += other.priced;
        self.unpriced += other.unpriced;
        self.saved = self.saved.saturating_add(other.saved);
        self.hits += other.hits;
        self.misses += other.misses;
    }

    /// What they cost, in billionths of a US dollar; `None` where something was used and the price of none of it is known.
    #[must_use]
    pub const fn known_cost(&self) -> Option<u64> {
        if self.priced == 0 && self.unpriced > 0 {
            return None;
        }
        Some(self.cost)
    }
}

impl Counted for Figures {
    /// In buckets; what else it has takes the place of about ten.
    fn extent(&self) -> usize {
        10 + self.total.extent() + self.overhead.extent() + self.first.extent()
    }
}
