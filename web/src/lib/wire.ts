/** What goes over the wire, as docs/protocol.md tells it. Moments are RFC 3339 texts in UTC. */

/** Where a turn stands; the last three are final. */
export type TurnState = "queued" | "running" | "done" | "failed" | "cancelled";

/** Why a turn failed. */
export type ErrorCode =
  | "host_unreachable"
  | "shim_auth_failed"
  | "shim_error"
  | "timeout"
  | "tmux_unavailable"
  | "bootstrap_failed"
  | "agent_died"
  | "agent_crash_loop"
  | "upstream_error"
  | "upstream_silence"
  | "uncertain"
  | "disabled"
  | "cancelled"
  | "session_reset"
  | "queue_full"
  | "message_too_large"
  | "response_too_large"
  | "response_invalid"
  | "store_unavailable";

/** `GET /api/paliadin/turns/{turn_id}`, and each element of the history. */
export interface TurnRow {
  turn_id: string;
  session_id: string;
  client_turn_id: string | null;
  state: TurnState;
  user_message: string;
  queued_at: string;
  started_at: string | null;
  finished_at: string | null;
  duration_ms: number | null;
  response: string | null;
  partial: string | null;
  error_code: ErrorCode | null;
  used_tools: string[];
  rows_seen: number[];
  chip_count: number;
  classifier_tag: string | null;
  late: boolean;
  profile: string;
}

/**
 * What is to be hoped for. `recovered`: a complete answer is there; `pending`: one may still come; `lost`: none will,
 * whatever happens.
 */
export type RecoveryState = "recovered" | "pending" | "lost";

/** `GET /api/paliadin/turns/{turn_id}/recover`. */
export interface RecoveredRow extends TurnRow {
  recovery_state: RecoveryState;
}

/** 202 of `POST /api/paliadin/turn`. */
export interface Accepted {
  turn_id: string;
  session_id: string;
  sse_url: string;
  position: number;
}

/** An element of `GET /api/paliadin/conversations`, newest activity first. */
export interface Conversation {
  session_id: string;
  title: string;
  created_at: string;
  /** When its last turn was accepted. */
  last_turn_at: string;
  /** The cursor for `before`. */
  last_turn_id: string;
  /** How many of its turns are not over. */
  open_turns: number;
}

/** `GET /api/paliadin/status`. */
export interface Status {
  backend: string;
  profile: string;
  demo: boolean;
  /** Whether `attention` can be answered here; else only in the agent's terminal. */
  can_reply: boolean;
  version: string;
  max_message: number;
  user: { email: string; role: "user" | "admin" };
  /** Whether it is a sign-in of this server, which it can end. */
  can_sign_out: boolean;
  /** What has an agent session of its own. */
  session_scope: "user" | "conversation";
  agent_session: AgentSession | null;
}

/**
 * One's agent session, or that of the conversation which was asked for; `null` in `Status` where it has had no turn
 * since the server started, which found neither an open turn nor an agent of it.
 */
export interface AgentSession {
  name: string;
  state: "opening" | "idle" | "running" | "draining" | "resetting" | "failed";
  epoch: number;
  agent_alive: boolean;
  /** `crash_loop`: it has ended too often, and only a reset starts it again. */
  agent: "none" | "starting" | "ready" | "ended" | "crash_loop";
  running: string | null;
  queued: string[];
  /** Further starts of the agent since the server's own start. */
  restarts: number;
  last_reason: string | null;
  /** The agent's last start. `after` is how the one before it ended, where that was by itself. */
  last_start: { at: string; resumed: boolean; after: string | null } | null;
  /** The agent's last end, if it ended. */
  last_exit: { at: string; reason: string } | null;
}

/** RFC 9457 problem details. */
export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  retryable?: boolean;
}

export interface Attention {
  /** A `dialog` is open in the agent's terminal, and answered there. */
  kind: "question" | "permission" | "dialog";
  prompt: string;
  /** Empty where any text will do. */
  options: string[];
  /** One with a name stays open until that is said, whatever else the agent does meanwhile. */
  name?: string;
}

export interface EndData {
  turn_id: string;
  used_tools: string[];
  rows_seen: number[];
  chip_count: number;
  classifier_tag: string | null;
  duration_ms: number;
  streamed: boolean;
  late: boolean;
}

export interface ThinkingData {
  elapsed_seconds: number;
  since_first: number | null;
  upstream: "queued" | "attention" | "working" | "answering";
  activity: string | null;
}

/** The events of a turn's stream. `id` is there for those that can be replayed. */
export type TurnEvent = { id: string | null } & (
  | { event: "queued"; data: { turn_id: string; position: number } }
  | { event: "meta"; data: { turn_id: string; started_at: string } }
  | { event: "content"; data: { delta: string; streamed: true } | { text: string } }
  | { event: "attention"; data: Attention }
  | { event: "resync"; data: { text: string } }
  | { event: "end"; data: EndData }
  | { event: "error"; data: { code: ErrorCode; message: string; retryable: boolean } }
  | { event: "thinking"; data: ThinkingData }
  | { event: "ping"; data: Record<string, never> }
);
