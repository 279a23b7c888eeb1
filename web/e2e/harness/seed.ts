/** Conversations of the past, written into the database as the server would have written them. */

import { randomBytes, randomUUID } from "node:crypto";
import type { Server, User } from "./server";

export interface SeededTurn {
  question: string;
  answer: string;
}

/** A UUIDv7 of this moment; those of one moment grow with `count`. */
export function turnIdAt(moment: number, count = 0): string {
  const time = moment.toString(16).padStart(12, "0");
  const rest = randomBytes(8).toString("hex");
  const place = (count & 0xfff).toString(16).padStart(3, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${place}-a${rest.slice(1, 4)}-${rest.slice(4)}`.padEnd(
    36,
    "0",
  );
}

/** Adds a conversation whose last turn was asked at `at` (milliseconds since 1970); gives its id. */
export function seedConversation(
  server: Server,
  user: User,
  title: string,
  turns: readonly SeededTurn[],
  at = Date.now() - 60_000,
): string {
  const sessionId = randomUUID();
  const rows = turns.map(({ question, answer }, place) => {
    const moment = at - (turns.length - 1 - place) * 1_000;
    const texts = [question, answer].map(quoted);
    return `('${turnIdAt(moment)}', '${user.id}', '${sessionId}', 'seeded', 'done', 'local', 'demo',
      ${texts.join(", ")}, ${moment}, ${moment}, ${moment + 500}, 500, ${moment}, ${moment})`;
  });
  server.sql(
    // Debian 12's sqlite3 says of a NULL that it is no valid JSON; the server's own lets it pass.
    `PRAGMA ignore_check_constraints = ON;
     BEGIN IMMEDIATE;
     INSERT INTO conversations (session_id, user_id, title, created_at, updated_at)
     VALUES ('${sessionId}', '${user.id}', ${quoted(title)}, ${at}, ${at});
     INSERT INTO paliadin_turns (turn_id, user_id, session_id, agent_session, state, backend, profile,
       user_message, response, queued_at, started_at, finished_at, duration_ms, created_at, updated_at)
     VALUES ${rows.join(",\n")};
     COMMIT;`,
  );
  return sessionId;
}

/** For SQL. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''").replaceAll("\0", "' || char(0) || '")}'`;
}
