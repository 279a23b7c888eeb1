/** For tests: numbers that look random and are the same in every run, and documents with every construct. */

/** Mulberry32: numbers in [0, 1), determined by the seed. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The growing prefixes of a text, cut at `cuts` random places; the last is the whole. */
export function prefixes(text: string, cuts: number, next: () => number): string[] {
  const places = Array.from({ length: cuts }, () => Math.floor(next() * (text.length + 1)));
  return [...places.sort((a, b) => a - b), text.length].map((place) => text.slice(0, place));
}

/** Pieces of Markdown, each of which is a document; put together they are more. */
export const PIECES: readonly string[] = [
  "# Title\n\nText with **bold**, *slanted*, ***both***, ~~gone~~ and `code`.\n",
  "Setext\n======\n\nAnother\n-------\ntext after\n",
  "- one\n- two\n  - nested\n    1. deep\n    2. deeper\n- three\n\n  a paragraph of three\n\n- four, loose\n",
  "1. first\n2. second\n\n   ```sh\n   echo **not bold**\n   ```\n\n3. third\n",
  "3) starts at three\n4) four\n",
  "- [ ] open task\n- [x] done task\n  - [ ] nested [link](https://example.com)\n",
  "- [ ] loose\n\n- [x] tasks\n",
  "| a | b | c |\n|:--|:-:|--:|\n| 1 | **2** | `3|4` |\n| x \\| y | [l](https://example.com) |\n",
  "a | b\n- | -\n1 | 2\n",
  "Text before\n| a | b |\n|---|---|\n| 1 | 2 |\ntext after\n",
  '```rust\nfn main() {\n    println!("<b>{}</b>", 1 & 2);\n}\n```\n',
  "Text:\n```\nno language\n\n\nblank lines\n```\nmore\n",
  "~~~~ python\n~~~\nstill code\n~~~~\n",
  "  ```js\n  indented();\n    more();\n  ```\n",
  "```\n```\n",
  "    indented code\n\n    goes on\n\ntext\n",
  "> quote\nlazy line\n\n> another\n> > nested\n> - list\n>   in quote\n>\n> ```\n> code\n> ```\n",
  "> quote\n***\nafter\n",
  "one\n\n---\n\ntwo\n\n***\n___\n",
  '<div onclick="x()">\n**raw** <b>html</b>\n\n</div>\n',
  "<details><summary>More</summary>\n\nInside *it*.\n\n</details>\n",
  "<script>\nlet a = 1;\n\nlet b = 2;\n</script>\nafter\n",
  "<!-- a comment\n\nover *lines* -->\n\ntext <!-- inline --> text\n",
  'Links: [a](https://example.com "title"), [b](<https://example.com/a b>), [c](/relative), <https://auto.example>.\n',
  "Bare https://example.com/a_b?c=d&e=f, www.example.com and me@example.com.\n",
  '![picture](https://example.com/p.png "title") and [![in link](https://e.example/i.png)](https://example.com)\n',
  "Footnote-like[^1] text.\n\n[^1]: The note.\n",
  "Hard  \nbreak and\\\nanother.\nSoft one.\n",
  "Emoji 👩‍👩‍👧‍👦 🇩🇪 é ü and 漢字。\n\nעברית עם *הדגשה* ו-`קוד`.\n\nالعربية **غامق**\n",
  "Entities &copy; &amp; &lt;b&gt; &#60;i&#62; &nope; &#0; and \\*escaped\\* \\[x\\](y) \\`z\\`.\n",
  "[Ask](chip:ask) [Ask that](chip:ask/What%20is%20%22this%22%3F) [Go](chip:go/matters/42?tab=a%26b#top)\n",
  `A long line: ${"word and **more** words, ".repeat(60)}end.\n`,
  "snake_case_name 2*3*4 a ** b __ c _d_ **e*f** *g **h***\n",
  "[[nested]] [a [b](https://example.com) c](https://example.org) array[0] [unclosed\n",
  "Tabs\tin\ttext\n\n\tcode by tab\n\n-\ttab list\n\n\tin item\n",
  "Windows\r\nline\r\n\r\n- breaks\r\n- here\r\n",
  "* a\n+ b\n- c\n1. d\n",
  "- a\n\n\n- b after two blanks\n\n\n\ntext\n",
  "- item\n```\nfence ends the list\n```\n",
  "- # heading in item\n- > quote in item\n- ---\n-\n- last\n",
  "1986\\. A year\n\n1. one\n\n\n2. two\n   continued\nlazy\n",
  "#no heading\n\n## closed ##\n\n####### seven\n\n#\n",
  "text\n\n\n\n   three spaces\n    four spaces lazily\n",
  "=====\n\n-\n\n+\n\n|\n\n>\n",
];

/** Pieces whose link definitions reach earlier text. */
export const REFERENCES: readonly string[] = [
  "See [the page][page] and [page] and [other][].\n\n[page]: https://example.com/page 'Title'\n[other]: <https://example.org>\n",
  '[label]: https://example.com\n"a title\n\nthat never" ends\n',
  "> [quoted]: https://example.com/quoted\n\n[quoted] and [later]\n",
  "[later]: /relative\n",
];

/** A document of a few pieces, with or without a blank line between them. */
export function someDocument(pieces: readonly string[], next: () => number): string {
  const count = 1 + Math.floor(next() * 6);
  const parts = Array.from({ length: count }, () => pieces[Math.floor(next() * pieces.length)] ?? "");
  return parts.join(next() < 0.5 ? "\n" : "");
}
