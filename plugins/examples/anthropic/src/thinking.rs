//! `reasoning_effort`: how much to think.

use millgate_plugin::Refusal;
use serde_json::{Value, json};

use crate::{config::ThinkingStyle, error::invalid};

/// The least that Anthropic takes as a budget, in tokens.
const SMALLEST_BUDGET: u64 = 1024;

/// What is asked for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Thinking {
    /// The value of `thinking`.
    pub(crate) mode: Option<Value>,
    /// `output_config.effort`
    pub(crate) effort: Option<&'static str>,
    /// Whether the model is to think: then it takes no sampling.
    pub(crate) is_on: bool,
}

/// What of a request has to do with thinking.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    pub(crate) max_tokens: u64,
    /// A tool must be called; Anthropic's models cannot think before they are forced.
    pub(crate) is_tool_forced: bool,
    /// The model is in the middle of its own work with tools. What it thought before is not in the request, and with a
    /// budget Anthropic demands it back.
    pub(crate) is_amid_tools: bool,
}

/// Reads a `reasoning_effort`.
pub(crate) fn read(
    effort: Option<Value>,
    style: ThinkingStyle,
    circumstances: Circumstances,
) -> Result<Thinking, Refusal> {
    let Some(effort) = effort else {
        return Ok(Thinking::default());
    };
    let (name, percent) = match effort.as_str() {
        Some("none") => ("none", 0),
        Some("minimal") => ("low", 10),
        Some("low") => ("low", 20),
        Some("medium") => ("medium", 50),
        Some("high") => ("high", 80),
        Some("xhigh") => ("xhigh", 95),
        Some("max") => ("max", 95),
        _ => {
            return Err(invalid(
                "reasoning_effort",
                "`reasoning_effort` must be none, minimal, low, medium, high, xhigh or max",
            ));
        }
    };
    Ok(match style {
        ThinkingStyle::Off => Thinking::default(),
        ThinkingStyle::Adaptive => adaptive(name, circumstances),
        ThinkingStyle::Budget => budget(percent, circumstances),
    })
}

fn adaptive(effort: &'static str, circumstances: Circumstances) -> Thinking {
    if effort == "none" {
        return Thinking {
            mode: Some(json!({"type": "disabled"})),
            ..Thinking::default()
        };
    }
    let is_on = !circumstances.is_tool_forced;
    Thinking {
        // Some models leave their thoughts out unless asked to sum them up.
        mode: is_on.then(|| json!({"type": "adaptive", "display": "summarized"})),
        effort: Some(effort),
        is_on,
    }
}

/// The budget is a share of `max_tokens`, which it counts towards, so that something is left for the answer.
fn budget(percent: u64, circumstances: Circumstances) -> Thinking {
    let cannot = circumstances.is_tool_forced
        || circumstances.is_amid_tools
        || circumstances.max_tokens <= SMALLEST_BUDGET;
    if percent == 0 || cannot {
        return Thinking::default();
    }
    let share = circumstances.max_tokens / 100 * percent;
    let budget = share.max(SMALLEST_BUDGET);
    Thinking {
        mode: Some(json!({"type": "enabled", "budget_tokens": budget})),
        effort: None,
        is_on: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Circumstances = Circumstances {
        max_tokens: 10_000,
        is_tool_forced: false,
        is_amid_tools: false,
    };

    fn read(effort: &str, style: ThinkingStyle, circumstances: Circumstances) -> Thinking {
        super::read(Some(effort.into()), style, circumstances).unwrap()
    }

    #[test]
    fn a_budget_is_a_share_that_leaves_room_for_the_answer() {
        for max_tokens in 1..5000 {
            for effort in ["minimal", "low", "medium", "high", "xhigh", "max"] {
                let circumstances = Circumstances {
                    max_tokens,
                    ..PLAIN
                };
                let thinking = read(effort, ThinkingStyle::Budget, circumstances);
                let Some(mode) = thinking.mode else {
                    assert!(max_tokens <= 1024);
                    continue;
                };
                let budget = mode["budget_tokens"].as_u64().unwrap();
                assert!(
                    (1024..max_tokens).contains(&budget),
                    "{max_tokens} {effort}"
                );
            }
        }
        let high = read("high", ThinkingStyle::Budget, PLAIN);
        assert_eq!(high.mode.unwrap()["budget_tokens"], 8000);
    }

    #[test]
    fn nobody_thinks_who_is_forced_to_call_a_tool() {
        let forced = Circumstances {
            is_tool_forced: true,
            ..PLAIN
        };
        let adaptive = read("high", ThinkingStyle::Adaptive, forced);
        assert_eq!((adaptive.mode, adaptive.effort), (None, Some("high")));
        assert_eq!(
            read("high", ThinkingStyle::Budget, forced),
            Thinking::default()
        );
    }

    #[test]
    fn a_budget_is_not_asked_for_amid_tools_but_effort_is() {
        let amid = Circumstances {
            is_amid_tools: true,
            ..PLAIN
        };
        assert!(!read("high", ThinkingStyle::Budget, amid).is_on);
        assert!(read("high", ThinkingStyle::Adaptive, amid).is_on);
    }

    #[test]
    fn off_says_nothing_and_none_says_no() {
        assert_eq!(read("max", ThinkingStyle::Off, PLAIN), Thinking::default());
        let none = read("none", ThinkingStyle::Adaptive, PLAIN);
        assert_eq!(none.mode, Some(json!({"type": "disabled"})));
        assert!(!none.is_on);
        assert!(super::read(Some(json!("hard")), ThinkingStyle::Off, PLAIN).is_err());
    }
}
