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

fn asks(name: Option<String>) -> AgentEvent {
    let prompt = name.clone().unwrap_or_default();
    AgentEvent::Attention { kind: "question".to_owned(), prompt, options: vec![], reply: name }
}

fn name() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[abc]")
}

fn event() -> impl Strategy<Value = AgentEvent> {
    prop_oneof![
        Just(AgentEvent::Started),
        Just(AgentEvent::Heartbeat),
        "[ab\n]{0,3}".prop_map(AgentEvent::Delta),
        Just(AgentEvent::Activity(Some("reading".to_owned()))),
        name().prop_map(asks),
        name().prop_map(|reply| AgentEvent::AttentionOver { reply }),
        "[ab\n]{0,6}".prop_map(AgentEvent::Done),
        Just(AgentEvent::Error { code: ErrorCode::AgentDied, message: "gone".to_owned() }),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        "[ab\n]{0,6}".prop_map(Fate::Answered),
        Just(Fate::NotTyped),
        "[ab\n]{0,4}".prop_map(|said| Fate::Died { how: "exited with status 1".to_owned(), said }),
        Just(Fate::Unknown),
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
        1 => Just(Input::Silent(90)),
        1 => Just(Input::Overdue(1800)),
        1 => fate().prop_map(Input::Gone),
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

fn question(number: u32) -> Result<OpenQuestion, NoReply> {
    Ok(OpenQuestion { number, name: None })
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
        let (mut asked, mut number, mut put) = (false, 0, None);
        for input in inputs {
            let (next, effects) = machine.step(input);
            machine = next;
            for effect in &effects {
                match effect {
                    Effect::Emit(EventKind::Attention, data) => put = data["prompt"].as_str().map(str::to_owned),
                    Effect::Attention(true) => (asked, number) = (true, number + 1),
                    Effect::Attention(false) | Effect::Finish { .. } => asked = false,
                    _ => {}
                }
            }
            prop_assert_eq!(machine.asks(), asked.then_some(number));
            let name = put.clone().filter(|prompt| !prompt.is_empty());
            let expected = if asked { Ok(OpenQuestion { number, name }) } else { Err(NoReply::NothingAsked) };
            prop_assert_eq!(machine.reply("x"), expected);
        }
    }

    /// A question that a hook waits with is open until that very question is over, or the turn.
    #[test]
    fn a_question_with_a_name_is_open_until_it_is_over_itself(events in proptest::collection::vec(event(), 0..40)) {
        let (mut machine, _) = run([Input::Ready("%1".to_owned()), Input::Claimed]);
        let mut open: Vec<String> = Vec::new();
        for event in events {
            match &event {
                AgentEvent::Attention { reply: Some(name), .. } => {
                    open.retain(|other| other != name);
                    open.push(name.clone());
                }
                AgentEvent::AttentionOver { reply: Some(name) } => open.retain(|other| other != name),
                AgentEvent::Done(_) | AgentEvent::Error { .. } => open.clear(),
                _ => {}
            }
            let is_unnamed = matches!(event, AgentEvent::Attention { reply: None, .. });
            let is_over = matches!(event, AgentEvent::Done(_) | AgentEvent::Error { .. });
            machine = machine.step(Input::Agent(event)).0;
            if is_over {
                prop_assert!(!machine.waits());
                break;
            }
            let named: Vec<String> = machine.asked.iter().filter_map(|asked| asked.name.clone()).collect();
            prop_assert_eq!(&named, &open);
            if is_unnamed {
                prop_assert_eq!(machine.reply("x").unwrap().name, None);
            } else if let (Some(last), true) = (open.last(), machine.asked.iter().all(|asked| asked.name.is_some())) {
                prop_assert_eq!(machine.reply("x").unwrap().name, Some(last.clone()));
            }
        }
    }

    /// Whoever reads the questions of a turn anew comes to the same question with the same number, and tells none twice.
    #[test]
    fn questions_that_are_read_anew_have_the_numbers_that_they_had(events in proptest::collection::vec(event(), 0..24)) {
        let events: Vec<_> =
            events.into_iter().filter(|event| !matches!(event, AgentEvent::Done(_) | AgentEvent::Error { .. })).collect();
        let inputs = || {
            let ready = [Input::Ready("%1".to_owned()), Input::Claimed];
            ready.into_iter().chain(events.iter().cloned().map(Input::Agent))
        };
        let asked = |effects: &[Effect]| effects.iter().filter(|e| matches!(e, Effect::Emit(EventKind::Attention, _))).count();
        let (first, effects) = run(inputs());
        let told = Told { attentions: u32::try_from(asked(&effects)).unwrap(), ..Told::default() };
        let (machine, effects) = inputs().fold((Machine::resumed(told), Vec::new()), |(machine, mut effects), input| {
            let (machine, more) = machine.step(input);
            // Before it has come to the end of what was told, it takes no reply.
            if machine.attentions < machine.told.attentions {
                assert!(machine.asks().is_none() && machine.reply("x").is_err());
            }
            effects.extend(more);
            (machine, effects)
        });
        prop_assert_eq!(asked(&effects), 0);
        prop_assert_eq!((machine.asks(), machine.reply("x")), (first.asks(), first.reply("x")));
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
        let attention = AgentEvent::Attention { kind: kind.to_owned(), prompt: "?".to_owned(), options, reply: None };
        let ready = [Input::Ready("%1".to_owned()), Input::Claimed, Input::Agent(AgentEvent::Started)];
        run(ready.into_iter().chain([Input::Agent(attention)])).0
    };
    let leave = ask("permission", &["allow", "deny\nall"]);
    assert_eq!((leave.reply("allow"), leave.reply("deny all")), (question(1), question(1)));
    assert_eq!((leave.reply("Allow"), leave.reply("")), (Err(NoReply::NotAnOption), Err(NoReply::NotAnOption)));
    assert_eq!(ask("permission", &[]).reply("why?"), question(1));
    assert_eq!(ask("question", &["red", "blue"]).reply("green"), question(1));
    let (again, _) = leave.step(Input::Agent(AgentEvent::Attention {
        kind: "question".to_owned(),
        prompt: "!".to_owned(),
        options: vec![],
        reply: None,
    }));
    assert_eq!(again.reply("x"), question(2));
    assert_eq!(again.step(Input::Agent(AgentEvent::Delta("y".to_owned()))).0.reply("x"), Err(NoReply::NothingAsked));
}

#[test]
fn a_dialog_is_answered_in_the_terminal_and_none_of_the_agents_questions() {
    let ask = |kind: &str| {
        Input::Agent(AgentEvent::Attention {
            kind: kind.to_owned(),
            prompt: "?".to_owned(),
            options: vec![],
            reply: None,
        })
    };
    let told = Told { attentions: 1, ..Told::default() };
    let ready = [Input::Ready("%1".to_owned()), Input::Claimed, ask("dialog")];
    let mut steps =
        ready.into_iter().fold((Machine::resumed(told), Vec::new()), |(machine, _), input| machine.step(input));
    // It is told anew, whatever an earlier owner has told; and before the agent is seen to have the turn.
    assert!(matches!(steps.1[..], [Effect::Emit(EventKind::Attention, _), Effect::Attention(true)]), "{:?}", steps.1);
    assert!(steps.0.waits());
    assert_eq!((steps.0.asks(), steps.0.reply("x")), (None, Err(NoReply::InTerminal)));
    steps = steps.0.step(Input::Agent(AgentEvent::AttentionOver { reply: None }));
    assert_eq!(steps.1, [Effect::Attention(false)]);
    assert!(!steps.0.waits());
    assert_eq!(steps.0.reply("x"), Err(NoReply::NothingAsked));
    // The question that the earlier owner has told is still the first one.
    steps = steps.0.step(ask("question"));
    assert_eq!(steps.1, [Effect::Attention(true)]);
    assert_eq!((steps.0.asks(), steps.0.reply("x")), (Some(1), question(1)));
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
    assert_eq!(machine.leaves(true), Leaves::Idle);
}

/// A later owner takes a turn up that was told as far as `told`, and reads the answer anew in these pieces.
fn taken_up(told: &str, pieces: &[String], last: Input) -> (Machine, Vec<Effect>) {
    let told = Told { text: told.to_owned(), attentions: 1, started: true };
    let ready = [Input::Ready("%1".to_owned()), Input::Claimed, Input::Agent(AgentEvent::Started)];
    let pieces = pieces.iter().map(|piece| Input::Agent(AgentEvent::Delta(piece.clone())));
    ready.into_iter().chain(pieces).chain([last]).fold(
        (Machine::resumed(told), Vec::new()),
        |(machine, mut effects), input| {
            let (machine, more) = machine.step(input);
            effects.extend(more);
            (machine, effects)
        },
    )
}

proptest! {
    /// Whatever was told before, and wherever the pieces are cut now: what a client holds that kept what it had is the
    /// answer, and nothing of it is told twice where it only went on.
    #[test]
    fn a_turn_that_is_taken_up_is_told_on(
        pieces in proptest::collection::vec("[ab]{0,3}", 0..6),
        told in 0usize..20,
        other in proptest::option::of("[abc]{1,4}"),
    ) {
        let whole: String = pieces.concat();
        let told = other.clone().unwrap_or_else(|| whole[..told.min(whole.len())].to_owned());
        let (_, effects) = taken_up(&told, &pieces, Input::Agent(AgentEvent::Done(whole.clone())));
        let body = answer::read(&whole).body;
        let resyncs = effects.iter().filter(|e| matches!(e, Effect::Emit(EventKind::Resync, _))).count();
        let told_on = effects.iter().filter_map(|effect| match effect {
            Effect::Emit(EventKind::Content, data) => data["delta"].as_str().or(data["text"].as_str()),
            _ => None,
        });
        if body.starts_with(&told) {
            prop_assert_eq!(resyncs, 0);
            prop_assert_eq!(told.clone() + &told_on.collect::<String>(), body);
        } else {
            prop_assert_eq!(held(&effects), body);
        }
        let finishes = effects.iter().filter(|e| matches!(e, Effect::Finish { .. })).count();
        prop_assert_eq!(finishes, 1);
    }
}

#[test]
fn what_was_told_before_is_not_told_again() {
    let asks =
        AgentEvent::Attention { kind: "question".to_owned(), prompt: "?".to_owned(), options: vec![], reply: None };
    let (machine, effects) = taken_up("", &[], Input::Agent(asks.clone()));
    assert!(effects.contains(&Effect::Start { tell: false }));
    assert_eq!(effects.last(), Some(&Effect::Attention(true)), "an earlier owner has told the question");
    assert_eq!(machine.reply("x"), question(1));
    let (machine, effects) = machine.step(Input::Agent(asks));
    assert!(matches!(effects.first(), Some(Effect::Emit(EventKind::Attention, _))), "this one is new");
    assert_eq!(machine.reply("x"), question(2));
}

#[test]
fn what_is_known_of_a_lost_agent_decides() {
    let gone =
        |fate: Fate| Machine::resumed(Told { text: "par".to_owned(), ..Told::default() }).step(Input::Gone(fate));
    let code = |effects: &[Effect]| match effects.last() {
        Some(Effect::Finish { outcome: Outcome::Failed { code, partial, .. }, .. }) => Some((*code, partial.clone())),
        _ => None,
    };
    let partial = Some("par".to_owned());
    let died = |said: &str| Fate::Died { how: "was ended by signal 9".to_owned(), said: said.to_owned() };
    for (said, kept) in [("", "par"), ("pa", "par"), ("partial", "partial"), ("other", "other")] {
        let (machine, effects) = gone(died(said));
        let failed = Some((ErrorCode::AgentDied, Some(kept.to_owned())));
        assert_eq!((code(&effects), machine.leaves(true)), (failed, Leaves::Idle), "{said}");
    }
    let (machine, effects) = gone(Fate::Unknown);
    assert_eq!((code(&effects), machine.leaves(true)), (Some((ErrorCode::Uncertain, partial)), Leaves::Idle));
    let (_, effects) = gone(Fate::Answered("partial, and the rest".to_owned()));
    assert_eq!(
        effects[0],
        Effect::Emit(EventKind::Content, json!({ "delta": "tial, and the rest", "streamed": true }))
    );
    let (machine, effects) = gone(Fate::NotTyped);
    assert_eq!((effects.as_slice(), machine.phase), ([Effect::Open].as_slice(), Phase::Preparing));
    let (machine, effects) = machine.step(Input::Ready("%2".to_owned()));
    assert_eq!(effects, [Effect::Claim("%2".to_owned())]);
    assert!(machine.step(Input::Claimed).1.contains(&Effect::Deliver));
}

#[test]
fn an_agent_that_was_given_up_may_go_on() {
    let begun = [Input::Ready("%1".to_owned()), Input::Claimed, Input::Agent(AgentEvent::Started)];
    for (input, leaves) in [
        (Input::Silent(90), Leaves::GivenUp),
        (Input::Overdue(1800), Leaves::GivenUp),
        (Input::End(ErrorCode::Cancelled, "cancelled".to_owned()), Leaves::Busy),
        (Input::Agent(AgentEvent::Done("x".to_owned())), Leaves::Idle),
    ] {
        let (machine, _) = run(begun.iter().cloned().chain([input.clone()]));
        assert_eq!(machine.leaves(true), leaves, "{input:?}");
        // It has answered by a file, and goes on to say something.
        let before_its_end = if leaves == Leaves::Idle { Leaves::Answered } else { leaves };
        assert_eq!(machine.leaves(false), before_its_end, "{input:?}");
    }
}
