// @vitest-environment jsdom
import { describe, expect, it } from "vitest";

import { lex, render } from "./render";
import { sanitise, sanitiseCode, sanitiseEach } from "./sanitise";
import { PIECES, REFERENCES } from "./testing";

/** The same HTML in the DOM's own spelling. */
function spelled(html: string): string {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.innerHTML;
}

describe("the sanitiser", () => {
  it("keeps all that the renderer makes", () => {
    for (const piece of [...PIECES, ...REFERENCES]) {
      for (const token of lex(piece)) {
        const html = spelled(render(token));
        // Attributes that are set again may move to the end.
        const sorted = (text: string): string =>
          text
            .split(/[\s>]+/)
            .sort()
            .join(" ");
        expect(sorted(sanitise(html)), piece).toBe(sorted(html));
      }
    }
  });

  it.each([
    ["<p onclick=x>a</p>", "<p>a</p>"],
    ["<p class=evil dir=rtl id=a name=b style=color:red data-x=1 aria-label=c>a</p>", "<p>a</p>"],
    ["<p><img src=x onerror=x>a<svg><a href=x>b</a></svg><math>c</math></p>", "<p>a</p>"],
    ["<h1>a</h1><b>b</b><section>c</section>", "abc"],
    ["<ol start=7><li>a</li></ol>", '<ol start="7"><li>a</li></ol>'],
    ["<ol start=-7><li value=3>a</li></ol>", "<ol><li>a</li></ol>"],
    ["<input type=text value=x checked autofocus>", '<input checked="" type="checkbox" disabled="">'],
    ["<button type=submit formaction=x data-chip=run>a</button>", '<button type="button">a</button>'],
    ["<a href=javascript:x>a</a>", "<a>a</a>"],
    ["<a href=/relative>a</a>", "<a>a</a>"],
    ["<a href=#x download ping=x>a</a>", "<a>a</a>"],
  ])("makes of %s what is allowed", (dirty, clean) => {
    expect(sanitise(dirty)).toBe(clean);
  });

  it("does many at once as it does each", () => {
    const pieces = PIECES.flatMap((piece) => lex(piece).map(render)).filter((html) => html !== "");
    expect(sanitiseEach(pieces)).toEqual(pieces.map(sanitise));
    const odd = ["<p>a</p><p>b</p>", "text", "<script>x</script>", "<p>c"];
    expect(sanitiseEach(odd)).toEqual(odd.map(sanitise));
    expect(sanitiseEach([])).toEqual([]);
  });

  it("makes every link open elsewhere, without a trace", () => {
    expect(sanitise('<a href="https://example.com" target="_top" rel="opener">a</a>')).toBe(
      '<a href="https://example.com" target="_blank" rel="noopener noreferrer nofollow">a</a>',
    );
  });

  it("leaves highlighted code its classes, and nothing else", () => {
    const code =
      '<span class="hljs-keyword" onclick="x" data-chip="ask">let</span> <a href="https://a.b">x</a>&lt;b&gt;';
    expect(sanitiseCode(code)).toBe('<span class="hljs-keyword">let</span> x&lt;b&gt;');
  });
});
