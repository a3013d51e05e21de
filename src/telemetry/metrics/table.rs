//! Series by the values of their labels, of which there may be only so many.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use smallvec::SmallVec;

use super::{
    family::{Family, Kind, Series, Value},
    histogram::Histogram,
};

/// What every label says where there was no room for a series of its own.
pub const OVERFLOW: &str = "overflow";

/// The value of a label: cheap to clone.
#[derive(Clone, Debug, Eq)]
pub enum Word {
    /// One of the gateway's own.
    Own(&'static str),
    /// One of the config.
    Shared(Arc<str>),
}

impl Word {
    fn as_str(&self) -> &str {
        match self {
            Self::Own(word) => word,
            Self::Shared(word) => word,
        }
    }

    fn to_cow(&self) -> Cow<'static, str> {
        match self {
            Self::Own(word) => Cow::Borrowed(word),
            Self::Shared(word) => Cow::Owned(word.to_string()),
        }
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl std::hash::Hash for Word {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl From<&'static str> for Word {
    fn from(word: &'static str) -> Self {
        Self::Own(word)
    }
}

impl From<&Arc<str>> for Word {
    fn from(word: &Arc<str>) -> Self {
        Self::Shared(word.clone())
    }
}

impl From<Cow<'static, str>> for Word {
    fn from(word: Cow<'static, str>) -> Self {
        match word {
            Cow::Borrowed(word) => Self::Own(word),
            Cow::Owned(word) => Self::Shared(word.into()),
        }
    }
}

/// The values of a series' labels, in the order of their names.
pub type Words = SmallVec<[Word; 5]>;

/// How many series there may still be.
#[derive(Debug)]
pub struct Room {
    left: usize,
    taken: usize,
    /// Values that went to the series of those that found no room.
    pub overflows: u64,
}

impl Room {
    /// Room for so many series: each line of a scrape is one.
    #[must_use]
    pub const fn of(series: usize) -> Self {
        Self {
            left: series,
            taken: 0,
            overflows: 0,
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn taken(&self) -> usize {
        self.taken
    }
}

/// The rows of metrics that share their labels: under the same words stands one `V`.
#[derive(Debug)]
pub struct Table<V> {
    names: &'static [&'static str],
    rows: HashMap<Words, V>,
    new: fn() -> V,
    /// How many series a row makes.
    weight: usize,
}

impl<V> Table<V> {
    /// A table with these labels, each of whose rows makes so many series.
    #[must_use]
    pub fn new(names: &'static [&'static str], weight: usize, new: fn() -> V) -> Self {
        Self {
            names,
            rows: HashMap::new(),
            new,
            weight,
        }
    }

    /// The row of these words. Where there is no room for one more, that of all for which there was none.
    pub fn row(&mut self, words: Words, room: &mut Room) -> &mut V {
        let is_full = room.left < self.weight;
        let words = if is_full && !self.rows.contains_key(&words) {
            room.overflows += 1;
            self.names.iter().map(|_| Word::Own(OVERFLOW)).collect()
        } else {
            words
        };
        let new = self.new;
        let weight = self.weight;
        self.rows.entry(words).or_insert_with(|| {
            // The row of those without room is one in each table: it may always be made.
            room.left = room.left.saturating_sub(weight);
            room.taken += weight;
            new()
        })
    }

    /// A family of one of the values of each row; `None` leaves the row out.
    pub fn family(
        &self,
        (name, kind, help): Described,
        value: impl Fn(&V) -> Option<Value>,
    ) -> Family {
        let mut family = Family::new(name, kind, help);
        for (words, row) in &self.rows {
            let Some(value) = value(row) else { continue };
            let names = self.names.iter().copied().map(Cow::Borrowed);
            family.series.push(Series {
                labels: names.zip(words.iter().map(Word::to_cow)).collect(),
                value,
            });
        }
        family
    }

    /// A family of counts; of what never was there is no series.
    pub fn counter(
        &self,
        (name, help): (&'static str, &'static str),
        of: impl Fn(&V) -> f64,
    ) -> Family {
        self.family((name, Kind::Counter, help), |row| {
            Some(of(row))
                .filter(|value| *value > 0.0)
                .map(Value::Number)
        })
    }

    /// A family of histograms; of what never was there is no series.
    pub fn histogram(
        &self,
        (name, help): (&'static str, &'static str),
        of: impl Fn(&V) -> &Histogram,
    ) -> Family {
        self.family((name, Kind::Histogram, help), |row| {
            let buckets = of(row).buckets();
            (buckets.count > 0).then_some(Value::Buckets(buckets))
        })
    }
}

/// Name, kind and meaning of a family.
pub type Described = (&'static str, Kind, &'static str);

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_together() {
        let mut room = Room::of(4);
        let mut table: Table<u64> = Table::new(&["a", "b"], 2, || 0);
        for word in ["one", "two", "three", "four", "one"] {
            *table.row(smallvec![word.into(), "x".into()], &mut room) += 1;
        }
        let family = table.counter(("n", "help"), |count| *count as f64);
        let of = |value: &str| {
            let series = family
                .series
                .iter()
                .find(|series| series.labels[0].1 == value);
            series.map(|series| match series.value {
                Value::Number(value) => value as u64,
                Value::Buckets(_) => 0,
            })
        };
        assert_eq!(
            (of("one"), of("two"), of("three")),
            (Some(2), Some(1), None)
        );
        assert_eq!(of(OVERFLOW), Some(2));
        assert_eq!((room.overflows, room.taken()), (2, 6));
    }
}
