//! The Responses API, as far as codex uses it (<https://platform.openai.com/docs/api-reference/responses-streaming>).

use serde_json::{Value, json};

use super::ask::{Ask, Role, Said};
use super::steer::Call;
use super::voice::{Voice, event, texts, tools};

/// What was asked.
pub fn read(body: &Value) -> Ask {
    let items = body["input"].as_array().map_or(&[][..], Vec::as_slice);
    Ask::new(tools(body), items.iter().flat_map(said).collect())
}

fn said(item: &Value) -> Vec<Said> {
    if item["type"] == "function_call_output" {
        let output = &item["output"];
        return texts(output).into_iter().map(|text| Said { by: Role::Tool, text }).collect();
    }
    let by = match item["role"].as_str() {
        Some("user") => Role::Person,
        Some("assistant") => Role::Model,
        Some(_) => Role::Rules,
        None => return Vec::new(),
    };
    texts(&item["content"]).into_iter().map(|text| Said { by, text }).collect()
}

/// An answer on its way.
pub struct Telling {
    number: usize,
    text: Option<String>,
    output: Vec<Value>,
}

impl Telling {
    /// The answer to the request of this number.
    pub fn new(number: usize) -> Self {
        Self { number, text: None, output: Vec::new() }
    }

    fn message(&self, text: &str) -> Value {
        let content = json!([{"type": "output_text", "text": text, "annotations": []}]);
        let id = format!("msg_{}", self.number);
        json!({"type": "message", "id": id, "role": "assistant", "status": "completed", "content": content})
    }

    /// Ends the text that is being told, if there is one.
    fn text_ends(&mut self) -> String {
        let Some(text) = self.text.take() else { return String::new() };
        let item = self.message(&text);
        let place = self.output.len();
        self.output.push(item.clone());
        event("response.output_item.done", json!({"output_index": place, "item": item}))
    }
}

impl Voice for Telling {
    fn opens(&mut self) -> String {
        let response = json!({"id": format!("resp_{}", self.number), "object": "response", "status": "in_progress"});
        event("response.created", json!({"response": response}))
    }

    fn says(&mut self, text: &str) -> String {
        let (place, id) = (self.output.len(), format!("msg_{}", self.number));
        let mut events = String::new();
        if self.text.is_none() {
            let item =
                json!({"type": "message", "id": id, "role": "assistant", "status": "in_progress", "content": []});
            events += &event("response.output_item.added", json!({"output_index": place, "item": item}));
        }
        self.text.get_or_insert_default().push_str(text);
        let delta = json!({"item_id": id, "output_index": place, "content_index": 0, "delta": text});
        events + &event("response.output_text.delta", delta)
    }

    fn calls(&mut self, call: &Call) -> String {
        let mut arguments = json!({"cmd": call.command});
        if call.asks {
            arguments["sandbox_permissions"] = json!("require_escalated");
            arguments["justification"] = json!("It has to be done.");
        }
        let ends = self.text_ends();
        let (place, number) = (self.output.len(), self.number);
        let item = |status, arguments: &str| {
            json!({"type": "function_call", "id": format!("fc_{number}"), "call_id": format!("call_{number}"),
                "name": "exec_command", "arguments": arguments, "status": status})
        };
        let whole = item("completed", &arguments.to_string());
        self.output.push(whole.clone());
        let begun = json!({"output_index": place, "item": item("in_progress", "")});
        let done = json!({"output_index": place, "item": whole});
        ends + &event("response.output_item.added", begun) + &event("response.output_item.done", done)
    }

    fn closes(&mut self) -> String {
        let ends = self.text_ends();
        let usage = json!({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 10,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 110});
        let response = json!({"id": format!("resp_{}", self.number), "status": "completed", "output": self.output,
            "usage": usage});
        ends + &event("response.completed", json!({"response": response}))
    }
}
