mod questions;

use proptest::prelude::*;

use super::*;
use crate::agent::question::QuestionName;

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

/// The agent asks this.
fn attention(kind: &str, prompt: &str, options: &[&str], name: Option<QuestionName>) -> AgentEvent {
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    AgentEvent::Attention { kind: kind.to_owned(), prompt: prompt.to_owned(), options, reply: name.is_some(), name }
}

fn asks(name: Option<QuestionName>) -> AgentEvent {
    attention("question", name.as_ref().map_or("", QuestionName::as_str), &[], name.clone())
}

fn name() -> impl Strategy<Value = Option<QuestionName>> {
    proptest::option::of("[abc]".prop_map(|name| QuestionName::try_from(name).unwrap()))
}

fn event() -> impl Strategy<Value = AgentEvent> {
    prop_oneof![
        Just(AgentEvent::Started),
        Just(AgentEvent::Heartbeat),
        "[ab\n]{0,3}".prop_map(AgentEvent::Delta),
        Just(AgentEvent::Activity(Some("reading".to_owned()))),
        name().prop_map(asks),
        name().prop_map(|name| AgentEvent::AttentionOver { name }),
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
    fn every_turn_can_be_ended_at_any_time(inputs in any_run()) {
        let end = Input::End(ErrorCode::SessionReset, "reset".to_owned());
        let (machine, _) = run(inputs.into_iter().chain([end, Input::Recorded]));
        prop_assert_eq!(machine.phase, Phase::Over);
    }
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
    let told = Told { text: told.to_owned(), started: true, ..Told::default() };
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
