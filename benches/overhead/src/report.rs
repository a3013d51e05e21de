//! Medians, and the tables that show them.

use std::fmt::Write;
use std::time::Duration;

/// The values of all rounds.
#[derive(Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// The value that half of them reach; NaN where there are none.
    pub(crate) fn median(&self) -> f64 {
        quantile(&self.sorted(), 0.5)
    }

    /// `median (min–max)`.
    pub(crate) fn with_spread(&self, decimals: usize) -> String {
        let sorted = self.sorted();
        let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else {
            return "–".to_owned();
        };
        format!(
            "{:.decimals$} ({min:.decimals$}–{max:.decimals$})",
            self.median()
        )
    }

    /// Each value over that of the same round in `base`.
    pub(crate) fn ratios(&self, base: &Self) -> Self {
        Self(
            self.0
                .iter()
                .zip(&base.0)
                .map(|(value, base)| value / base)
                .collect(),
        )
    }

    /// Each value less that of the same round in `base`.
    pub(crate) fn differences(&self, base: &Self) -> Self {
        Self(
            self.0
                .iter()
                .zip(&base.0)
                .map(|(value, base)| value - base)
                .collect(),
        )
    }
}

/// The value below which a `share` of the sorted values lies, halfway between two where it falls there.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (
        sorted[place.floor() as usize],
        sorted[place.ceil() as usize],
    );
    below + (above - below) * place.fract()
}

/// That quantile of durations, in milliseconds.
pub(crate) fn milliseconds(durations: &[Duration], share: f64) -> f64 {
    let mut sorted: Vec<f64> = durations
        .iter()
        .map(|duration| duration.as_secs_f64() * 1000.0)
        .collect();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, share)
}

/// A table in Markdown.
pub(crate) struct Table {
    text: String,
}

impl Table {
    pub(crate) fn new(title: &str, columns: &[&str]) -> Self {
        let text = format!(
            "### {title}\n\n| {} |\n|---{}|\n",
            columns.join(" | "),
            "|--:".repeat(columns.len() - 1)
        );
        Self { text }
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "| {} |", cells.join(" | "));
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        Samples(values.to_vec())
    }

    #[test]
    fn the_median_does_not_mind_the_order() {
        assert_eq!(samples(&[9.0, 1.0, 2.0]).with_spread(1), "2.0 (1.0–9.0)");
        assert_eq!(
            samples(&[4.0, 1.0, 2.0, 3.0]).with_spread(1),
            "2.5 (1.0–4.0)"
        );
        assert!(samples(&[]).median().is_nan());
    }

    #[test]
    fn ratios_are_of_rounds_not_of_medians() {
        let ratios = samples(&[2.0, 30.0, 4.0]).ratios(&samples(&[1.0, 10.0, 4.0]));
        assert_eq!(ratios.with_spread(0), "2 (1–3)");
    }

    #[test]
    fn quantiles_are_in_milliseconds() {
        let durations: Vec<Duration> = (0..=100).rev().map(Duration::from_millis).collect();
        assert!((milliseconds(&durations, 0.99) - 99.0).abs() < 1e-9);
    }
}
