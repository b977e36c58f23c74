// Around the chat: panels on small screens, shortcuts.

// Panels

const panels = { sidebar: $("show-sidebar"), requests: $("show-requests") };

// Panels that do not fit beside the chat lie over it, one at a time.
function openDrawer(id) {
  closeDrawers();
  document.body.dataset.drawer = id;
  panels[id].setAttribute("aria-expanded", "true");
  document.querySelector("main").inert = true;
  $(id).querySelector(".drawer-close").focus();
}

function closeDrawers() {
  const id = document.body.dataset.drawer;
  if (!id) return;
  delete document.body.dataset.drawer;
  panels[id].setAttribute("aria-expanded", "false");
  document.querySelector("main").inert = false;
  panels[id].focus();
}

for (const [id, button] of Object.entries(panels)) {
  button.addEventListener("click", () => (document.body.dataset.drawer === id ? closeDrawers() : openDrawer(id)));
  $(id).querySelector(".drawer-close").addEventListener("click", closeDrawers);
}
document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest("aside, header.bar")) closeDrawers();
});
for (const width of ["(min-width: 46rem)", "(min-width: 74rem)"]) {
  matchMedia(width).addEventListener("change", closeDrawers);
}

// Shortcuts. Single keys can be switched off: speech input and an unlucky hand press them by accident (WCAG 2.1.4).

$("single-keys").checked = preferences.read("keys") !== "off";
$("single-keys").addEventListener("change", () => preferences.write("keys", $("single-keys").checked ? "on" : "off"));
$("show-help").addEventListener("click", () => $("help").showModal());

const shortcuts = {
  "/": () => open && openSearch(),
  m: () => open && $("body").focus(),
  g: () => open && $("jump").click(),
  f: () => open && !$("first-unread").hidden && $("first-unread").click(),
  u: () => open && $("show-members").click(),
  n: () => place.token && $("new-chat").click(),
  "?": () => $("help").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open], :popover-open")) return;
  if (event.key === "Escape") {
    if (document.body.dataset.drawer) closeDrawers();
    else if (open && !$("results").hidden) { closeSearch(); $("body").focus(); }
    else if (open && endThread()) return;
    else if (!$("alert").hidden) calmDown();
    return;
  }
  const isTyping = event.target.closest("input, textarea, select");
  const action = shortcuts[event.key.toLowerCase()];
  if (isTyping || !action || !$("single-keys").checked) return;
  event.preventDefault();
  action();
});
