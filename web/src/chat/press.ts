/** Keeps what is pressed: a button that an answer pushes away under the pointer would lose the press otherwise. */

/** Holds the pointer for a button in `root` that it presses; one that leaves the place where the button was, leaves it. */
export function keepPressed(root: HTMLElement): () => void {
  let press: { button: HTMLElement; pointer: number; place: DOMRect } | null = null;
  const onpointerdown = ({ target, pointerId, isPrimary, button: pressed }: PointerEvent) => {
    const button = target instanceof Element ? target.closest("button") : null;
    if (button === null || !isPrimary || pressed !== 0) return;
    press = { button, pointer: pointerId, place: button.getBoundingClientRect() };
    button.setPointerCapture(pointerId);
  };
  const onpointermove = ({ pointerId, clientX: x, clientY: y }: PointerEvent) => {
    if (press?.pointer !== pointerId) return;
    const { button, place } = press;
    if (x >= place.left && x <= place.right && y >= place.top && y <= place.bottom) return;
    press = null;
    if (button.hasPointerCapture(pointerId)) button.releasePointerCapture(pointerId);
  };
  const onpointerup = ({ pointerId }: PointerEvent) => {
    if (press?.pointer === pointerId) press = null;
  };
  const listening = new AbortController();
  const { signal } = listening;
  root.addEventListener("pointerdown", onpointerdown, { signal });
  root.addEventListener("pointermove", onpointermove, { signal });
  root.addEventListener("pointerup", onpointerup, { signal });
  root.addEventListener("pointercancel", onpointerup, { signal });
  return () => listening.abort();
}
