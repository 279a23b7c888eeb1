// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/svelte";
import type { ComponentProps } from "svelte";
import { describe, expect, test, vi } from "vitest";
import { ApiError, Unreachable } from "../lib/api";
import { chooseLanguage } from "../lib/i18n/index.svelte";
import AttentionPrompt from "./AttentionPrompt.svelte";
import { usePage } from "./testing/browser";
import { slow } from "./testing/server";

usePage();

type Attention = ComponentProps<typeof AttentionPrompt>["attention"];

function show(more: Partial<Attention> = {}, canReply = true) {
  const attention: Attention = {
    kind: "question",
    prompt: "Shall I go on?",
    options: [],
    id: "1-2",
    answered: false,
    number: 1,
    ...more,
  };
  const onreply = vi.fn<(text: string) => Promise<void>>(async () => {});
  const { rerender } = render(AttentionPrompt, { attention, canReply, onreply });
  return { attention, onreply, rerender };
}

const buttons = () => screen.queryAllByRole<HTMLButtonElement>("button");
const names = () => buttons().map(({ textContent }) => textContent?.trim());
const press = (name: string) => fireEvent.click(screen.getByRole("button", { name }));
const field = () => screen.getByRole<HTMLInputElement>("textbox", { name: "Your answer" });
const type = (value: string) => fireEvent.input(field(), { target: { value } });

describe("a question of the agent", () => {
  test("is answered with one's own words", async () => {
    const { onreply } = show();
    expect(screen.getByRole("region", { name: "The agent asks" })).toBeTruthy();
    expect(screen.getByText("Shall I go on?")).toBeTruthy();
    expect(names()).toEqual(["Answer"]);
    expect(buttons()[0]?.disabled).toBe(true);
    await type("yes, do");
    await press("Answer");
    expect(onreply.mock.calls).toEqual([["yes, do"]]);
  });

  test("is answered with one of its options, or one's own words", async () => {
    const { onreply } = show({ options: ["red", "blue"] });
    expect(names()).toEqual(["red", "blue", "Answer"]);
    await press("blue");
    expect(onreply.mock.calls).toEqual([["blue"]]);
    await type("green");
    await fireEvent.submit(field());
    expect(onreply).toHaveBeenLastCalledWith("green");
  });

  test("may have the same option twice, or one with an odd name", () => {
    show({ options: ["a", "a", "constructor"] });
    expect(names()).toEqual(["a", "a", "constructor", "Answer"]);
  });

  test("that is for leave has two options, in the reader's language", async () => {
    chooseLanguage("de");
    const { onreply } = show({ kind: "permission", options: ["allow", "deny"] });
    expect(screen.getByRole("region", { name: "Der Agent bittet um Erlaubnis" })).toBeTruthy();
    expect(names()).toEqual(["Erlauben", "Nicht erlauben"]);
    expect(screen.queryByRole("textbox")).toBeNull();
    await press("Erlauben");
    expect(onreply).toHaveBeenCalledWith("allow");
  });

  test("that is a dialog in the terminal is answered there", () => {
    show({ kind: "dialog", prompt: "The agent shows something:\n\nProceed? 1. Yes" });
    expect(screen.getByRole("region", { name: "Something is open in the agent's terminal" })).toBeTruthy();
    expect(screen.getByText(/answered there/)).toBeTruthy();
    expect(names()).toEqual([]);
    expect(screen.queryByRole("textbox")).toBeNull();
  });

  test("is not answered with nothing", async () => {
    const { onreply } = show();
    await type("   ");
    await fireEvent.submit(field());
    expect(onreply).not.toHaveBeenCalled();
  });

  test("is answered once, however often one presses", async () => {
    const answer = slow<void>();
    const { onreply } = show({ options: ["red"] });
    onreply.mockReturnValueOnce(answer.promise);
    await press("red");
    expect(buttons().every(({ disabled }) => disabled)).toBe(true);
    await press("red");
    expect(onreply).toHaveBeenCalledTimes(1);
    answer.resolve();
    await vi.waitFor(() => expect(buttons()[0]?.disabled).toBe(false));
  });

  test("that nobody can answer here says so", () => {
    show({ options: ["red"] }, false);
    expect(screen.getByText(/only be answered in its terminal/)).toBeTruthy();
    expect(buttons()).toEqual([]);
    expect(screen.queryByRole("textbox")).toBeNull();
  });

  test("that is answered says so, and takes no other answer", () => {
    show({ options: ["red"], answered: true });
    expect(screen.getByText(/Answered/)).toBeTruthy();
    expect(buttons()).toEqual([]);
  });
});

test.each([
  ["is no longer asked", new ApiError(409, "no_attention", ""), /answered already, or is no longer asked/],
  ["does not get through", new Unreachable(), /did not work/],
])("an answer that %s says so, and can be given again", async (_, error, said) => {
  const { onreply } = show();
  onreply.mockRejectedValueOnce(error);
  await type("yes");
  await press("Answer");
  expect((await screen.findByRole("alert")).textContent).toMatch(said);
  expect(field().value).toBe("yes");
  await press("Answer");
  expect(onreply).toHaveBeenCalledTimes(2);
  await vi.waitFor(() => expect(screen.queryByRole("alert")).toBeNull());
});
