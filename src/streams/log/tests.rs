use proptest::prelude::*;
use serde_json::json;

use super::*;

fn log_of(deltas: &[&str]) -> TurnLog {
    let log = TurnLog::new();
    log.begin_epoch(1);
    for delta in deltas {
        let event = log.stage(EventKind::Content, json!({ "delta": delta, "streamed": true }));
        log.publish(&[event]);
    }
    log
}

#[test]
fn an_unknown_place_is_answered_with_the_whole_text() {
    let log = log_of(&["a", "b"]);
    let Position::Resync(frame, next) = log.position(EventId { epoch: 0, seq: 9 }) else { panic!("no resync") };
    assert_eq!(frame, "id: 1-2\nevent: resync\ndata: {\"text\":\"ab\"}\n\n");
    assert_eq!(next, 2);
    assert_eq!(log.position(EventId { epoch: 1, seq: 1 }), Position::At(1));
}

/// Such a client may not know the question, or know it by an id that is lost.
#[test]
fn whoever_comes_from_an_unknown_place_is_told_the_open_question_again() {
    let log = log_of(&["é", "b"]);
    let asks = log.stage(EventKind::Attention, json!({ "kind": "question" }));
    log.publish(&[asks]);
    let more = log.stage(EventKind::Content, json!({ "delta": "c" }));
    log.publish(&[more]);
    let unknown = EventId { epoch: 1, seq: 9 };
    let Position::Resync(frame, next) = log.position(unknown) else { panic!("no resync") };
    assert_eq!(frame, "id: 1-2\nevent: resync\ndata: {\"text\":\"éb\"}\n\n");
    let follows: Vec<_> = log.batch(next).frames.iter().map(|frame| frame[..7].to_vec()).collect();
    assert_eq!(follows, [b"id: 1-3", b"id: 1-4"]);
    log.update_pulse(|pulse| pulse.attention = false);
    let Position::Resync(frame, next) = log.position(unknown) else { panic!("no resync") };
    assert_eq!(frame, "id: 1-4\nevent: resync\ndata: {\"text\":\"ébc\"}\n\n");
    assert_eq!(next, 4);
}

proptest! {
    /// However a reader is cut, it gets every event once, in order.
    #[test]
    fn a_reader_that_resumes_misses_and_repeats_nothing(cuts in proptest::collection::vec(0usize..5, 0..12)) {
        let deltas: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        let log = log_of(&deltas.iter().map(String::as_str).collect::<Vec<_>>());
        let mut seen = EventId::START;
        let mut got: Vec<Bytes> = Vec::new();
        for take in cuts.into_iter().chain([10]) {
            let Position::At(index) = log.position(seen) else { panic!("resync") };
            for frame in log.batch(index).frames.into_iter().take(take) {
                got.push(frame);
                seen = EventId { epoch: 1, seq: seen.seq + 1 };
            }
        }
        prop_assert_eq!(got, log.batch(0).frames);
    }
}
