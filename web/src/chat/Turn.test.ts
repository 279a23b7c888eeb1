// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/svelte";
import { flushSync } from "svelte";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { de } from "../lib/i18n/de";
import { en } from "../lib/i18n/en";
import { chooseLanguage } from "../lib/i18n/index.svelte";
import { at, cell, failed, row, turnId, view } from "./testing/rows";
import { usePage } from "./testing/browser";
import Turn from "./Turn.svelte";
import type { TurnCell } from "./turn.svelte";

usePage();
beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse(at(100)) });
});

function show(turn: TurnCell, { canReply = true, editing = false, isFirstOpen = false } = {}) {
  const calls = {
    onask: vi.fn<(message: string) => void>(),
    onstop: vi.fn<() => void>(),
    onreply: vi.fn<(text: string) => Promise<void>>(async () => {}),
    onrestart: vi.fn<() => void>(),
    onedit: vi.fn<(editing: boolean) => void>(),
  };
  const { container } = render(Turn, {
    cell: turn,
    canReply,
    last: true,
    isFirstOpen,
    editing,
    ...calls,
  });
  const words = () => container.querySelector(".words")?.textContent ?? null;
  /** The names of all buttons, in the order of the page. */
  const buttons = () =>
    [...container.querySelectorAll("button")].map(
      (button) => button.getAttribute("aria-label") ?? button.textContent?.trim(),
    );
  return { container, words, buttons, ...calls };
}

const press = (name: string) => fireEvent.click(screen.getByRole("button", { name }));

describe("while it is open it says what happens, and can be stopped:", () => {
  test.each([
    ["sending", {}, "Sending…", ["Copy question", "Discard"]],
    ["unsent", {}, en.unsentOffline, ["Copy question", "Discard"]],
    [
      "queued",
      { position: 2 },
      "2 questions before this one",
      ["Copy question", "Edit and send again", "Stop"],
    ],
    ["queued", { position: null }, "Next in line", ["Copy question", "Edit and send again", "Stop"]],
    ["starting", {}, "Getting the agent ready…", ["Copy question", "Edit and send again", "Stop"]],
    ["working", {}, "Thinking…", ["Copy question", "Edit and send again", "Stop"]],
    [
      "working",
      { activity: "searching deadlines" },
      "searching deadlines",
      ["Copy question", "Edit and send again", "Stop"],
    ],
    ["answering", { text: "half" }, "Answering…", ["Copy question", "Edit and send again", "Stop"]],
    [
      "answering",
      { text: "half", activity: "reading" },
      "reading",
      ["Copy question", "Edit and send again", "Stop"],
    ],
    ["asking", {}, "Waiting for your answer", ["Copy question", "Edit and send again", "Stop"]],
  ] as const)("%s %j", async (phase, more, words, buttons) => {
    const turnId = phase === "sending" || phase === "unsent" ? null : "t1";
    const shown = show(cell({ phase, turnId, text: "", ...more }));
    expect(shown.words()).toBe(words);
    expect(shown.buttons()).toEqual(buttons);
    await press(turnId === null ? "Discard" : "Stop");
    expect(shown.onstop).toHaveBeenCalledTimes(1);
  });

  test("that what it waits for is in another conversation", () => {
    const turn = () => cell({ phase: "queued", text: "", position: 1 });
    expect(show(turn()).words()).toBe("1 question before this one");
    expect(show(turn(), { isFirstOpen: true }).words()).toBe(
      "1 question before this one, in another conversation",
    );
    expect(show(cell({ phase: "queued", position: 0 }), { isFirstOpen: true }).words()).toBe("Next in line");
  });

  test.each([
    ["offline", en.unsentOffline],
    ["busy", en.unsentBusy],
    ["full", en.unsentFull],
    ["signed-out", en.unsentSignedOut],
  ] as const)("why a message is still here: %s", (held, words) => {
    const turn = cell({ phase: "unsent", turnId: null, text: "" });
    turn.held = held;
    expect(show(turn).words()).toBe(words);
  });

  test("that its connection is broken", () => {
    const turn = cell({ phase: "answering", text: "half" });
    show(turn);
    expect(screen.queryByText(en.reconnecting)).toBeNull();
    turn.reconnecting = true;
    flushSync();
    expect(screen.getByText(en.reconnecting)).toBeTruthy();
  });

  test("for how long", async () => {
    const turn = cell({ phase: "starting", text: "", workingSince: Date.now() - 500 });
    const { container } = show(turn);
    const clock = () => container.querySelector(".clock")?.textContent ?? null;
    flushSync();
    expect(clock()).toBeNull();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(clock()).toBe("1 s");
    await vi.advanceTimersByTimeAsync(65_000);
    expect(clock()).toBe("1 min 6 s");
    turn.view = { ...turn.view, phase: "queued" };
    flushSync();
    expect(clock()).toBeNull();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("and offers to tell when it takes long", async () => {
    const requestPermission = vi.fn<() => Promise<string>>(async () => "granted");
    vi.stubGlobal("Notification", { permission: "default", requestPermission });
    vi.stubGlobal("isSecureContext", true);
    const { buttons } = show(cell({ phase: "working", text: "", workingSince: Date.now() }));
    flushSync();
    await vi.advanceTimersByTimeAsync(9_000);
    expect(buttons()).not.toContain("Notify me");
    await vi.advanceTimersByTimeAsync(1_000);
    await press("Notify me");
    expect(requestPermission).toHaveBeenCalledTimes(1);
  });
});

describe("when it is over it says how:", () => {
  const open = ["Copy question", "Edit and send again"];

  test("answered", () => {
    const { container, buttons, words } = show(cell());
    expect(container.querySelector(".answer")?.textContent?.trim()).toBe("answer 1");
    expect(buttons()).toEqual([...open, "Copy answer", "Details"]);
    expect(words()).toBeNull();
    expect(screen.queryByText(en.late)).toBeNull();
  });

  test("answered late", () => {
    show(cell({}, row(1, { late: true })));
    expect(screen.getByText(en.late)).toBeTruthy();
  });

  test("stopped, with and without something of an answer", () => {
    const turn = cell({}, row(1, { state: "cancelled", response: null, partial: "half" }));
    const { container, buttons } = show(turn);
    expect(container.querySelector(".ended")?.textContent?.trim()).toBe("Stopped.");
    expect(buttons()).toEqual([...open, "Copy answer", "Try again", "Details"]);
    turn.view = { ...turn.view, text: "" };
    flushSync();
    expect(container.querySelector(".ended")?.textContent?.trim()).toBe(en.stoppedEmpty);
    expect(buttons()).toEqual([...open, "Try again", "Details"]);
  });

  test.each(Object.keys(en.errors).filter((code) => code !== "cancelled"))("failed with %s", (code) => {
    for (const [language, { errors }] of [
      ["en", en],
      ["de", de],
    ] as const) {
      chooseLanguage(language);
      const { container } = show(
        cell({ phase: "failed", text: "", error: { code, message: "for the log", retryable: true } }),
      );
      const problem = container.querySelector(".problem")?.textContent?.trim();
      expect(problem).toBe(`${errors[code]?.[0]} ${errors[code]?.[1]}`);
    }
  });

  test("failed with a code that only a later server knows", () => {
    const error = { code: "solar_flare", message: "", retryable: true };
    const { container } = show(cell({ phase: "failed", text: "", error }));
    expect(container.querySelector(".problem")?.textContent).toContain("This did not work.");
  });

  test("failed in the middle of an answer", () => {
    const { container, buttons } = show(cell({}, failed(1, "agent_died", { partial: "half" })));
    expect(container.querySelector(".answer")?.textContent?.trim()).toBe("half");
    expect(screen.getByText(en.partial)).toBeTruthy();
    expect(buttons()).toContain("Copy answer");
  });

  test("failed, and still looked for", () => {
    const turn = cell({}, failed(1, "timeout"));
    show(turn);
    expect(screen.queryByText(en.lookingForLate)).toBeNull();
    turn.recovery = "pending";
    flushSync();
    expect(screen.getByText(en.lookingForLate)).toBeTruthy();
    turn.view = { ...turn.view, ...view({}, row(1, { late: true })) };
    turn.recovery = null;
    flushSync();
    expect(screen.getByText(en.late)).toBeTruthy();
    expect(screen.queryByText(en.lookingForLate)).toBeNull();
  });

  test("failed for good", () => {
    const turn = cell({}, failed(1, "timeout"));
    turn.recovery = "pending";
    show(turn);
    expect(screen.queryByText(en.neverAnswered)).toBeNull();
    turn.recovery = "lost";
    flushSync();
    expect(screen.getByText(en.neverAnswered)).toBeTruthy();
    expect(screen.queryByText(en.lookingForLate)).toBeNull();
    chooseLanguage("de");
    flushSync();
    expect(screen.getByText(de.neverAnswered)).toBeTruthy();
  });

  test("in the same element, whatever it was before", () => {
    const turn = cell({ phase: "working", text: "" });
    const { container } = show(turn);
    const article = container.querySelector("article");
    expect(article?.dataset["phase"]).toBe("working");
    turn.view = view();
    flushSync();
    expect(container.querySelector("article")).toBe(article);
    expect(article?.dataset).toMatchObject({ phase: "done", turn: turnId(1) });
  });
});

describe("one can", () => {
  test("ask again what failed or was stopped", async () => {
    const { onask } = show(cell({}, failed(1, "agent_died")));
    await press("Try again");
    expect(onask.mock.calls).toEqual([["question 1"]]);
  });

  test("restart an agent that keeps ending", async () => {
    const { onrestart, onask } = show(cell({}, failed(1, "agent_crash_loop")));
    await press("Restart the agent");
    expect(onrestart).toHaveBeenCalledTimes(1);
    expect(onask).not.toHaveBeenCalled();
  });

  test("press a chip, which asks its own words, or others", async () => {
    const response =
      "[Yes](chip:ask) [Deadlines](chip:ask/Show%20all%20deadlines) [plain](https://example.org)";
    const { onask } = show(cell({}, row(1, { response })));
    await press("Yes");
    await press("Deadlines");
    await fireEvent.click(screen.getByText("plain"));
    expect(onask.mock.calls).toEqual([["Yes"], ["Show all deadlines"]]);
  });

  test("answer what the agent asks", async () => {
    const attention = {
      kind: "question" as const,
      prompt: "Which?",
      options: ["a"],
      id: "1-2",
      answered: false,
      number: 1,
    };
    const { onreply } = show(cell({ phase: "asking", text: "", attention }));
    await press("a");
    expect(onreply).toHaveBeenCalledWith("a");
  });

  test("begin a next answer anew", async () => {
    const attention = {
      kind: "question" as const,
      prompt: "Which?",
      options: [],
      id: "1-2",
      answered: false,
      number: 1,
    };
    const turn = cell({ phase: "asking", text: "", attention });
    show(turn);
    const field = () => screen.getByRole<HTMLInputElement>("textbox", { name: "Your answer" });
    await fireEvent.input(field(), { target: { value: "the first" } });
    turn.view = { ...turn.view, attention: { ...attention, prompt: "And then?", number: 2 } };
    flushSync();
    expect(screen.getByText("And then?")).toBeTruthy();
    expect(field().value).toBe("");
  });

  test("edit the question, also while its answer is being written", async () => {
    const turn = cell({ phase: "answering", text: "half" });
    const { onedit } = show(turn);
    await press("Edit and send again");
    expect(onedit.mock.calls).toEqual([[true]]);
  });

  test("go on editing, whatever happens to the turn meanwhile", async () => {
    const turn = cell({ phase: "answering", text: "half" });
    show(turn, { editing: true });
    const field = screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Your question" });
    await fireEvent.input(field, { target: { value: "another question" } });
    turn.view = { ...turn.view, text: "half of it" };
    flushSync();
    turn.view = view();
    flushSync();
    expect(field.value).toBe("another question");
    expect(screen.getByRole("textbox", { name: "Your question" })).toBe(field);
  });
});

describe("details", () => {
  const facts = (container: HTMLElement) =>
    Object.fromEntries(
      [...container.querySelectorAll("dl > div")].map((fact) => [
        fact.querySelector("dt")?.textContent,
        fact.querySelector("dd")?.textContent,
      ]),
    );

  test("are shown when one asks for them", async () => {
    const { container } = show(
      cell({}, row(1, { used_tools: ["sql", "search"], rows_seen: [3, 4], classifier_tag: "lookup" })),
    );
    expect(container.querySelector("dl")).toBeNull();
    const button = screen.getByRole("button", { name: "Details" });
    expect(button.getAttribute("aria-expanded")).toBe("false");
    await fireEvent.click(button);
    expect(button.getAttribute("aria-expanded")).toBe("true");
    const place = document.getElementById(button.getAttribute("aria-controls") ?? "");
    expect(place?.querySelector("dl")).toBeTruthy();
    expect(facts(container)).toMatchObject({
      Result: "Answered",
      Took: "4.2 s",
      Tools: "sql, search",
      "Rows read": "3, 4",
      Kind: "lookup",
      Agent: "demo",
      Turn: turnId(1),
    });
    await fireEvent.click(button);
    expect(container.querySelector("dl")).toBeNull();
  });

  test("leave out what nobody knows", async () => {
    const { container } = show(cell({}, failed(1, "timeout", { duration_ms: null })));
    await press("Details");
    expect(Object.keys(facts(container))).toEqual(["Result", "Asked", "Agent", "Turn"]);
    expect(facts(container)["Result"]).toBe("Not answered");
  });
});

test("a reader who hears it is told who speaks, and when", () => {
  chooseLanguage("de");
  show(cell());
  expect(screen.getByRole("article", { name: /^Du, .*\d\d:\d\d$/ })).toBeTruthy();
  expect(screen.getByRole("heading", { name: "Agent" })).toBeTruthy();
});
