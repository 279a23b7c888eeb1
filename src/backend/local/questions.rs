//! What the agent asks in a turn, as its reports tell it, and for which of that a hook still waits.

use crate::agent::question::{self, MAX_QUESTION, QuestionName};
use crate::agent::signal::AttentionKind;
use crate::agent::spool::Spool;
use crate::backend::AgentEvent;
use crate::turn::DIALOG;

/// Questions for which hooks are known to wait at once; the first of more is taken for one that stays open.
const MAX_AWAITED: usize = 256;
/// Characters of a question that is too long to be shown whole.
const MAX_BEGINNING: usize = 1_000;

/// The questions for which a hook waits.
#[derive(Debug, Default)]
pub struct Questions {
    awaited: Vec<QuestionName>,
}

impl Questions {
    /// The agent asks this. `named` is what its report calls it: `name` and `reply`.
    pub fn asked(
        &mut self,
        kind: AttentionKind,
        prompt: String,
        options: Vec<String>,
        named: (Option<QuestionName>, Option<QuestionName>),
    ) -> AgentEvent {
        let (name, reply) = named;
        let is_awaited = reply.is_some();
        // The reply goes to whoever waits for it under this name.
        let name = reply.or(name);
        self.over(name.as_ref());
        // Nobody decides about what is not shown whole.
        if question::length(&prompt, &options) > MAX_QUESTION {
            let beginning: String = prompt.chars().take(MAX_BEGINNING).collect();
            let why = "This is decided in the agent's terminal: it is too long to be shown. It begins with:";
            let prompt = format!("{why}\n{beginning}…");
            let kind = DIALOG.to_owned();
            return AgentEvent::Attention { kind, prompt, options: Vec::new(), name, reply: false };
        }
        if is_awaited {
            if self.awaited.len() == MAX_AWAITED {
                self.awaited.remove(0);
            }
            self.awaited.extend(name.clone());
        }
        let kind = match kind {
            AttentionKind::Question => "question",
            AttentionKind::Permission => "permission",
        };
        AgentEvent::Attention { kind: kind.to_owned(), prompt, options, name, reply: is_awaited }
    }

    /// The agent says that this question is over.
    pub fn over(&mut self, name: Option<&QuestionName>) {
        self.awaited.retain(|awaited| Some(awaited) != name);
    }

    /// Those that are over because the hook that waited is gone without a word. Looked at once all reports were read: a hook
    /// waits before it tells so.
    pub fn given_up(&mut self, spool: &Spool) -> Vec<AgentEvent> {
        let gone: Vec<QuestionName> = self.awaited.extract_if(.., |name| !spool.is_awaited(name)).collect();
        gone.into_iter().map(|name| AgentEvent::AttentionOver { name: Some(name) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> QuestionName {
        name.to_owned().try_into().unwrap()
    }

    #[test]
    fn a_question_that_cannot_be_shown_whole_is_one_for_the_terminal() {
        let ask = |prompt: usize, options: Vec<String>| {
            let mut questions = Questions::default();
            let asked =
                questions.asked(AttentionKind::Permission, "x".repeat(prompt), options, (None, Some(name("q"))));
            (asked, questions.awaited.len())
        };
        let (longest, awaited) = ask(MAX_QUESTION - 5, vec!["allow".to_owned()]);
        let expected = AgentEvent::Attention {
            kind: "permission".to_owned(),
            prompt: "x".repeat(MAX_QUESTION - 5),
            options: vec!["allow".to_owned()],
            name: Some(name("q")),
            reply: true,
        };
        assert_eq!((longest, awaited), (expected, 1));
        for (prompt, options) in [(MAX_QUESTION - 4, vec!["allow".to_owned()]), (1, vec!["x".repeat(8_000); 64])] {
            let (AgentEvent::Attention { kind, prompt, options, name: named, reply }, awaited) = ask(prompt, options)
            else {
                panic!("no question")
            };
            assert_eq!((kind.as_str(), options.len(), named, reply, awaited), (DIALOG, 0, Some(name("q")), false, 0));
            assert!(prompt.contains("terminal") && prompt.len() < 2_000, "{prompt}");
        }
    }

    #[test]
    fn a_question_is_given_up_with_its_hook_and_told_so_once() {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::create(&root.path().join("spools"), "s", crate::agent::spool::Owner::Server).unwrap();
        let held = |name: &str| {
            let file = std::fs::File::create(spool.path().join("out").join(format!(".asked-{name}"))).unwrap();
            rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
            file
        };
        let hooks = [held("a"), held("b")];
        let mut questions = Questions::default();
        for reply in ["a", "b", "never"] {
            questions.asked(AttentionKind::Question, String::new(), Vec::new(), (None, Some(name(reply))));
        }
        questions.asked(AttentionKind::Question, String::new(), Vec::new(), (Some(name("terminal")), None));
        let over = |name: &str| AgentEvent::AttentionOver { name: Some(self::name(name)) };
        assert_eq!(questions.given_up(&spool), [over("never")]);
        let [first, second] = hooks;
        drop(first);
        assert_eq!(questions.given_up(&spool), [over("a")]);
        assert_eq!(questions.given_up(&spool), []);
        questions.over(Some(&name("b")));
        drop(second);
        assert_eq!(questions.given_up(&spool), []);
    }
}
