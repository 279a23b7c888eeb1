//! What is asked, and what has to be answered.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::random::Random;
use crate::harness::{TestApp, Tested};

/// Questions that are no directives.
const ORDINARY: [&str; 3] =
    ["What is an actor?", "Why is\nthe sky blue?\n\n- a list\n- of two", "Is it [done](x), `now`?"];

/// A question.
pub struct Question {
    /// The body of its `POST`, without the ids.
    pub body: Value,
    /// What the agent must be recorded with.
    pub expected: Expected,
}

/// What the row of a turn that is done says.
pub enum Expected {
    /// This answer.
    Text(String),
    /// This answer, and such a trailer.
    Meta(&'static str, Value, Value, Value),
    /// This object as JSON.
    Json(Value),
}

impl Expected {
    /// Whether the row of a turn that is done has it.
    pub fn is_in(&self, row: &Value) -> bool {
        let response = row["response"].as_str().unwrap_or_default();
        match self {
            Self::Text(text) => response == text,
            Self::Meta(text, tools, rows, tag) => {
                response == *text
                    && (&row["used_tools"], &row["rows_seen"], &row["classifier_tag"]) == (tools, rows, tag)
            }
            Self::Json(value) => serde_json::from_str::<Value>(response).is_ok_and(|given| given == *value),
        }
    }
}

/// Makes questions.
#[derive(Clone)]
pub struct Source {
    /// The answers to the ordinary ones: they are the same every time.
    ordinary: Arc<Vec<String>>,
}

impl Source {
    /// Has the ordinary questions answered once in peace.
    pub async fn prepare(app: &TestApp) -> Tested<Self> {
        let user = app.user("peace@example.org")?;
        let mut ordinary = Vec::new();
        for question in ORDINARY {
            ordinary.push(user.response(question).await?);
        }
        Ok(Self { ordinary: Arc::new(ordinary) })
    }

    /// Any question.
    pub fn next(&self, random: &mut Random) -> Question {
        let (message, expected) = match random.below(0..12) {
            0..=3 => {
                let (count, pace) = (random.below(1..40), random.below(0..25));
                let lines = (1..=count).map(|line| format!("line {line}\n")).collect();
                (format!("!lines {count} {pace}"), Expected::Text(lines))
            }
            4 | 5 => {
                let bytes = random.below(1..600) as usize;
                let text = random.printable(bytes);
                (format!("!echo {text}"), Expected::Text(text))
            }
            6 => {
                let bytes = random.below(1..3_000) as usize;
                sha(&random.printable(bytes))
            }
            // By file.
            7 => {
                let bytes = random.below(4_001..20_000) as usize;
                sha(&random.printable(bytes))
            }
            8 => {
                const LINE: &str = "A line of sixty-four bytes, of which the last one is a newline.\n";
                let bytes = random.below(1..100_000) as usize;
                let mut text = LINE.repeat(bytes.div_ceil(LINE.len()));
                text.truncate(bytes);
                (format!("!big {bytes}"), Expected::Text(text))
            }
            9 => {
                let expected = Expected::Meta("meta", json!(["sql", "search"]), json!([3, 4]), json!("lookup"));
                ("!meta sql,search 3,4 lookup".to_owned(), expected)
            }
            10 => {
                let context = json!({ "route": "/orders", "selection": random.printable(80), "title": "a\nb" });
                let body = json!({ "user_message": "!context", "context": context });
                return Question { body, expected: Expected::Json(context) };
            }
            _ => {
                let which = random.below(0..ORDINARY.len() as u64) as usize;
                (ORDINARY[which].to_owned(), Expected::Text(self.ordinary[which].clone()))
            }
        };
        let mut body = json!({ "user_message": message });
        if random.below(0..4) == 0 {
            body["context"] = json!({ "route": "/elsewhere" });
        }
        Question { body, expected }
    }
}

fn sha(text: &str) -> (String, Expected) {
    (format!("!sha {text}"), Expected::Text(format!("{} {:x}", text.len(), Sha256::digest(text))))
}
