//! Plugins as authors make them: built as this runs, loaded into the real binary and driven over HTTP.

#[path = "plugins_built/checked.rs"]
mod checked;
#[path = "plugins_built/examples.rs"]
mod examples;
#[path = "plugins_built/fixture.rs"]
mod fixture;
#[path = "plugins_built/made.rs"]
mod made;
#[path = "plugins_built/trouble.rs"]
mod trouble;

mod support;
