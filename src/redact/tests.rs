//! What is found and what is not, recognizer by recognizer.

mod generated;
mod korean;
mod linear;
mod lines;
mod network;
mod numbers;
mod replaced;
mod secrets;

use super::*;

/// The values in a text with their types.
fn found(text: &str) -> Vec<(String, String)> {
    let redactor = Redactor::default();
    let entities = redactor.find(text);
    entities
        .iter()
        .map(|entity| (entity.name.to_owned(), text[entity.range()].to_owned()))
        .collect()
}

/// Checks that each text has the value between `⟦` and `⟧`, of this type, and no other.
fn are_found(name: &str, texts: &[&str]) {
    for text in texts {
        let (before, rest) = text.split_once('⟦').unwrap();
        let (value, after) = rest.split_once('⟧').unwrap();
        let text = [before, value, after].concat();
        assert_eq!(
            found(&text),
            [(name.to_owned(), value.to_owned())],
            "{text}"
        );
    }
}

/// Checks that none of the texts has a value of this type.
fn are_not_found(name: &str, texts: &[&str]) {
    for text in texts {
        let wrong: Vec<_> = found(text)
            .into_iter()
            .filter(|(found, _)| found == name)
            .collect();
        assert_eq!(wrong, [], "{text}");
    }
}
