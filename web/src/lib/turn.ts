/** What the page knows of a turn, and how every piece of news changes it. No I/O; no view is ever changed in place. */

import type { Ask } from "./api";
import { idNumber, isNews } from "./stream/events";
import type { Accepted, Attention, ThinkingData, TurnEvent, TurnRow } from "./wire";

/**
 * `unsent`: not yet with the server; `sending`: on its way; `queued`: others are before it; `starting`: nobody is, and
 * the agent does not have it yet; `working`: it has; `answering`: some of the answer is there; `asking`: the agent waits
 * for a person. The last three are final.
 */
export type Phase =
  | "unsent"
  | "sending"
  | "queued"
  | "starting"
  | "working"
  | "answering"
  | "asking"
  | "done"
  | "failed"
  | "cancelled";

export interface TurnView {
  /** Stays the same for the life of the page: `client_turn_id` where there is one, else `turn_id`. */
  key: string;
  turnId: string | null;
  sessionId: string;
  clientTurnId: string | null;
  message: string;
  /** RFC 3339; by our clock until the server tells. */
  askedAt: string;
  phase: Phase;
  /** The answer so far, by the rule of concatenation. */
  text: string;
  /** Id of the last event that is in here. */
  cursor: string | null;
  /** The text came in one piece, by an event: it may be typed out. */
  oneShot: boolean;
  /** Turns before this one, while `queued`; `null` where nobody said. */
  position: number | null;
  /** What the agent says that it is doing. */
  activity: string | null;
  /** Since when, in milliseconds since 1970 by our clock. */
  workingSince: number | null;
  /**
   * What the agent asks; `id` is that of its event, by which a reply names it; `number` is another one for each question,
   * and the same in every tab.
   */
  attention: (Attention & { id: string; answered: boolean; number: number }) | null;
  /**
   * What it asked, by a question without a name, when a piece of the answer came; or by any, when a server took the turn up
   * again: it may still ask, which the next `thinking` tells.
   */
  askedBefore: TurnView["attention"];
  /** Why it failed. `message` is empty where only the code is known. */
  error: { code: string; message: string; retryable: boolean } | null;
  startedAt: string | null;
  finishedAt: string | null;
  durationMs: number | null;
  usedTools: string[];
  rowsSeen: number[];
  chipCount: number;
  tag: string | null;
  /** The answer came after the turn had failed. */
  late: boolean;
  profile: string | null;
}

/** How far an open turn has come; news never takes one back. */
const STEPS: readonly Phase[] = ["unsent", "sending", "queued", "starting", "working", "answering", "asking"];

/** Codes after which the same question may succeed (docs/protocol.md, section 3): a row tells the code alone. */
const RETRYABLE: ReadonlySet<string> = new Set([
  "agent_died",
  "bootstrap_failed",
  "tmux_unavailable",
  "upstream_error",
  "uncertain",
  "session_reset",
  "queue_full",
  "store_unavailable",
  "timeout",
  "upstream_silence",
  "host_unreachable",
  "shim_error",
]);

/** Whether the turn is not over. */
export function isOpen(view: TurnView): boolean {
  return STEPS.includes(view.phase);
}

export function fromQuestion(ask: Ask, now: Date): TurnView {
  return {
    ...EMPTY,
    key: ask.client_turn_id,
    sessionId: ask.session_id,
    clientTurnId: ask.client_turn_id,
    message: ask.user_message,
    askedAt: now.toISOString(),
    phase: "sending",
    // The server counts from its acceptance, a moment later.
    workingSince: now.getTime(),
  };
}

/** The server has the question. */
export function accepted(view: TurnView, { turn_id, session_id, position }: Accepted): TurnView {
  const known = { ...view, turnId: turn_id, sessionId: session_id };
  // A row or an event may have been faster.
  return view.phase === "unsent" || view.phase === "sending" ? { ...known, ...inQueue(position) } : known;
}

/** A row goes over what we hold only where it knows more. */
export function fromRow(row: TurnRow, before?: TurnView): TurnView {
  const view: TurnView = {
    ...(before ?? { ...EMPTY, key: row.client_turn_id ?? row.turn_id, phase: "queued" }),
    turnId: row.turn_id,
    sessionId: row.session_id,
    clientTurnId: row.client_turn_id ?? before?.clientTurnId ?? null,
    message: row.user_message,
    askedAt: row.queued_at,
    startedAt: row.started_at ?? before?.startedAt ?? null,
    profile: row.profile,
  };
  switch (row.state) {
    case "queued":
      return isOpen(view) ? onward(view, "queued") : view;
    case "running":
      return isOpen(view) ? onward(view, row.started_at === null ? "starting" : "working") : view;
    case "done":
      return { ...settled(view, row, row.response ?? ""), phase: "done", error: null };
    case "failed":
    case "cancelled":
      // A row from before the answer came late.
      if (view.phase === "done") return view;
      return {
        ...settled(view, row, row.partial ?? ""),
        ...unanswered(row.error_code ?? row.state, view.error),
      };
  }
}

/** `now` is in milliseconds since 1970. Events that are in the view already change nothing. */
export function apply(before: TurnView, event: TurnEvent, now: number): TurnView {
  if (!isNews(event, before.cursor)) return before;
  const view = event.id === null ? before : { ...before, cursor: event.id };
  if (!isOpen(view)) return applyToFinal(view, event);
  switch (event.event) {
    case "queued":
      return isAhead(view.phase, "starting") ? view : { ...view, ...inQueue(event.data.position) };
    case "meta":
      return { ...onward(view, "working"), startedAt: event.data.started_at };
    case "content": {
      const isWhole = "text" in event.data;
      const piece = "text" in event.data ? event.data.text : event.data.delta;
      const oneShot = view.text === "" ? isWhole : view.oneShot;
      if (view.attention?.name !== undefined) return { ...view, text: view.text + piece, oneShot };
      const askedBefore = view.attention ?? view.askedBefore;
      return { ...view, ...answering(view.text + piece), askedBefore, oneShot };
    }
    case "resync": {
      const { text } = event.data;
      return text === view.text
        ? view
        : { ...onward(view, text === "" ? "starting" : "answering"), text, oneShot: false };
    }
    case "attention": {
      const known = view.attention ?? view.askedBefore;
      const attention = {
        ...event.data,
        id: event.id ?? "",
        // A server that has lost what it had told tells an open question again.
        answered: known?.id === event.id && known.answered,
        number: event.id === null ? 0 : idNumber(event.id),
      };
      return { ...view, attention, askedBefore: null, phase: "asking", position: null };
    }
    case "thinking":
      return thinking(view, event.data, now);
    case "end":
    case "error":
      return { ...applyToFinal(view, event), finishedAt: new Date(now).toISOString() };
    case "ping":
      return view;
  }
}

/** A failed turn can still be answered. Of what was streamed, a final view has nothing to learn: it holds all of it. */
function applyToFinal(view: TurnView, event: TurnEvent): TurnView {
  switch (event.event) {
    case "resync":
      return view.phase === "done" ? view : { ...view, text: event.data.text, oneShot: false };
    case "end": {
      const { used_tools, rows_seen, chip_count, classifier_tag, duration_ms, late } = event.data;
      return {
        ...view,
        ...RESTING,
        phase: "done",
        error: null,
        usedTools: used_tools,
        rowsSeen: rows_seen,
        chipCount: chip_count,
        tag: classifier_tag,
        durationMs: duration_ms,
        late,
      };
    }
    case "error": {
      if (view.phase === "done") return view;
      return { ...view, ...RESTING, ...unanswered(event.data.code, event.data) };
    }
    default:
      return view;
  }
}

function thinking(view: TurnView, data: ThinkingData, now: number): TurnView {
  const since = now - data.elapsed_seconds * 1000;
  const common = {
    activity: data.activity,
    askedBefore: null,
    // The server counts in whole steps, and anew after a restart: the earliest beginning is the right one.
    workingSince: Math.min(since, view.workingSince ?? since),
  };
  const attention = data.upstream === "attention" ? (view.attention ?? view.askedBefore) : null;
  if (attention) return { ...view, ...common, attention, phase: "asking" };
  if (data.upstream === "queued") {
    const askedBefore = view.attention ?? view.askedBefore;
    return {
      ...view,
      ...common,
      attention,
      askedBefore,
      phase: view.phase === "asking" ? "starting" : view.phase,
    };
  }
  const phase = view.text === "" ? "working" : "answering";
  return { ...view, ...common, attention, phase, position: null };
}

/** What no longer holds once a turn is over. */
const RESTING = {
  activity: null,
  workingSince: null,
  position: null,
  attention: null,
  askedBefore: null,
} as const;

const EMPTY: Omit<TurnView, "key" | "phase"> = {
  turnId: null,
  sessionId: "",
  clientTurnId: null,
  message: "",
  askedAt: "",
  text: "",
  cursor: null,
  oneShot: false,
  ...RESTING,
  error: null,
  startedAt: null,
  finishedAt: null,
  durationMs: null,
  usedTools: [],
  rowsSeen: [],
  chipCount: 0,
  tag: null,
  late: false,
  profile: null,
};

function inQueue(position: number): Pick<TurnView, "phase" | "position"> {
  return position > 0 ? { phase: "queued", position } : { phase: "starting", position: null };
}

function answering(text: string) {
  return { text, phase: "answering", position: null, activity: null, attention: null } as const;
}

/** Whether `phase` is further than `other`. */
function isAhead(phase: Phase, other: Phase): boolean {
  return STEPS.indexOf(phase) > STEPS.indexOf(other);
}

function onward(view: TurnView, phase: Phase): TurnView {
  if (!isAhead(phase, view.phase)) return view;
  return { ...view, phase, position: isAhead(phase, "queued") ? null : view.position };
}

function settled(view: TurnView, row: TurnRow, text: string): TurnView {
  return {
    ...view,
    ...RESTING,
    text,
    oneShot: view.oneShot && view.text === text,
    finishedAt: row.finished_at,
    durationMs: row.duration_ms,
    usedTools: row.used_tools,
    rowsSeen: row.rows_seen,
    chipCount: row.chip_count,
    tag: row.classifier_tag,
    late: row.late,
  };
}

function unanswered(code: string, told: TurnView["error"]): Pick<TurnView, "phase" | "error"> {
  if (code === "cancelled") return { phase: "cancelled", error: null };
  if (told?.code === code) return { phase: "failed", error: { ...told } };
  return { phase: "failed", error: { code, message: "", retryable: RETRYABLE.has(code) } };
}
