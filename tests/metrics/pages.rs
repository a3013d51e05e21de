//! The page and the dashboard speak of the metrics that there are.
