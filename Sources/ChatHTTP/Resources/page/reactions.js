// Reactions to a message: who has reacted how, one's own, and the choice of another one.

const reactionNames = ["👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "👀", "✅", "🔥", "👏", "🚀"];
const isSameReaction = (a, b) => a.replaceAll("\uFE0F", "") === b.replaceAll("\uFE0F", "");

// What a request of the outbox is about: { number, name }; null for others.
function reactionIn({ kind, path }) {
  if (kind !== "react" && kind !== "unreact") return null;
  const [, number, name] = /\/messages\/(\d+)\/reactions\/([^?]+)/.exec(path);
  return { number: Number(number), name: decodeURIComponent(name) };
}

// The reactions with what the user has just done, which the server has not confirmed yet. Each says whether it is the
// user's own.
function reactionsNow({ number, reactions }) {
  const { state } = open.stream.chat;
  const now = reactions.map((each) => ({ ...each, isOwn: state.hasReacted(number, each.name) === true }));
  for (const item of open.outbox?.reacting ?? []) {
    const { name, number: about } = reactionIn(item);
    if (about !== number) continue;
    let found = now.find((each) => isSameReaction(each.name, name));
    if (!found) now.push(found = { name, count: 0, users: [], isOwn: false });
    const isWanted = item.kind === "react";
    if (found.isOwn !== isWanted) Object.assign(found, { isOwn: isWanted, count: found.count + (isWanted ? 1 : -1) });
  }
  return now.filter(({ count }) => count > 0);
}

function toggleReaction(message, name) {
  const { chat } = open.stream;
  const isOwn = reactionsNow(message).some((each) => each.isOwn && isSameReaction(each.name, name));
  return attempt(() => { chat[isOwn ? "unreact" : "react"](message.number, name); });
}

// Up to ten names, and how many others there are.
function namesOf({ users: ids, count, isOwn }) {
  const others = ids.filter((id) => id !== users.current).map((id) => users.nameOf(id));
  const names = isOwn ? ["you", ...others] : others;
  const rest = count - names.length;
  return names.join(", ") + (rest > 0 ? ` and ${plural(rest, "other")}` : "");
}

function reactionsOf(message) {
  const now = reactionsNow(message);
  if (now.length === 0) return "";
  const item = (reaction) => {
    const { name, count, isOwn } = reaction;
    const text = [el("span", { class: "emoji" }, name), ` ${count}`];
    if (!users.current) return el("li", { class: "chip", title: namesOf(reaction) }, ...text);
    return el("li", {}, el("button", {
      type: "button", class: "chip", "aria-pressed": `${isOwn}`, "data-reaction": name, title: namesOf(reaction),
      "aria-label": `${name}, ${plural(count, "reaction")}, ${namesOf(reaction)}`,
      click: () => toggleReaction(message, name),
    }, ...text));
  };
  return el("ul", { class: "reactions", "aria-label": "Reactions" }, ...now.map(item));
}

// The choice

const picker = {
  // What it is open for: { message, row }.
  about: null,

  // Opens it beside a row, or closes it.
  show(message, row) {
    const element = $("picker");
    this.about = { message, row };
    const own = reactionsNow(message).filter(({ isOwn }) => isOwn);
    $("picker-names").replaceChildren(...reactionNames.map((name) => el("button", {
      type: "button", "aria-label": `React with ${name}`, "data-name": name, class: "emoji",
      "aria-pressed": `${own.some((each) => isSameReaction(each.name, name))}`, click: () => this.choose(name),
    }, name)));
    $("picker-title").textContent = `React to message ${message.number}`;
    element.showPopover();
    const [place, size] = [row.getBoundingClientRect(), element.getBoundingClientRect()];
    const top = place.top - size.height - 6 > 60 ? place.top - size.height - 6 : place.top + 34;
    element.style.top = `${Math.max(8, Math.min(top, innerHeight - size.height - 8))}px`;
    element.style.left = `${Math.max(8, Math.min(place.right - size.width - 8, innerWidth - size.width - 8))}px`;
    $("picker-names").firstElementChild.focus();
  },

  choose(name) {
    const { message, row } = this.about;
    $("picker").hidePopover();
    toggleReaction(open.stream.chat.state.message(message.number) ?? message, name);
    row.focus();
  },

  moved(event) {
    const buttons = [...$("picker-names").children];
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -6, ArrowDown: 6 }[event.key];
    if (!step) return;
    event.preventDefault();
    buttons[buttons.indexOf(event.target) + step]?.focus();
  },
};

$("picker").addEventListener("keydown", (event) => picker.moved(event));
