//! Metrics: what is counted of exchanges when they have ended, off the request path, and how that is written for those
//! who scrape it.
//!
//! One thread at a time counts, under the observer's lock, so that there are no atomics and no handles: an exchange is a
//! few look-ups in tables. Numbers that rise and fall are read when somebody asks (`admin/metrics/`).

pub mod family;
mod genai;
pub mod histogram;
pub mod known;
mod own;
pub mod process;
pub mod table;
pub mod text;

use self::{
    family::{Family, Kind},
    genai::GenAi,
    known::Known,
    own::Own,
    table::Room,
};
use super::ended::Ended;
use crate::routing::{provider::Provider, route::Routes};

/// Series of exchanges in all; each line of a scrape is one. What finds no room is counted as `overflow`.
const MOST_SERIES: usize = 20_000;

/// What was counted so far.
pub struct Metrics {
    known: Known,
    room: Room,
    genai: GenAi,
    own: Own,
}

impl Default for Metrics {
    fn default() -> Self {
        // So that it is known from the start on.
        let _ = process::started();
        Self {
            known: Known::default(),
            room: Room::of(MOST_SERIES),
            genai: GenAi::default(),
            own: Own::default(),
        }
    }
}

impl Metrics {
    /// Learns which names may become labels, from a config that is put in force.
    pub fn learn<'r>(&mut self, providers: impl Iterator<Item = &'r Provider>, routes: &Routes) {
        self.known.learn(providers, routes);
    }

    /// An exchange has ended.
    pub fn add(&mut self, ended: &Ended) {
        self.own.add(ended, &self.known, &mut self.room);
        self.genai.add(ended, &self.known, &mut self.room);
    }

    /// All that was counted, as it stands.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let mut families = self.genai.families(&self.known);
        families.extend(self.own.families());
        families.push(Family::one(
            "millgate_metric_series",
            Kind::Gauge,
            "Series that were made for exchanges, one for each line.",
            self.room.taken() as f64,
        ));
        families.push(Family::one(
            "millgate_metric_overflows",
            Kind::Counter,
            "Values that found no room for a series of their own.",
            self.room.overflows as f64,
        ));
        families
    }
}
