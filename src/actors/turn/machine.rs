//! The turn as a pure state machine: `(state, input) -> (state, effects)`. No I/O, no clock; the actor beside it
//! performs the effects.

use serde_json::{Value, json};

use crate::agent::{answer, envelope};
use crate::backend::AgentEvent;
use crate::turn::{ErrorCode, EventKind, Outcome};

/// Where the run of a turn stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The agent is being made ready; nothing is known of the turn outside its row.
    Preparing,
    /// The intent to type is on its way to the store.
    Claiming,
    /// The backend has it; whether the agent does is not known yet.
    Delivering,
    /// The agent has it.
    Answering,
    /// The end is on its way to the store.
    Finishing,
    /// The end is durable, or the turn is not ours.
    Over,
}

/// What happens to a turn.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// The agent is ready at this place.
    Ready(String),
    /// There is no agent.
    NotReady(ErrorCode, String),
    /// The intent is durable.
    Claimed,
    /// The row was not queued any more.
    ClaimLost,
    /// The backend reports.
    Agent(AgentEvent),
    /// The backend stopped reporting without a final event.
    Vanished,
    /// Someone ends the turn: with `cancelled` by its user, else it fails with this code.
    End(ErrorCode, String),
    /// The end is durable.
    Recorded,
}

/// What is to be done.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Commit the intent to type at this place.
    Claim(String),
    /// Hand the turn to the backend.
    Deliver,
    /// Record and tell that the agent has the turn.
    Start,
    /// Show and record an event.
    Emit(EventKind, Value),
    /// The agent does something, or nothing special any more.
    Activity(Option<String>),
    /// The agent waits for a person, or does so no more.
    Attention(bool),
    /// Take no more from the backend.
    Detach,
    /// Commit the end. Where `streamed`, the answer was shown piece by piece.
    Finish {
        /// How it ended.
        outcome: Outcome,
        /// What `end` tells.
        streamed: bool,
    },
    /// Drop the turn's files, and stop.
    Close,
    /// Stop; someone else looks after the row.
    Abandon,
}

/// The state.
#[derive(Clone, PartialEq, Debug)]
pub struct Machine {
    phase: Phase,
    /// The answer's body as far as it was shown.
    shown: String,
    /// The backend was asked to deliver the turn.
    delivered: bool,
    /// The turn has a complete answer, or the agent is known to be idle or gone.
    settled: bool,
    /// How often the agent asked a person.
    attentions: u32,
    /// What it asks now.
    asked: Option<Asked>,
}

/// What the agent asks of a person.
#[derive(Clone, PartialEq, Debug)]
struct Asked {
    is_permission: bool,
    options: Vec<String>,
}

/// Why a reply is not handed to the agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoReply {
    /// The agent asks nothing, or not any more.
    #[error("nothing is being asked, or it was answered already")]
    NothingAsked,
    /// It asks for leave, and this is none of the answers to choose from.
    #[error("the reply must be one of the options")]
    NotAnOption,
}

impl Default for Machine {
    fn default() -> Self {
        let (phase, shown) = (Phase::Preparing, String::new());
        Self { phase, shown, delivered: false, settled: false, attentions: 0, asked: None }
    }
}

impl Machine {
    /// The agent may still work on the turn although it is over.
    pub fn leaves_agent_busy(&self) -> bool {
        self.delivered && !self.settled
    }

    /// Whether this line may be handed to the agent as a reply, and to which of its questions in this turn (1, 2, …).
    pub fn reply(&self, line: &str) -> Result<u32, NoReply> {
        let asked = self.asked.as_ref().ok_or(NoReply::NothingAsked)?;
        // An option is typed as any text is.
        let chosen = asked.options.is_empty() || asked.options.iter().any(|option| envelope::line(option) == line);
        if asked.is_permission && !chosen { Err(NoReply::NotAnOption) } else { Ok(self.attentions) }
    }

    /// Takes one step.
    #[must_use]
    pub fn step(self, input: Input) -> (Self, Vec<Effect>) {
        match (self.phase, input) {
            (Phase::Preparing, Input::Ready(place)) => (self.enter(Phase::Claiming), vec![Effect::Claim(place)]),
            (Phase::Preparing, Input::NotReady(code, message)) => self.fail(code, message),
            (Phase::Claiming, Input::Claimed) => {
                (Self { delivered: true, ..self.enter(Phase::Delivering) }, vec![Effect::Deliver])
            }
            (Phase::Claiming, Input::ClaimLost) => (self.enter(Phase::Over), vec![Effect::Abandon]),
            (Phase::Delivering, Input::Agent(AgentEvent::Started)) => {
                (self.enter(Phase::Answering), vec![Effect::Start])
            }
            (Phase::Delivering | Phase::Answering, Input::Agent(event)) => self.hear(event),
            (Phase::Delivering | Phase::Answering, Input::Vanished) => {
                self.fail(ErrorCode::UpstreamError, "the backend stopped reporting".to_owned())
            }
            (Phase::Preparing | Phase::Claiming | Phase::Delivering | Phase::Answering, Input::End(code, message)) => {
                self.fail(code, message)
            }
            (Phase::Finishing, Input::Recorded) => (self.enter(Phase::Over), vec![Effect::Close]),
            // Late news of something that is decided already.
            (_, _) => (self, Vec::new()),
        }
    }

    fn enter(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    fn hear(mut self, event: AgentEvent) -> (Self, Vec<Effect>) {
        match event {
            AgentEvent::Started | AgentEvent::Heartbeat => (self, Vec::new()),
            AgentEvent::Delta(delta) => {
                self.shown.push_str(&delta);
                let data = json!({ "delta": delta, "streamed": true });
                self.goes_on(Effect::Emit(EventKind::Content, data))
            }
            AgentEvent::Activity(activity) => self.goes_on(Effect::Activity(activity)),
            AgentEvent::Attention { kind, prompt, options } => {
                let data = json!({ "kind": kind, "prompt": prompt, "options": options });
                self.attentions += 1;
                self.asked = Some(Asked { is_permission: kind == "permission", options });
                (self, vec![Effect::Emit(EventKind::Attention, data), Effect::Attention(true)])
            }
            AgentEvent::AttentionOver => self.goes_on(None),
            AgentEvent::Done(text) => self.answer(&text),
            AgentEvent::Error { code, message } => {
                self.settled = code == ErrorCode::AgentDied;
                self.fail(code, message)
            }
        }
    }

    /// The agent does something again: it asks no more.
    fn goes_on(mut self, effect: impl Into<Option<Effect>>) -> (Self, Vec<Effect>) {
        let over = self.asked.take().map(|_| Effect::Attention(false));
        (self, effect.into().into_iter().chain(over).collect())
    }

    /// Whatever was shown, what the client holds at the end is the body.
    fn answer(mut self, text: &str) -> (Self, Vec<Effect>) {
        let answer = answer::read(text);
        let streamed = !self.shown.is_empty();
        let last = match answer.body.strip_prefix(self.shown.as_str()) {
            Some("") => None,
            Some(rest) if streamed => Some((EventKind::Content, json!({ "delta": rest, "streamed": true }))),
            Some(whole) => Some((EventKind::Content, json!({ "text": whole }))),
            None => Some((EventKind::Resync, json!({ "text": answer.body }))),
        };
        self.shown.clone_from(&answer.body);
        self.settled = true;
        self.asked = None;
        let finish = Effect::Finish { outcome: Outcome::Done(answer), streamed };
        let effects = last.map(|(kind, data)| Effect::Emit(kind, data)).into_iter().chain([Effect::Detach, finish]);
        (self.enter(Phase::Finishing), effects.collect())
    }

    fn fail(mut self, code: ErrorCode, message: String) -> (Self, Vec<Effect>) {
        let partial = Some(self.shown.clone()).filter(|shown| !shown.is_empty());
        let streamed = partial.is_some();
        self.asked = None;
        let outcome = match code {
            ErrorCode::Cancelled => Outcome::Cancelled { partial },
            code => Outcome::Failed { code, message, partial },
        };
        (self.enter(Phase::Finishing), vec![Effect::Detach, Effect::Finish { outcome, streamed }])
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            again.step(Input::Agent(AgentEvent::Delta("y".to_owned()))).0.reply("x"),
            Err(NoReply::NothingAsked)
        );
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
}
