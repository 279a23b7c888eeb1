/**
 * One conversation on the page: its turns as the server has them, those that are on their way there, and the streams of
 * those that are open. History comes from the server; nothing else is shown before it.
 */

import { ApiError, Unreachable } from "../lib/api";
import { uuid } from "../lib/ids";
import { followShared } from "../lib/stream/share";
import { accepted, apply, fromQuestion, fromRow, isOpen } from "../lib/turn";
import { anyOf } from "../lib/wait";
import { FIRST, LateLook } from "./late";
import type { Services } from "./services";
import { TurnCell } from "./turn.svelte";
import type { Ask } from "../lib/api";
import type { RecoveredRow, TurnRow } from "../lib/wire";

/** Turns that are asked of the server at once. */
export const PAGE = 50;

/** So many of the last turns are recent: of those that failed, the answer may still come. */
const RECENT = 10;

/** Characters of a page above which it may be short because the server gives no more at once. */
const LARGE = 1024 * 1024;

export type Standing = "new" | "loading" | "ready" | "unreachable" | "missing" | "failed";

export class Conversation {
  readonly sessionId: string;
  cells: readonly TurnCell[] = $state.raw([]);
  standing: Standing = $state("loading");
  hasEarlier = $state(false);
  loadingEarlier = $state(false);
  readonly #services: Services;
  readonly #ending = new AbortController();
  readonly #following = new Set<string>();
  /** Turns that failed and whose answer may still come, by `turn_id`. */
  readonly #looking = new Map<string, LateLook>();
  /** How to give up the messages that are being sent, by `client_turn_id`. */
  readonly #delivering = new Map<string, () => void>();

  /** `begun` is false for one that nobody has asked anything in. */
  constructor(services: Services, sessionId: string, begun: boolean) {
    this.#services = services;
    this.sessionId = sessionId;
    if (begun) void this.load();
    else this.standing = "new";
  }

  /** Whether something in it is not over. */
  get isBusy(): boolean {
    return this.cells.some((cell) => isOpen(cell.view));
  }

  /** What the agent asks here and nobody has answered. */
  get asking(): TurnCell | undefined {
    return this.cells.find(({ view }) => view.phase === "asking" && view.attention?.answered === false);
  }

  /** The turn that the agent works on, or that is next. */
  get current(): TurnCell | undefined {
    return this.cells.find((cell) => isOpen(cell.view) && cell.view.turnId !== null);
  }

  /** Leaves it: streams end here, turns go on there. */
  close(): void {
    this.#ending.abort();
  }

  async load(): Promise<void> {
    this.standing = "loading";
    try {
      const rows = await this.#services.api.history(this.sessionId, { limit: PAGE }, this.#ending.signal);
      this.hasEarlier = mayHaveMore(rows);
      this.#take(rows);
      this.#sendWaiting();
      this.standing = this.cells.length === 0 ? "missing" : "ready";
    } catch (error) {
      if (this.#ending.signal.aborted) return;
      this.standing = error instanceof Unreachable ? "unreachable" : "failed";
      this.#services.trouble(error);
    }
  }

  async loadEarlier(): Promise<void> {
    const first = this.#first;
    if (this.loadingEarlier || !this.hasEarlier || !first) return;
    this.loadingEarlier = true;
    try {
      const query = { before: first, limit: PAGE };
      const rows = await this.#services.api.history(this.sessionId, query, this.#ending.signal);
      // A refresh may have begun anew behind a gap.
      if (this.#first !== first) return;
      this.hasEarlier = mayHaveMore(rows);
      this.cells = [...rows.map((row) => new TurnCell(fromRow(row))), ...this.cells];
    } catch (error) {
      if (!this.#ending.signal.aborted) this.#services.trouble(error);
    } finally {
      this.loadingEarlier = false;
    }
  }

  /** Looks what happened meanwhile: another tab or device may have asked here, or a late answer may be there. */
  async refresh(): Promise<void> {
    if (this.standing === "new" || this.standing === "loading") return;
    if (this.standing !== "ready") return this.load();
    // As of now: what is accepted while the server answers is not in its answer.
    const settled = this.cells.every((cell) => cell.view.turnId !== null && !isOpen(cell.view));
    try {
      const rows = await this.#services.api.history(this.sessionId, { limit: PAGE }, this.#ending.signal);
      if (rows.length === 0 && settled) {
        this.standing = "missing";
        return;
      }
      const known = rows.some((row) => this.#find(row.turn_id, row.client_turn_id));
      if (mayHaveMore(rows) && !known) {
        // So much is new that there may be a gap before it.
        this.cells = this.cells.filter((cell) => cell.view.turnId === null);
        this.hasEarlier = true;
      }
      this.#take(rows);
      this.#sendWaiting();
      for (const look of this.#looking.values()) look.hurry();
    } catch (error) {
      if (!this.#ending.signal.aborted) this.#services.trouble(error);
    }
  }

  /** Another tab told of this turn. */
  async learn(turnId: string): Promise<void> {
    if (this.standing !== "ready") return;
    try {
      this.#take([await this.#services.api.turn(turnId, this.#ending.signal)]);
    } catch {
      // The next refresh tells.
    }
  }

  /** Somebody answered in another tab what the agent asked here. */
  answeredElsewhere(turnId: string, number: number): void {
    const cell = this.#find(turnId, null);
    const attention = cell?.view.attention;
    if (cell && attention?.number === number) {
      cell.view = { ...cell.view, attention: { ...attention, answered: true } };
    }
  }

  /** Another tab asked what is to be hoped for a turn, and was answered this. */
  recoveredElsewhere(answer: RecoveredRow): void {
    this.#looking.get(answer.turn_id)?.hear(answer);
  }

  ask(message: string): void {
    const ask: Ask = { user_message: message, session_id: this.sessionId, client_turn_id: uuid() };
    this.#services.outbox.put(ask);
    this.standing = "ready";
    this.#send(ask);
  }

  async cancel(cell: TurnCell): Promise<void> {
    const { turnId } = cell.view;
    if (turnId === null) return this.discard(cell);
    await this.#services.api.cancel(turnId);
    this.#services.tell({ kind: "turn", sessionId: this.sessionId, turnId });
  }

  /** Gives up a message that has not been sent. Where it is on its way already, it is stopped when it has arrived. */
  discard(cell: TurnCell): void {
    const { clientTurnId } = cell.view;
    if (clientTurnId !== null) {
      this.#services.outbox.remove(clientTurnId);
      this.#delivering.get(clientTurnId)?.();
    }
    this.cells = this.cells.filter((other) => other !== cell);
    if (this.cells.length === 0) this.standing = "new";
  }

  async reply(cell: TurnCell, text: string): Promise<void> {
    const { turnId, attention } = cell.view;
    if (turnId === null || attention === null) return;
    await this.#services.api.reply(turnId, attention.id, text);
    this.answeredElsewhere(turnId, attention.number);
    this.#services.tell({ kind: "answered", turnId, number: attention.number });
  }

  /** All of it, oldest first, for an export. */
  async everything(): Promise<TurnRow[]> {
    const most = 200;
    let rows: TurnRow[] = [];
    for (;;) {
      const before = rows[0]?.turn_id;
      const query = before === undefined ? { limit: most } : { limit: most, before };
      const page = await this.#services.api.history(this.sessionId, query, this.#ending.signal);
      rows = [...page, ...rows];
      if (page.length === 0) return rows;
    }
  }

  /** The id of the earliest turn that is here. */
  get #first(): string | null | undefined {
    return this.cells.find((cell) => cell.view.turnId !== null)?.view.turnId;
  }

  #find(turnId: string | null, clientTurnId: string | null): TurnCell | undefined {
    return this.cells.find(
      ({ view }) =>
        (turnId !== null && view.turnId === turnId) ||
        (clientTurnId !== null && view.clientTurnId === clientTurnId),
    );
  }

  /**
   * Takes rows over what is here, in the order of the server; what is not there yet stays at the end, and what the server
   * refused where it was.
   */
  #take(rows: readonly TurnRow[]): void {
    const cells = new Map<string, TurnCell>();
    const unsent: TurnCell[] = [];
    for (const cell of this.cells) {
      if (cell.view.turnId === null) unsent.push(cell);
      else cells.set(cell.view.turnId, cell);
    }
    for (const row of rows) {
      const known = this.#find(row.turn_id, row.client_turn_id);
      const cell = known ?? new TurnCell(fromRow(row));
      if (known) known.view = fromRow(row, known.view);
      cells.set(row.turn_id, cell);
      const at = unsent.indexOf(cell);
      if (at >= 0) unsent.splice(at, 1);
      this.#services.outbox.remove(row.client_turn_id ?? "");
    }
    const ordered = [...cells.entries()]
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([, cell]) => cell);
    const placed = [...ordered];
    for (const cell of unsent) {
      const before = this.cells[this.cells.indexOf(cell) - 1];
      if (isOpen(cell.view)) placed.push(cell);
      else placed.splice(before ? placed.indexOf(before) + 1 : 0, 0, cell);
    }
    this.cells = placed;
    if (this.cells.length > 0 && this.standing === "missing") this.standing = "ready";
    for (const cell of ordered) this.#attend(cell);
  }

  /** What was written here and may never have arrived is sent again; the server knows it by its own id. */
  #sendWaiting(): void {
    for (const ask of this.#services.outbox.all()) {
      if (ask.session_id === this.sessionId && !this.#delivering.has(ask.client_turn_id)) this.#send(ask);
    }
  }

  #send(ask: Ask): void {
    let cell = this.#find(null, ask.client_turn_id);
    if (!cell) {
      cell = new TurnCell(fromQuestion(ask, new Date()));
      this.cells = [...this.cells, cell];
    }
    const sending = anyOf(this.#ending.signal);
    this.#delivering.set(ask.client_turn_id, sending.abort);
    void this.#deliver(cell, ask, sending.signal).finally(() => {
      sending.abort();
      this.#delivering.delete(ask.client_turn_id);
    });
  }

  async #deliver(cell: TurnCell, ask: Ask, signal: AbortSignal): Promise<void> {
    const { api, outbox, sender } = this.#services;
    let waited = false;
    // Whoever gives a message up ends the waits; a request that is on its way may reach the server all the same.
    const post = async (body: Ask) => {
      // Somebody else may have signed in meanwhile: it is not for them to ask.
      if (waited && !(await this.#services.isSameUser())) throw new ApiError(401, "unauthenticated", "");
      return api.ask(body, this.#ending.signal);
    };
    try {
      const answer = await sender.send({ ask: post }, ask, {
        signal,
        onWait: (why) => {
          waited = true;
          cell.held = why;
          cell.view = { ...cell.view, phase: "unsent" };
        },
      });
      outbox.remove(ask.client_turn_id);
      if (signal.aborted && !this.#ending.signal.aborted) {
        await api.cancel(answer.turn_id);
        return this.#services.listChanged();
      }
      cell.held = null;
      cell.view = accepted(cell.view, answer);
      this.#services.tell({ kind: "turn", sessionId: this.sessionId, turnId: answer.turn_id });
      this.#services.listChanged();
      this.#attend(cell);
    } catch (error) {
      if (this.#ending.signal.aborted || !this.cells.includes(cell)) return;
      if (error instanceof ApiError && error.status === 401) {
        // It goes out when somebody has signed in.
        cell.held = "signed-out";
        cell.view = { ...cell.view, phase: "unsent" };
        this.#services.trouble(error);
        return;
      }
      // Refused for good: the question stays on the page, to be mended and sent again.
      outbox.remove(ask.client_turn_id);
      cell.held = null;
      const refused = error instanceof ApiError ? error : new ApiError(0, "unknown", String(error));
      cell.view = {
        ...cell.view,
        phase: "failed",
        error: { code: refused.code, message: refused.detail, retryable: refused.retryable ?? true },
      };
      this.#services.trouble(error);
    }
  }

  /** Follows a turn that is open, and looks for the answer of one that failed. */
  #attend(cell: TurnCell, hasJustFailed = false): void {
    const { turnId } = cell.view;
    if (turnId === null || this.#following.has(turnId) || this.#ending.signal.aborted) return;
    if (isOpen(cell.view)) {
      this.#following.add(turnId);
      void this.#follow(cell, turnId)
        .catch((error: unknown) => this.#services.trouble(error))
        .finally(() => {
          this.#following.delete(turnId);
          // Not where it is still open: the stream was refused, and the next refresh tries again.
          if (!isOpen(cell.view)) this.#attend(cell, true);
        });
    } else if (hasJustFailed || this.cells.indexOf(cell) >= this.cells.length - RECENT) {
      this.#lookForLate(cell, turnId, hasJustFailed ? FIRST : 0);
    }
  }

  #lookForLate(cell: TurnCell, turnId: string, wait: number): void {
    if (cell.view.phase !== "failed" || cell.recovery === "lost" || this.#looking.has(turnId)) return;
    const { api, tell } = this.#services;
    const recover = async () => {
      const answer = await api.recover(turnId, this.#ending.signal);
      tell({ kind: "recovery", sessionId: this.sessionId, answer });
      return answer;
    };
    const look = new LateLook(cell, recover, this.#ending.signal);
    this.#looking.set(turnId, look);
    void look.run(wait).finally(() => this.#looking.delete(turnId));
  }

  async #follow(cell: TurnCell, turnId: string): Promise<void> {
    const { api } = this.#services;
    cell.watched = true;
    try {
      const end = await followShared(turnId, {
        url: `/api/paliadin/stream/${turnId}`,
        cursor: cell.view.cursor,
        signal: this.#ending.signal,
        onEvent: (event) => {
          const before = cell.view;
          cell.view = apply(before, event, Date.now());
          this.#services.happened(this, cell, before);
        },
        onLink: (link) => (cell.reconnecting = link === "waiting"),
      });
      if (end.how === "aborted") return;
      if (end.how === "refused") this.#services.trouble(end.error);
    } finally {
      cell.reconnecting = false;
    }
    // The row is the record: what was missed is in it.
    const before = cell.view;
    cell.view = fromRow(await api.turn(turnId, this.#ending.signal), cell.view);
    if (isOpen(before) && !isOpen(cell.view)) this.#services.happened(this, cell, before);
    this.#services.listChanged();
  }
}

/** Whether there may be turns before these, which were asked for by the page. */
function mayHaveMore(rows: readonly TurnRow[]): boolean {
  const size = rows.reduce(
    (sum, row) => sum + row.user_message.length + (row.response ?? row.partial ?? "").length,
    0,
  );
  return rows.length >= PAGE || size > LARGE;
}
