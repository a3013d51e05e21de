//! What an answer costs: a list of prices with a date, and what a config says over it.

use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use std::collections::BTreeMap;

use crate::{
    config::price,
    routing::{
        pattern::{self, Glob},
        scanner::Usage,
    },
};

/// A price in billionths of a US dollar for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Of the prompt.
    pub input: u64,
    /// Of what the upstream had cached of the prompt.
    pub cached_input: u64,
    /// Of the answer.
    pub output: u64,
}

impl Price {
    /// What an answer costs, in billionths of a US dollar, rounded up.
    #[must_use]
    pub fn of(&self, usage: &Usage) -> u64 {
        let cached = usage.cached.unwrap_or(0).min(usage.input);
        let parts = [
            (usage.input - cached, self.input),
            (cached, self.cached_input),
            (usage.output, self.output),
        ];
        let millionths = parts
            .iter()
            .map(|(tokens, price)| u128::from(*tokens) * u128::from(*price))
            .fold(0, u128::saturating_add);
        u64::try_from(millionths.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

impl From<&price::Price> for Price {
    fn from(table: &price::Price) -> Self {
        let input = table.input.billionths;
        Self {
            input,
            cached_input: table.cached_input.map_or(input, |price| price.billionths),
            output: table.output.billionths,
        }
    }
}

/// Prices by model. A model that no entry is for has none.
#[derive(Clone, Debug, Default)]
pub struct Prices(Vec<(Glob, Price)>);

impl Prices {
    /// The prices of a config alone: for providers that charge nothing unless it says so.
    pub fn configured<'a>(tables: impl Iterator<Item = (&'a str, &'a price::Price)>) -> Self {
        Self(
            tables
                .map(|(model, price)| (Glob::new(model), price.into()))
                .collect(),
        )
    }

    /// The same over the gateway's own list: between patterns that are as specific, the config's wins.
    #[must_use]
    pub fn over_list(mut self) -> Self {
        self.0.extend(LIST.prices.iter().cloned());
        self
    }

    /// Whether no model has a price.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The models that are priced by their name, as opposed to a pattern.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let exact = self.0.iter().filter(|(glob, _)| glob.is_exact());
        exact.map(|(glob, _)| glob.as_str())
    }

    /// The price of a model.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<Price> {
        pattern::best(self.0.iter().map(|(glob, price)| (glob, *price)), model)
    }
}

/// The two lists of a config: for upstreams that charge, and for those of one's own.
#[derive(Clone, Debug, Default)]
pub struct PriceLists {
    /// For upstreams that send bills.
    pub charged: Arc<Prices>,
    /// For what runs on machines of one's own.
    pub own: Arc<Prices>,
}

/// When the gateway's own list was last compared with what the makers publish: `2026-07-01`.
#[must_use]
pub fn list_date() -> &'static str {
    &LIST.date
}

struct List {
    date: String,
    prices: Vec<(Glob, Price)>,
}

#[derive(Default, Deserialize)]
struct File {
    date: String,
    models: BTreeMap<String, price::Price>,
}

/// The list of the repository; a test sees to it that it can be read.
static LIST: LazyLock<List> = LazyLock::new(|| {
    let file: File = toml::from_str(include_str!("prices.toml")).unwrap_or_default();
    List {
        date: file.date,
        prices: file
            .models
            .iter()
            .map(|(model, price)| (Glob::new(model), price.into()))
            .collect(),
    }
});

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, cached: Option<u64>, output: u64) -> Usage {
        Usage {
            input,
            output,
            cached,
            reasoning: None,
        }
    }

    fn listed(model: &str) -> Option<Price> {
        Prices::default().over_list().of(model)
    }

    #[test]
    fn the_list_has_a_date_and_the_models_that_are_asked_for() {
        assert_eq!(list_date().len(), "2026-07-01".len());
        for model in [
            "gpt-5",
            "gpt-5-mini-2025-08-07",
            "gpt-4o-mini",
            "claude-sonnet-4-5-20250929",
            "gemini-2.5-pro",
            "text-embedding-3-small",
        ] {
            assert!(listed(model).is_some(), "{model}");
        }
        let is_dearer =
            |dear: &str, cheap: &str| listed(dear).unwrap().input > listed(cheap).unwrap().input;
        assert!(is_dearer("gpt-4o", "gpt-4o-mini"));
        assert!(is_dearer("gpt-4o-2024-05-13", "gpt-4o-2024-08-06"));
        assert!(is_dearer("gpt-5.4-pro", "gpt-5.4"));
    }

    #[test]
    fn an_unknown_model_has_no_price_rather_than_none_to_pay() {
        assert_eq!(listed("llama3.1"), None);
        assert_eq!(listed(""), None);
        assert_eq!(Prices::default().of("gpt-4o"), None);
        // A model of a family whose price nobody knows yet is not guessed at.
        assert_eq!(listed("gpt-4o-realtime-preview"), None);
    }

    #[test]
    fn what_was_cached_is_cheaper_and_the_sum_is_exact() {
        let price = listed("gpt-4o").unwrap();
        assert_eq!(price.of(&usage(1_000_000, None, 0)), 2_500_000_000);
        assert_eq!(
            price.of(&usage(1_000_000, Some(400_000), 100_000)),
            1_500_000_000 + 500_000_000 + 1_000_000_000
        );
        assert_eq!(price.of(&usage(1, None, 0)), 2_500);
        // More cached than there was is the upstream's slip, not a gift.
        assert_eq!(price.of(&usage(10, Some(u64::MAX), 0)), 12_500);
        assert_eq!(price.of(&usage(u64::MAX, None, u64::MAX)), u64::MAX);
        let embedding = listed("text-embedding-3-small").unwrap();
        assert_eq!(embedding.of(&usage(1, None, 1)), 20, "rounded up");
    }

    #[test]
    fn a_config_speaks_over_the_list_where_it_is_as_specific() {
        let table = |input: f64| -> price::Price {
            toml::from_str(&format!("input = {input:?}\noutput = 1")).unwrap()
        };
        let (all, exact, own) = (table(7.0), table(1.0), table(0.5));
        let tables = [("*", &all), ("gpt-4o", &exact), ("llama*", &own)];
        let configured = Prices::configured(tables.into_iter());
        let prices = configured.clone().over_list();
        let input = |prices: &Prices, model: &str| prices.of(model).unwrap().input / 1_000_000;
        assert_eq!(input(&prices, "gpt-4o"), 1000);
        assert_eq!(
            input(&prices, "gpt-4o-mini"),
            150,
            "the list is more specific than *"
        );
        assert_eq!(input(&prices, "mystery"), 7000);
        assert_eq!(input(&configured, "gpt-4o-mini"), 7000);
        assert_eq!(input(&configured, "llama3.1"), 500);
    }

    #[test]
    fn no_price_is_negative_or_endless() {
        for bad in ["-1", "nan", "inf", "1e9", "\"5\""] {
            assert!(
                toml::from_str::<price::Price>(&format!("input = {bad}")).is_err(),
                "{bad}"
            );
        }
    }
}
