// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { en } from "../lib/i18n/en";
import ConfirmDialog from "./ConfirmDialog.svelte";
import Help from "./Help.svelte";
import RenameDialog from "./RenameDialog.svelte";
import Settings from "./Settings.svelte";
import { setNotify, settings, setLanguage, setTheme } from "./settings.svelte";
import { SHORTCUTS } from "./shortcuts";
import { usePage } from "./testing/browser";
import { slow } from "./testing/server";

usePage();

const press = (name: string) => fireEvent.click(screen.getByRole("button", { name }));
const button = (name: string) => screen.getByRole<HTMLButtonElement>("button", { name });

describe("a dialog", () => {
  function show() {
    const onclose = vi.fn<() => void>();
    const { unmount } = render(Help, { onclose });
    return { onclose, unmount, dialog: screen.getByRole<HTMLDialogElement>("dialog") };
  }

  test("is open, and has its title for a name", () => {
    const { dialog } = show();
    expect(dialog.open).toBe(true);
    expect(screen.getByRole("dialog", { name: "Keyboard shortcuts" })).toBe(dialog);
  });

  test("closes by its button, by the browser's Escape, and by a press beside it", async () => {
    const { dialog, onclose } = show();
    await press("Close");
    expect(onclose).toHaveBeenCalledTimes(1);
    await fireEvent(dialog, new Event("close"));
    expect(onclose).toHaveBeenCalledTimes(2);
    await fireEvent.pointerDown(dialog);
    expect(onclose).toHaveBeenCalledTimes(3);
    await fireEvent.pointerDown(screen.getByRole("heading"));
    expect(onclose).toHaveBeenCalledTimes(3);
  });

  test("gives the focus back", () => {
    const before = document.body.appendChild(document.createElement("button"));
    before.focus();
    const { unmount } = show();
    button("Close").focus();
    unmount();
    expect(document.activeElement).toBe(before);
    before.remove();
  });

  test("the shortcuts are all in their list, and each is explained", () => {
    const { dialog } = show();
    const rows = [...dialog.querySelectorAll("dl > div")].map((row) => [
      row.querySelector("dt")?.textContent,
      [...row.querySelectorAll("kbd")].map((key) => key.textContent).join("+"),
    ]);
    expect(rows).toHaveLength(SHORTCUTS.length + 3);
    expect(rows).toContainEqual([en.keys.search, "Ctrl+K"]);
    expect(rows).toContainEqual([en.keys.line, "Shift+Enter"]);
  });
});

describe("a confirmation", () => {
  function show(onconfirm: () => Promise<void>) {
    const onclose = vi.fn<() => void>();
    render(ConfirmDialog, {
      title: "Delete?",
      text: "It is gone then.",
      action: "Delete",
      onconfirm,
      onclose,
    });
    return { onclose };
  }

  test("says what will happen, and does nothing when it is left", async () => {
    const onconfirm = vi.fn<() => Promise<void>>();
    const { onclose } = show(onconfirm);
    expect(screen.getByText("It is gone then.")).toBeTruthy();
    await press("Cancel");
    expect(onclose).toHaveBeenCalledTimes(1);
    expect(onconfirm).not.toHaveBeenCalled();
  });

  test("closes when it is done, and is not done twice", async () => {
    const done = slow<void>();
    const onconfirm = vi.fn(() => done.promise);
    const { onclose } = show(onconfirm);
    await press("Delete");
    expect(button("Delete").disabled).toBe(true);
    button("Delete").click();
    expect(onconfirm).toHaveBeenCalledTimes(1);
    expect(onclose).not.toHaveBeenCalled();
    done.resolve();
    await vi.waitFor(() => expect(onclose).toHaveBeenCalledTimes(1));
  });

  test("stays where it did not work, to be tried again", async () => {
    const onconfirm = vi.fn(async () => {}).mockRejectedValueOnce(new Error("no"));
    const { onclose } = show(onconfirm);
    await press("Delete");
    expect((await screen.findByRole("alert")).textContent).toBe("That did not work.");
    expect(onclose).not.toHaveBeenCalled();
    await press("Delete");
    await vi.waitFor(() => expect(onclose).toHaveBeenCalledTimes(1));
  });
});

describe("renaming", () => {
  function show(onrename = vi.fn(async (_title: string) => {})) {
    const onclose = vi.fn<() => void>();
    render(RenameDialog, { title: "An old title", onrename, onclose });
    const field = screen.getByRole<HTMLInputElement>("textbox", { name: "Title" });
    const type = (value: string) => fireEvent.input(field, { target: { value } });
    return { field, type, onrename, onclose };
  }

  test("begins with the old title", () => {
    expect(show().field.value).toBe("An old title");
  });

  test("gives the new one, without space around it", async () => {
    const { type, onrename, onclose } = show();
    await type("  A new title ");
    await press("Save");
    expect(onrename.mock.calls).toEqual([["A new title"]]);
    await vi.waitFor(() => expect(onclose).toHaveBeenCalledTimes(1));
  });

  test("does not take an empty one", async () => {
    const { type } = show();
    await type("   ");
    expect(button("Save").disabled).toBe(true);
  });

  test("stays where it did not work", async () => {
    const { field, type, onclose } = show(vi.fn(async () => Promise.reject(new Error("no"))));
    await type("A new title");
    await press("Save");
    expect((await screen.findByRole("alert")).textContent).toBe("That did not work.");
    expect(field.value).toBe("A new title");
    expect(onclose).not.toHaveBeenCalled();
  });
});

describe("the settings", () => {
  const show = (onsignout: (() => Promise<void>) | null = null) =>
    render(Settings, { version: "0.1.0", email: "ann@example.org", onsignout, onclose: () => {} });
  const requestPermission = vi.fn<() => Promise<NotificationPermission>>();
  const box = () => screen.getByRole<HTMLInputElement>("checkbox");

  function notifications(permission: NotificationPermission): void {
    vi.stubGlobal("isSecureContext", true);
    vi.stubGlobal("Notification", { permission, requestPermission });
  }
  beforeEach(() => requestPermission.mockReset());
  afterEach(() => {
    setTheme("auto");
    setLanguage("auto");
    setNotify(false);
  });

  test("change language and appearance at once", async () => {
    show();
    await fireEvent.change(screen.getByLabelText("Appearance"), { target: { value: "dark" } });
    expect(document.documentElement.dataset["theme"]).toBe("dark");
    await fireEvent.change(screen.getByLabelText("Language"), { target: { value: "de" } });
    expect(screen.getByRole("dialog", { name: "Einstellungen" })).toBeTruthy();
    expect(screen.getByLabelText<HTMLSelectElement>("Darstellung").value).toBe("dark");
    expect(settings).toMatchObject({ language: "de", theme: "dark" });
  });

  test("say which version it is", () => {
    show();
    expect(screen.getByText("Paliadin 0.1.0")).toBeTruthy();
  });

  test("say who is signed in, and by whom it can be ended", () => {
    show();
    expect(screen.getByText(en.signedInAs("ann@example.org"))).toBeTruthy();
    expect(screen.queryByRole("button", { name: en.signOut })).toBeNull();
  });

  test("sign out, once, and say so where that fails", async () => {
    const signOut = vi.fn(async () => Promise.reject(new Error("no")));
    show(signOut);
    await press(en.signOut);
    expect((await screen.findByRole("alert")).textContent).toBe(en.failedAction);
    signOut.mockImplementation(() => new Promise(() => {}));
    await press(en.signOut);
    await press(en.signOut);
    expect(signOut).toHaveBeenCalledTimes(2);
  });

  test("say where there are no notifications", () => {
    vi.stubGlobal("Notification", undefined);
    show();
    expect(screen.queryByRole("checkbox")).toBeNull();
    expect(screen.getByText(en.notificationsMissing)).toBeTruthy();
  });

  test("switch notifications on, with the browser's leave, and off", async () => {
    notifications("granted");
    show();
    await fireEvent.click(box());
    await vi.waitFor(() => expect(settings.notify).toBe(true));
    expect(box().checked).toBe(true);
    await fireEvent.click(box());
    await vi.waitFor(() => expect(settings.notify).toBe(false));
    expect(requestPermission).not.toHaveBeenCalled();
  });

  test("say that the browser does not let us", async () => {
    notifications("denied");
    show();
    expect(screen.getByText(en.notificationsDenied)).toBeTruthy();
    await fireEvent.click(box());
    await vi.waitFor(() => expect(box().checked).toBe(false));
    expect(settings.notify).toBe(false);
  });

  test("ask for leave, and take no for an answer", async () => {
    notifications("default");
    requestPermission.mockResolvedValue("default");
    show();
    expect(screen.queryByText(en.notificationsDenied)).toBeNull();
    await fireEvent.click(box());
    await vi.waitFor(() => expect(screen.getByText(en.notificationsDenied)).toBeTruthy());
    expect(requestPermission).toHaveBeenCalledTimes(1);
    expect(box().checked).toBe(false);
  });
});
