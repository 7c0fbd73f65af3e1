// Keeps the focus on the page. A control that vanishes or is disabled would drop it to the body, and a person at the
// keyboard would start at the top again: the nearest control that is left gets it.

const CONTROLS = "button, input, a[href], summary, [tabindex]";

const usable = (element) => element.isConnected && !element.disabled && element.getClientRects().length > 0;

/** From now on, for the whole document. */
export function keepFocus() {
  let held = []; // the element that has the focus, and what it lies in
  document.addEventListener("focusin", ({ target }) => {
    held = [];
    for (let at = target; at; at = at.parentElement) held.push(at);
  });
  const free = () => !document.activeElement || document.activeElement === document.body;
  document.addEventListener("focusout", ({ target }) => {
    setTimeout(() => { // by then a control that vanishes is gone
      if (free() && document.hasFocus() && usable(target)) held = []; // a click beside all controls
    });
  });
  const check = () => {
    const [last, ...around] = held;
    if (!last || usable(last) || !(free() || document.activeElement === last)) return;
    for (const place of around) {
      const left = [...place.querySelectorAll(CONTROLS)].find((one) => one.tabIndex >= 0 && usable(one));
      if (left) return left.focus({ preventScroll: true });
    }
  };
  const attributeFilter = ["hidden", "disabled", "open"];
  const later = () => setTimeout(check); // a dialog that closes gives the focus back itself
  new MutationObserver(later).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter });
}

/** Scrolls an element into view, unless the reader is typing. The focus stays where it is. */
export function reveal(element, typing) {
  if (!typing) element?.scrollIntoView({ block: "nearest" });
}
