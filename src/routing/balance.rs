//! In which order the targets of a route are tried, and how busy each of them is.

#[cfg(test)]
mod tests;

use std::{
    cmp::Ordering,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;

/// How a route spreads its exchanges over its targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// In the order listed: the first target serves, the others stand in for it.
    #[default]
    Fallback,
    /// Each exchange draws its first target by weight, and those that stand in for it likewise.
    Weighted,
    /// The target with the fewest attempts in flight for its weight comes first; among equals, as with
    /// `weighted`.
    LeastBusy,
}

/// What the order of targets depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetLoad {
    /// Its share relative to the other targets'. 0: a last resort, tried after all others.
    pub weight: u32,
    /// Attempts in flight, see [`InFlight::count`].
    pub busy: usize,
}

/// The order in which one exchange tries its targets, as indices into `targets`: each once.
///
/// `random` gives numbers from 0 (included) to 1 (excluded); it is asked once for each target, except by
/// [`Strategy::Fallback`]. Targets of weight 0 come last, in the order listed.
pub fn order(
    strategy: Strategy,
    targets: &[TargetLoad],
    mut random: impl FnMut() -> f64,
) -> SmallVec<[usize; 8]> {
    let mut order: SmallVec<[usize; 8]> = (0..targets.len()).collect();
    if strategy == Strategy::Fallback {
        return order;
    }
    let draws: SmallVec<[f64; 8]> = targets
        .iter()
        .map(|target| arrival(target.weight, random()))
        .collect();
    // The sort is stable: last resorts, which all arrive at infinity, keep their order.
    order.sort_by(|&a, &b| {
        let by_load = match strategy {
            Strategy::LeastBusy => compare_load(&targets[a], &targets[b]),
            Strategy::Fallback | Strategy::Weighted => Ordering::Equal,
        };
        by_load.then_with(|| draws[a].total_cmp(&draws[b]))
    });
    order
}

/// When a target arrives in a race of exponential clocks that tick at the rate of their weights: sorting by it
/// draws by weight without replacement (Efraimidis and Spirakis, 2006).
fn arrival(weight: u32, random: f64) -> f64 {
    if weight == 0 {
        return f64::INFINITY;
    }
    // From (0, 1], so that the logarithm is finite and no target arrives with the last resorts.
    let drawn = (1.0 - random).clamp(f64::MIN_POSITIVE, 1.0);
    -drawn.ln() / f64::from(weight)
}

/// Compares attempts in flight per weight, exactly: as products instead of quotients.
fn compare_load(a: &TargetLoad, b: &TargetLoad) -> Ordering {
    match (a.weight, b.weight) {
        (0, 0) => Ordering::Equal,
        (0, _) => Ordering::Greater,
        (_, 0) => Ordering::Less,
        _ => {
            let a_share = a.busy as u128 * u128::from(b.weight);
            let b_share = b.busy as u128 * u128::from(a.weight);
            a_share.cmp(&b_share)
        }
    }
}

/// Counts the attempts in flight of one target. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    /// Counts one attempt, until the guard is dropped: by its end, by an error or by cancellation.
    pub fn enter(&self) -> InFlightGuard {
        self.0.fetch_add(1, Relaxed);
        InFlightGuard(Arc::clone(&self.0))
    }

    /// Attempts in flight now. Others enter and leave meanwhile, so it is a hint and no limit.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// One attempt in flight. Owns its share of the count, so that it can outlive the [`InFlight`].
#[derive(Debug)]
#[must_use = "the attempt counts only as long as the guard lives"]
pub struct InFlightGuard(Arc<AtomicUsize>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
