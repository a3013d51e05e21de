//! The latest exchanges, in memory.

use std::{collections::VecDeque, sync::Arc};

use super::ended::Ended;

/// So many are kept.
pub const KEPT: usize = 1000;

/// The latest exchanges that have ended.
#[derive(Default)]
pub struct Recent(VecDeque<Arc<Ended>>);

impl Recent {
    /// One more; the oldest is forgotten for it.
    pub fn add(&mut self, ended: &Arc<Ended>) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(ended.clone());
    }

    /// From the latest on.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Ended>> {
        self.0.iter().rev()
    }
}
