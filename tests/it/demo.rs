//! The demo agent, driven as the server drives it: typed to in a tmux pane, watched through its spool.

mod pane;

use std::fs;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use self::pane::{Pane, Tested};

#[test]
fn a_turn_is_confirmed_answered_and_ended() -> Tested {
    let pane = Pane::start()?;
    let id = Uuid::now_v7();
    pane.submit_turn(id, "!echo two\nlines, *as they are* ")?;
    assert_eq!(pane.answer(id)?, "two\nlines, *as they are* ");
    assert_eq!(pane.events(id)?, ["submitted", "stopped"]);
    let signals = pane.signals()?;
    assert_eq!((&signals[0]["event"], &signals[0]["resume_id"]), (&json!("ready"), &json!(null)));
    assert_eq!(signals[2]["message"], json!(null));
    assert!(signals.iter().all(|line| line["at"].as_i64() > Some(1_600_000_000_000)), "{signals:?}");
    let mut left: Vec<_> =
        fs::read_dir(pane.spool().join("out"))?.map(|entry| Ok(entry?.file_name())).collect::<Tested<_>>()?;
    left.sort();
    assert_eq!(left, [format!("{id}.txt"), "events.jsonl".to_owned()].map(Into::<std::ffi::OsString>::into));
    Ok(())
}

#[test]
fn directives_are_answered() -> Tested {
    let pane = Pane::start()?;
    let hash = "3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(pane.ask("!sha abc")?, hash);
    assert_eq!(pane.ask("!count")?, "2");
    assert_eq!(pane.ask("!big 100000")?.len(), 100_000);
    let trailer = r#"{"used_tools":["sql","search"],"rows_seen":[3,4],"classifier_tag":"lookup"}"#;
    assert_eq!(pane.ask("!meta sql,search 3,4 lookup")?, format!("meta\n<!-- paliadin {trailer} -->"));
    let began = Instant::now();
    assert_eq!(pane.ask("!sleep 0.3")?, "slept 0.3");
    assert!(began.elapsed() >= Duration::from_millis(300));
    for directive in ["!context", "!primer", "!jwt"] {
        assert_eq!(pane.ask(directive)?, "none", "{directive}");
    }
    let help = pane.ask("!dance")?;
    assert!(help.starts_with("`!dance` is not a directive.") && help.contains("- `!lines N MS`"), "{help}");
    assert!(pane.ask("!sleep soon")?.contains("seconds"));
    assert_eq!(pane.ask("!count")?, "11");
    Ok(())
}

#[test]
fn files_of_the_turn_are_read() -> Tested {
    let pane = Pane::start()?;
    let given = |suffix: &str, flags: &str, directive: &str, content: &[u8]| -> Tested<String> {
        let id = Uuid::now_v7();
        fs::write(pane.given(id, suffix), content)?;
        pane.submit(format!("[PALIADIN:{id}{flags}]{directive}"))?;
        pane.answer(id)
    };
    assert_eq!(given("context.json", " +context", " !context", b"{\"route\":\"/x\"}")?, "{\"route\":\"/x\"}");
    assert_eq!(given("primer.md", " +context +primer", " !primer", b"Before:\n")?, "Before:\n");
    let token = format!("e30.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(r#"{"sub":"u"}"#));
    assert_eq!(given("jwt", "", " !jwt", token.as_bytes())?, r#"{"sub":"u"}"#);

    let long: String = (0..).map(|number| format!("{number}: ünd\r\n\t")).take(6_000).collect();
    let long = &long.as_bytes()[..60 * 1024];
    let expected = format!("{} {:x}", long.len(), Sha256::digest(long));
    assert_eq!(given("message.md", " +message", "", &[b"!sha ", long].concat())?, expected);

    let id = Uuid::now_v7();
    pane.submit(format!("[PALIADIN:{id} +message]"))?;
    pane.signal(id, "failed")?;
    assert_eq!(pane.events(id)?, ["submitted", "failed"], "the server left no message");
    assert_eq!(pane.ask("!echo on")?, "on");
    Ok(())
}

#[test]
fn pastes_keep_their_newlines() -> Tested {
    let pane = Pane::start()?;
    let text = "first\n\nthird\n";
    for (keeps, arrived) in [(true, text.to_owned()), (false, text.replace('\n', "\r"))] {
        let id = Uuid::now_v7();
        pane.paste(format!("[PALIADIN:{id}] !echo {text}"), keeps)?;
        let marker = format!("> [PALIADIN:{id}] !echo first⏎⏎third⏎");
        pane.shows(&marker)?;
        assert!(pane.events(id)?.is_empty(), "nothing is submitted before Enter");
        pane.press("Enter")?;
        assert_eq!(pane.answer(id)?, arrived);
        let screen = pane.shows("> Ask something")?;
        assert!(!screen.contains("[PALIADIN:"), "the marker stays in the input line:\n{screen}");
    }
    let inline = "x".repeat(3_990) + "\n";
    assert_eq!(pane.ask(&format!("!sha {inline}"))?, format!("3991 {:x}", Sha256::digest(&inline)));
    Ok(())
}

#[test]
fn lines_are_streamed() -> Tested {
    let pane = Pane::start()?;
    let id = Uuid::now_v7();
    pane.submit_turn(id, "!lines 5 100")?;
    let first = pane.eventually("a first line", || {
        Ok(fs::read_to_string(pane.out(id, "part")).ok().filter(|part| !part.is_empty()))
    })?;
    assert!(first.starts_with("line 1\n"));
    assert!(!pane.out(id, "txt").exists(), "the first line came before the end");
    let whole = "line 1\nline 2\nline 3\nline 4\nline 5\n";
    assert_eq!(pane.answer(id)?, whole);
    assert_eq!(fs::read_to_string(pane.out(id, "part"))?, whole);
    assert_eq!(pane.ask("!lines 0 10")?, "");
    assert_eq!(pane.ask("!lines 500 0")?.lines().count(), 500);
    assert_eq!(pane.ask("!lines 1 3600000")?, "line 1\n", "no pause after the last line");
    Ok(())
}

#[test]
fn questions_are_answered_in_pieces_with_chips_and_a_trailer() -> Tested {
    let pane = Pane::start()?;
    let id = Uuid::now_v7();
    pane.submit_turn(id, "What is open today?")?;
    let answer = pane.answer(id)?;
    assert_eq!(pane.events(id)?, ["submitted", "activity", "activity", "stopped"]);
    let part = fs::read_to_string(pane.out(id, "part"))?;
    let trailer = r#"<!-- paliadin {"used_tools":["demo"],"rows_seen":[4],"classifier_tag":"demo"} -->"#;
    assert_eq!(answer, format!("{part}\n{trailer}"));
    assert!(part.starts_with("You asked: “What is open today”."), "{part}");
    assert!(
        part.contains("\n- ") && part.contains("\n```markdown\n") && part.contains("](chip:go/paliadin)"),
        "{part}"
    );
    assert_eq!(pane.ask("What is open today?")?, answer, "the same question, the same answer");
    Ok(())
}

#[test]
fn interrupts_end_a_turn_without_an_answer() -> Tested {
    let pane = Pane::start()?;
    for (message, key) in
        [("!hang", "Escape"), ("!sleep 600", "C-c"), ("!lines 9 60000", "Escape"), ("!ask So?", "C-c")]
    {
        let id = Uuid::now_v7();
        pane.submit_turn(id, message)?;
        pane.signal(id, "submitted")?;
        pane.press(key)?;
        pane.signal(id, "interrupted")?;
        assert!(!pane.out(id, "txt").exists());
        assert!(!pane.events(id)?.contains(&"stopped".to_owned()));
    }
    assert_eq!(pane.ask("!echo still here")?, "still here");
    Ok(())
}

#[test]
fn turns_typed_meanwhile_are_done_afterwards_in_order() -> Tested {
    let pane = Pane::start()?;
    let ids = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    for (id, message) in ids.iter().zip(["!hang", "!count", "!count"]) {
        pane.submit_turn(*id, message)?;
    }
    pane.signal(ids[2], "submitted")?;
    assert_eq!(pane.signals()?.len(), 4, "delivery is confirmed while another turn runs, and nothing more");
    pane.press("Escape")?;
    assert_eq!((pane.answer(ids[1])?, pane.answer(ids[2])?), ("2".to_owned(), "3".to_owned()));
    let order: Vec<_> = pane.signals()?.iter().skip(4).map(|line| line["event"].clone()).collect();
    assert_eq!(order, ["interrupted", "stopped", "stopped"]);
    Ok(())
}

#[test]
fn a_question_of_the_agent_waits_for_what_is_no_envelope() -> Tested {
    let pane = Pane::start()?;
    let (asking, next) = (Uuid::now_v7(), Uuid::now_v7());
    pane.submit_turn(asking, "!ask Delete it all?")?;
    let attention = pane.signal(asking, "attention")?;
    assert_eq!((&attention["kind"], &attention["prompt"]), (&json!("question"), &json!("Delete it all?")));
    assert_eq!(attention["options"], json!([]));
    pane.submit_turn(next, "!echo next")?;
    pane.signal(next, "submitted")?;
    assert!(!pane.out(asking, "txt").exists());
    pane.submit("no,\nkeep it")?;
    assert_eq!(pane.answer(asking)?, "you said: no,\nkeep it");
    assert_eq!(pane.events(asking)?, ["submitted", "attention", "attention_over", "stopped"]);
    assert_eq!(pane.answer(next)?, "next");
    Ok(())
}

#[test]
fn it_dies_when_told_to() -> Tested {
    let pane = Pane::start()?;
    let id = Uuid::now_v7();
    pane.submit_turn(id, "!die")?;
    assert_eq!(pane.exit_status()?, "1");
    assert_eq!(pane.events(id)?, ["submitted"]);
    assert_eq!(fs::read(pane.home().join("modes.before"))?, fs::read(pane.home().join("modes.after"))?);
    Ok(())
}

#[test]
fn whatever_is_typed_is_taken_down() -> Tested {
    let pane = Pane::start()?;
    let id = Uuid::now_v7();
    pane.submit_turn(id, "!echo twice")?;
    pane.submit_turn(id, "!echo twice")?;
    pane.submit("by hand")?;
    let typed = pane.eventually("three submissions", || Ok(Some(pane.typed()?).filter(|typed| typed.len() == 3)))?;
    let raw: Vec<_> = typed.iter().map(|line| line["raw"].clone()).collect();
    let envelope = format!("[PALIADIN:{id}] !echo twice");
    assert_eq!(raw, [envelope.as_str(), envelope.as_str(), "by hand"]);
    for line in &typed {
        assert_eq!(line["session"], "paliadin-1234abcd");
        assert!(line["pid"].as_u64() > Some(1) && line["at_ns"].as_i64() > Some(1_600_000_000_000_000_000), "{line}");
    }
    assert!(typed[0]["mono_ns"].as_i64() < typed[1]["mono_ns"].as_i64());
    Ok(())
}

#[test]
fn trouble_with_the_spool_is_shown_and_outlived() -> Tested {
    let pane = Pane::start()?;
    let blocked = Uuid::now_v7();
    fs::create_dir(pane.out(blocked, "txt"))?;
    pane.submit_turn(blocked, "!echo x")?;
    pane.signal(blocked, "failed")?;
    assert_eq!(pane.events(blocked)?, ["submitted", "failed"]);

    fs::rename(pane.spool().join("out"), pane.spool().join("away"))?;
    pane.submit_turn(Uuid::now_v7(), "!echo into the void")?;
    pane.shows("The server cannot be told")?;
    fs::rename(pane.spool().join("away"), pane.spool().join("out"))?;
    assert_eq!(pane.ask("!echo back")?, "back");
    Ok(())
}

#[test]
fn a_person_is_greeted_answered_and_let_go() -> Tested {
    let pane = Pane::start_bare()?;
    let screen = pane.shows("> Ask something")?;
    assert!(screen.contains("Paliadin demo agent") && screen.contains("Session paliadin-1234abcd"), "{screen}");
    pane.tmux(["send-keys", "-l", "What is öppen"])?;
    for key in ["BSpace", "BSpace", "BSpace", "BSpace", "BSpace", "o", "k", "?"] {
        pane.press(key)?;
    }
    pane.shows("> What is ok?")?;
    pane.press("Enter")?;
    let screen = pane.shows("[Open the chat](chip:go/paliadin)\n\n> Ask something")?;
    assert!(screen.contains("> What is ok?\n\n  You asked: “What is ok”."), "{screen}");
    pane.submit("/clear")?;
    pane.eventually("an empty screen", || Ok((pane.screen()? == "> Ask something").then_some(())))?;
    pane.press("x")?;
    pane.press("C-c")?;
    pane.press("C-d")?;
    assert_eq!(pane.exit_status()?, "0");
    assert_eq!(fs::read(pane.home().join("modes.before"))?, fs::read(pane.home().join("modes.after"))?);
    pane.eventually("the end of marked pastes", || {
        let written = fs::read(pane.home().join("screen"))?;
        Ok(String::from_utf8_lossy(&written).contains("\u{1b}[?2004l").then_some(()))
    })
}
