// Lists that are one stop for the Tab key: the arrows move between their items, and what is inside of an item can be
// reached from the item that is current.

const controlsIn = (item) => item.querySelectorAll("a, button");

// Makes an item the one that Tab stops at, or not.
function setStop(item, isStop) {
  item.tabIndex = isStop ? 0 : -1;
  for (const control of controlsIn(item)) control.tabIndex = item.tabIndex;
}

// The item that Tab stops at has changed its contents, or has come.
function keepStop(list, item) {
  const isOnly = !list.querySelector(":scope > [tabindex='0']:not([hidden])");
  setStop(item, item.tabIndex === 0 || isOnly);
}

// Makes one of a list's items the stop, the last one, where none is.
function ensureStop(list, selector) {
  if (list.querySelector(`${selector}[tabindex='0']:not([hidden])`)) return;
  const last = [...list.querySelectorAll(selector)].findLast((item) => !item.hidden);
  if (last) setStop(last, true);
}

// @param list its items match `selector`
// @param keys by their names: (item, event), for an item that has the focus itself; what returns false leaves the key
// to others
function rove(list, selector, keys = {}) {
  list.addEventListener("focusin", (event) => {
    const item = event.target.closest(selector);
    if (!item || item.tabIndex === 0) return;
    for (const other of list.querySelectorAll(`${selector}[tabindex='0']`)) setStop(other, false);
    setStop(item, true);
  });
  list.addEventListener("focusout", (event) => {
    const item = event.target.closest(selector);
    if (!item?.contains(event.relatedTarget)) item?.classList.remove("acting");
  });
  list.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const item = event.target.closest(selector);
    if (!item) return;
    if (event.target !== item) {
      moveWithin(event, item);
      return;
    }
    const items = [...list.querySelectorAll(selector)].filter((each) => each.checkVisibility());
    const at = items.indexOf(item);
    const next = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: items.length - 1 }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      items[next]?.focus();
    } else if (keys[event.key] && keys[event.key](item, event) !== false) {
      event.preventDefault();
    }
  });
}

// Between the controls of an item, and back to it.
function moveWithin(event, item) {
  if (event.target.closest("input, textarea, select")) return;
  if (event.key === "Escape") {
    event.preventDefault();
    item.focus();
    return;
  }
  const group = event.target.closest("[role=toolbar], .reactions");
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!group || !step) return;
  event.preventDefault();
  const controls = [...controlsIn(group)];
  controls[(controls.indexOf(event.target) + step + controls.length) % controls.length].focus();
}
