// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { askLeave, canNotify, notify } from "./notify";
import { settings } from "./settings.svelte";

/** What the browser showed. */
let shown: Shown[] = [];

class Shown {
  static permission: NotificationPermission = "granted";
  static requestPermission = vi.fn<() => Promise<NotificationPermission>>();
  onclick: (() => void) | null = null;
  close = vi.fn<() => void>();

  constructor(
    readonly title: string,
    readonly options: NotificationOptions,
  ) {
    shown.push(this);
  }
}

beforeEach(() => {
  shown = [];
  Shown.permission = "granted";
  vi.stubGlobal("Notification", Shown);
  vi.stubGlobal("isSecureContext", true);
  vi.spyOn(document, "hidden", "get").mockReturnValue(true);
  settings.notify = true;
});
afterEach(() => {
  settings.notify = false;
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  location.hash = "";
});

const tell = () => notify("The answer is ready", "Deadlines", "client-1", "/paliadin#s1");

/** A service worker that shows what it is given, or one that cannot be asked for. */
function worker(registration: () => Promise<unknown>): void {
  vi.stubGlobal("navigator", { serviceWorker: { getRegistration: registration } });
}

test("a hidden page tells, once for each turn", async () => {
  await tell();
  expect(shown).toHaveLength(1);
  expect(shown[0]?.title).toBe("The answer is ready");
  expect(shown[0]?.options).toMatchObject({
    body: "Deadlines",
    tag: "client-1",
    data: { url: "/paliadin#s1" },
  });
});

describe("nothing is shown where", () => {
  test.each([
    ["the page is seen", () => vi.spyOn(document, "hidden", "get").mockReturnValue(false)],
    ["nobody wants it", () => (settings.notify = false)],
    ["the browser's leave was taken back", () => (Shown.permission = "denied")],
    ["nobody was asked", () => (Shown.permission = "default")],
    ["the page is not secure", () => vi.stubGlobal("isSecureContext", false)],
    ["there are no notifications", () => vi.stubGlobal("Notification", undefined)],
  ])("%s", async (_, arrange) => {
    arrange();
    await tell();
    expect(shown).toEqual([]);
  });
});

test("a click leads to the conversation", async () => {
  const focus = vi.spyOn(window, "focus").mockImplementation(() => {});
  await tell();
  shown[0]?.onclick?.();
  expect(focus).toHaveBeenCalled();
  expect(location.hash).toBe("#s1");
  expect(shown[0]?.close).toHaveBeenCalled();
});

test("a service worker shows it where there is one", async () => {
  const showNotification = vi.fn<(title: string, options: NotificationOptions) => Promise<void>>();
  worker(async () => ({ showNotification }));
  await tell();
  expect(showNotification).toHaveBeenCalledWith(
    "The answer is ready",
    expect.objectContaining({ tag: "client-1" }),
  );
  expect(shown).toEqual([]);
});

test.each([
  ["has no worker of ours", async () => undefined],
  ["does not let us ask for one", () => Promise.reject(new DOMException("no", "SecurityError"))],
])("where the browser %s, the page shows it", async (_, registration) => {
  worker(registration);
  await tell();
  expect(shown).toHaveLength(1);
});

test("phones show nothing without a worker, which is no error", async () => {
  vi.stubGlobal(
    "Notification",
    class {
      static permission = "granted";
      constructor() {
        throw new TypeError("Illegal constructor");
      }
    },
  );
  const noted = vi.spyOn(console, "info").mockImplementation(() => {});
  await expect(tell()).resolves.toBeUndefined();
  expect(noted).toHaveBeenCalledTimes(1);
});

describe("the browser's leave", () => {
  test.each([
    ["granted", true],
    ["denied", false],
  ] as const)("is not asked for again when it is %s", async (permission, given) => {
    Shown.permission = permission;
    expect(await askLeave()).toBe(given);
    expect(Shown.requestPermission).not.toHaveBeenCalled();
  });

  test.each([
    ["granted", true],
    ["denied", false],
    ["default", false],
  ] as const)("is asked for; somebody says %s", async (answer, given) => {
    Shown.permission = "default";
    Shown.requestPermission.mockImplementationOnce(async () => (Shown.permission = answer));
    expect(await askLeave()).toBe(given);
    Shown.requestPermission.mockClear();
  });

  test("cannot be had without notifications", async () => {
    vi.stubGlobal("Notification", undefined);
    expect(canNotify()).toBe(false);
    expect(await askLeave()).toBe(false);
  });
});
