//! Measures what millgate costs.

fn main() {}
