//! What the agent asks, and what it is answered.

use super::*;
use crate::actors::turn::machine::questions::AGAIN;
use crate::actors::turn::vigil::Rest;
use crate::turn::DIALOG;

fn named(name: &str) -> Option<QuestionName> {
    Some(QuestionName::try_from(name.to_owned()).unwrap())
}

fn question(number: u32) -> Result<OpenQuestion, NoReply> {
    Ok(OpenQuestion { number, name: None })
}

proptest! {
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
            let name = put.as_deref().filter(|prompt| !prompt.is_empty()).and_then(named);
            let expected = if asked { Ok(OpenQuestion { number, name }) } else { Err(NoReply::NothingAsked) };
            prop_assert_eq!(machine.reply("x"), expected);
        }
    }

    /// A question that a hook waits with is open until that very question is over, or the turn.
    #[test]
    fn a_question_with_a_name_is_open_until_it_is_over_itself(events in proptest::collection::vec(event(), 0..40)) {
        let (mut machine, _) = run([Input::Ready("%1".to_owned()), Input::Claimed]);
        let mut open: Vec<QuestionName> = Vec::new();
        for event in events {
            match &event {
                AgentEvent::Attention { name: Some(name), .. } => {
                    open.retain(|other| other != name);
                    open.push(name.clone());
                }
                AgentEvent::AttentionOver { name: Some(name) } => open.retain(|other| other != name),
                AgentEvent::Done(_) | AgentEvent::Error { .. } => open.clear(),
                _ => {}
            }
            let is_unnamed = matches!(event, AgentEvent::Attention { name: None, .. });
            let is_over = matches!(event, AgentEvent::Done(_) | AgentEvent::Error { .. });
            machine = machine.step(Input::Agent(event)).0;
            if is_over {
                prop_assert_eq!(machine.rest(), Rest::Nothing);
                break;
            }
            let named: Vec<QuestionName> = machine.asked.iter().filter_map(|asked| asked.name.clone()).collect();
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
    fn questions_that_are_read_anew_have_the_numbers_that_they_had(events in reports()) {
        let (first, effects) = run(inputs(&events));
        let (machine, effects) = taken_up_by_another(&effects, &events);
        prop_assert_eq!(questions(&effects).0.len(), 0);
        prop_assert_eq!((machine.asks(), machine.reply("x")), (first.asks(), first.reply("x")));
    }

    /// What the first owner has seen of hooks that went without a word is in no report, and the next one sees it at the end:
    /// whatever was told meanwhile, what a person sees last is what their reply decides, under a number of its own.
    #[test]
    fn a_reply_decides_what_was_put_to_the_person_last(events in reports(), gone in proptest::collection::vec((0usize..24, name()), 0..4)) {
        let mut heard = events.clone();
        let gone: Vec<_> = gone.into_iter().filter(|(_, name)| name.is_some()).collect();
        for (at, name) in &gone {
            heard.insert((*at).min(heard.len()), AgentEvent::AttentionOver { name: name.clone() });
        }
        let (_, before) = run(inputs(&heard));
        let last = events.iter().cloned().chain(gone.into_iter().map(|(_, name)| AgentEvent::AttentionOver { name }));
        let (machine, after) = taken_up_by_another(&before, &last.collect::<Vec<_>>());
        let shown = [&before[..], &after].concat();
        let (shown, put_anew) = (questions(&shown).0, questions(&after).0.len());
        match machine.reply("x") {
            Ok(question) => {
                prop_assert_eq!(Some(&json!(question.name)), shown.last().map(|data| &data["name"]));
                // What was put last by the first owner keeps its number; what is put anew has one that was never used, also
                // by what the first owner may have put and not recorded.
                let number = question.number as usize;
                prop_assert!(if put_anew == 0 { number == shown.len() } else { number >= shown.len() }, "{number}");
            }
            Err(_) => prop_assert!(machine.rest() == Rest::Nothing),
        }
    }
}

/// What an agent reports while its turn runs.
fn reports() -> impl Strategy<Value = Vec<AgentEvent>> {
    let ends = |event: &AgentEvent| matches!(event, AgentEvent::Done(_) | AgentEvent::Error { .. });
    proptest::collection::vec(event().prop_filter("no end", move |event| !ends(event)), 0..24)
}

fn inputs(events: &[AgentEvent]) -> impl Iterator<Item = Input> {
    let ready = [Input::Ready("%1".to_owned()), Input::Claimed];
    ready.into_iter().chain(events.iter().cloned().map(Input::Agent))
}

/// What of these effects the log tells a later owner.
fn told(effects: &[Effect]) -> Told {
    let (told, _) = questions(effects);
    let attentions = told.iter().filter(|data| data["kind"] != DIALOG).count();
    let asked = told.last().map(|data| (*data).clone());
    Told { attentions: u32::try_from(attentions).unwrap(), asked, ..Told::default() }
}

/// A later owner takes a turn up of which the first one has told this, and reads these reports anew.
fn taken_up_by_another(before: &[Effect], events: &[AgentEvent]) -> (Machine, Vec<Effect>) {
    let step = |(machine, mut effects): (Machine, Vec<Effect>), input| {
        let (machine, more) = machine.step(input);
        effects.extend(more);
        (machine, effects)
    };
    let (machine, effects) = inputs(events).fold((Machine::resumed(told(before)), Vec::new()), step);
    // Before it has read all that was told, it takes no reply.
    assert!(machine.asks().is_none() && machine.reply("x").is_err());
    step((machine, effects), Input::Agent(AgentEvent::CaughtUp))
}

#[test]
fn leave_is_given_by_an_option_and_a_question_answered_by_any_text() {
    let ask = |kind: &str, options: &[&str]| {
        let attention = attention(kind, "?", options, None);
        let ready = [Input::Ready("%1".to_owned()), Input::Claimed, Input::Agent(AgentEvent::Started)];
        run(ready.into_iter().chain([Input::Agent(attention)])).0
    };
    let leave = ask("permission", &["allow", "deny\nall"]);
    assert_eq!((leave.reply("allow"), leave.reply("deny all")), (question(1), question(1)));
    assert_eq!((leave.reply("Allow"), leave.reply("")), (Err(NoReply::NotAnOption), Err(NoReply::NotAnOption)));
    assert_eq!(ask("permission", &[]).reply("why?"), question(1));
    assert_eq!(ask("question", &["red", "blue"]).reply("green"), question(1));
    let (again, _) = leave.step(Input::Agent(attention("question", "!", &[], None)));
    assert_eq!(again.reply("x"), question(2));
    assert_eq!(again.step(Input::Agent(AgentEvent::Delta("y".to_owned()))).0.reply("x"), Err(NoReply::NothingAsked));
}

#[test]
fn a_dialog_is_answered_in_the_terminal_and_none_of_the_agents_questions() {
    let ask = || Input::Agent(attention("question", "?", &[], None));
    let told = told(&[Effect::Emit(EventKind::Attention, json!({ "kind": "question", "prompt": "?", "options": [] }))]);
    let ready = [Input::Ready("%1".to_owned()), Input::Claimed, Input::Agent(AgentEvent::Dialog("?".to_owned()))];
    let mut steps =
        ready.into_iter().fold((Machine::resumed(told), Vec::new()), |(machine, _), input| machine.step(input));
    // It is told anew, whatever an earlier owner has told; and before the agent is seen to have the turn.
    assert!(matches!(steps.1[..], [Effect::Emit(EventKind::Attention, _), Effect::Attention(true)]), "{:?}", steps.1);
    assert_eq!(steps.0.rest(), Rest::Both);
    assert_eq!((steps.0.asks(), steps.0.reply("x")), (None, Err(NoReply::InTerminal)));
    steps = steps.0.step(Input::Agent(AgentEvent::AttentionOver { name: None }));
    // What was told before that may still be asked.
    assert_eq!(steps.1, [Effect::Attention(true)]);
    assert_eq!(steps.0.rest(), Rest::Nothing);
    assert_eq!(steps.0.reply("x"), Err(NoReply::NothingAsked));
    // The question that the earlier owner has told is still the first one, and is put to the person again, who has seen the
    // dialog since.
    steps = steps.0.step(ask());
    assert_eq!(steps.1, [Effect::Attention(true)]);
    steps = steps.0.step(Input::Agent(AgentEvent::CaughtUp));
    assert_eq!(questions(&steps.1).0.len(), 1);
    assert_eq!((steps.0.asks(), steps.0.reply("x")), (Some(2), question(2)));
}

#[test]
fn what_the_first_owner_may_have_put_and_not_recorded_has_its_number_for_itself() {
    let ask = |name: &str| attention("question", name, &[], named(name));
    let over = |name: &str| AgentEvent::AttentionOver { name: named(name) };
    let recorded = [ask("b"), ask("a"), ask("c")];
    let (_, before) = run(inputs(&recorded));
    // After these, `a` and `b` were put again, or would have been: as the fourth and the fifth question.
    let all: Vec<_> = recorded.into_iter().chain([over("c"), over("a")]).collect();
    let (machine, after) = taken_up_by_another(&before, &all);
    assert_eq!(questions(&after).0.len(), 1);
    assert_eq!(machine.reply("x"), Ok(OpenQuestion { number: 5, name: named("b") }));
}

#[test]
fn what_is_asked_again_while_nobody_listens_is_another_question_though_it_has_no_name() {
    let ask = || attention("question", "?", &[], None);
    let (_, before) = run(inputs(&[ask()]));
    let again = [ask(), AgentEvent::Activity(None), ask()];
    let (machine, effects) = taken_up_by_another(&before, &again);
    assert_eq!((questions(&effects).0.len(), machine.reply("x")), (1, question(2)));
    // The numbers are the agent's, also where what was told is not all recorded: what is typed in reply bears them.
    let (machine, effects) = taken_up_by_another(&[], &again);
    assert_eq!((questions(&effects).0.len(), machine.reply("x")), (1, question(2)));
    let (machine, _) = taken_up_by_another(&[], &[ask()]);
    assert_eq!(machine.reply("x"), question(1));
}

#[test]
fn what_was_told_last_may_still_be_asked_until_all_is_read_anew() {
    let ask = || attention("question", "?", &[], None);
    let (_, before) = run(inputs(&[ask()]));
    assert!(Machine::resumed(told(&before)).may_ask() && !Machine::resumed(told(&[])).may_ask());
    for (reports, waits) in [(vec![ask()], true), (vec![ask(), AgentEvent::Activity(None)], false)] {
        let (machine, effects) = taken_up_by_another(&before, &reports);
        assert_eq!((effects.last(), machine.may_ask()), (Some(&Effect::Attention(waits)), false));
    }
}

#[test]
fn what_was_asked_before_that_does_not_end_the_wait() {
    let ask = |prompt: &str| attention("question", prompt, &[], None);
    let reports = [ask("first"), AgentEvent::Activity(Some("reading".to_owned())), ask("second")];
    let (_, before) = run(inputs(&reports));
    let (machine, effects) = taken_up_by_another(&before, &reports);
    assert!(!effects.contains(&Effect::Attention(false)), "{effects:?}");
    assert_eq!((questions(&effects).0.len(), machine.reply("x")), (0, question(2)));
}

#[test]
fn a_dialog_that_was_only_reported_is_not_told_again_and_one_that_is_seen_is() {
    let reported = || {
        let (kind, prompt, options) = (DIALOG.to_owned(), "old".to_owned(), Vec::new());
        AgentEvent::Attention { kind, prompt, options, name: None, reply: false }
    };
    let (_, before) = run(inputs(&[reported()]));
    let goes_on = AgentEvent::Activity(None);
    let (machine, effects) = taken_up_by_another(&before, &[reported(), goes_on.clone()]);
    assert_eq!((questions(&effects).0.len(), machine.rest()), (0, Rest::Nothing));
    let (machine, effects) = taken_up_by_another(&before, &[reported(), goes_on, AgentEvent::Dialog("new".to_owned())]);
    assert_eq!((questions(&effects).0.len(), machine.rest()), (1, Rest::Both));
}

/// The events that these effects show, and their bytes.
fn questions(effects: &[Effect]) -> (Vec<&Value>, usize) {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Emit(EventKind::Attention, data) => Some(data),
        _ => None,
    });
    let told: Vec<&Value> = told.collect();
    let bytes = told.iter().map(|data| data.to_string().len()).sum();
    (told, bytes)
}

#[test]
fn questions_that_come_and_go_cost_in_proportion_to_what_the_agent_says() {
    let long = "x".repeat(16_000);
    let first = attention("permission", &long, &["allow", "deny"], named("a"));
    let second = || attention("question", "?", &[], named("b"));
    let ready = [Input::Ready("%1".to_owned()), Input::Claimed, Input::Agent(first)];
    let pairs = (0..5_000).flat_map(|_| [second(), AgentEvent::AttentionOver { name: named("b") }]);
    let (machine, effects) = run(ready.into_iter().chain(pairs.map(Input::Agent)));
    let (told, bytes) = questions(&effects);
    assert_eq!(told.len(), 10_001, "each time it is told which one is open");
    assert!(bytes < AGAIN + 20_000 + 5_000 * 400, "{bytes}");
    // As long as it is told, it is told whole; where it is not, nobody gives leave to it.
    for data in told.iter().filter(|data| data["prompt"] != "?") {
        assert_eq!(data["kind"] == "permission", data["prompt"] == long.as_str(), "{data}");
    }
    assert_eq!((machine.asks(), machine.reply("allow")), (None, Err(NoReply::InTerminal)));
    assert_eq!(machine.rest(), Rest::Both, "its hook waits, and tells when it is decided");
    let (machine, effects) = machine.step(Input::Agent(AgentEvent::AttentionOver { name: named("a") }));
    assert_eq!((effects.as_slice(), machine.rest()), ([Effect::Attention(false)].as_slice(), Rest::Nothing));
}

#[test]
fn questions_of_ordinary_length_are_told_again_as_often_as_need_be() {
    let command = "x".repeat(500);
    let ask = |name: &str| Input::Agent(attention("permission", &command, &["allow", "deny"], named(name)));
    let ready = [Input::Ready("%1".to_owned()), Input::Claimed, ask("a")];
    let pairs = (0..5_000).flat_map(|_| [ask("b"), Input::Agent(AgentEvent::AttentionOver { name: named("b") })]);
    let (machine, _) = run(ready.into_iter().chain(pairs));
    assert_eq!(machine.reply("allow").unwrap().name, named("a"));
}

#[test]
fn a_question_for_the_terminal_is_open_until_it_is_over_itself() {
    let ask = |name: &str| {
        let (kind, prompt, options) = (DIALOG.to_owned(), name.to_owned(), Vec::new());
        Input::Agent(AgentEvent::Attention { kind, prompt, options, name: named(name), reply: false })
    };
    let over = |name: &str| Input::Agent(AgentEvent::AttentionOver { name: named(name) });
    let ready = [Input::Ready("%1".to_owned()), Input::Claimed, ask("a"), ask("b")];
    let goes_on = [AgentEvent::Activity(Some("reading".to_owned())), AgentEvent::Delta("x".to_owned())];
    let (machine, _) = run(ready.into_iter().chain(goes_on.map(Input::Agent)));
    assert_eq!((machine.asked.len(), machine.reply("x")), (2, Err(NoReply::InTerminal)));
    let (machine, effects) = machine.step(over("b"));
    assert_eq!(questions(&effects).0[0]["prompt"], "a");
    assert_eq!(machine.rest(), Rest::Silence);
    assert_eq!(machine.step(over("a")).0.rest(), Rest::Nothing);
}

#[test]
fn what_was_told_before_is_not_told_again() {
    let asks = || attention("question", "?", &[], None);
    let (_, before) = run(inputs(&[AgentEvent::Started, asks()]));
    let started = Told { started: true, ..told(&before) };
    let reads = [AgentEvent::Started, asks(), AgentEvent::CaughtUp];
    let (machine, effects) =
        inputs(&reads).fold((Machine::resumed(started), Vec::new()), |(machine, mut effects), input| {
            let (machine, more) = machine.step(input);
            effects.extend(more);
            (machine, effects)
        });
    assert!(effects.contains(&Effect::Start { tell: false }));
    assert_eq!(effects.last(), Some(&Effect::Attention(true)), "an earlier owner has told the question");
    assert_eq!(machine.reply("x"), question(1));
    let (machine, effects) = machine.step(Input::Agent(asks()));
    assert!(matches!(effects.first(), Some(Effect::Emit(EventKind::Attention, _))), "this one is new");
    assert_eq!(machine.reply("x"), question(2));
}
