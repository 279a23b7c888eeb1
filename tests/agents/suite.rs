//! What every agent has to do, by the product's public behaviour and by what its model was asked.

use rustix::process::Signal;
use serde_json::json;

use super::stage::{Agent, Commands, Stage};
use crate::harness::sse::held;
use crate::harness::{Event, Tested, processes};

/// The first turn starts the agent. What it asks for on its own account carries the turn's envelope, too, and is not the
/// turn.
pub async fn starts_from_nothing(agent: &'static Agent) -> Tested {
    let stage = Stage::start(agent).await?;
    assert_eq!(stage.session().await?, json!(null));
    let turn = stage.user.ask("!text first **words**").await?;
    let events = stage.user.collect(&turn).await?;
    assert_eq!(held(&events), "first **words**", "{}", stage.screen());
    stage.user.session_is("idle").await?;
    let session = stage.session().await?;
    assert_eq!(
        (&session["agent_alive"], &session["last_start"]["resumed"]),
        (&json!(true), &json!(false)),
        "{session}"
    );

    let asked = stage.model.asked_for(&turn.turn_id);
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].prompt(), ("", "!text first **words**"));
    if agent.asks_beside {
        stage.model.once("a side call", || stage.model.asked().iter().any(|ask| ask.is_side)).await?;
    }
    for ask in stage.model.asked().iter().filter(|ask| ask.is_side) {
        assert_eq!((ask.tools.len(), ask.turn.as_deref()), (0, Some(turn.turn_id.as_str())), "{ask:?}");
    }
    stage.close().await
}

/// Posted at once, they are answered one after the other, each typed once, by an agent that remembers.
pub async fn answers_three_in_a_row(agent: &'static Agent) -> Tested {
    let stage = Stage::start(agent).await?;
    let first = stage.user.ask("!text one").await?;
    let second = stage.user.ask_in(&first.session_id, "!text two").await?;
    let third = stage.user.ask_in(&first.session_id, "!text three").await?;
    for (turn, answer) in [(&first, "one"), (&second, "two"), (&third, "three")] {
        assert_eq!(stage.answer(turn).await?, answer);
    }
    let asked = stage.model.asked();
    let turns: Vec<_> = asked.iter().filter(|ask| !ask.is_side).filter_map(|ask| ask.turn.clone()).collect();
    assert_eq!(turns, [&first, &second, &third].map(|turn| turn.turn_id.clone()));
    let last = &stage.model.asked_for(&third.turn_id)[0];
    assert!(last.remembers("!text one") && last.remembers("!text two"), "{last:?}");
    assert_eq!(last.prompt().0, "", "it remembers, so there is no primer");
    stage.close().await
}

/// A tool is told of while it runs, and its output comes back; one that writes the answer to its file has the last word.
pub async fn uses_tools(agent: &'static Agent) -> Tested {
    let stage = Stage::start(agent).await?;
    let gate = stage.app.root().join("gate");
    rustix::fs::mknodat(rustix::fs::CWD, &gate, rustix::fs::FileType::Fifo, 0o600.into(), 0)?;
    let turn = stage.user.ask(&format!("!tool cat {} # through the gate", gate.display())).await?;
    let mut stream = stage.user.stream(&turn, None).await?;
    let activity = loop {
        let thinking = stream.until("thinking").await?;
        if let Some(activity) = thinking.data["activity"].as_str() {
            break activity.to_owned();
        }
    };
    assert!(activity.starts_with("Bash"), "{activity}");
    // Opened to be written, it waits for whoever reads it.
    tokio::fs::write(&gate, "it came through\n").await?;
    let events = stream.rest().await?;
    let answer = held(&events);
    assert!(answer.starts_with("it said: ") && answer.trim_end().ends_with("it came through"), "{answer}");
    let asked = stage.model.asked_for(&turn.turn_id);
    assert_eq!(asked.len(), 2, "one that calls the tool, and one with its output");

    let written = stage.user.ask_in(&turn.session_id, "!write from a file, 'quoted'").await?;
    assert_eq!(stage.answer(&written).await?, "from a file, 'quoted'");
    let next = stage.user.ask_in(&turn.session_id, "!text and on").await?;
    assert_eq!(stage.answer(&next).await?, "and on");
    stage.close().await
}

/// Whatever the message holds, the model gets all of it, once, as the message of one turn.
pub async fn gets_messages_as_they_are(agent: &'static Agent) -> Tested {
    let stage = Stage::start(agent).await?;
    let lines: String = (1..=40).map(|line| format!("line {line:2} of a longer text, with words\n")).collect();
    assert!((1_400..1_600).contains(&lines.len()));
    let messages = [
        "one\n\n\n  three blank lines before\tand a tab\n\tand one in front",
        "/help me, please",
        "!echo bang",
        "#note ? and 'quotes' \"too\" `ticks` ~ äöü 日本語 🙂",
        "a path like C:\\dir\\",
        "what costs $skill",
        "write to @someone",
        "and\nlast /clear",
        &lines,
    ];
    for message in messages {
        let turn = stage.user.ask(message).await?;
        let answer = stage.answer(&turn).await?;
        let asked = stage.model.asked_for(&turn.turn_id);
        assert_eq!(asked.len(), 1, "{message:?}: {asked:?}");
        assert_eq!((asked[0].prompt().0, agent.as_typed(asked[0].prompt().1)), ("", agent.as_typed(message)));
        assert!(answer.starts_with("you said: "), "{answer}");
    }

    let long = format!("the first words\n{}\nthe last words", "0123456789".repeat(500));
    let turn = stage.user.ask(&long).await?;
    let answer = stage.answer(&turn).await?;
    assert!(answer.contains(&long), "{answer}");
    assert_eq!(stage.model.asked_for(&turn.turn_id)[0].prompt(), ("+message", ""));
    stage.close().await
}

/// Pieces of the answer are shown before it is whole, where the agent gives them.
pub async fn streams(agent: &'static Agent) -> Tested {
    let stage = Stage::start(agent).await?;
    let turn = stage.user.ask("!hold").await?;
    let mut stream = stage.user.stream(&turn, None).await?;
    stage.model.holds(&turn.turn_id).await?;
    let mut events: Vec<Event> = Vec::new();
    if agent.streams {
        events.push(stream.until("content").await?);
        assert_eq!(events[0].data["delta"], "held", "{}", events[0].raw);
    }
    stage.model.release();
    events.extend(stream.rest().await?);
    assert_eq!(held(&events), "held\nreleased");
    let end = events.pop().ok_or("no event")?;
    assert_eq!((end.kind.as_str(), &end.data["streamed"]), ("end", &json!(agent.streams)), "{}", end.raw);
    stage.close().await
}

/// Cancelled in mid-answer, the agent stops, and the next turn has the same agent.
pub async fn is_interrupted(agent: &'static Agent) -> Tested {
    let stage = Stage::start(agent).await?;
    let turn = stage.user.ask("!hold").await?;
    stage.model.holds(&turn.turn_id).await?;
    let before = stage.process()?.pid;
    let next = stage.user.ask_in(&turn.session_id, "!text after it").await?;
    stage.user.cancelled(&turn).await?;
    assert_eq!(stage.user.ended(&turn).await?["state"], "cancelled");
    assert_eq!(stage.answer(&next).await?, "after it");
    assert_eq!(stage.process()?.pid, before, "the agent was started anew: {}", stage.session().await?);
    let asked = stage.model.asked_for(&next.turn_id);
    assert_eq!(asked.len(), 1, "{asked:?}");
    stage.close().await
}

/// Someone clears the agent's memory at its terminal: what was said before is told to it in a file.
pub async fn is_told_again_what_was_cleared(agent: &'static Agent) -> Tested {
    let stage = Stage::start(agent).await?;
    let first = stage.user.ask("!text the walrus is called Paul").await?;
    assert_eq!(stage.answer(&first).await?, "the walrus is called Paul");
    // Where the server knows that it is done, the agent may not have noticed yet, and takes no commands.
    stage.shows(|screen| screen.contains("called Paul") && screen.contains(agent.rests)).await?;
    stage.type_line("/clear")?;
    stage.shows(|screen| !screen.contains("called Paul")).await?;
    if agent.tells_of_clear {
        stage.reported("ready", 2).await?;
    } else {
        let between = stage.user.ask_in(&first.session_id, "!text cleared").await?;
        assert_eq!(stage.answer(&between).await?, "cleared");
    }
    let turn = stage.user.ask_in(&first.session_id, "!tool cat \"$PALIADIN_SPOOL/in/\"*.primer.md").await?;
    let answer = stage.answer(&turn).await?;
    assert!(answer.contains("the walrus is called Paul"), "{answer}");
    let asked = stage.model.asked_for(&turn.turn_id);
    assert_eq!(asked[0].prompt().0, "+primer");
    assert!(!asked[0].remembers("walrus"), "it was cleared: {asked:?}");
    stage.close().await
}

/// Killed in mid-answer, the turn fails; the next one has an agent that remembers what was said before.
pub async fn takes_up_its_memory(agent: &'static Agent) -> Tested {
    let stage = Stage::start(agent).await?;
    let first = stage.user.ask("!text the walrus is called Paul").await?;
    assert_eq!(stage.answer(&first).await?, "the walrus is called Paul");
    let turn = stage.user.ask_in(&first.session_id, "!hold").await?;
    stage.model.holds(&turn.turn_id).await?;
    let killed = stage.process()?;
    assert!(processes::end(killed.pid, Signal::KILL)?);
    let row = stage.user.ended(&turn).await?;
    assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!("agent_died")), "{row}");

    let next = stage.user.ask_in(&first.session_id, "!text still here").await?;
    assert_eq!(stage.answer(&next).await?, "still here");
    let asked = stage.model.asked_for(&next.turn_id);
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].remembers("the walrus is called Paul"), "{asked:?}");
    assert_eq!(asked[0].prompt().0, "", "it remembers, so there is no primer");
    let session = stage.session().await?;
    assert_eq!(session["last_start"]["resumed"], true, "{session}");
    stage.close().await
}

/// What the model's service says is shown to the person, and the next turn is answered.
pub async fn tells_of_overload(agent: &'static Agent) -> Tested {
    let stage = Stage::start(agent).await?;
    let turn = stage.user.ask("!overload").await?;
    let events = stage.user.collect(&turn).await?;
    let error = events.last().ok_or("no event")?;
    assert_eq!((error.kind.as_str(), &error.data["code"]), ("error", &json!("upstream_error")), "{}", error.raw);
    let message = error.data["message"].as_str().unwrap_or_default();
    assert!(message.contains("529") || message.contains("Overloaded"), "{message}");
    assert_eq!(error.data["retryable"], true);
    let next = stage.user.ask_in(&turn.session_id, "!text better now").await?;
    assert_eq!(stage.answer(&next).await?, "better now");
    stage.close().await
}

/// The agent asks, the person answers in the chat, and it goes on.
pub async fn asks_for_permission(agent: &'static Agent) -> Tested {
    let stage = Stage::with(agent, Commands::Asked).await?;
    let done = stage.app.root().join("done");
    for (word, is_done) in [("deny", false), ("allow", true)] {
        let turn = stage.user.ask(&format!("!ask touch {}", done.display())).await?;
        let mut stream = stage.user.stream(&turn, None).await?;
        let asks = stream.until("attention").await?;
        assert_eq!(asks.data["kind"], "permission", "{}", asks.raw);
        assert!(asks.data["prompt"].as_str().is_some_and(|prompt| prompt.contains("touch ")), "{}", asks.raw);
        let attention = asks.id.clone().ok_or("an event without an id")?;
        if stage.user.status().await?["can_reply"] == false {
            let refused = stage.user.reply(&turn, &attention, word).await?;
            assert_eq!(refused, (409, "reply_unsupported".to_owned()));
            return stage.close().await;
        }
        assert_eq!(stage.user.reply(&turn, &attention, word).await?.0, 202, "{}", stage.screen());
        let events = stream.rest().await?;
        assert!(held(&events).starts_with("it said: "), "{events:?}");
        assert_eq!(done.exists(), is_done);
        assert_eq!(stage.app.audited("attention.reply", &turn.turn_id).await?, 1);
    }
    stage.close().await
}
