use proptest::prelude::*;

use super::*;

fn run(inputs: impl IntoIterator<Item = Input>) -> (Machine, Vec<Effect>) {
    inputs.into_iter().fold((Machine::default(), Vec::new()), |(machine, mut effects), input| {
        let (machine, more) = machine.step(input);
        effects.extend(more);
        (machine, effects)
    })
}

/// What a client holds after these effects.
fn held(effects: &[Effect]) -> String {
    effects.iter().fold(String::new(), |held, effect| match effect {
        Effect::Emit(EventKind::Content, data) => {
            held + data.get("delta").or(data.get("text")).and_then(Value::as_str).unwrap_or_default()
        }
        Effect::Emit(EventKind::Resync, data) => data["text"].as_str().unwrap_or_default().to_owned(),
        _ => held,
    })
}

fn event() -> impl Strategy<Value = AgentEvent> {
    prop_oneof![
        Just(AgentEvent::Started),
        Just(AgentEvent::Heartbeat),
        "[ab\n]{0,3}".prop_map(AgentEvent::Delta),
        Just(AgentEvent::Activity(Some("reading".to_owned()))),
        Just(AgentEvent::Attention { kind: "question".to_owned(), prompt: "?".to_owned(), options: vec![] }),
        Just(AgentEvent::AttentionOver),
        "[ab\n]{0,6}".prop_map(AgentEvent::Done),
        Just(AgentEvent::Error { code: ErrorCode::AgentDied, message: "gone".to_owned() }),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        2 => Just(Input::Ready("%1".to_owned())),
        1 => Just(Input::NotReady(ErrorCode::BootstrapFailed, "no".to_owned())),
        2 => Just(Input::Claimed),
        1 => Just(Input::ClaimLost),
        8 => event().prop_map(Input::Agent),
        1 => Just(Input::Vanished),
        1 => Just(Input::End(ErrorCode::SessionReset, "reset".to_owned())),
        1 => Just(Input::End(ErrorCode::Cancelled, "cancelled".to_owned())),
        2 => Just(Input::Recorded),
    ]
}

fn any_run() -> impl Strategy<Value = Vec<Input>> {
    let prefix = prop_oneof![
        Just(vec![]),
        Just(vec![Input::Ready("%1".to_owned()), Input::Claimed]),
        Just(vec![Input::Ready("%1".to_owned()), Input::Claimed, Input::Agent(AgentEvent::Started)]),
    ];
    (prefix, proptest::collection::vec(input(), 0..24)).prop_map(|(mut prefix, rest)| {
        prefix.extend(rest);
        prefix
    })
}

proptest! {
    #[test]
    fn a_turn_is_delivered_at_most_once_and_only_after_its_intent(inputs in any_run()) {
        let mut machine = Machine::default();
        let (mut intended, mut deliveries) = (false, 0);
        for input in inputs {
            let (next, effects) = machine.step(input.clone());
            machine = next;
            if effects.contains(&Effect::Deliver) {
                deliveries += 1;
                prop_assert!(intended && input == Input::Claimed);
            }
            intended |= effects.iter().any(|effect| matches!(effect, Effect::Claim(_)));
        }
        prop_assert!(deliveries <= 1);
    }

    #[test]
    fn a_turn_ends_once_and_nothing_is_shown_after_its_end_was_decided(inputs in any_run()) {
        let (machine, effects) = run(inputs);
        let finishes: Vec<usize> =
            effects.iter().enumerate().filter(|(_, e)| matches!(e, Effect::Finish { .. })).map(|(i, _)| i).collect();
        prop_assert!(finishes.len() <= 1);
        if let Some(at) = finishes.first() {
            prop_assert!(effects[at + 1..].iter().all(|effect| *effect == Effect::Close));
            prop_assert!(matches!(machine.phase, Phase::Finishing | Phase::Over));
        }
        let closed = effects.iter().filter(|e| matches!(e, Effect::Close | Effect::Abandon)).count();
        prop_assert_eq!(closed == 1, machine.phase == Phase::Over);
    }

    #[test]
    fn what_the_client_holds_is_the_answer(inputs in any_run()) {
        let (_, effects) = run(inputs);
        for effect in &effects {
            match effect {
                Effect::Finish { outcome: Outcome::Done(answer), .. } => prop_assert_eq!(held(&effects), answer.body.clone()),
                Effect::Finish { outcome: Outcome::Failed { partial, .. } | Outcome::Cancelled { partial }, .. } => {
                    prop_assert_eq!(held(&effects), partial.clone().unwrap_or_default());
                }
                _ => {}
            }
        }
    }

    #[test]
    fn a_reply_is_taken_exactly_while_something_is_asked(inputs in any_run()) {
        let mut machine = Machine::default();
        let (mut asked, mut number) = (false, 0);
        for input in inputs {
            let (next, effects) = machine.step(input);
            machine = next;
            for effect in &effects {
                match effect {
                    Effect::Attention(true) => (asked, number) = (true, number + 1),
                    Effect::Attention(false) | Effect::Finish { .. } => asked = false,
                    _ => {}
                }
            }
            prop_assert_eq!(machine.asks(), asked.then_some(number));
            prop_assert_eq!(machine.reply("x"), if asked { Ok(number) } else { Err(NoReply::NothingAsked) });
        }
    }

    #[test]
    fn every_turn_can_be_ended_at_any_time(inputs in any_run()) {
        let end = Input::End(ErrorCode::SessionReset, "reset".to_owned());
        let (machine, _) = run(inputs.into_iter().chain([end, Input::Recorded]));
        prop_assert_eq!(machine.phase, Phase::Over);
    }
}

#[test]
fn leave_is_given_by_an_option_and_a_question_answered_by_any_text() {
    let ask = |kind: &str, options: &[&str]| {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let attention = AgentEvent::Attention { kind: kind.to_owned(), prompt: "?".to_owned(), options };
        let ready = [Input::Ready("%1".to_owned()), Input::Claimed, Input::Agent(AgentEvent::Started)];
        run(ready.into_iter().chain([Input::Agent(attention)])).0
    };
    let leave = ask("permission", &["allow", "deny\nall"]);
    assert_eq!((leave.reply("allow"), leave.reply("deny all")), (Ok(1), Ok(1)));
    assert_eq!((leave.reply("Allow"), leave.reply("")), (Err(NoReply::NotAnOption), Err(NoReply::NotAnOption)));
    assert_eq!(ask("permission", &[]).reply("why?"), Ok(1));
    assert_eq!(ask("question", &["red", "blue"]).reply("green"), Ok(1));
    let (again, _) = leave.step(Input::Agent(AgentEvent::Attention {
        kind: "question".to_owned(),
        prompt: "!".to_owned(),
        options: vec![],
    }));
    assert_eq!(again.reply("x"), Ok(2));
    assert_eq!(again.step(Input::Agent(AgentEvent::Delta("y".to_owned()))).0.reply("x"), Err(NoReply::NothingAsked));
}

#[test]
fn a_one_shot_answer_is_told_as_text() {
    let inputs = [
        Input::Ready("%1".to_owned()),
        Input::Claimed,
        Input::Agent(AgentEvent::Started),
        Input::Agent(AgentEvent::Done("hello\n<!-- paliadin {} -->".to_owned())),
    ];
    let (machine, effects) = run(inputs);
    assert!(effects.contains(&Effect::Emit(EventKind::Content, json!({ "text": "hello" }))));
    assert!(!machine.leaves_agent_busy());
}
