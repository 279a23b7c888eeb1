//! Whatever an agent program tells its hook, what comes of it are signals that the server reads.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::meaning::{Meaning, Then, of};
use super::memory::{Asked, Open, OpenTurn};
use super::*;
use crate::agent::envelope::{Flags, envelope, sanitise};
use crate::agent::question::MAX_QUESTION;
use crate::agent::signal::SignalLine;
use crate::agent::spool::{Owner, Spool};
use crate::fuzz::{hostile_text, thoroughly};
use crate::turn::TurnId;

/// Every event that has a meaning, some that have none, and what is no name.
const NAMES: [&str; 15] = [
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "PostToolUseFailure",
    "Notification",
    "MessageDisplay",
    "Stop",
    "StopFailure",
    "Interrupt",
    "SessionEnd",
    "SubagentStop",
    "PreCompact",
    "",
];

/// Every field that is read, with values that mean something in it.
const FIELDS: [(&str, &[&str]); 20] = [
    ("source", &["startup", "compact"]),
    ("session_id", &["abc"]),
    ("prompt_id", &["p1", "p2"]),
    ("turn_id", &["p1"]),
    ("transcript_path", &["/nonexistent", "relative"]),
    ("tool_name", &["Bash", "AskUserQuestion", ""]),
    ("agent_id", &["sub"]),
    ("reason", &["clear", "resume", "other"]),
    ("message", &["Claude needs you"]),
    ("notification_type", &["permission_prompt", "agent_needs_input", "elicitation_dialog", "idle_prompt"]),
    ("message_id", &["m1"]),
    ("delta", &["text"]),
    ("last_assistant_message", &["done"]),
    ("error_details", &["429"]),
    ("error", &["rate_limit"]),
    ("prompt", &["hi"]),
    ("index", &["0"]),
    ("tool_input", &["x"]),
    ("cwd", &["/"]),
    ("tool_response", &["x"]),
];

/// Any JSON, with the names that a tool's input has.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        3 => hostile_text().prop_map(Value::from),
        1 => (hostile_text(), 1..200_usize).prop_map(|(text, times)| Value::from(text.repeat(times))),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        const NAMES_WITHIN: &[&str] =
            &["questions", "question", "options", "label", "command", "file_path", "description"];
        let name = prop_oneof![prop::sample::select(NAMES_WITHIN).prop_map(str::to_owned), hostile_text()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// What `AskUserQuestion` is given.
fn questions() -> impl Strategy<Value = Value> {
    let options = prop::collection::vec(hostile_text().prop_map(|label| json!({"label": label})), 0..4);
    let question = (hostile_text(), options).prop_map(|(text, options)| json!({"question": text, "options": options}));
    prop::collection::vec(question, 0..3).prop_map(|questions| json!({ "questions": questions }))
}

fn field() -> impl Strategy<Value = (String, Value)> {
    let known = prop::sample::select(&FIELDS[..]);
    let known = (known, any::<prop::sample::Index>())
        .prop_map(|((name, values), at)| (name.to_owned(), Value::from(values[at.index(values.len())])));
    let odd = (prop::sample::select(&FIELDS[..]), value()).prop_map(|((name, _), value)| (name.to_owned(), value));
    prop_oneof![
        5 => known,
        3 => odd,
        1 => questions().prop_map(|input| ("tool_input".to_owned(), input)),
        1 => any::<u64>().prop_map(|index| ("index".to_owned(), Value::from(index))),
    ]
}

fn event() -> impl Strategy<Value = Value> {
    let fields = prop::collection::vec(field(), 0..8);
    (prop::sample::select(&NAMES[..]), fields).prop_map(|(name, fields)| {
        let mut event: Map<String, Value> = fields.into_iter().collect();
        event.insert("hook_event_name".to_owned(), Value::from(name));
        Value::Object(event)
    })
}

fn open(prompt: Option<&str>, tool: Option<String>) -> Open {
    let turn = OpenTurn { turn_id: TurnId::fresh(), prompt: prompt.map(str::to_owned) };
    let asked = tool.map(|tool| Asked::about(tool, turn.turn_id)).into_iter().collect();
    Open { turn, asked, given_up: Vec::new() }
}

/// As `paliadin hook` writes it and the server reads it.
fn through_the_file(signal: &Signal) -> Result<Signal, TestCaseError> {
    let line = serde_json::to_string(&SignalLine::now(signal.clone())).unwrap();
    prop_assert!(!line.contains('\n'));
    SignalLine::parse(&line).map(|line| line.signal).map_err(|error| TestCaseError::fail(error.to_string()))
}

proptest! {
    #![proptest_config(thoroughly())]

    #[test]
    fn any_event_becomes_signals_that_read_back(
        event in event(),
        turn in prop::option::of((prop::option::of("p1"), prop::option::of("|Bash 0"))),
        reply in any::<bool>(),
    ) {
        let open = turn.map(|(prompt, tool)| open(prompt.as_deref(), tool));
        let meaning = of(&event, open.as_ref(), reply);
        for signal in &meaning.signals {
            prop_assert_eq!(&through_the_file(signal)?, signal);
            let told = signal.turn_id();
            prop_assert!(told.is_none() || told == open.as_ref().map(|open| open.turn.turn_id));
            match signal {
                Signal::Activity { tool, label, .. } => {
                    prop_assert!(tool.chars().count() <= 121 && label.chars().count() <= 121);
                    prop_assert!(!label.contains(char::is_control));
                }
                Signal::Failed { message, .. } => prop_assert!(message.chars().count() <= 301),
                Signal::Attention { prompt, options, .. } => {
                    prop_assert!(crate::agent::question::length(prompt, options) <= MAX_QUESTION);
                }
                _ => {}
            }
        }
        if let Some(question) = &meaning.awaits {
            prop_assert!(reply && question.words.is_whole);
            let asked = Asked { reply: true, ..question.fresh.clone() };
            let signal = question.words.signal(&asked);
            prop_assert_eq!(through_the_file(&signal)?, signal);
        }
    }

    #[test]
    fn what_is_no_event_means_nothing(value in value()) {
        if value.get("hook_event_name").is_none() {
            prop_assert_eq!(of(&value, Some(&open(None, None)), true), Meaning::default());
        }
    }

    #[test]
    fn the_turn_that_the_server_types_is_the_one_that_the_hook_tells(
        id in any::<u128>(), flags in any::<[bool; 3]>(), message in hostile_text(), before in "[ \n]{0,2}",
        at_work in any::<bool>(),
    ) {
        let turn_id = TurnId(uuid::Uuid::from_u128(id));
        let [context, primer, message_in_file] = flags;
        let flags = Flags { context, primer, message: message_in_file };
        let prompt = format!("{before}{}", envelope(turn_id, flags, &sanitise(&message)));
        let event = json!({"hook_event_name": "UserPromptSubmit", "prompt": prompt});
        let meaning = of(&event, at_work.then(|| open(Some("p1"), None)).as_ref(), false);
        prop_assert_eq!(meaning.signals, [Signal::Submitted { turn_id }]);
        prop_assert_eq!(meaning.then, Then::Open(OpenTurn { turn_id, prompt: None }));
        // What a person writes names no turn, wherever it stands.
        let typed = json!({"hook_event_name": "UserPromptSubmit", "prompt": sanitise(&message)});
        prop_assert_eq!(of(&typed, None, false), Meaning::default());
    }

    #[test]
    fn an_answer_is_told_as_it_is(answer in hostile_text(), text in hostile_text(), index in any::<u32>()) {
        let open = open(None, None);
        let turn_id = open.turn.turn_id;
        let tell = |event: Value| -> Result<Signal, TestCaseError> {
            let event = event::parse(event.to_string().as_bytes()).unwrap();
            through_the_file(&of(&event, Some(&open), false).signals[0])
        };
        let stopped = tell(json!({"hook_event_name": "Stop", "last_assistant_message": answer}))?;
        prop_assert_eq!(stopped, Signal::Stopped { turn_id, message: Some(answer).filter(|text| !text.is_empty()) });
        let said = json!({"hook_event_name": "MessageDisplay", "message_id": "m", "index": index, "delta": text});
        prop_assert_eq!(tell(said)?, Signal::Said { turn_id, message: "m".to_owned(), index, text });
    }
}

#[test]
fn whatever_the_hook_is_given_the_server_reads_every_line() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::create(&dir.path().join("spool"), "s", Owner::Server).unwrap();
    let event = prop_oneof![9 => event().prop_map(|event| event.to_string()), 1 => hostile_text()];
    let given = TestRunner::new(thoroughly()).run(&prop::collection::vec(event, 0..3), |events| {
        let _ = std::fs::remove_file(spool.path().join("out").join(signal::FILE_NAME));
        let turn_id = TurnId::fresh();
        let prompt = envelope(turn_id, Flags::default(), "hi");
        let prompt = json!({"hook_event_name": "UserPromptSubmit", "prompt": prompt});
        for event in [prompt.to_string()].iter().chain(&events) {
            let printed = run(event.as_bytes(), Some(spool.path()), Options::default());
            prop_assert!(matches!(printed, Ok(None) | Err(HookError::Event(_))), "{printed:?}");
        }
        let (lines, _) = spool.read_signals(0).unwrap();
        let signals: Vec<_> = lines.iter().map(|line| SignalLine::parse(line)).collect();
        prop_assert!(signals.iter().all(Result::is_ok), "{signals:?}");
        let ends = signals.iter().flatten().filter(|line| line.signal.ends() == Some(turn_id)).count();
        prop_assert!(ends <= 1, "a turn ends once");
        Ok(())
    });
    given.unwrap();
}
