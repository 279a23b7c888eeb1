use serde_json::json;

use super::*;

const ID: &str = "01900000-0000-7000-8000-000000000001";

fn turn() -> OpenTurn {
    OpenTurn { turn_id: ID.parse().unwrap(), prompt: None }
}

fn open(asked: bool) -> Open {
    let question = || Asked::about(String::new(), turn().turn_id);
    Open { turn: turn(), asked: asked.then(question).into_iter().collect(), given_up: Vec::new() }
}

fn meaning(event: &Value, open: Option<Open>) -> Meaning {
    of(event, open.as_ref(), false)
}

/// An event as the reference shows it, with its common fields.
fn event(name: &str, fields: Value) -> Value {
    let mut event = json!({"session_id": "abc123", "cwd": "/home/u", "permission_mode": "default",
        "transcript_path": "/home/u/.claude/projects/x/00893aaf.jsonl", "hook_event_name": name});
    for (field, value) in fields.as_object().unwrap() {
        event[field] = value.clone();
    }
    event
}

fn wire(meaning: Meaning) -> Value {
    serde_json::to_value(meaning.signals).unwrap()
}

#[test]
fn a_session_is_ready_and_a_prompt_is_submitted() {
    let start = event("SessionStart", json!({"source": "startup", "model": "claude-sonnet-4-6"}));
    let ready = meaning(&start, Some(open(false)));
    assert_eq!(ready.then, Then::Closed);
    assert_eq!(wire(ready), json!([{"event": "ready", "resume_id": "abc123"}]));
    let compacted = meaning(&event("SessionStart", json!({"source": "compact"})), Some(open(false)));
    assert_eq!(compacted.then, Then::Same);
    for text in [format!("[PALIADIN:{ID}] hi"), format!("\n[PALIADIN:{ID} +context +message]")] {
        let submitted = meaning(&event("UserPromptSubmit", json!({"prompt": text})), None);
        assert_eq!(submitted.then, Then::Open(turn()));
        assert_eq!(wire(submitted), json!([{"event": "submitted", "turn_id": ID}]));
    }
    for text in ["", "hi", "[PALIADIN:", "[PALIADIN:x] hi", "see [PALIADIN:", &format!("x [PALIADIN:{ID}]")] {
        assert_eq!(meaning(&event("UserPromptSubmit", json!({"prompt": text})), None), Meaning::default());
    }
}

#[test]
fn tools_are_activity() {
    let told = |name, fields| wire(meaning(&event(name, fields), Some(open(false))))[0].clone();
    let bash = json!({"tool_name": "Bash", "tool_input": {"command": "npm test", "description": "Run the\ntests"},
        "tool_use_id": "toolu_01ABC123"});
    let expected = json!({"event": "activity", "turn_id": ID, "tool": "Bash", "label": "Bash: Run the tests",
        "state": "started"});
    assert_eq!(told("PreToolUse", bash.clone()), expected);
    assert_eq!(told("PostToolUse", bash.clone())["state"], "finished");
    assert_eq!(told("PostToolUseFailure", bash)["state"], "finished");
    let label = |tool, input| told("PreToolUse", json!({"tool_name": tool, "tool_input": input}))["label"].clone();
    assert_eq!(label("Write", json!({"file_path": "/x/y.txt", "content": "z"})), "Write: /x/y.txt");
    assert_eq!(label("mcp__memory__add", json!({"query": {"odd": 1}})), "mcp__memory__add");
    assert_eq!(label("Grep", json!("odd")), "Grep");
    assert_eq!(label("Bash", json!({"command": "é".repeat(500)})).as_str().unwrap().chars().count(), MAX_LABEL + 1);
}

#[test]
fn questions_and_permissions_are_attention() {
    let request = event(
        "PermissionRequest",
        json!({"tool_name": "Bash", "tool_input": {"command": "rm -rf x", "description": "Tidy up"},
            "permission_suggestions": [{"type": "addRules", "behavior": "allow"}]}),
    );
    let asked = meaning(&request, Some(open(false)));
    let name = asked.asks.as_ref().unwrap().name.to_string();
    assert!(asked.awaits.is_none());
    let expected = json!([{"event": "attention", "turn_id": ID, "kind": "permission", "name": name,
        "prompt": "May I use Bash?\nrm -rf x\ndescription: Tidy up", "options": ["allow", "deny"]}]);
    assert_eq!(wire(asked), expected);

    let questions = json!([{"question": "Which one?", "header": "Kind", "options": [{"label": "A"}, {"label": "B"}]}]);
    let ask = event("PreToolUse", json!({"tool_name": ASK, "tool_input": {"questions": questions}}));
    let asked = meaning(&ask, Some(open(false)));
    let name = asked.asks.as_ref().unwrap().name.to_string();
    let asking = Open { asked: asked.asks.iter().cloned().collect(), ..open(false) };
    let expected = json!([{"event": "attention", "turn_id": ID, "kind": "question", "prompt": "Which one?",
        "options": ["A", "B"], "name": name}]);
    assert_eq!(wire(asked), expected);
    let again = event("PermissionRequest", json!({"tool_name": ASK, "tool_input": {"questions": questions}}));
    assert_eq!(meaning(&again, Some(asking)), Meaning::default());

    let note = |kind| {
        event("Notification", json!({"message": "Claude needs you", "title": "Needed", "notification_type": kind}))
    };
    let noted = wire(meaning(&note("permission_prompt"), Some(open(false))))[0].clone();
    assert_eq!((&noted["prompt"], noted.get("name")), (&json!("Claude needs you"), None), "no tool is known");
    assert_eq!(wire(meaning(&note("elicitation_dialog"), Some(open(false))))[0]["kind"], "question");
    assert_eq!(meaning(&note("permission_prompt"), Some(open(true))), Meaning::default());
    assert_eq!(meaning(&note("idle_prompt"), Some(open(false))), Meaning::default());
}

#[test]
fn each_question_waits_for_its_own_reply() {
    let of = |event: &Value, open: &Open| of(event, Some(open), true);
    let ask = |name, text: &str| {
        let input = json!({"questions": [{"question": text, "options": []}]});
        event(name, json!({"tool_name": ASK, "tool_input": input}))
    };
    let mut asking = open(false);
    for text in ["One?", "Two?"] {
        let told = of(&ask("PreToolUse", text), &asking);
        assert_eq!(told.awaits, None);
        asking.asked.extend(told.asks);
    }
    for (at, text) in ["One?", "Two?"].into_iter().enumerate() {
        let waits = of(&ask("PermissionRequest", text), &asking);
        assert_eq!(waits.awaits.unwrap().told, [asking.asked[at].clone()]);
        assert!(waits.signals.is_empty());
        let mut done = ask("PostToolUse", text);
        done["tool_input"]["answers"] = json!({ text: "yes" });
        assert_eq!(of(&done, &asking).over.as_ref(), Some(&asking.asked[at]));
    }
    let bash = |name, command: &str| event(name, json!({"tool_name": "Bash", "tool_input": {"command": command}}));
    let request = of(&bash("PermissionRequest", "ls"), &asking);
    assert!(request.signals.is_empty() && request.asks.is_none(), "it is told once the hook waits");
    let waits = request.awaits.unwrap();
    assert_eq!(waits.told, []);
    let told = waits.words.signal(&Asked { reply: true, ..waits.fresh.clone() });
    assert!(matches!(told, Signal::Attention { reply: Some(name), .. } if name == waits.fresh.name));
    asking.asked.push(waits.fresh);
    assert_eq!(of(&bash("PostToolUse", "pwd"), &asking).over, None, "another tool");
    assert_eq!(of(&bash("PostToolUse", "ls"), &asking).over.as_ref(), asking.asked.last());
    // The same again: what has run is what was allowed.
    let again = of(&bash("PermissionRequest", "ls"), &asking).awaits.unwrap().fresh;
    asking.asked.push(Asked { allowed: true, ..again.clone() });
    assert_eq!(of(&bash("PostToolUse", "ls"), &asking).over.unwrap().name, again.name);
}

#[test]
fn what_cannot_be_shown_waits_for_no_reply() {
    let input = json!({"command": format!("ls{}; rm -rf ~", " ".repeat(2_100))});
    let request = event("PermissionRequest", json!({"tool_name": "Bash", "tool_input": input}));
    let told = of(&request, Some(&open(false)), true);
    assert_eq!(told.awaits, None);
    let name = json!(told.asks.as_ref().unwrap().name);
    let signal = &wire(told)[0];
    assert_eq!((&signal["options"], signal.get("reply"), &signal["name"]), (&json!([]), None, &name));
    assert!(signal["prompt"].as_str().unwrap().contains("terminal"));
}

#[test]
fn a_question_that_is_not_told_whole_is_answered_in_the_terminal() {
    let label = |length: usize| json!({"label": "x".repeat(length)});
    let ask = |text: &str, options: Vec<Value>| {
        let input = json!({"questions": [{"question": text, "options": options}]});
        of(&event("PermissionRequest", json!({"tool_name": ASK, "tool_input": input})), Some(&open(false)), true)
    };
    let longest = ask(&"x".repeat(MAX_PROMPT), vec![label(MAX_LINE); 4]);
    assert_eq!(longest.awaits.map(|question| question.words.options.len()), Some(4));
    let many = vec![label(MAX_LINE); 60];
    for told in [ask(&"x".repeat(MAX_PROMPT + 1), vec![]), ask("?", vec![label(MAX_LINE + 1)]), ask("?", many)] {
        assert_eq!(told.awaits, None);
        let Signal::Attention { prompt, options, .. } = &told.signals[0] else { panic!("{told:?}") };
        assert!(prompt.len() <= MAX_QUESTION && options.is_empty());
    }
}

#[test]
fn a_prompt_at_the_terminal_joins_the_turn_under_its_name_only() {
    let running = |prompt: Option<&str>| {
        let turn = OpenTurn { prompt: prompt.map(str::to_owned), ..turn() };
        Some(Open { turn, ..open(true) })
    };
    for field in ["prompt_id", "turn_id"] {
        let typed = |id: &str| event("UserPromptSubmit", json!({"prompt": "and this?", field: id}));
        assert_eq!(meaning(&typed("p1"), running(Some("p1"))).then, Then::Same);
        let another = meaning(&typed("p2"), running(Some("p1")));
        assert_eq!(another.then, Then::Closed);
        assert_eq!(wire(another), json!([{"event": "interrupted", "turn_id": ID}]));
        assert_eq!(meaning(&typed("p2"), None), Meaning::default(), "it was told before that the turn is over");
        assert_eq!(meaning(&typed(""), running(Some("p1"))).then, Then::Same);
        assert_eq!(meaning(&typed("p2"), running(None)).then, Then::Same);
        let told = event("UserPromptSubmit", json!({"prompt": format!("[PALIADIN:{ID}] hi"), field: "p2"}));
        let expected = OpenTurn { prompt: Some("p2".to_owned()), ..turn() };
        assert_eq!(meaning(&told, running(Some("p1"))).then, Then::Open(expected));
    }
}

#[test]
fn ends_are_told_once_and_only_of_a_turn() {
    let end = |event: &Value| {
        assert_eq!(meaning(event, None), Meaning::default(), "no turn is open");
        let ended = meaning(event, Some(open(true)));
        assert_eq!(ended.then, Then::Closed);
        wire(ended)[0].clone()
    };
    let stop = |message| event("Stop", json!({"stop_hook_active": false, "last_assistant_message": message}));
    let answer = "Done.\n<!-- paliadin {\"used_tools\":[\"Bash\"]} -->";
    assert_eq!(end(&stop(json!(answer))), json!({"event": "stopped", "turn_id": ID, "message": answer}));
    for nothing in [json!(""), json!(null), json!(["odd"])] {
        assert_eq!(end(&stop(nothing))["message"], json!(null));
    }
    assert_eq!(end(&stop(json!("x".repeat(MAX_ANSWER + 1))))["event"], "failed");

    let failure = json!({"error": "rate_limit", "error_details": "429 Too Many Requests",
        "last_assistant_message": "API Error: Rate limit reached"});
    let expected = json!({"event": "failed", "turn_id": ID, "message": "API Error: Rate limit reached"});
    assert_eq!(end(&event("StopFailure", failure)), expected);
    assert_eq!(end(&event("StopFailure", json!({"error": "server_error"})))["message"], "server_error");
    assert_eq!(end(&event("SessionEnd", json!({"reason": "clear"})))["event"], "failed");
    let exit = event("SessionEnd", json!({"reason": "other"}));
    assert_eq!(meaning(&exit, Some(open(false))), Meaning::default());
    let mut of_subagent = stop(json!("explored"));
    of_subagent["agent_id"] = json!("def456");
    assert_eq!(meaning(&of_subagent, Some(open(false))), Meaning::default());
}
