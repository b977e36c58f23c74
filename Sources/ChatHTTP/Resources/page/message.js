// One message in the list: who, what, when; whether it was edited or deleted; and what a person may do about it.

// Very long bodies are shown as a part until asked for.
const excerptLength = 2000;

function excerpt(body) {
  if (body.length <= excerptLength) return body;
  const part = document.createDocumentFragment();
  const more = el("button", { type: "button", click: () => more.parentElement.replaceChildren(body) },
    `Show all ${plural(body.length, "character")}`);
  part.append(body.slice(0, excerptLength) + "… ", more);
  return part;
}

function setMine(element) {
  element.classList.add("mine");
  element.title = "Sent from this tab";
}

// Fills a row, or shows in it what has changed. An edit that somebody is writing stays.
//
// @param link a number → the fragment that leads to that message
function showMessage(element, message, link) {
  if (element.querySelector("form")) return;
  const { number, sender, body, created_at: createdAt, edited_at: editedAt, deleted_at: deletedAt } = message;
  const hadFocus = element.contains(document.activeElement);
  const time = timeElement(createdAt);
  const isEdited = editedAt != null && deletedAt == null;
  element.replaceChildren(
    el("a", { class: "number", href: link(number), "aria-label": `Message ${number}` }, `${number}`),
    el("div", {},
      users.author(sender),
      ...contextOf(message, link),
      deletedAt == null ? el("div", { class: "body", dir: "auto" }, excerpt(body)) : deletionOf(message),
      reactionsOf(message),
      actionsOn(element, message, link)),
    isEdited ? el("div", {}, el("span", { class: "edited", title: editedAt }, "edited "), time) : time);
  if (hadFocus) element.querySelector("a").focus({ preventScroll: true });
}

function deletionOf({ deleted_by: by, deleted_at: at }) {
  const who = by == null ? "" : ` by ${users.nameOf(by)}`;
  return el("div", { class: "body deleted", title: at }, `Deleted${who}`);
}

// What it answers, and what answers it.
function contextOf({ reply_to: replyTo, thread, reply_count: replies }, link) {
  const line = (text, number) => el("p", { class: "context" }, `${text} `, el("a", { href: link(number) }, `#${number}`));
  return [
    replyTo != null ? line("In reply to", replyTo) : "",
    thread != null ? line("In the thread of", thread) : "",
    replies > 0 ? el("p", { class: "context" }, replies === 1 ? "1 reply" : `${replies} replies`) : "",
  ].filter((part) => part !== "");
}

function reactionsOf({ reactions }) {
  if (reactions.length === 0) return "";
  const item = ({ name, count, users: ids }) => el("li", {
    title: ids.map((id) => users.known(id)).join(", "), "aria-label": `${name}, ${count}` }, `${name} ${count}`);
  return el("ul", { class: "reactions", "aria-label": "Reactions" }, ...reactions.map(item));
}

function actionsOn(element, message, link) {
  const { number, sender, deleted_at: deletedAt } = message;
  const isOwn = users.current === null || sender === users.current;
  const mayDelete = isOwn || ["owner", "admin"].includes(members.own);
  if (deletedAt != null || !mayDelete) return "";
  const remove = el("button", { type: "button", "aria-label": `Delete message ${number}` }, "Delete");
  // The second press does it.
  remove.addEventListener("click", () => {
    if (remove.textContent === "Delete") {
      remove.textContent = "Delete for ever";
      remove.setAttribute("aria-label", `Delete message ${number} for ever`);
    } else {
      attempt(() => { open.stream.chat.delete(number); });
    }
  });
  remove.addEventListener("blur", () => {
    remove.textContent = "Delete";
    remove.setAttribute("aria-label", `Delete message ${number}`);
  });
  const edit = el("button", {
    type: "button", "aria-label": `Edit message ${number}`, click: () => editMessage(element, message, link),
  }, "Edit");
  return el("div", { class: "actions" }, isOwn ? edit : "", remove);
}

// An edit goes through the outbox, and is refused if somebody else was faster.
function editMessage(element, { number, body }, link) {
  const text = el("textarea", { "aria-label": `Text of message ${number}`, rows: 1, dir: "auto" });
  text.value = body;
  const end = () => {
    form.remove();
    showMessage(element, open.stream.chat.state.message(number), link);
    element.querySelector("a").focus({ preventScroll: true });
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
  element.querySelector(".body").replaceWith(form);
  element.querySelector(".actions").remove();
  text.focus();
}
