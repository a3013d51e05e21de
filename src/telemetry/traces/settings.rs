//! What a config says of traces, checked and ready to be put in force.

use std::{collections::BTreeMap, fmt, time::Duration};

use http::{HeaderMap, Uri};

use super::sampling::Sampling;
use crate::{
    config::{
        traces::{Compression, Protocol},
        tree::Node,
    },
    routing::transport::Transport,
};

/// What a config says of traces.
pub struct Settings {
    /// Of which exchanges spans are made.
    pub sampling: Sampling,
    /// The collector.
    pub endpoint: Uri,
    /// What it speaks.
    pub protocol: Protocol,
    /// How what it is sent is compressed.
    pub compression: Compression,
    /// The way to it.
    pub transport: Transport,
    /// Headers for it. Secret.
    pub headers: HeaderMap,
    /// Bounds the sending of a batch.
    pub timeout: Duration,
    /// How many spans may wait.
    pub max_queue_size: u64,
    /// About how many are sent at a time.
    pub max_batch_size: u64,
    /// How long they may wait for more.
    pub delay: Duration,
    /// What is known of the process.
    pub resource: BTreeMap<String, String>,
    /// The table that all this was made of.
    pub table: Node,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("sampling", &self.sampling)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
