/** What a server would send, for tests: one sensible value of each, with what a test wants to be different. */

import { fromRow, type TurnView } from "../../lib/turn";
import type { Conversation, Status, TurnEvent, TurnRow } from "../../lib/wire";
import { TurnCell } from "../turn.svelte";

export const SESSION = "01a1fc4b-e581-720d-93be-34eea19004d5";
export const OTHER_SESSION = "01a1fc4b-e582-720d-93be-34eea19004d6";

/** Ids of turns; those of greater numbers are later. */
export function turnId(number: number): string {
  return `01a1fc4b-0000-7000-8000-${String(number).padStart(12, "0")}`;
}

/** A question that is answered, unless `more` says something else. */
export function row(number: number, more: Partial<TurnRow> = {}): TurnRow {
  return {
    turn_id: turnId(number),
    session_id: SESSION,
    client_turn_id: `client-${number}`,
    state: "done",
    user_message: `question ${number}`,
    queued_at: at(number),
    started_at: at(number),
    finished_at: at(number),
    duration_ms: 4_200,
    response: `answer ${number}`,
    partial: null,
    error_code: null,
    used_tools: [],
    rows_seen: [],
    chip_count: 0,
    classifier_tag: null,
    late: false,
    profile: "demo",
    ...more,
  };
}

/** A question that is not answered yet. */
export function open(number: number, more: Partial<TurnRow> = {}): TurnRow {
  const unanswered = { started_at: null, finished_at: null, duration_ms: null, response: null };
  return row(number, { state: "running", ...unanswered, ...more });
}

/** A question that failed. */
export function failed(number: number, code: TurnRow["error_code"], more: Partial<TurnRow> = {}): TurnRow {
  return row(number, { state: "failed", response: null, error_code: code, ...more });
}

/** So many seconds after a certain midnight (UTC). */
export function at(second: number): string {
  return new Date(Date.parse("2026-11-21T00:00:00.000Z") + second * 1_000).toISOString();
}

export function view(more: Partial<TurnView> = {}, from: TurnRow = row(1)): TurnView {
  return { ...fromRow(from), ...more };
}

export function cell(more: Partial<TurnView> = {}, from: TurnRow = row(1)): TurnCell {
  return new TurnCell(view(more, from));
}

export function conversation(number: number, more: Partial<Conversation> = {}): Conversation {
  return {
    session_id: `01a1fc4b-1111-7000-8000-${String(number).padStart(12, "0")}`,
    title: `conversation ${number}`,
    created_at: at(number),
    last_turn_at: at(number),
    last_turn_id: turnId(number),
    open_turns: 0,
    ...more,
  };
}

export function status(more: Partial<Status> = {}): Status {
  return {
    backend: "local",
    profile: "demo",
    demo: false,
    can_reply: true,
    can_sign_out: true,
    version: "0.1.0",
    max_message: 65_536,
    user: { email: "ada@example.org", role: "user" },
    session_scope: "user",
    agent_session: null,
    ...more,
  };
}

export function agent(
  more: Partial<NonNullable<Status["agent_session"]>> = {},
): NonNullable<Status["agent_session"]> {
  return {
    name: "paliadin-01a1fc4b",
    state: "idle",
    epoch: 1,
    agent_alive: true,
    running: null,
    queued: [],
    restarts: 0,
    last_reason: null,
    agent: "ready",
    last_start: null,
    last_exit: null,
    ...more,
  };
}

/** The events of a turn's stream. */
export const event = {
  meta: (id: string, number: number): TurnEvent => ({
    id,
    event: "meta",
    data: { turn_id: turnId(number), started_at: at(number) },
  }),
  content: (id: string, delta: string): TurnEvent => ({
    id,
    event: "content",
    data: { delta, streamed: true },
  }),
  whole: (id: string, text: string): TurnEvent => ({ id, event: "content", data: { text } }),
  asks: (id: string, prompt: string, options: string[] = []): TurnEvent => ({
    id,
    event: "attention",
    data: { kind: "question", prompt, options },
  }),
  end: (id: string, number: number): TurnEvent => ({
    id,
    event: "end",
    data: {
      turn_id: turnId(number),
      used_tools: [],
      rows_seen: [],
      chip_count: 0,
      classifier_tag: null,
      duration_ms: 4_200,
      streamed: true,
      late: false,
    },
  }),
  error: (id: string, code: NonNullable<TurnRow["error_code"]>): TurnEvent => ({
    id,
    event: "error",
    data: { code, message: "", retryable: true },
  }),
};
