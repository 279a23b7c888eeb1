/** Keeps what is pressed: a button that an answer pushes away under the pointer would lose the press otherwise. */

/** Holds the pointer for any button in `root` that it presses; one that moves away itself leaves the button. */
export function keepPressed(root: HTMLElement): () => void {
  let press: { button: HTMLElement; pointer: number; x: number; y: number } | null = null;
  const onpointerdown = ({ target, pointerId, isPrimary, clientX, clientY }: PointerEvent) => {
    const button = target instanceof Element ? target.closest("button") : null;
    if (button === null || !isPrimary) return;
    press = { button, pointer: pointerId, x: clientX, y: clientY };
    button.setPointerCapture(pointerId);
  };
  const onpointermove = ({ pointerId, clientX, clientY }: PointerEvent) => {
    if (press?.pointer !== pointerId) return;
    const { button, x, y } = press;
    const isAway = Math.abs(clientX - x) > button.offsetWidth || Math.abs(clientY - y) > button.offsetHeight;
    if (!isAway) return;
    press = null;
    button.releasePointerCapture(pointerId);
  };
  const onpointerup = () => (press = null);
  const listening = new AbortController();
  const { signal } = listening;
  root.addEventListener("pointerdown", onpointerdown, { signal });
  root.addEventListener("pointermove", onpointermove, { signal });
  root.addEventListener("pointerup", onpointerup, { signal });
  root.addEventListener("pointercancel", onpointerup, { signal });
  return () => listening.abort();
}
