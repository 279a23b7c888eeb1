//! The file of signals, however it grows and whatever is in it.

use std::io::Write;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::agent::signal::{ActivityState, AttentionKind, Signal, SignalLine};
use crate::fuzz::{cuts, hostile_text, pieces, thoroughly};

fn turn() -> impl Strategy<Value = TurnId> {
    any::<u128>().prop_map(|bits| TurnId(uuid::Uuid::from_u128(bits)))
}

/// Every signal that there is.
fn signal() -> impl Strategy<Value = Signal> {
    let name = || prop::option::of("[a-zA-Z0-9_-]{1,64}".prop_map(|name| name.try_into().unwrap()));
    let state = prop_oneof![Just(ActivityState::Started), Just(ActivityState::Finished)];
    let kind = prop_oneof![Just(AttentionKind::Question), Just(AttentionKind::Permission)];
    let options = prop::collection::vec(hostile_text(), 0..3);
    prop_oneof![
        prop::option::of(hostile_text()).prop_map(|resume_id| Signal::Ready { resume_id }),
        turn().prop_map(|turn_id| Signal::Submitted { turn_id }),
        (turn(), hostile_text(), hostile_text(), state).prop_map(|(turn_id, tool, label, state)| Signal::Activity {
            turn_id,
            tool,
            label,
            state
        }),
        (turn(), kind, hostile_text(), options, name(), name()).prop_map(
            |(turn_id, kind, prompt, options, name, reply)| {
                Signal::Attention { turn_id, kind, prompt, options, name, reply }
            }
        ),
        (turn(), hostile_text(), any::<u32>(), hostile_text())
            .prop_map(|(turn_id, message, index, text)| Signal::Said { turn_id, message, index, text }),
        (turn(), hostile_text(), any::<u64>(), hostile_text()).prop_map(|(turn_id, path, from, prompt)| {
            Signal::Transcript { turn_id, path: path.into(), from, prompt }
        }),
        (turn(), name()).prop_map(|(turn_id, name)| Signal::AttentionOver { turn_id, name }),
        turn().prop_map(|turn_id| Signal::Heartbeat { turn_id }),
        (turn(), prop::option::of(hostile_text())).prop_map(|(turn_id, message)| Signal::Stopped { turn_id, message }),
        (turn(), hostile_text()).prop_map(|(turn_id, message)| Signal::Failed { turn_id, message }),
        turn().prop_map(|turn_id| Signal::Interrupted { turn_id }),
    ]
}

fn lines() -> impl Strategy<Value = Vec<SignalLine>> {
    prop::collection::vec((any::<i64>(), signal()).prop_map(|(at, signal)| SignalLine { at, signal }), 0..4)
}

fn spool() -> (tempfile::TempDir, Spool) {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::create(&dir.path().join("spool"), "s", Owner::Server).unwrap();
    (dir, spool)
}

/// A file of signals that grows by these pieces, read after each of them.
fn read_as_it_grows(spool: &Spool, pieces: Vec<&[u8]>) -> Vec<String> {
    let path = spool.path().join("out").join(signal::FILE_NAME);
    let mut file = std::fs::File::create(path).unwrap();
    let (mut read, mut from, mut written) = (Vec::new(), 0, 0);
    for piece in pieces {
        file.write_all(piece).unwrap();
        written += piece.len() as u64;
        let (lines, next) = spool.read_signals(from).unwrap();
        read.extend(lines);
        from = next;
        assert!(from <= written);
    }
    read
}

#[test]
fn signals_are_read_once_each_however_the_file_grows() {
    let (_dir, spool) = spool();
    let read = TestRunner::new(thoroughly()).run(&(lines(), cuts(), signal()), |(lines, cuts, torn)| {
        let written: Vec<String> = lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect();
        // A line without its end is left for the next look.
        let torn = serde_json::to_string(&SignalLine { at: 0, signal: torn }).unwrap();
        let bytes = (written.concat() + &torn).into_bytes();
        let read = read_as_it_grows(&spool, pieces(&bytes, &cuts));
        let read: Result<Vec<SignalLine>, _> = read.iter().map(|line| SignalLine::parse(line)).collect();
        prop_assert_eq!(read.map_err(|error| error.to_string()), Ok(lines));
        Ok(())
    });
    read.unwrap();
}

#[test]
fn what_is_no_signal_takes_no_other_line_along() {
    let (_dir, spool) = spool();
    let bytes = prop::collection::vec(prop_oneof![1 => Just(b'\n'), 3 => any::<u8>()], 0..16);
    let given = (signal(), bytes, hostile_text(), cuts());
    let read = TestRunner::new(thoroughly()).run(&given, |(signal, bytes, text, cuts)| {
        let line = SignalLine { at: 7, signal };
        let good = serde_json::to_string(&line).unwrap();
        let torn = &good.as_bytes()[..good.len() / 2];
        let bytes = [&bytes, &b"\n"[..], text.as_bytes(), b"\n", torn, b"\n", good.as_bytes(), b"\n"].concat();
        let read = read_as_it_grows(&spool, pieces(&bytes, &cuts));
        let signals: Vec<SignalLine> = read.iter().filter_map(|line| SignalLine::parse(line).ok()).collect();
        prop_assert_eq!(signals, [line]);
        Ok(())
    });
    read.unwrap();
}
