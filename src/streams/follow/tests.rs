use proptest::prelude::*;

use super::*;

/// Events of a failed turn with a late answer behind, or without one.
fn events(contents: usize, is_late: bool) -> Vec<Event> {
    let log = TurnLog::new();
    let mut events = vec![log.stage(EventKind::Queued, json!({}))];
    log.begin_epoch(1);
    events.push(log.stage(EventKind::Meta, json!({})));
    events.extend((0..contents).map(|_| log.stage(EventKind::Content, json!({ "delta": "x" }))));
    events.push(log.stage(EventKind::Error, json!({})));
    if is_late {
        events.push(log.stage(EventKind::Resync, json!({})));
        events.push(log.stage(EventKind::End, json!({ "late": true })));
    }
    events
}

fn kinds(events: &[Event]) -> Vec<EventKind> {
    told(events).map(|event| event.kind).collect()
}

#[test]
fn an_error_that_was_overtaken_is_not_told() {
    use EventKind::{Content, End, Error, Meta, Queued, Resync};
    let events = events(1, true);
    assert_eq!(kinds(&events), [Queued, Meta, Content, Resync, End]);
    assert_eq!(kinds(&events[4..]), [Resync, End]);
    assert_eq!(kinds(&events[5..]), [End]);
    assert_eq!(kinds(&events[..4]), [Queued, Meta, Content, Error]);
    assert_eq!(kinds(&[]), []);
}

proptest! {
    /// Wherever a client was cut off, it gets exactly one final event, the last one, and every other event once.
    #[test]
    fn whoever_comes_gets_the_last_final_event_only(contents in 0_usize..6, is_late: bool, cut in 0_usize..12) {
        let events = events(contents, is_late);
        let cut = cut.min(events.len() - 1);
        let seen = cut.checked_sub(1).map_or(EventId::START, |before| events[before].id);
        let rest = &events[cut..];
        prop_assert!(is_whole(seen, rest));
        let told: Vec<EventId> = told(rest).map(|event| event.id).collect();
        prop_assert_eq!(told.last(), events.last().map(|event| &event.id));
        let expected = rest.iter().filter(|event| !event.kind.is_final()).count() + 1;
        prop_assert_eq!(told.len(), expected);
    }

    /// A hole is seen, also one before an error that is not told itself.
    #[test]
    fn a_hole_is_seen_wherever_it_is(contents in 0_usize..6, is_late: bool, hole in 1_usize..12) {
        let mut events = events(contents, is_late);
        // Without its last event a turn has no end; that is seen, too.
        events.remove(hole.min(events.len() - 1));
        prop_assert!(!is_whole(EventId::START, &events));
    }
}

/// The agent asks, goes on, and asks the next: whoever looks in between, the question is the last that is told of it.
#[tokio::test]
async fn a_question_is_not_followed_by_word_that_nobody_is_waited_for() {
    const PACE: Pace = Pace {
        thinking: Duration::from_secs(3600),
        ping: Duration::from_secs(3600),
        retry: Duration::from_secs(1),
        max_lag: usize::MAX,
    };
    let log = Arc::new(TurnLog::new());
    log.update_pulse(|pulse| pulse.started = Some(Instant::now()));
    let (_open, closing) = watch::channel(false);
    let mut told = live(log.clone(), EventId::START, PACE, closing);
    let asks = || log.publish(&[log.stage(EventKind::Attention, json!({ "kind": "question" }))]);
    assert!(told.next().await.unwrap().starts_with(b"retry"));
    asks();
    log.update_pulse(|pulse| pulse.attention = true);
    let mut first = String::new();
    while !first.contains("\"upstream\":\"attention\"") {
        first += std::str::from_utf8(&told.next().await.unwrap()).unwrap();
    }
    log.update_pulse(|pulse| pulse.attention = false);
    asks();
    let second = told.next().await.unwrap();
    assert!(second.windows(16).any(|part| part == b"event: attention"), "{second:?}");
    log.publish(&[log.stage(EventKind::Error, json!({}))]);
    let last = told.next().await.unwrap();
    assert!(last.windows(12).any(|part| part == b"event: error"), "{last:?}");
}
