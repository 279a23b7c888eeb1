/** What a conversation needs of the page around it. */

import type { Api } from "../lib/api";
import type { Outbox } from "../lib/outbox";
import type { TurnView } from "../lib/turn";
import type { Conversation } from "./conversation.svelte";
import type { Sender } from "./sender";
import type { TabNews } from "./tabs";
import type { TurnCell } from "./turn.svelte";

export interface Services {
  readonly api: Api;
  readonly outbox: Outbox;
  readonly sender: Sender;
  /** Whether the one who is signed in is still the one whose page this is; only then may anything be sent. */
  isSameUser(): Promise<boolean>;
  /** Tells the other tabs. */
  tell(news: TabNews): void;
  /** The list of conversations is no longer what it was. */
  listChanged(): void;
  /** An event changed a turn. */
  happened(conversation: Conversation, cell: TurnCell, before: TurnView): void;
  /** A request failed; the page may have to say so. */
  trouble(error: unknown): void;
}
