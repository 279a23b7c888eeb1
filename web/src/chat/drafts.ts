/** What was typed and not sent, per user and conversation. */

const NEW = "new";

export class Drafts {
  readonly #user: string;

  constructor(user: string) {
    this.#user = user;
  }

  /** `null` names the conversation that is not begun yet. */
  read(sessionId: string | null): string {
    try {
      return localStorage.getItem(this.keyOf(sessionId)) ?? "";
    } catch {
      return "";
    }
  }

  write(sessionId: string | null, text: string): void {
    try {
      if (text === "") localStorage.removeItem(this.keyOf(sessionId));
      else localStorage.setItem(this.keyOf(sessionId), text);
    } catch {
      // Storage is full or refused: the text is still in its field.
    }
  }

  /** Under which key of the storage a draft is kept. */
  keyOf(sessionId: string | null): string {
    return `paliadin.draft:${this.#user}:${sessionId ?? NEW}`;
  }
}
