//! Whether every promise was kept.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::clients::{Asked, Held};
use super::killer::Prey;
use crate::harness::{EventStream, TestApp, Tested};

/// Failures that are shown in full.
const SHOWN: usize = 10;
/// How a turn may fail whose agent, or whose agent's tmux server, was killed.
const TRUTHFUL: [&str; 5] = ["agent_died", "uncertain", "tmux_unavailable", "bootstrap_failed", "agent_crash_loop"];

/// The turns that are open, for whoever wonders what is stuck.
pub async fn open(app: &TestApp) -> Tested<String> {
    let rows = "SELECT turn_id, agent_session, state, epoch, delivering_pane FROM paliadin_turns \
         WHERE state IN ('queued', 'running') ORDER BY turn_id LIMIT 20";
    let rows = app.database().await?.rows(rows, &[]).await?;
    let shown = rows.iter().map(|row| {
        let text = |column: usize| row[column].clone().unwrap_or_default();
        let typed = app.typed(&text(0)).map(|typed| typed.len()).unwrap_or_default();
        let (id, session, state, epoch, pane) = (text(0), text(1), text(2), text(3), text(4));
        format!("{id} of {session}: {state}, epoch {epoch}, pane {pane:?}, typed {typed} times")
    });
    Ok(format!("open turns, at most 20 of them:\n{}", shown.collect::<Vec<_>>().join("\n")))
}

/// Prints what was counted; an error tells every promise that was broken.
pub async fn judge(app: &TestApp, asked: &[Asked], prey: Prey) -> Tested {
    let mut broken = Vec::new();
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    let typed = typed_at(app)?;
    for turn in asked {
        let (row, later) = finally(turn).await?;
        let code = row["error_code"].as_str().map(|code| format!(" ({code})")).unwrap_or_default();
        let state = row["state"].as_str().unwrap_or_default();
        *states.entry(format!("{state}{code}")).or_default() += 1;
        let times = typed.get(&turn.turn_id).map_or(0, Vec::len);
        for problem in problems(turn, &row, times, later.as_ref(), prey) {
            broken.push(format!("{} ({}): {problem}", turn.client_turn_id, turn.turn_id));
        }
    }
    broken.extend(lost(app, asked).await?);
    broken.extend(out_of_order(asked, &typed));
    let sum = |count: fn(&Asked) -> usize| asked.iter().map(count).sum::<usize>();
    println!(
        "turns: {}; sent again: {} (of them {} for a lost answer); typed: {}; streams that broke: {}; resyncs: {}; states: {states:?}",
        asked.len(),
        sum(|turn| turn.unanswered),
        sum(|turn| usize::from(turn.was_lost())),
        typed.len(),
        sum(|turn| turn.held.breaks),
        sum(|turn| turn.held.resyncs),
    );
    if broken.is_empty() {
        return Ok(());
    }
    Err(format!("{} promises broken:\n{}", broken.len(), broken[..broken.len().min(SHOWN)].join("\n")).into())
}

/// At which places of the typed log each turn stands.
fn typed_at(app: &TestApp) -> Tested<HashMap<String, Vec<usize>>> {
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, typed) in app.typed_all()?.iter().enumerate() {
        let turn = typed.turn().ok_or_else(|| format!("typed without an envelope: {typed:?}"))?;
        places.entry(turn.to_owned()).or_default().push(place);
    }
    Ok(places)
}

/// The row of a turn, and what a client is told that comes back after the end.
async fn finally(turn: &Asked) -> Tested<(Value, Option<Held>)> {
    loop {
        let row = turn.client.turn(&turn.turn_id).await?;
        let later = come_back(turn).await?;
        // An answer may come late at any moment, and once.
        if row == turn.client.turn(&turn.turn_id).await? {
            return Ok((row, later));
        }
    }
}

async fn come_back(turn: &Asked) -> Tested<Option<Held>> {
    let cursor = turn.held.cursor.clone().ok_or("a turn without an event")?;
    let path = format!("/api/paliadin/stream/{}", turn.turn_id);
    let response = turn.client.request("GET", &path).header("last-event-id", cursor).send().await?;
    if response.status == 204 {
        return Ok(None);
    }
    let mut held = turn.held.come_back();
    held.read(&mut EventStream::new(response)).await?;
    Ok(Some(held))
}

fn problems(turn: &Asked, row: &Value, typed: usize, later: Option<&Held>, prey: Prey) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |kept: bool, problem: &dyn Fn() -> String| {
        if !kept {
            problems.push(problem());
        }
    };
    let state = row["state"].as_str().unwrap_or_default();
    let is_done = state == "done";
    let code = row["error_code"].as_str().unwrap_or_default();
    check(row["client_turn_id"] == turn.client_turn_id.as_str(), &|| format!("another turn was acknowledged: {row}"));
    check(typed <= 1, &|| format!("typed {typed} times"));
    let is_truthful = is_done || state == "failed" && prey == Prey::Everything && TRUTHFUL.contains(&code);
    check(is_truthful, &|| format!("{state} {code}"));
    if is_done {
        check(typed == 1, &|| format!("done, and typed {typed} times"));
        check(turn.expected.is_in(row), &|| "the answer is not what the agent wrote".to_owned());
    }
    let text = row["response"].as_str().or(row["partial"].as_str()).unwrap_or_default();
    let held = later.unwrap_or(&turn.held);
    check(held.text == text, &|| {
        let (held, text, resyncs) = (held.text.len(), text.len(), held.resyncs);
        format!("{state}: the client holds {held} bytes, the row has {text}, or others; {resyncs} resyncs")
    });
    check(later.is_none() || row["late"] == true, &|| "the stream went on after its end".to_owned());
    check(prey == Prey::Everything || row["late"] == false, &|| "the answer came late".to_owned());
    let ending = if is_done { "end" } else { code };
    check(held.endings == [ending], &|| format!("{state} {code}, and the client was told {:?}", held.endings));
    problems
}

/// Turns that have not exactly one row, and rows that nobody asked for.
async fn lost(app: &TestApp, asked: &[Asked]) -> Tested<Vec<String>> {
    let rows = "SELECT client_turn_id, count(*) FROM paliadin_turns WHERE client_turn_id IS NOT NULL GROUP BY 1";
    let rows = app.database().await?.rows(rows, &[]).await?;
    let mut rows: HashMap<String, i64> = rows
        .into_iter()
        .map(|row| {
            let text = |column: usize| row[column].clone().unwrap_or_default();
            Ok((text(0), text(1).parse()?))
        })
        .collect::<Tested<_>>()?;
    let mut lost = Vec::new();
    for turn in asked {
        match rows.remove(&turn.client_turn_id) {
            Some(1) => {}
            count => lost.push(format!("{}: {} rows", turn.client_turn_id, count.unwrap_or(0))),
        }
    }
    lost.extend(rows.keys().map(|name| format!("{name}: a row without an acknowledgement")));
    Ok(lost)
}

/// Turns of one user that were typed before others that had been acknowledged before they were sent.
fn out_of_order(asked: &[Asked], typed: &HashMap<String, Vec<usize>>) -> Vec<String> {
    let mut users: BTreeMap<&str, Vec<(usize, &Asked)>> = BTreeMap::new();
    for turn in asked {
        if let Some(place) = typed.get(&turn.turn_id).and_then(|places| places.first()) {
            users.entry(&turn.client.user_id).or_default().push((*place, turn));
        }
    }
    let mut wrong = Vec::new();
    for turns in users.values_mut() {
        turns.sort_by_key(|(place, _)| *place);
        let mut newest: Option<&Asked> = None;
        for (_, turn) in turns.iter() {
            match newest {
                Some(before) if turn.acknowledged < before.sent => {
                    wrong.push(format!("{} was typed before {}", before.client_turn_id, turn.client_turn_id));
                }
                Some(before) if turn.sent < before.sent => {}
                _ => newest = Some(turn),
            }
        }
    }
    wrong
}
