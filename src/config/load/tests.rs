use std::path::Path;

use super::*;
use crate::config::finding::Renderer;

mod fuzz;
mod otel;
mod overlay;
mod shipped;
mod told;

fn source(name: &str, text: &str, shown: bool) -> Arc<Source> {
    Arc::new(Source {
        name: name.to_owned(),
        text: text.to_owned(),
        shown,
    })
}

/// Loads texts as though they were `config.toml` and `.env`.
fn load_with(text: &str, dotenv: &str, variables: &[(&str, &str)]) -> Loaded {
    let environment = |name: &str| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let input = Input {
        source: Some(source("config.toml", text, true)),
        dotenv: Some(source(".env", dotenv, false)),
        folder: Path::new("/nowhere"),
        environment: &environment,
    };
    input.load(Findings::default())
}

fn load_text(text: &str) -> Loaded {
    load_with(text, "", &[])
}

fn render(loaded: &Loaded) -> String {
    Renderer::plain().render_all(&loaded.findings.sorted())
}
