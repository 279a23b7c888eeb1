import { describe, expect, it } from "vitest";

import { chipTarget, externalAddress, ownPath } from "./links";
import { lex, render } from "./render";

const html = (text: string): string => lex(text).map(render).join("");

describe("what Markdown becomes", () => {
  it.each([
    ["# a", '<h3 dir="auto">a</h3>'],
    ["###### a", '<h6 dir="auto">a</h6>'],
    ["a <b>b</b> &amp; &copy; &#60;", '<p dir="auto">a &lt;b&gt;b&lt;/b&gt; &amp; &copy; &lt;</p>'],
    ["<div>\n*a*\n</div>", '<p class="raw" dir="auto">&lt;div&gt;\n*a*\n&lt;/div&gt;</p>'],
    ["> a", '<blockquote dir="auto"><p>a</p></blockquote>'],
    ["- a\n  - b", '<ul><li dir="auto">a<ul><li dir="auto">b</li></ul></li></ul>'],
    ["3. a", '<ol start="3"><li dir="auto">a</li></ol>'],
    ["- [x] a", '<ul><li class="task" dir="auto"><input type="checkbox" disabled="" checked=""> a</li></ul>'],
    ["```rust,ignore\n<a>\n```", '<pre class="code" data-lang="rust"><code>&lt;a&gt;</code></pre>'],
    ['```"><b>\na\n```', '<pre class="code" data-lang=""><code>a</code></pre>'],
    ["```c++\n```", '<pre class="code" data-lang="c++"><code></code></pre>'],
    [
      "|a|\n|-:|\n|b|",
      '<div class="table" tabindex="0" role="group"><table><thead><tr><th class="right" dir="auto">a</th></tr></thead>' +
        '<tbody><tr><td class="right" dir="auto">b</td></tr></tbody></table></div>',
    ],
    [
      "[a](chip:ask)",
      '<p dir="auto"><button type="button" class="chip" data-chip="ask" data-text="a">a</button></p>',
    ],
    [
      '[**a** `<b>` &amp; "c"](chip:ask)',
      '<p dir="auto"><button type="button" class="chip" data-chip="ask" data-text="a &lt;b&gt; &amp; &quot;c&quot;">' +
        "a &lt;b&gt; &amp; &quot;c&quot;</button></p>",
    ],
    [
      "[a](chip:ask/Why%3F%20%C3%B6%26)",
      '<p dir="auto"><button type="button" class="chip" data-chip="ask" data-text="Why? ö&amp;">a</button></p>',
    ],
    [
      "[a](chip:go/b/c?d=e%26f#g)",
      '<p dir="auto"><button type="button" class="chip" data-chip="go" data-path="/b/c?d=e%26f#g">a</button></p>',
    ],
    ["`[a](chip:ask)` \\[a](chip:ask)", '<p dir="auto"><code>[a](chip:ask)</code> [a](chip:ask)</p>'],
    ["[a](chip:ask/%) [b](chip:go//c) [d](chip:x)", '<p dir="auto">a b d</p>'],
    ["<chip:ask>", '<p dir="auto">chip:ask</p>'],
    ["[a](/b) [c](#d) [e](f:g) [h]()", '<p dir="auto">a c e h</p>'],
    ["![a](/b.png) ![c](data:x)", '<p dir="auto">a c</p>'],
  ])("%s", (text, expected) => {
    expect(html(text)).toBe(expected);
  });

  it("links to the web and to mailboxes, elsewhere", () => {
    expect(html("[a](https://b.c/d?e&amp;f 'g')")).toBe(
      '<p dir="auto"><a href="https://b.c/d?e&amp;f" title="g" target="_blank" rel="noopener noreferrer nofollow">a</a></p>',
    );
    expect(html("<a@b.cd>")).toContain('<a href="mailto:a@b.cd" target="_blank"');
  });

  it("makes a link of a picture, and of a picture in a link its text", () => {
    expect(html("![alt *text*](https://b.c/d.png)")).toBe(
      '<p dir="auto"><a href="https://b.c/d.png" class="image" target="_blank" rel="noopener noreferrer nofollow">' +
        'alt text <span class="host">b.c</span></a></p>',
    );
    expect(html("[![alt](https://b.c/d.png)](https://e.f)").match(/<a /g)).toHaveLength(1);
  });

  it("does not look for marks in a paragraph that is too long for it", () => {
    expect(html(`**a** ${"b".repeat(9_900)}`)).toContain("<strong>");
    expect(html(`**a** <i> ${"b".repeat(10_000)}`)).toMatch(/^<p dir="auto">\*\*a\*\* &lt;i&gt; b/);
  });

  it("takes a definition up to the next blank line only", () => {
    expect(html('[a]: https://b.c "title\n\nover" a blank line')).toContain("[a]:");
    expect(html(`[a]: https://b.c\n${"[d]: https://e.f\n".repeat(2_000)}[a]`)).toContain(
      'href="https://b.c/"',
    );
  });

  it("never puts a link into a link", () => {
    expect(html("[a <https://b.c> ![d](https://e.f)](https://g.h)").match(/<a /g)).toHaveLength(1);
  });
});

describe("addresses", () => {
  it.each([
    ["https://a.b", "https://a.b/"],
    ["HTTP://A.B/c d", null],
    ["HTTP://A.B/c", "http://a.b/c"],
    ["mailto:a@b.c", "mailto:a@b.c"],
    ["https:a.b", null],
    ["//a.b", null],
    ["https://", null],
    ["https://a.b/\u0000", null],
    ["https://a.b\\@c.d", null],
    ["javascript:a", null],
    [" https://a.b", null],
  ])("%s", (address, expected) => {
    expect(externalAddress(address)).toBe(expected);
  });

  it.each([
    ["/", "/"],
    ["/a/b?c#d", "/a/b?c#d"],
    ["/a b", "/a%20b"],
    ["/ä", "/%C3%A4"],
    ["/a/../b", "/b"],
    ["a", null],
    ["", null],
    ["//a", null],
    ["/\\a", null],
    ["/%5Ca", null],
    ["/%2Fa", null],
    ["/.//a", null],
    ["/a/..//b", null],
    ["/%2e//a", null],
    ["/%0Aa", null],
    ["/\ta", null],
    ["/%", null],
  ])("path %s", (path, expected) => {
    expect(ownPath(path)).toBe(expected);
    // What was allowed once is the same when it is looked at again.
    if (expected !== null) expect(ownPath(expected)).toBe(expected);
  });

  it("of chips ask or go, or are none", () => {
    expect(chipTarget("chip:ask/")).toEqual({ kind: "ask", text: null });
    expect(chipTarget("chip:ask/a%0Ab")).toEqual({ kind: "ask", text: "a\nb" });
    expect(chipTarget("chip:ask/%1Ba")).toBeNull();
    expect(chipTarget("chip:ask/%20")).toBeNull();
    expect(chipTarget("chip:go")).toBeNull();
    expect(chipTarget("CHIP:ask")).toBeNull();
  });
});
