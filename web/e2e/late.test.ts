import { expect, test } from "vitest";
import { quoted } from "./harness/seed";
import { gone, seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();

test("an answer that comes late fills in by itself", async () => {
  const chat = await world.open();
  chat.watch.expect(/Failed to load resource/);
  const turn = await chat.ask("!hang");
  await chat.reaches("!hang", "working");
  const id = (await turn.getAttribute("data-turn"))!;
  await chat.page.evaluate(() => Object.assign(window, { notReloaded: true }));
  await world.server.restart("SIGTERM");
  await chat.reaches("!hang", "failed");
  await seen(turn.getByText(chat.words.errors.uncertain![0]));
  await seen(turn.getByText(chat.words.lookingForLate));
  // As the server writes a late answer: the row, and `resync` and `end` after the `error`.
  const now = Date.now();
  const end = {
    chip_count: 0,
    classifier_tag: null,
    duration_ms: 5_000,
    late: true,
    rows_seen: [],
    streamed: false,
    turn_id: id,
    used_tools: [],
  };
  const events = [
    ["resync", JSON.stringify({ text: "Here at last." })],
    ["end", JSON.stringify(end)],
  ] as const;
  world.server.sql(
    `BEGIN IMMEDIATE;
     UPDATE paliadin_turns SET state = 'done', response = 'Here at last.', partial = NULL, error_code = NULL,
       late = 1, duration_ms = 5000, finished_at = ${now} WHERE turn_id = '${id}';
     ${events
       .map(
         ([kind, data]) => `INSERT INTO turn_events (turn_id, epoch, seq, kind, data, at)
         SELECT turn_id, max(epoch), max(seq) + 1, '${kind}', ${quoted(data)}, ${now} FROM turn_events
         WHERE turn_id = '${id}' AND epoch = (SELECT max(epoch) FROM turn_events WHERE turn_id = '${id}');`,
       )
       .join("\n")}
     COMMIT;`,
  );
  await chat.reaches("!hang", "done");
  await expect.poll(() => chat.answer("!hang")).toBe("Here at last.");
  await seen(turn.getByText(chat.words.late));
  await gone(turn.getByText(chat.words.lookingForLate));
  expect(await chat.page.evaluate(() => "notReloaded" in window)).toBe(true);
});
