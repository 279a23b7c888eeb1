// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { chooseLanguage } from "../lib/i18n/index.svelte";
import { renderMarkdown } from "../lib/markdown/blocks";
import { asMarkdown, download } from "./export";
import { at, failed, row } from "./testing/rows";
import { clock } from "./time";

beforeEach(() => chooseLanguage("en"));
afterEach(() => chooseLanguage("auto"));

/** What a reader of the file sees at the top level. */
function outline(markdown: string): string[] {
  const page = document.createElement("div");
  page.innerHTML = renderMarkdown(markdown)
    .map(({ html }) => html)
    .join("");
  return [...page.children].map(({ tagName, textContent }) =>
    /^H\d$/.test(tagName) ? `${tagName} ${textContent}` : tagName,
  );
}

const you = `H4 You, ${clock(at(1))}`;

test("is a text that one can read", () => {
  const text = asMarkdown("A title", [
    row(1, { user_message: "What?\nAnd why?", response: "Because.\n\n- a" }),
  ]);
  expect(text).toBe(
    `# A title\n\n## You, ${clock(at(1))}\n\n> What?\n> And why?\n\n## Agent\n\nBecause.\n\n- a\n`,
  );
});

test("speaks the reader’s language", () => {
  chooseLanguage("de");
  const text = asMarkdown("Titel", [failed(1, "timeout")]);
  expect(text).toContain(`## Du, ${clock(at(1))}`);
  expect(text).toContain("*Der Agent hat zu lange gebraucht.*");
});

test("tells how a turn ended that was not answered", () => {
  const text = asMarkdown("Ends", [
    failed(1, "timeout", { partial: "half an" }),
    failed(2, null),
    row(3, { state: "cancelled", response: null, partial: "some of" }),
    row(4, { state: "cancelled", response: null }),
    row(5, { state: "running", response: null }),
  ]);
  const answers = text.split(/^## Agent\n\n/m).slice(1);
  expect(answers[0]).toMatch(/^half an\n\n\*The agent took too long\.\*\n/);
  expect(answers[1]).toMatch(/^\*This did not work\.\*\n/);
  expect(answers[2]).toMatch(/^some of\n\n\*Stopped\.\*\n/);
  expect(answers[3]).toMatch(/^\*Stopped\.\*\n/);
  expect(text.trimEnd().endsWith("> question 5\n\n## Agent")).toBe(true);
});

describe("a question stays inside its quotation:", () => {
  test.each([
    ["a heading", "a\n# not a heading"],
    ["a heading after an empty line", "a\n\n# not a heading"],
    ["a heading after a lone carriage return", "a\r# not a heading"],
    ["a heading after Windows’ line break", "a\r\n\r\n# not a heading"],
    ["an open code block", "```\ncode"],
    ["an open comment", "<!-- open"],
    ["an underline", "a\n==="],
    ["a line of its own", "---"],
    ["a quotation’s end", "> a\n\nb"],
    ["nothing", ""],
  ])("%s", (_, message) => {
    const text = asMarkdown("Title", [
      row(1, { user_message: message, response: "Answer." }),
      row(2, { queued_at: at(1) }),
    ]);
    const agent = "H4 Agent";
    expect(outline(text)).toEqual(["H3 Title", you, "BLOCKQUOTE", agent, "P", you, "BLOCKQUOTE", agent, "P"]);
  });
});

test("a title is one line", () => {
  expect(asMarkdown("a\r# b\n\nc", [])).toBe("# a # b c\n");
});

test("an answer that ends inside of code takes nothing after it along", () => {
  const text = asMarkdown("Title", [
    failed(1, "timeout", { partial: "````rust\nlet x = 1;\n```" }),
    row(2, { queued_at: at(1) }),
  ]);
  expect(outline(text)).toEqual([
    "H3 Title",
    you,
    "BLOCKQUOTE",
    "H4 Agent",
    "PRE",
    "P",
    you,
    "BLOCKQUOTE",
    "H4 Agent",
    "P",
  ]);
  expect(text).toContain("let x = 1;\n```\n````\n");
});

describe("a download", () => {
  /** The name and the content under which the browser is given a file. */
  async function downloaded(name: string, text: string): Promise<[string, string]> {
    let content: Blob | undefined;
    const clicked = vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(() => {});
    vi.stubGlobal(
      "URL",
      Object.assign(URL, {
        createObjectURL: (blob: Blob) => ((content = blob), "blob:made"),
        revokeObjectURL: vi.fn<(address: string) => void>(),
      }),
    );
    download(name, text);
    const link = clicked.mock.contexts[0] as HTMLAnchorElement;
    expect(link.href).toBe("blob:made");
    expect(URL.revokeObjectURL).toHaveBeenCalledWith("blob:made");
    const bytes = new Promise<string>((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(String(reader.result));
      if (content) reader.readAsText(content);
    });
    return [link.download, await bytes];
  }
  afterEach(() => vi.unstubAllGlobals());

  test.each([
    ["Fristen prüfen", "Fristen prüfen.md"],
    ["../../etc/passwd", ".. .. etc passwd.md"],
    ['a/b\\c:d*e?"f<g>h|i', "a b c d e f g h i.md"],
    ["🙂", "paliadin.md"],
    ["", "paliadin.md"],
    ["x".repeat(300), `${"x".repeat(80)}.md`],
  ])("of %s is called %s", async (title, name) => {
    expect(await downloaded(title, "# Grüße\n")).toEqual([name, "# Grüße\n"]);
  });
});
