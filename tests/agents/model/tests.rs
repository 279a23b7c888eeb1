//! The model by itself: a request in, events out.

use serde_json::{Value, json};

use super::Model;
use super::ask::Ask;
use crate::harness::http::{Request, Response};
use crate::harness::sse::{Event, EventStream};
use crate::harness::{Tested, within};

const ID: &str = "01900000-0000-7000-8000-000000000001";

/// The two ways to ask the same.
const PATHS: [&str; 2] = ["/v1/responses", "/v1/messages?beta=true"];

fn body(path: &str, message: &str, tools: &[&str]) -> Value {
    let tools: Vec<_> = tools.iter().map(|name| json!({"name": name})).collect();
    let (first, last) = ("<rules>".to_owned(), format!("[PALIADIN:{ID}] {message}"));
    if path == PATHS[0] {
        let said =
            |role, text| json!({"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]});
        return json!({"stream": true, "tools": tools, "input": [said("developer", first), said("user", last)]});
    }
    let content = json!([{"type": "text", "text": first}, {"type": "text", "text": last}]);
    let after = json!({"role": "system", "content": "# Environment"});
    json!({"stream": true, "tools": tools, "messages": [{"role": "user", "content": content}, after]})
}

async fn ask(model: &Model, path: &str, body: &Value) -> Tested<Response> {
    Request::new(model.address(), "POST", path).json(body.to_string()).send().await
}

async fn events(response: Response) -> Tested<Vec<Event>> {
    let mut stream = EventStream::new(response);
    let events = stream.drain().await?;
    assert!(!stream.is_cut && events.iter().all(|event| event.data["type"] == event.kind.as_str()));
    Ok(events)
}

/// Text and command of an answer, by the pieces of either API.
fn told(events: &[Event]) -> (String, Option<String>) {
    let (mut text, mut command) = (String::new(), None);
    for Event { kind, data, .. } in events {
        match kind.as_str() {
            "response.output_text.delta" => text += data["delta"].as_str().unwrap_or_default(),
            "content_block_delta" => {
                text += data["delta"]["text"].as_str().unwrap_or_default();
                command = command.or_else(|| inside(&data["delta"]["partial_json"], "command"));
            }
            "response.output_item.done" => {
                command = command.or_else(|| inside(&data["item"]["arguments"], "cmd"));
            }
            _ => {}
        }
    }
    (text, command)
}

/// A field of an object that is written in a text.
fn inside(text: &Value, field: &str) -> Option<String> {
    let object: Value = serde_json::from_str(text.as_str()?).ok()?;
    object[field].as_str().map(str::to_owned)
}

#[tokio::test]
async fn words_steer_both_apis() -> Tested {
    let model = Model::start().await?;
    for path in PATHS {
        for (message, text, command) in [
            ("hello", "you said: hello", None),
            ("!text a b\nc", "a b\nc", None),
            ("!slow 2 1", "line 1\nline 2\n", None),
            ("!tool ls -l", "", Some("ls -l")),
            ("!ask ls", "", Some("ls")),
        ] {
            let events = events(ask(&model, path, &body(path, message, &["shell"])).await?).await?;
            assert_eq!(told(&events), (text.to_owned(), command.map(str::to_owned)), "{path} {message}");
        }
        let mut refused = ask(&model, path, &body(path, "!overload", &["shell"])).await?;
        assert_eq!(refused.status, 529);
        assert_eq!(refused.json().await?["error"]["message"], "Overloaded");
        let title = events(ask(&model, path, &body(path, "!overload", &[])).await?).await?;
        assert_eq!(told(&title).0, "{\"title\":\"A title\"}", "a side call is no turn");
    }
    let asked = model.asked();
    assert_eq!((asked.len(), model.asked_for(ID).len()), (14, 12));
    assert!(asked.iter().all(|ask| ask.turn.as_deref() == Some(ID) && ask.remembers("<rules>")));
    assert_eq!(asked.iter().map(|ask| ask.prompt().0).collect::<String>(), "");
    Ok(())
}

#[tokio::test]
async fn an_answer_is_held_until_it_is_released_or_nobody_wants_it() -> Tested {
    let model = Model::start().await?;
    for path in PATHS {
        let response = ask(&model, path, &body(path, "!hold", &["shell"])).await?;
        model.holds(ID).await?;
        model.release();
        assert_eq!(told(&events(response).await?).0, "held\nreleased");
        let response = ask(&model, path, &body(path, "!hold", &["shell"])).await?;
        model.holds(ID).await?;
        drop(response);
        model.once("it to be left", || super::locked(&model.desk.held).is_empty()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_a_tool_said_comes_back() -> Tested {
    let model = Model::start().await?;
    let mut asked = body(PATHS[0], "!tool ls", &["shell"]);
    let input = asked["input"].as_array_mut().ok_or("no input")?;
    input.push(json!({"type": "function_call", "name": "exec_command", "arguments": "{}", "call_id": "c"}));
    input.push(json!({"type": "function_call_output", "call_id": "c", "output": "a file"}));
    assert_eq!(told(&events(ask(&model, PATHS[0], &asked).await?).await?).0, "it said: a file");

    let mut asked = body(PATHS[1], "!tool ls", &["shell"]);
    let messages = asked["messages"].as_array_mut().ok_or("no messages")?;
    messages.push(json!({"role": "assistant", "content": [{"type": "tool_use", "name": "Bash", "input": {}}]}));
    messages.push(json!({"role": "user", "content": [{"type": "tool_result", "content": "a file"}]}));
    assert_eq!(told(&events(ask(&model, PATHS[1], &asked).await?).await?).0, "it said: a file");
    Ok(())
}

#[tokio::test]
async fn what_is_no_question_is_noted() -> Tested {
    let model = Model::start().await?;
    let response = within("an answer", Request::new(model.address(), "GET", "/v1/models").send()).await??;
    assert_eq!((response.status, model.strays()), (404, vec!["GET /v1/models".to_owned()]));
    Ok(())
}

#[test]
fn a_message_in_a_file_is_read_by_the_tool() {
    use super::ask::{Role, Said};
    use super::steer::{Answer, Call, Piece, answer};
    let said = Said { by: Role::Person, text: format!("[PALIADIN:{ID} +primer +message]") };
    let ask = Ask::new(vec!["Bash".to_owned()], vec![said]);
    assert_eq!(ask.prompt(), ("+primer +message", ""));
    let command = format!("cat \"$PALIADIN_SPOOL/in/{ID}.message.md\"");
    assert_eq!(answer(&ask), Answer::Says(vec![Piece::Call(Call { command, asks: false })]));
}
