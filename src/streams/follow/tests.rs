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

/// No `thinking` or `ping` by time.
const PACE: Pace = Pace {
    thinking: Duration::from_secs(3600),
    ping: Duration::from_secs(3600),
    retry: Duration::from_secs(1),
    max_lag: usize::MAX,
};

/// A log of a turn that has begun, in which the agent asks by the second.
fn asking() -> (Arc<TurnLog>, impl Fn()) {
    let log = Arc::new(TurnLog::new());
    log.update_pulse(|pulse| pulse.started = Some(Instant::now()));
    let asked = log.clone();
    (log, move || asked.publish(&[asked.stage(EventKind::Attention, json!({ "kind": "question" }))]))
}

/// The kinds of all events that a client gets from the beginning up to the first of this kind; `thinking` with its
/// `upstream`.
async fn told_until(stream: &mut BoxStream<'static, Bytes>, last: &str) -> Vec<String> {
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|kind| kind != last) {
        let next = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
        let frame = next.unwrap_or_else(|_| panic!("nothing after {kinds:?}")).unwrap();
        let frame = String::from_utf8(frame.to_vec()).unwrap();
        let Some(kind) = frame.lines().find_map(|line| line.strip_prefix("event: ")) else { continue };
        let upstream = frame.split_once("\"upstream\":\"").and_then(|(_, rest)| rest.split('"').next());
        kinds.push(upstream.map_or_else(|| kind.to_owned(), |upstream| format!("{kind} {upstream}")));
    }
    kinds
}

/// The agent asks, goes on, and asks the next: whoever looks in between, the question is the last that is told of it.
#[tokio::test]
async fn a_question_is_not_followed_by_word_that_nobody_is_waited_for() {
    let (log, ask) = asking();
    let (_open, closing) = watch::channel(false);
    let mut stream = live(log.clone(), EventId::START, PACE, closing);
    ask();
    assert_eq!(told_until(&mut stream, "thinking attention").await, ["attention", "thinking attention"]);
    log.update_pulse(|pulse| pulse.attention = false);
    ask();
    assert_eq!(told_until(&mut stream, "thinking attention").await, ["attention", "thinking attention"]);
}

/// It was over before anybody could be told: then that is told behind it, not after the next interval.
#[tokio::test]
async fn a_question_that_is_over_is_followed_by_word_of_that() {
    let (log, ask) = asking();
    let (_open, closing) = watch::channel(false);
    let mut stream = live(log.clone(), EventId::START, PACE, closing.clone());
    ask();
    log.update_pulse(|pulse| pulse.attention = false);
    assert_eq!(told_until(&mut stream, "thinking working").await, ["attention", "thinking working"]);
    let mut replayed = live(log, EventId::START, PACE, closing);
    assert_eq!(told_until(&mut replayed, "thinking working").await, ["attention", "thinking working"]);
}

/// A client that was cut off while the question was open may still show it.
#[tokio::test]
async fn whoever_comes_again_is_told_that_a_question_is_over() {
    let (log, ask) = asking();
    let (_open, closing) = watch::channel(false);
    ask();
    let seen = EventId { epoch: 0, seq: 1 };
    log.update_pulse(|pulse| pulse.attention = false);
    let mut resumed = live(log.clone(), seen, PACE, closing.clone());
    assert_eq!(told_until(&mut resumed, "thinking working").await, ["thinking working"]);
    // Or one of which nothing is known here.
    let never = Arc::new(TurnLog::new());
    never.update_pulse(|pulse| pulse.started = Some(Instant::now()));
    never.publish(&[never.stage(EventKind::Meta, json!({}))]);
    let mut unknown = live(never, EventId { epoch: 0, seq: 9 }, PACE, closing);
    assert_eq!(told_until(&mut unknown, "thinking working").await, ["resync", "thinking working"]);
}
