//! What the two APIs have in common: a request is read, and an answer is told as server-sent events.

use serde_json::{Value, json};

use super::ask::Ask;
use super::steer::Call;
use super::{messages, responses};

/// An API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Api {
    /// OpenAI's Responses API.
    Responses,
    /// Anthropic's Messages API.
    Messages,
}

/// One answer on its way; each method gives events as they go over the wire.
pub trait Voice: Send {
    /// What begins it.
    fn opens(&mut self) -> String;
    /// The next piece of text.
    fn says(&mut self, text: &str) -> String;
    /// A call of a tool.
    fn calls(&mut self, call: &Call) -> String;
    /// What ends it.
    fn closes(&mut self) -> String;
}

impl Api {
    /// What was asked.
    pub fn read(self, body: &Value) -> Ask {
        match self {
            Self::Responses => responses::read(body),
            Self::Messages => messages::read(body),
        }
    }

    /// The answer to the request of this number.
    pub fn voice(self, number: usize) -> Box<dyn Voice> {
        match self {
            Self::Responses => Box::new(responses::Telling::new(number)),
            Self::Messages => Box::new(messages::Telling::new(number)),
        }
    }

    /// The body of a refusal with the status 529.
    pub fn overload(self) -> String {
        match self {
            Self::Responses => {
                json!({"error": {"type": "server_error", "code": "overloaded", "message": "Overloaded"}})
            }
            Self::Messages => json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        }
        .to_string()
    }
}

/// One event, whose name both APIs repeat in its data.
pub fn event(name: &str, mut data: Value) -> String {
    data["type"] = json!(name);
    format!("event: {name}\ndata: {data}\n\n")
}

/// The texts of a content that is one text, or blocks of which some are texts.
pub fn texts(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// The names of the tools that a request offers.
pub fn tools(body: &Value) -> Vec<String> {
    let tools = body["tools"].as_array().map_or(&[][..], Vec::as_slice);
    tools.iter().map(|tool| tool["name"].as_str().or(tool["type"].as_str()).unwrap_or_default().to_owned()).collect()
}
