//! The tools that the model may call, and whether it must.

use millgate_plugin::Refusal;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    content::take,
    error::{invalid, unsupported},
    sampling::given,
};

/// What may be called.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Tools {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice>,
}

#[derive(Debug, Serialize)]
struct Tool {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    input_schema: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Choice {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_parallel_tool_use: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Auto,
    Any,
    Tool,
    None,
}

impl Tools {
    /// Reads `tools`, `tool_choice` and `parallel_tool_calls`.
    pub(crate) fn read(body: &mut Map<String, Value>) -> Result<Self, Refusal> {
        let choice = given(body, "tool_choice");
        let is_alone = given(body, "parallel_tool_calls").is_some_and(|parallel| parallel == false);
        let tools = match given(body, "tools") {
            None => Vec::new(),
            Some(Value::Array(tools)) => tools,
            Some(_) => return Err(invalid("tools", "`tools` must be an array")),
        };
        let tools: Result<Vec<_>, _> = tools.into_iter().enumerate().map(tool).collect();
        let mut tools = tools?;
        let chosen = choice.map(Chosen::read).transpose()?.unwrap_or_default();
        if let Some(only) = &chosen.only {
            tools.retain(|tool| only.contains(&tool.name));
        }
        let is_there = |name: &String| tools.iter().any(|tool| tool.name == *name);
        let is_missing = match &chosen.name {
            Some(name) => !is_there(name),
            None => tools.is_empty() && (chosen.kind == Some(Kind::Any) || chosen.only.is_some()),
        };
        if is_missing {
            let message = "`tool_choice` asks for a function that is not among the `tools`";
            return Err(invalid("tool_choice", message));
        }
        if tools.is_empty() {
            return Ok(Self::default());
        }
        let kind = chosen.kind.or(is_alone.then_some(Kind::Auto));
        let tool_choice = kind.map(|kind| Choice {
            kind,
            name: chosen.name,
            disable_parallel_tool_use: (is_alone && kind != Kind::None).then_some(true),
        });
        Ok(Self { tools, tool_choice })
    }

    /// Whether the model must call one.
    pub(crate) fn is_forced(&self) -> bool {
        let kind = self.tool_choice.as_ref().map(|choice| choice.kind);
        matches!(kind, Some(Kind::Any | Kind::Tool))
    }
}

fn tool((index, mut tool): (usize, Value)) -> Result<Tool, Refusal> {
    let mut function = take(&mut tool, "function");
    let Value::String(name) = take(&mut function, "name") else {
        let message =
            "only tools of type `function`, with a `name`, are understood by this provider";
        return Err(unsupported(format!("tools[{index}]"), message));
    };
    let mut input_schema = take(&mut function, "parameters");
    match &mut input_schema {
        Value::Null => input_schema = json!({"type": "object", "properties": {}}),
        Value::Object(schema) => {
            schema.entry("type").or_insert_with(|| "object".into());
        }
        _ => {
            let message = "the parameters of a function must be a JSON schema, as an object";
            let at = format!("tools[{index}].function.parameters");
            return Err(invalid(at, message));
        }
    }
    Ok(Tool {
        name,
        description: match take(&mut function, "description") {
            Value::String(description) => Some(description),
            _ => None,
        },
        input_schema,
        strict: (function["strict"] == true).then_some(true),
    })
}

/// What a `tool_choice` says.
#[derive(Default)]
struct Chosen {
    kind: Option<Kind>,
    /// The one that must be called.
    name: Option<String>,
    /// The ones that may be called, where those are not all.
    only: Option<Vec<String>>,
}

impl Chosen {
    fn read(mut choice: Value) -> Result<Self, Refusal> {
        let read = match choice["type"].as_str() {
            None => choice.as_str().and_then(mode_named).map(|kind| Self {
                kind: Some(kind),
                ..Self::default()
            }),
            Some("function") => name_of(&mut choice).map(|name| Self {
                kind: Some(Kind::Tool),
                name: Some(name),
                only: None,
            }),
            Some("allowed_tools") => Self::allowed(take(&mut choice, "allowed_tools")),
            Some(_) => None,
        };
        read.ok_or_else(|| {
            let message = "`tool_choice` must be none, auto, required, a function or allowed tools";
            invalid("tool_choice", message)
        })
    }

    fn allowed(mut allowed: Value) -> Option<Self> {
        let kind = mode_named(allowed["mode"].as_str()?)?;
        let Value::Array(mut tools) = take(&mut allowed, "tools") else {
            return None;
        };
        let names: Option<Vec<_>> = tools.iter_mut().map(name_of).collect();
        Some(Self {
            kind: Some(kind),
            name: None,
            only: Some(names?),
        })
    }
}

fn name_of(tool: &mut Value) -> Option<String> {
    match take(&mut take(tool, "function"), "name") {
        Value::String(name) => Some(name),
        _ => None,
    }
}

fn mode_named(mode: &str) -> Option<Kind> {
    Some(match mode {
        "auto" => Kind::Auto,
        "required" => Kind::Any,
        "none" => Kind::None,
        _ => return None,
    })
}
