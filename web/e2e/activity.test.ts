import { expect, test } from "vitest";
import { record } from "./harness/record";
import { seen } from "./harness/wait";
import { useWorld } from "./harness/world";

// The demo agent is quick: it is over before anyone would be told what it does.
const world = useWorld({ PALIADIN_STREAM__THINKING: "20ms" });

test("while the agent works the page says at what, and since when", async () => {
  const chat = await world.open();
  const words = await record(chat.page, ".working .words");
  await chat.askAndWait("What are you doing?");
  await expect.poll(words).toContain("Writing the demo answer");
  const turn = await chat.ask("!hang");
  await seen(turn.getByText(chat.words.working));
  await seen(turn.getByText(/^[2-9] s$/));
  await chat.button(chat.words.stop, turn).click();
  await chat.reaches("!hang", "cancelled");
});
