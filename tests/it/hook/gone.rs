//! Hooks that wait for a reply and end without one, and ends that another hook has to tell.

use serde_json::json;
use uuid::Uuid;

use super::{Tested, hook, prompt, signals, spool_with};

#[test]
fn a_turn_that_another_prompt_has_ended_is_told_to_be_interrupted() -> Tested {
    let turn = Uuid::now_v7();
    let spool = spool_with(turn)?;
    let path = spool.path();
    let mut begun: serde_json::Value = serde_json::from_slice(&prompt(turn))?;
    begun["prompt_id"] = json!("p1");
    let other = json!({"hook_event_name": "UserPromptSubmit", "prompt": "something else", "prompt_id": "p2"});
    let stop = json!({"hook_event_name": "Stop", "last_assistant_message": "of something else"});
    for event in [&begun, &other, &stop, &other] {
        hook(Some(path), &[], event.to_string().as_bytes())?;
    }
    let ends = signals(path)?.into_iter().filter(|signal| signal["event"] != "submitted");
    let ends: Vec<_> = ends.map(|signal| (signal["event"].clone(), signal["turn_id"].clone())).collect();
    assert_eq!(ends, [(json!("interrupted"), json!(turn))]);
    Ok(())
}
