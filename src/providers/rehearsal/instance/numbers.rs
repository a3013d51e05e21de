//! Numbers to try, the simplest first.

use serde_json::{Number, Value};

use super::facts::Facts;

/// How many steps away from the limit are tried, beside one for every number taken.
const STEPS: usize = 64;

/// Numbers that may satisfy the facts; `taken` of them may be taken.
pub(super) fn candidates(facts: &Facts<'_>, is_integer: bool, taken: usize) -> Vec<Value> {
    let strictest = |a: Option<f64>, b: Option<f64>, pick: fn(f64, f64) -> f64| match (a, b) {
        (Some(a), Some(b)) => Some(pick(a, b)),
        _ => a.or(b),
    };
    let low = strictest(
        facts.at_least("minimum"),
        facts.at_least("exclusiveMinimum"),
        f64::max,
    );
    let high = strictest(
        facts.at_most("maximum"),
        facts.at_most("exclusiveMaximum"),
        f64::min,
    );
    let step = facts.at_least("multipleOf").filter(|step| *step > 0.0);
    let origin = match (low, high) {
        (Some(low), _) if low > 0.0 => low,
        (_, Some(high)) if high < 0.0 => high,
        _ => 0.0,
    };
    let limits = facts.all("minimum").chain(facts.all("maximum"));
    let mut candidates: Vec<Value> = match step {
        None => limits.cloned().collect(),
        Some(_) => Vec::new(),
    };
    if origin == 0.0 {
        candidates.insert(0, 0.into());
    }
    let count = STEPS + taken;
    candidates.extend(around(origin, step.unwrap_or(1.0), count));
    if !is_integer {
        candidates.extend(between(
            low.unwrap_or(origin - 1.0),
            high.unwrap_or(origin + 1.0),
            count,
        ));
    }
    candidates
}

/// Multiples of `step` in both directions from `origin`.
fn around(origin: f64, step: f64, count: usize) -> impl Iterator<Item = Value> {
    let nearest = if origin < 0.0 {
        (origin / step).floor()
    } else {
        (origin / step).ceil()
    };
    (0..count)
        .flat_map(|n| [n as f64, -(n as f64)])
        .filter_map(move |offset| number((nearest + offset) * step))
}

/// Fractions, for an interval that holds no multiple of 1.
fn between(low: f64, high: f64, count: usize) -> impl Iterator<Item = Value> {
    let width = (high - low) / (count + 1) as f64;
    (1..=count).filter_map(move |n| Number::from_f64(low + width * n as f64).map(Value::Number))
}

/// A whole number as such, any other rounded to 12 places, so that 3 × 0.1 is 0.3.
fn number(number: f64) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        return Some((number as i64).into());
    }
    let rounded = format!("{number:.12}").parse().unwrap_or(number);
    Number::from_f64(rounded).map(Value::Number)
}
