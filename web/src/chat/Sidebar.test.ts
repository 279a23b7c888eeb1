// @vitest-environment jsdom
import { fireEvent, render, screen, within } from "@testing-library/svelte";
import { flushSync } from "svelte";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { Unreachable } from "../lib/api";
import { chooseLanguage } from "../lib/i18n/index.svelte";
import type { Conversation } from "../lib/wire";
import { ConversationList } from "./list.svelte";
import Sidebar from "./Sidebar.svelte";
import { usePage } from "./testing/browser";
import { conversation } from "./testing/rows";
import { Server, slow } from "./testing/server";

usePage();

const NOW = new Date("2026-11-21T20:00:00");
let server: Server;
let list: ConversationList;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  server = new Server();
  list = new ConversationList(server.api);
});

/** A conversation whose last turn was so many days ago. */
function ago(days: number, more: Partial<Conversation> = {}): Conversation {
  const last_turn_at = new Date(NOW.getTime() - days * 86_400_000).toISOString();
  return conversation(1_000 - days, { title: `${days} days ago`, last_turn_at, ...more });
}

function show(currentId: string | null = null, asking = new Set<string>()) {
  const calls = {
    onnew: vi.fn<() => void>(),
    onopen: vi.fn<(sessionId: string) => void>(),
    onrename: vi.fn<(conversation: Conversation) => void>(),
    onremove: vi.fn<(conversation: Conversation) => void>(),
    onsettings: vi.fn<() => void>(),
    onhelp: vi.fn<() => void>(),
    onhide: vi.fn<() => void>(),
  };
  const { container, component } = render(Sidebar, {
    list,
    currentId,
    email: "ada@example.org",
    asking,
    ...calls,
  });
  /** Headings and titles, in the order of the page. */
  const shown = () =>
    [...container.querySelectorAll("h2, .title")].map(({ tagName, textContent }) =>
      tagName === "H2" ? `# ${textContent}` : textContent,
    );
  return { container, component, shown, ...calls };
}

async function read(...items: Conversation[]): Promise<void> {
  server.conversations = items;
  await list.refresh();
}

const press = (name: string) => fireEvent.click(screen.getByRole("button", { name }));
const search = () => screen.getByRole<HTMLInputElement>("searchbox", { name: "Search conversations" });

describe("conversations", () => {
  test("are in groups by their age", async () => {
    await read(
      ago(0),
      ago(0, { session_id: "s0", title: "also today" }),
      ago(1),
      ago(2),
      ago(7),
      ago(8),
      ago(99),
    );
    const { shown } = show();
    expect(shown()).toEqual([
      "# Today",
      "0 days ago",
      "also today",
      "# Yesterday",
      "1 days ago",
      "# Last 7 days",
      "2 days ago",
      "7 days ago",
      "# Older",
      "8 days ago",
      "99 days ago",
    ]);
    chooseLanguage("de");
    flushSync();
    expect(shown().filter((line) => line?.startsWith("#"))).toEqual([
      "# Heute",
      "# Gestern",
      "# Letzte 7 Tage",
      "# Älter",
    ]);
  });

  test("have one heading for each age, whatever their order", async () => {
    await read(ago(0), ago(1), ago(0, { session_id: "s0", title: "today again" }));
    expect(show().shown()).toEqual(["# Today", "0 days ago", "today again", "# Yesterday", "1 days ago"]);
  });

  test("lead to their address, and tell that something was chosen", async () => {
    await read(ago(0), ago(1));
    const { onopen } = show(ago(1).session_id);
    const [first, second] = screen.getAllByRole("link");
    expect(first?.getAttribute("href")).toBe(`#${ago(0).session_id}`);
    expect(first?.getAttribute("aria-current")).toBeNull();
    expect(second?.getAttribute("aria-current")).toBe("page");
    if (first) await fireEvent.click(first);
    expect(onopen.mock.calls).toEqual([[ago(0).session_id]]);
  });

  test("say in which something runs, and have a name where they have no title", async () => {
    await read(ago(0, { open_turns: 2, title: "" }), ago(1));
    show();
    const names = screen.getAllByRole("link").map((link) => link.textContent?.replaceAll(/\s+/g, " ").trim());
    expect(names).toEqual(["New conversation working", "1 days ago"]);
  });

  test("say in which the agent waits for the reader", async () => {
    await read(ago(0, { open_turns: 1 }), ago(1, { open_turns: 1 }));
    show(null, new Set([ago(1).session_id]));
    const names = screen.getAllByRole("link").map((link) => link.textContent?.replaceAll(/\s+/g, " ").trim());
    expect(names).toEqual(["0 days ago working", "1 days ago Waiting for your answer"]);
  });

  test("are renamed and deleted by their own menus", async () => {
    await read(ago(0), ago(1));
    const { onrename, onremove } = show();
    await press("Options for “1 days ago”");
    await fireEvent.click(screen.getByRole("menuitem", { name: "Rename" }));
    await press("Options for “0 days ago”");
    await fireEvent.click(screen.getByRole("menuitem", { name: "Delete" }));
    expect(onrename.mock.calls).toEqual([[ago(1)]]);
    expect(onremove.mock.calls).toEqual([[ago(0)]]);
  });

  test("that are not here yet come by a button", async () => {
    await read(...Array.from({ length: 60 }, (_, at) => conversation(60 - at)));
    const { shown } = show();
    expect(shown()).toHaveLength(51);
    await press("Show more");
    await vi.advanceTimersByTimeAsync(0);
    expect(shown()).toHaveLength(61);
    expect(screen.queryByRole("button", { name: "Show more" })).toBeNull();
  });
});

describe("in their place stands", () => {
  test("that they are read", async () => {
    const answer = slow<Conversation[]>();
    server.calls.conversations.mockReturnValueOnce(answer.promise);
    void list.refresh();
    show();
    expect(screen.getByText("Loading…")).toBeTruthy();
    answer.resolve([]);
    await vi.advanceTimersByTimeAsync(0);
    expect(screen.getByText("Your conversations will be listed here.")).toBeTruthy();
  });

  test("that they could not be read, and how to try again", async () => {
    server.calls.conversations.mockRejectedValueOnce(new Unreachable());
    await list.refresh();
    const { shown } = show();
    expect(screen.getByText("Your conversations could not be loaded.")).toBeTruthy();
    server.conversations = [ago(0)];
    await press("Try now");
    await vi.advanceTimersByTimeAsync(0);
    expect(shown()).toEqual(["# Today", "0 days ago"]);
    expect(screen.queryByText("Your conversations could not be loaded.")).toBeNull();
  });

  test("nothing of a failure, where there is something to show", async () => {
    await read(ago(0));
    server.calls.conversations.mockRejectedValueOnce(new Unreachable());
    await list.refresh();
    const { shown } = show();
    expect(shown()).toEqual(["# Today", "0 days ago"]);
    expect(screen.queryByText("Your conversations could not be loaded.")).toBeNull();
  });
});

describe("searching", () => {
  test("shows what is found, and says where nothing is", async () => {
    await read(ago(0, { title: "Fristen" }), ago(1, { title: "Rechnungen" }));
    const { shown } = show();
    await fireEvent.input(search(), { target: { value: "frist" } });
    expect(shown()).toEqual(["# Today", "Fristen"]);
    await fireEvent.input(search(), { target: { value: " <b>nothing</b> " } });
    // What is not here may be there.
    expect(shown()).toEqual([]);
    expect(screen.getByText("Loading…")).toBeTruthy();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(screen.queryByText("Loading…")).toBeNull();
    expect(screen.getByText("Nothing found for “<b>nothing</b>”.")).toBeTruthy();
    await fireEvent.input(search(), { target: { value: "" } });
    expect(shown()).toHaveLength(4);
  });

  test("begins in the field, with what is there selected", async () => {
    await read(ago(0));
    const { component } = show();
    await fireEvent.input(search(), { target: { value: "frist" } });
    component.search();
    expect(document.activeElement).toBe(search());
    expect([search().selectionStart, search().selectionEnd]).toEqual([0, 5]);
  });
});

test("can take the focus", () => {
  const { component } = show();
  component.focus();
  expect(document.activeElement?.textContent?.trim()).toBe("New chat");
});

test("everything else is a button, and says who is signed in", async () => {
  const { container, onnew, onhelp, onsettings, onhide } = show();
  for (const [name, call] of [
    ["New chat", onnew],
    ["Keyboard shortcuts", onhelp],
    ["Settings", onsettings],
    ["Hide conversations", onhide],
  ] as const) {
    await press(name);
    expect(call, name).toHaveBeenCalledTimes(1);
  }
  expect(within(container).getByTitle("Signed in as ada@example.org").textContent).toBe("ada@example.org");
});
