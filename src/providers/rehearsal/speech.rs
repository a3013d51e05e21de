//! What the rehearsal says.

use std::fmt::Write;

use super::words;

/// How much of a message is repeated, in characters.
const ECHO: usize = 120;

/// What an answer refers to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// No text at all.
    Nothing,
    /// The last message of the user.
    User(String),
    /// The result of a tool, as the last thing in the conversation.
    Tool {
        /// The tool's name, or the id of its call where the name is unknown.
        name: String,
        /// What it returned.
        output: String,
    },
}

/// A conversation, as far as an answer depends on it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conversation {
    pub(super) heard: Heard,
    /// Tokens of all its texts.
    pub(super) tokens: u64,
}

impl Conversation {
    pub(super) const fn new() -> Self {
        Self {
            heard: Heard::Nothing,
            tokens: 0,
        }
    }

    /// Takes in the next message: what a user or a tool said last is what the answer refers to.
    pub(super) fn add(&mut self, text: &str, heard: Option<Heard>) {
        self.tokens += words::count(text);
        let follows_tool = matches!(self.heard, Heard::Tool { .. });
        match heard {
            Some(heard) => self.heard = heard,
            // A tool's result is answered only while it is the last word.
            None if follows_tool => self.heard = Heard::Nothing,
            None => {}
        }
    }

    /// Whether the last thing in it is the result of a tool.
    pub(super) const fn ends_with_tool(&self) -> bool {
        matches!(self.heard, Heard::Tool { .. })
    }

    /// The answer, in one or two short sentences.
    pub(super) fn answer(&self) -> String {
        sentence(&self.heard)
    }
}

/// The answer to what was heard.
pub(super) fn sentence(heard: &Heard) -> String {
    let mut text = "This is millgate's rehearsal provider: no model answered.".to_owned();
    // Writing to a string cannot fail.
    let _ = match heard {
        Heard::Nothing => Ok(()),
        Heard::User(said) => write!(text, " You said: \"{}\"", start(said)),
        Heard::Tool { name, output } => {
            write!(text, " The tool {name} returned: \"{}\"", start(output))
        }
    };
    text
}

/// The start of a text on one line.
fn start(text: &str) -> String {
    let mut line = String::new();
    for (position, word) in text.split_whitespace().enumerate() {
        if position > 0 {
            line.push(' ');
        }
        line.push_str(word);
        if let Some((end, _)) = line.char_indices().nth(ECHO) {
            line.truncate(end);
            line.push_str("...");
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_it_is_and_what_it_heard() {
        assert_eq!(
            sentence(&Heard::User("안녕\n  하세요".to_owned())),
            "This is millgate's rehearsal provider: no model answered. You said: \"안녕 하세요\""
        );
        assert_eq!(
            sentence(&Heard::Nothing),
            "This is millgate's rehearsal provider: no model answered."
        );
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = "가".repeat(500);
        assert_eq!(start(&long), format!("{}...", "가".repeat(ECHO)));
        assert_eq!(start(&"가".repeat(ECHO)), "가".repeat(ECHO));
    }
}
