import { expect, test } from "vitest";
import { accepted, apply, fromQuestion, fromRow, isOpen, type TurnView } from "./turn";
import type { EndData, TurnEvent, TurnRow } from "./wire";

const NOW = Date.parse("2026-11-21T04:10:00.000Z");
const ask = { user_message: "Hello", session_id: "s1", client_turn_id: "c1" };
const sent = fromQuestion(ask, new Date(NOW));
const answer = { turn_id: "t1", session_id: "s1", sse_url: "/api/paliadin/stream/t1", position: 0 };
const end: EndData = {
  turn_id: "t1",
  used_tools: ["sql"],
  rows_seen: [3],
  chip_count: 1,
  classifier_tag: "lookup",
  duration_ms: 4,
  streamed: true,
  late: false,
};
const failure = { code: "timeout", message: "it took too long", retryable: true } as const;

const queued = (id: string, position: number): TurnEvent => ({
  id,
  event: "queued",
  data: { turn_id: "t1", position },
});
const meta = (id: string): TurnEvent => ({
  id,
  event: "meta",
  data: { turn_id: "t1", started_at: "2026-11-21T04:10:01.000Z" },
});
const delta = (id: string, delta: string): TurnEvent => ({
  id,
  event: "content",
  data: { delta, streamed: true },
});
const whole = (id: string, text: string): TurnEvent => ({ id, event: "content", data: { text } });
const resync = (id: string, text: string): TurnEvent => ({ id, event: "resync", data: { text } });
const ended = (id: string, late = false): TurnEvent => ({ id, event: "end", data: { ...end, late } });
const failed = (id: string): TurnEvent => ({ id, event: "error", data: failure });
const asks = (id: string): TurnEvent => ({
  id,
  event: "attention",
  data: { kind: "question", prompt: "Which?", options: ["a", "b"] },
});
const thinking = (upstream: "queued" | "attention" | "working" | "answering", elapsed = 5): TurnEvent => ({
  id: null,
  event: "thinking",
  data: {
    elapsed_seconds: elapsed,
    since_first: null,
    upstream,
    activity: upstream === "working" ? "searching" : null,
  },
});

const after = (view: TurnView, ...events: TurnEvent[]) =>
  events.reduce((view, event) => apply(view, event, NOW), view);

const row = (more: Partial<TurnRow> = {}): TurnRow => ({
  turn_id: "t1",
  session_id: "s1",
  client_turn_id: "c1",
  state: "running",
  user_message: "Hello",
  queued_at: "2026-11-21T04:09:59.000Z",
  started_at: null,
  finished_at: null,
  duration_ms: null,
  response: null,
  partial: null,
  error_code: null,
  used_tools: [],
  rows_seen: [],
  chip_count: 0,
  classifier_tag: null,
  late: false,
  profile: "demo",
  ...more,
});
const doneRow = row({
  state: "done",
  response: "Hello there",
  used_tools: ["sql"],
  finished_at: "2026-11-21T04:10:09.000Z",
});
const failedRow = row({ state: "failed", partial: "Hel", error_code: "timeout" });

test("a turn from its question to its end", () => {
  let view = sent;
  const phases = [view.phase];
  const step = (next: TurnView) => {
    view = next;
    phases.push(view.phase);
  };
  step(accepted(view, { ...answer, position: 2 }));
  expect(view).toMatchObject({ key: "c1", turnId: "t1", position: 2 });
  step(apply(view, queued("0-1", 2), NOW));
  step(apply(view, queued("0-2", 1), NOW));
  expect(view.position).toBe(1);
  step(apply(view, queued("0-3", 0), NOW));
  expect(view.position).toBeNull();
  step(apply(view, meta("1-1"), NOW));
  step(apply(view, thinking("working"), NOW));
  expect(view).toMatchObject({ activity: "searching", workingSince: NOW - 5000 });
  step(apply(view, delta("1-2", "Hello"), NOW));
  expect(view.activity).toBeNull();
  step(apply(view, delta("1-3", " there"), NOW));
  expect(isOpen(view)).toBe(true);
  step(apply(view, ended("1-4"), NOW));
  expect(isOpen(view)).toBe(false);
  expect(phases.join(" ")).toBe(
    "sending queued queued queued starting working working answering answering done",
  );
  expect(view).toMatchObject({
    text: "Hello there",
    cursor: "1-4",
    usedTools: ["sql"],
    rowsSeen: [3],
    chipCount: 1,
  });
  expect(view).toMatchObject({
    tag: "lookup",
    durationMs: 4,
    late: false,
    workingSince: null,
    oneShot: false,
  });
  expect(view.finishedAt).toBe(new Date(NOW).toISOString());
  expect(sent.phase).toBe("sending");
});

test("an answer in one piece can be typed out, a resync cannot", () => {
  expect(after(sent, whole("1-1", "All of it")).oneShot).toBe(true);
  expect(after(sent, whole("1-1", "All of it"), delta("1-2", " and more"), ended("1-3"))).toMatchObject({
    oneShot: true,
    text: "All of it and more",
  });
  expect(after(sent, delta("1-1", "a"), whole("1-2", "b"))).toMatchObject({ oneShot: false, text: "ab" });
  expect(after(sent, whole("1-1", "a"), resync("1-2", "other"))).toMatchObject({
    oneShot: false,
    text: "other",
  });
});

test("nothing is taken twice", () => {
  const view = after(sent, delta("1-1", "a"), delta("1-2", "b"));
  expect(after(view, delta("1-2", "b"), delta("1-1", "a"), delta("0-9", "x"))).toBe(view);
  expect(after(view, delta("2-1", "c")).text).toBe("abc");
  expect(after(view, delta("1-10", "c"), delta("1-9", "x")).text).toBe("abc");
});

test("a resync replaces everything, also from before the cursor", () => {
  const view = after(sent, delta("1-1", "a"), delta("1-2", "b"), delta("1-3", "c"), resync("1-2", "ab"));
  expect(view).toMatchObject({ text: "ab", cursor: "1-2" });
  expect(after(view, failed("2-1"))).toMatchObject({
    phase: "failed",
    text: "ab",
    cursor: "2-1",
    error: failure,
  });
});

test("an answer that comes late makes a failed turn done", () => {
  const view = after(sent, meta("1-1"), delta("1-2", "Hel"), failed("1-3"));
  expect(view).toMatchObject({ phase: "failed", text: "Hel" });
  expect(after(view, resync("1-4", "Hello there"))).toMatchObject({ phase: "failed", text: "Hello there" });
  expect(after(view, resync("1-4", "Hello there"), ended("1-5", true))).toMatchObject({
    phase: "done",
    late: true,
    error: null,
    text: "Hello there",
  });
});

test("a cancelled turn is no failure", () => {
  const event: TurnEvent = {
    id: "1-2",
    event: "error",
    data: { code: "cancelled", message: "", retryable: false },
  };
  expect(after(sent, delta("1-1", "Hel"), event)).toMatchObject({
    phase: "cancelled",
    error: null,
    text: "Hel",
  });
  const view = fromRow(row({ state: "cancelled", partial: "Hel", error_code: "cancelled" }));
  expect(view).toMatchObject({ phase: "cancelled", error: null, text: "Hel" });
});

test("a question of the agent is open until something else happens", () => {
  const asking = after(sent, meta("1-1"), asks("1-2"));
  expect(asking.phase).toBe("asking");
  expect(asking.attention).toMatchObject({ prompt: "Which?", options: ["a", "b"], answered: false });
  expect(after(asking, thinking("attention")).attention).not.toBeNull();
  expect(after(asking, thinking("working"))).toMatchObject({ attention: null, phase: "working" });
  expect(after(asking, delta("1-3", "x"))).toMatchObject({ attention: null, phase: "answering" });
  expect(after(asking, ended("1-3")).attention).toBeNull();
  expect(after(asking, failed("1-3")).attention).toBeNull();
  const again = after(asking, thinking("working"), asks("1-3"));
  expect(again.attention?.number).toBeGreaterThan(asking.attention?.number ?? Infinity);
});

test("a question that is open although the answer went on is shown again", () => {
  const told = after(sent, asks("1-2"), delta("1-3", "x"), delta("1-4", "y"));
  expect(after(told, thinking("attention"))).toMatchObject({ attention: { id: "1-2" }, phase: "asking" });
  expect(after(told, thinking("answering"), thinking("attention")).attention).toBeNull();
  // While another server takes the turn up.
  const waiting = after(sent, asks("1-2"), thinking("queued"));
  expect(waiting.attention).toBeNull();
  expect(after(waiting, thinking("attention"))).toMatchObject({ attention: { id: "1-2" }, phase: "asking" });
  expect(after(told, asks("1-5"), thinking("attention")).attention?.id).toBe("1-5");
});

test("a question with a name is open until that is said, whatever of the answer comes meanwhile", () => {
  const named: TurnEvent = {
    id: "1-2",
    event: "attention",
    data: { kind: "question", prompt: "Which?", options: [], name: "toolu_1" },
  };
  const asking = after(sent, named);
  const told = after(asking, delta("1-3", "x"), delta("1-4", "y"));
  expect(told).toMatchObject({ text: "xy", phase: "asking", cursor: "1-4" });
  expect(told.attention).toBe(asking.attention);
  expect(after(told, thinking("answering"))).toMatchObject({ attention: null, phase: "answering" });
  expect(after(told, ended("1-5")).attention).toBeNull();
});

test("while another server takes the turn up, nothing is said to be asked that is not shown", () => {
  const waiting = after(sent, asks("1-2"), thinking("queued"));
  expect(waiting).toMatchObject({ attention: null, phase: "starting" });
  expect(after(sent, delta("1-2", "x"), thinking("queued")).phase).toBe("answering");
});

test("an answer to a question is kept while the agent still shows it", () => {
  const asking = after(sent, asks("1-2"));
  const answered = { ...asking, attention: asking.attention && { ...asking.attention, answered: true } };
  expect(after(answered, thinking("attention")).attention?.answered).toBe(true);
  expect(after(answered, thinking("working"), asks("1-3")).attention?.answered).toBe(false);
  // A server that has lost what it had told last says where it goes on from, and asks again.
  expect(after(answered, resync("1-1", ""), asks("1-2")).attention?.answered).toBe(true);
});

test("the time it works never gets shorter", () => {
  const view = after(sent, thinking("working", 60));
  expect(apply(view, thinking("working", 64.2), NOW + 5000).workingSince).toBe(NOW - 60_000);
  expect(apply(view, thinking("working", 1), NOW + 5000).workingSince).toBe(NOW - 60_000);
});

test("a ping, and thinking without a change of phase, leave the rest alone", () => {
  const view = after(sent, delta("1-1", "a"));
  expect(apply(view, { id: null, event: "ping", data: {} }, NOW)).toBe(view);
  expect(apply(view, thinking("answering"), NOW)).toMatchObject({
    text: "a",
    cursor: "1-1",
    phase: "answering",
  });
});

test("the 202 takes nothing back from events that were faster", () => {
  const view = accepted(after(sent, delta("1-1", "a")), answer);
  expect(view).toMatchObject({ phase: "answering", text: "a", turnId: "t1" });
});

test.each([
  [row({ state: "queued" }), "queued", ""],
  [row(), "starting", ""],
  [row({ started_at: "2026-11-21T04:10:01.000Z" }), "working", ""],
  [doneRow, "done", "Hello there"],
  [failedRow, "failed", "Hel"],
])("a row alone (%#)", (row, phase, text) => {
  expect(fromRow(row)).toMatchObject({
    key: "c1",
    turnId: "t1",
    phase,
    text,
    cursor: null,
    message: "Hello",
  });
});

test("a row names the turn where the client has no id for it", () => {
  expect(fromRow(row({ client_turn_id: null })).key).toBe("t1");
  expect(fromRow(row(), { ...sent, key: "mine" }).key).toBe("mine");
});

test("the row of an open turn takes nothing back", () => {
  const view = after(sent, queued("0-1", 3));
  expect(fromRow(row({ state: "queued" }), view)).toMatchObject({ phase: "queued", position: 3 });
  expect(fromRow(row(), view)).toMatchObject({ phase: "starting", position: null });
  const answering = after(sent, meta("1-1"), delta("1-2", "Hel"));
  for (const state of ["queued", "running"] as const) {
    expect(fromRow(row({ state }), answering)).toMatchObject({
      phase: "answering",
      text: "Hel",
      cursor: "1-2",
    });
  }
  const asking = after(sent, asks("1-1"));
  expect(fromRow(row({ started_at: "2026-11-21T04:10:01.000Z" }), asking)).toMatchObject({ phase: "asking" });
});

test("the row of a finished turn is the record; the stream may still come after it", () => {
  const done = fromRow(doneRow, after(sent, meta("1-1"), delta("1-2", "Hel")));
  expect(done).toMatchObject({ phase: "done", text: "Hello there", usedTools: ["sql"], cursor: "1-2" });
  const behind = after(done, delta("1-3", "lo"), resync("1-4", "Hel"), delta("1-5", " there"), ended("1-6"));
  expect(behind).toMatchObject({ phase: "done", text: "Hello there", cursor: "1-6" });
  const undone = fromRow(failedRow, after(sent, delta("1-2", "Hel")));
  expect(undone.error).toEqual({ code: "timeout", message: "", retryable: true });
  expect(after(undone, delta("1-3", "lo"), failed("1-4"))).toMatchObject({ text: "Hel", error: failure });
});

test("an old row never opens or fails a turn again", () => {
  const done = after(sent, whole("1-1", "Hello there"), ended("1-2"));
  for (const old of [row({ state: "queued" }), row(), failedRow]) {
    expect(fromRow(old, done)).toMatchObject({ phase: "done", text: "Hello there", error: null });
  }
  const undone = after(sent, delta("1-1", "Hel"), failed("1-2"));
  expect(fromRow(row(), undone)).toMatchObject({ phase: "failed", error: failure });
  expect(fromRow(failedRow, undone).error).toEqual(failure);
  expect(fromRow({ ...doneRow, late: true }, undone)).toMatchObject({
    phase: "done",
    late: true,
    error: null,
  });
});

test("an answer in one piece stays one when its row comes", () => {
  const view = after(sent, whole("1-1", "Hello there"));
  expect(fromRow(doneRow, view).oneShot).toBe(true);
  expect(fromRow({ ...doneRow, response: "Other" }, view).oneShot).toBe(false);
  expect(fromRow(doneRow).oneShot).toBe(false);
});
