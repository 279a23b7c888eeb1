//! Hooks that wait for a reply and end without one, and ends that another hook has to tell.

use std::fs;
use std::process::Stdio;

use serde_json::json;
use uuid::Uuid;

use super::{
    PALIADIN, Tested, closed, decision, ended_well, hook, prompt, put_reply, signals, spool_with, start_waiting, tool,
};

fn request() -> Vec<u8> {
    tool("PermissionRequest", "Bash", &json!({"command": "ls"}))
}

fn notification() -> Vec<u8> {
    let message = "Claude needs your permission";
    let event =
        json!({"hook_event_name": "Notification", "notification_type": "permission_prompt", "message": message});
    event.to_string().into_bytes()
}

#[test]
fn an_agent_that_does_not_listen_any_more_has_decided() -> Tested {
    let spool = spool_with(Uuid::now_v7())?;
    let path = spool.path();
    let (mut child, name) = start_waiting(path, &request())?;
    drop(child.stdout.take());
    ended_well(child.wait_with_output()?)?;
    assert_eq!(closed(path)?, [json!(name)]);
    Ok(())
}

#[test]
fn the_question_of_a_hook_that_was_killed_is_over_for_those_that_follow() -> Tested {
    let spool = spool_with(Uuid::now_v7())?;
    let path = spool.path();
    let (mut child, name) = start_waiting(path, &request())?;
    hook(Some(path), &["--reply"], &notification())?;
    assert!(closed(path)?.is_empty(), "it is open, and told");
    child.kill()?;
    child.wait()?;
    hook(Some(path), &["--reply"], &notification())?;
    assert_eq!(closed(path)?, [json!(name)]);
    let told = signals(path)?.pop().ok_or("no signal")?;
    assert_eq!((&told["event"], &told["prompt"]), (&json!("attention"), &json!("Claude needs your permission")));
    Ok(())
}

#[test]
fn what_the_terminal_has_decided_is_not_taken_for_another_use_that_is_the_same() -> Tested {
    for is_killed in [true, false] {
        let turn = Uuid::now_v7();
        let spool = spool_with(turn)?;
        let path = spool.path();
        let (first, name) = start_waiting(path, &request())?;
        let (mut second, decided) = start_waiting(path, &request())?;
        if is_killed {
            second.kill()?;
            second.wait()?;
        } else {
            drop(second.stdout.take());
            ended_well(second.wait_with_output()?)?;
        }
        hook(Some(path), &["--reply"], &tool("PostToolUse", "Bash", &json!({"command": "ls"})))?;
        assert_eq!(closed(path)?, [json!(decided)]);
        put_reply(path, turn, &name, "allow")?;
        assert_eq!(decision(first)?, "allow");
        assert_eq!(closed(path)?, [json!(decided), json!(name)]);
    }
    Ok(())
}

#[test]
fn a_dialog_of_another_kind_is_told_beside_what_a_tool_asks() -> Tested {
    let spool = spool_with(Uuid::now_v7())?;
    let path = spool.path();
    hook(Some(path), &[], &request())?;
    let elicits =
        json!({"hook_event_name": "Notification", "notification_type": "elicitation_dialog", "message": "Which?"});
    for event in [notification(), elicits.to_string().into_bytes(), elicits.to_string().into_bytes()] {
        hook(Some(path), &[], &event)?;
    }
    let told: Vec<_> = signals(path)?.into_iter().filter(|signal| signal["event"] == "attention").collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1]["prompt"], "Which?");
    // It is over when the agent goes on, with a tool or with its answer: another one is told.
    let says = json!({"hook_event_name": "MessageDisplay", "message_id": "m1", "index": 0, "delta": "So be it.\n"});
    for (count, goes_on) in [(3, tool("PreToolUse", "Read", &json!({}))), (4, says.to_string().into_bytes())] {
        hook(Some(path), &[], &goes_on)?;
        hook(Some(path), &[], elicits.to_string().as_bytes())?;
        assert_eq!(signals(path)?.iter().filter(|signal| signal["event"] == "attention").count(), count);
    }
    Ok(())
}

#[test]
fn where_a_reply_cannot_be_waited_for_it_is_decided_in_the_terminal() -> Tested {
    let spool = spool_with(Uuid::now_v7())?;
    let event = spool.path().join("event");
    fs::write(&event, request())?;
    // Enough descriptors to read, to write, and to claim the question; and none to wait.
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 6; exec \"$0\" hook --reply", PALIADIN])
        .env("PALIADIN_SPOOL", spool.path())
        .stdin(fs::File::open(&event)?)
        .stderr(Stdio::piped())
        .output()?;
    assert_eq!(ended_well(output)?.lines().count(), 1);
    let told = signals(spool.path())?.pop().ok_or("no signal")?;
    assert_eq!((&told["event"], told.get("reply")), (&json!("attention"), None));
    // It is known again by its name.
    hook(Some(spool.path()), &["--reply"], &tool("PostToolUse", "Bash", &json!({"command": "ls"})))?;
    assert_eq!(closed(spool.path())?, [told["name"].clone()]);
    Ok(())
}

#[test]
fn a_question_is_over_whatever_the_tool_has_brought() -> Tested {
    let spool = spool_with(Uuid::now_v7())?;
    let path = spool.path();
    let (child, name) = start_waiting(path, &request())?;
    let mut done: serde_json::Value = serde_json::from_slice(&tool("PostToolUse", "Bash", &json!({"command": "ls"})))?;
    let mut text = done.to_string();
    done["tool_response"] = json!({ "stdout": "x".repeat(5 << 20) });
    // Behind what it was given, as programs write it.
    text.truncate(text.len() - 1);
    text.push_str(&format!(",\"tool_response\":{}}}", done["tool_response"]));
    assert_eq!(hook(Some(path), &["--reply"], text.as_bytes())?, "");
    assert_eq!(ended_well(child.wait_with_output()?)?, "");
    assert_eq!(closed(path)?, [json!(name)]);
    Ok(())
}

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
