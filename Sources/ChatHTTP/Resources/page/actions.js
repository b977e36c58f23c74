// What a person may do about a message: a row of buttons that is there for whoever points at it or has it in focus.

function actionsOn(row, message, on) {
  const { number, sender, thread, deleted_at: deletedAt } = message;
  if (deletedAt != null || ["reader", "banned", "removed"].includes(members.own)) return "";
  const isOwn = users.current === null || sender === users.current;
  const mayDelete = isOwn || ["owner", "admin"].includes(members.own);
  const isPinned = open.stream.chat.state.pins.includes(number);
  const button = (name, label, click, more = {}) => el("button", {
    type: "button", "data-action": name, title: name[0].toUpperCase() + name.slice(1), "aria-label": `${label} message ${number}`, click,
    ...more,
  }, icon(name));
  const { chat } = open.stream;
  const pin = () => attempt(() => { chat[isPinned ? "unpin" : "pin"](number); });
  const buttons = [
    users.current && button("react", "React to", () => picker.show(message, row), { "aria-haspopup": "dialog" }),
    !on.isThread && isInMain(message) && button("reply", "Reply to", () => replyTo(message)),
    !on.isThread && thread == null && button("thread", "Open the thread of", () => openThread(number)),
    users.current && button("pin", isPinned ? "Unpin" : "Pin", pin, { "aria-pressed": `${isPinned}` }),
    isOwn && button("edit", "Edit", () => editMessage(row, message, on)),
    mayDelete && deleteButton(button, number),
  ].filter(Boolean);
  // Where nothing hovers, a button that is always there leads to them.
  const more = el("button", {
    type: "button", class: "quiet more", "aria-label": `Actions for message ${number}`, click: () => enterActions(row),
  }, icon("more"));
  const label = `Actions for message ${number}`;
  const both = document.createDocumentFragment();
  both.append(more, el("div", { class: "actions", role: "toolbar", "aria-label": label }, ...buttons));
  return both;
}

// Deletes by the second press.
function deleteButton(button, number) {
  const element = button("delete", "Delete", () => {
    if (element.dataset.isSure) {
      attempt(() => { open.stream.chat.delete(number); });
    } else {
      element.dataset.isSure = "yes";
      element.replaceChildren("Delete for ever");
      element.setAttribute("aria-label", `Delete message ${number} for ever`);
    }
  }, {
    blur: () => {
      delete element.dataset.isSure;
      element.replaceChildren(icon("delete"));
      element.setAttribute("aria-label", `Delete message ${number}`);
    },
  });
  return element;
}

// From a row to its first action.
function enterActions(row) {
  row.focus({ preventScroll: true });
  // On a phone they take room: not before a finger is lifted, which would miss its button.
  row.classList.add("acting");
  const first = row.querySelector(".actions button");
  first?.focus();
  return first !== undefined && first !== null;
}

// What keys do to the message that has the focus.
const act = (name) => (row) => {
  if (!$("single-keys").checked || !row.querySelector(`.actions [data-action=${name}]`)) return false;
  enterActions(row);
  row.querySelector(`[data-action=${name}]`).click();
  return true;
};
const toDelete = (row) => {
  enterActions(row);
  const button = row.querySelector("[data-action=delete]");
  button?.focus();
  return button !== null;
};
const messageKeys = {
  Enter: enterActions, e: act("edit"), r: act("reply"), t: act("thread"), p: act("pin"), "+": act("react"),
  Delete: toDelete, Backspace: toDelete,
};

// An edit goes through the outbox, and is refused if somebody else was faster.
function editMessage(row, { number, body }, on) {
  const text = el("textarea", { "aria-label": `Text of message ${number}`, rows: 1, dir: "auto" });
  text.value = body;
  const end = () => {
    form.remove();
    showMessage(row, open.stream.chat.state.message(number), on);
    row.focus({ preventScroll: true });
  };
  const save = async (event) => {
    event.preventDefault();
    if (text.value !== body) {
      await attempt(() => { open.stream.chat.edit(number, { body: text.value }, { ifUnchanged: true }); });
    }
    end();
  };
  const form = el("form", { class: "edit", submit: save },
    text, el("div", { class: "row" },
      el("button", { class: "primary" }, "Save"), el("button", { type: "button", click: end }, "Cancel")));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); end(); }
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    form.requestSubmit();
  });
  row.querySelector(".body").replaceWith(form);
  row.querySelector(".actions").remove();
  row.querySelector(".more").remove();
  text.focus();
}
