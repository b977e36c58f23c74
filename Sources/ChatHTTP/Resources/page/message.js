// One message in a list: who, what, when; what it answers; whether it was edited or deleted.

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

// Whether it stands among the messages of the chat, and not in its thread alone.
const isInMain = ({ thread, in_main: inMain }) => thread == null || inMain === true;

const isOwnMessage = ({ sender }) => sender != null && sender === users.current;

// A circle with the beginning of a name, in a colour that a user keeps.
function avatarOf(id) {
  if (id == null) return el("span", { class: "avatar", "aria-hidden": "true" }, "⚙");
  const hue = [...id].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 997, 7) % 6;
  const initial = initialOf(users.nameOf(id));
  return el("span", { class: `avatar hue${hue}`, "aria-hidden": "true", "data-initial": id }, initial);
}

const initialOf = (name) => [...name.trim()][0]?.toLocaleUpperCase() ?? "?";

// An empty row.
//
// @param on link(number): the fragment that leads to a message; prefix: of the ids of its rows; isThread
function rowOf(message, on) {
  const { number } = message;
  const row = el("li", { class: "message", id: `${on.prefix}${number}`, "data-number": number, tabindex: -1 });
  showMessage(row, message, on);
  return row;
}

// Fills a row, or shows in it what has changed. An edit that somebody is writing stays.
function showMessage(row, message, on) {
  if (row.querySelector("form")) return;
  const { number, sender, body, created_at: createdAt, edited_at: editedAt, deleted_at: deletedAt } = message;
  const isActing = row.classList.contains("acting");
  const focused = row.contains(document.activeElement) && document.activeElement;
  const id = (part) => `${on.prefix}${number}-${part}`;
  row.classList.toggle("own", isOwnMessage(message));
  row.setAttribute("aria-labelledby", `${id("by")} ${id("at")} ${id("text")}`);
  const author = users.author(sender);
  row.replaceChildren(
    avatarOf(sender),
    el("div", { class: "content" },
      el("p", { class: "meta" },
        el("span", { id: id("by") }, author), el("span", { id: id("at") }, timeElement(createdAt)),
        el("a", { class: "number", href: on.link(number), "aria-label": `Message ${number}` }, `${number}`)),
      quoteOf(message, on),
      deletedAt == null ? el("div", { class: "body", dir: "auto", id: id("text") }, excerpt(body))
        : deletionOf(message, id("text")),
      editedAt != null && deletedAt == null ? el("span", { class: "edited", title: editedAt }, "edited") : "",
      reactionsOf(message),
      repliesOf(message, on)),
    actionsOn(row, message, on));
  if (row.parentElement) keepStop(row.parentElement, row);
  else setStop(row, false);
  if (!focused) return;
  // Where there is no such control any more, the row has it.
  row.focus({ preventScroll: true });
  row.classList.toggle("acting", isActing);
  row.querySelector(focusPath(focused))?.focus({ preventScroll: true });
}

// Where the focus was, for a row that is filled again.
function focusPath(element) {
  const { reaction, action } = element.dataset;
  if (reaction) return `[data-reaction="${CSS.escape(reaction)}"]`;
  return action ? `[data-action="${action}"]` : ":scope > none";
}

function deletionOf({ deleted_by: by, deleted_at: at }, id) {
  const who = by == null ? "" : ` by ${users.nameOf(by)}`;
  return el("div", { class: "body deleted", title: at, id }, `Deleted${who}`);
}

// What it answers.
function quoteOf({ reply_to: replyTo, thread }, on) {
  if (thread != null && !on.isThread) {
    return el("button", { type: "button", class: "quote", click: () => openThread(thread) }, "In a thread");
  }
  if (replyTo == null) return "";
  const about = open.stream.chat.state.message(replyTo);
  return el("a", { class: "quote", href: on.link(replyTo), "aria-label": `In reply to message ${replyTo}` },
    ...(about ? quoted(about) : [`In reply to #${replyTo}`]));
}

// The beginning of a message, in a line.
function quoted({ sender, body, deleted_at: deletedAt }) {
  const text = deletedAt != null ? "Deleted" : body.slice(0, 120).replaceAll(/\s+/g, " ");
  const author = sender == null ? "" : el("bdi", { class: "author", "data-user": sender }, users.nameOf(sender));
  return [author, el("bdi", {}, text)];
}

// What answers it.
function repliesOf({ number, reply_count: count }, on) {
  if (!(count > 0) || on.isThread) return "";
  return el("button", {
    type: "button", class: "replies", "aria-label": `${replyCount(count)} to message ${number}: open the thread`,
    click: () => openThread(number),
  }, icon("thread"), replyCount(count));
}

const replyCount = (count) => (count === 1 ? "1 reply" : `${count.toLocaleString()} replies`);
