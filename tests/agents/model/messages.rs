//! The Messages API, as far as Claude Code uses it (<https://docs.anthropic.com/en/api/messages-streaming>).

use serde_json::{Value, json};

use super::ask::{Ask, Role, Said};
use super::steer::Call;
use super::voice::{Voice, event, texts, tools};

/// What was asked. A tool's result is a block in a message of the user's.
pub fn read(body: &Value) -> Ask {
    let mut said: Vec<Said> = texts(&body["system"]).into_iter().map(|text| Said { by: Role::Rules, text }).collect();
    for message in body["messages"].as_array().map_or(&[][..], Vec::as_slice) {
        let by = match message["role"].as_str() {
            Some("user") => Role::Person,
            Some("assistant") => Role::Model,
            _ => Role::Rules,
        };
        let blocks = match &message["content"] {
            Value::Array(blocks) => blocks.clone(),
            text => vec![json!({"type": "text", "text": text})],
        };
        for block in blocks {
            let (by, texts) = match block["type"].as_str() {
                Some("tool_result") => (Role::Tool, texts(&block["content"])),
                _ => (by, block["text"].as_str().map(str::to_owned).into_iter().collect()),
            };
            said.extend(texts.into_iter().map(|text| Said { by, text }));
        }
    }
    Ask::new(tools(body), said)
}

/// An answer on its way.
pub struct Telling {
    number: usize,
    blocks: usize,
    in_text: bool,
    stop_reason: &'static str,
}

impl Telling {
    /// The answer to the request of this number.
    pub fn new(number: usize) -> Self {
        Self { number, blocks: 0, in_text: false, stop_reason: "end_turn" }
    }

    fn begins(&self, block: Value) -> String {
        event("content_block_start", json!({"index": self.blocks, "content_block": block}))
    }

    fn goes_on(&self, delta: Value) -> String {
        event("content_block_delta", json!({"index": self.blocks, "delta": delta}))
    }

    fn ends(&mut self) -> String {
        self.blocks += 1;
        event("content_block_stop", json!({"index": self.blocks - 1}))
    }

    fn text_ends(&mut self) -> String {
        if std::mem::take(&mut self.in_text) { self.ends() } else { String::new() }
    }
}

impl Voice for Telling {
    fn opens(&mut self) -> String {
        let usage = json!({"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "output_tokens": 1});
        let message = json!({"id": format!("msg_{}", self.number), "type": "message", "role": "assistant",
            "model": "fake-model", "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage});
        event("message_start", json!({"message": message}))
    }

    fn says(&mut self, text: &str) -> String {
        let begins = match std::mem::replace(&mut self.in_text, true) {
            false => self.begins(json!({"type": "text", "text": ""})),
            true => String::new(),
        };
        begins + &self.goes_on(json!({"type": "text_delta", "text": text}))
    }

    /// Which commands have to be asked for is the program's own affair here.
    fn calls(&mut self, call: &Call) -> String {
        let ends = self.text_ends();
        self.stop_reason = "tool_use";
        let input = json!({"command": call.command, "description": "Runs what the test wants"}).to_string();
        let id = format!("toolu_{}_{}", self.number, self.blocks);
        let begins = self.begins(json!({"type": "tool_use", "id": id, "name": "Bash", "input": {}}));
        let goes_on = self.goes_on(json!({"type": "input_json_delta", "partial_json": input}));
        ends + &begins + &goes_on + &self.ends()
    }

    fn closes(&mut self) -> String {
        let ends = self.text_ends();
        let delta = json!({"stop_reason": self.stop_reason, "stop_sequence": null});
        let delta = event("message_delta", json!({"delta": delta, "usage": {"output_tokens": 20}}));
        ends + &delta + &event("message_stop", json!({}))
    }
}
