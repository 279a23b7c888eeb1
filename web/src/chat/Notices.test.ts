// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/svelte";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { en } from "../lib/i18n/en";
import { Chat } from "./chat.svelte";
import type { Standing as Where } from "./conversation.svelte";
import Notices from "./Notices.svelte";
import Standing from "./Standing.svelte";
import { usePage } from "./testing/browser";
import { status } from "./testing/rows";
import { Server } from "./testing/server";

usePage();

/** A page that has not begun: nothing but what a test gives it. */
let chat: Chat;
beforeEach(() => {
  chat = new Chat(new Server().api);
});

const press = (name: string) => fireEvent.click(screen.getByRole("button", { name }));

describe("above the conversation stands", () => {
  function show(problem = "") {
    const ondismiss = vi.fn<() => void>();
    const { container } = render(Notices, { chat, problem, ondismiss });
    const said = [...container.querySelectorAll("p")].map((notice) =>
      (notice.querySelector("span") ?? notice).textContent?.replaceAll(/\s+/g, " ").trim(),
    );
    return { container, said, ondismiss };
  }

  test("nothing, where all is well", () => {
    chat.status = status();
    expect(show().said).toEqual([]);
    expect(screen.getByRole("status")).toBeTruthy();
  });

  test("that the demo agent answers", () => {
    chat.status = status({ demo: true });
    expect(show().said).toEqual([en.demo]);
  });

  test.each([
    ["signed-out", true, `${en.signedOut} ${en.signedOutText}`],
    ["signed-out", false, `${en.signedOut} ${en.signedOutText}`],
    ["unreachable", true, en.unreachable],
    ["unreachable", false, en.offline],
    [null, false, en.offline],
  ] as const)("one trouble at a time: %s, online %s", (trouble, online, said) => {
    chat.status = status({ demo: true });
    chat.trouble = trouble;
    vi.spyOn(chat, "offline", "get").mockReturnValue(!online);
    expect(show().said).toEqual([said, en.demo]);
  });

  test("a way to try at once", async () => {
    chat.status = status();
    chat.trouble = "unreachable";
    const tryNow = vi.spyOn(chat, "tryNow");
    show();
    await press("Try now");
    expect(tryNow).toHaveBeenCalledTimes(1);
  });

  test("no trouble that fills the page already", () => {
    chat.trouble = "unreachable";
    vi.spyOn(chat, "offline", "get").mockReturnValue(true);
    expect(show().said).toEqual([]);
  });

  test("what did not work, until one has seen it", async () => {
    chat.status = status();
    const { said, ondismiss } = show("That did not work.");
    expect(said).toEqual(["That did not work."]);
    await press("Close");
    expect(ondismiss).toHaveBeenCalledTimes(1);
  });
});

describe("in the place of a conversation stands", () => {
  function show(standing: Where) {
    const onask = vi.fn<(message: string) => void>();
    const onnew = vi.fn<() => void>();
    const { container } = render(Standing, { chat, standing, onask, onnew });
    return { container, heading: container.querySelector("h2")?.textContent ?? null, onask, onnew };
  }
  const buttons = () => screen.queryAllByRole("button").map(({ textContent }) => textContent?.trim());

  test.each([
    ["signed-out", en.signedOut, ["Try now"]],
    ["not-allowed", en.notAllowed, []],
    ["unreachable", en.unreachable, ["Try now"]],
  ] as const)("before anything is known, %s", (trouble, heading, offered) => {
    chat.trouble = trouble;
    expect(show("loading").heading).toBe(heading);
    expect(buttons()).toEqual(offered);
  });

  test.each([
    ["missing", en.notFound, ["New chat"]],
    ["unreachable", en.unreachable, ["Try now"]],
    ["failed", en.notLoaded, ["Try now"]],
    ["new", en.greeting, []],
  ] as const)("where it is %s", (standing, heading, offered) => {
    chat.status = status();
    expect(show(standing).heading).toBe(heading);
    expect(buttons()).toEqual(offered);
  });

  test("that it is read", () => {
    const { heading } = show("loading");
    expect(screen.getByRole("status", { name: "Loading…" })).toBeTruthy();
    expect(heading).toBeNull();
    expect(buttons()).toEqual([]);
  });

  test("no trouble that a notice tells already", () => {
    chat.status = status();
    chat.trouble = "unreachable";
    expect(show("new").heading).toBe(en.greeting);
  });

  test("what the demo agent can show, ready to be asked", async () => {
    chat.status = status({ demo: true });
    const { onask } = show("new");
    expect(screen.getByText(en.demoHint)).toBeTruthy();
    for (const example of buttons()) await press(example ?? "");
    expect(onask.mock.calls.flat()).toEqual(["Hello!", "!lines 20 200", "!ask Shall I go on?"]);
  });

  test("a way to begin another one", async () => {
    chat.status = status();
    const { onnew } = show("missing");
    await press("New chat");
    expect(onnew).toHaveBeenCalledTimes(1);
  });
});
