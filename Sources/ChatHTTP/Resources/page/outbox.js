// What is on its way in a chat, as the library's outbox has it: each request is carried out once, however often it is
// sent, and one after the other.

class Outbox {
  #chat; #on;
  #rows = new Map();   // by id: { element, shown, isQuick, isSeen, timer }
  #items = [];

  // @param chat the library's
  // @param on stored(), for each message that was stored; edit(body), for one that a person wants to change;
  // reacting(number), for a message whose reactions are on their way
  constructor(chat, on) {
    this.#chat = chat;
    this.#on = on;
    this.element = el("ol", { class: "outbox", "aria-label": "Messages on their way" });
  }

  // What was done to reactions, and is not refused.
  get reacting() { return this.#items.filter((item) => reactionIn(item) && item.state !== "refused"); }

  // @param more what it answers, as in the library
  // @throws LuciqError when too many wait
  add(body, more) {
    this.#chat.send(body, more).done.then(() => this.#on.stored(), () => {
      // The row says why.
    });
  }

  // A retry that waits is made now.
  hurry() { this.#chat.client.outbox.wake(); }

  // A message has come. The stream may be faster than the answer: then its row is there twice.
  delivered({ body }) {
    const first = this.#items.find((item) => item.state === "sending" && item.kind === "send");
    const row = first?.json.body === body && this.#rows.get(first.id);
    if (!row) return;
    row.isSeen = true;
    this.#fill(row, first);
  }

  show(items) {
    const before = this.reacting;
    this.#items = items;
    // Their messages show what is on its way.
    const numbers = new Set([...before, ...this.reacting].map((item) => reactionIn(item).number));
    for (const number of numbers) this.#on.reacting(number);
    for (const [id, row] of this.#rows) {
      if (items.some((item) => item.id === id)) continue;
      clearTimeout(row.timer);
      row.element.remove();
      this.#rows.delete(id);
    }
    for (const item of items) {
      if (!this.#rows.has(item.id)) this.#add(item);
      const row = this.#rows.get(item.id);
      const shown = `${item.state} ${item.error?.message}`;
      if (row.shown === shown) continue;
      if (item.state === "sent") row.isSeen = false;
      if (item.state === "refused") {
        // Its buttons are not made anew under somebody's finger.
        clearTimeout(row.timer);
        row.isQuick = false;
        say(`Not sent: ${item.error.message}`);
      }
      row.shown = shown;
      this.#fill(row, item);
    }
  }

  #add(item) {
    const row = { element: el("li", { class: "message" }), shown: "", isQuick: true, isSeen: false };
    this.#rows.set(item.id, row);
    this.element.append(row.element);
    // Most are there in a few milliseconds, and need no word.
    row.timer = setTimeout(() => {
      row.isQuick = false;
      this.#fill(row, this.#items.find(({ id }) => id === item.id));
    }, 200);
  }

  #fill({ element, isQuick, isSeen }, { id, kind, state, number, json, path, error }) {
    const { outbox } = this.#chat.client;
    const states = {
      waiting: "Waiting for its turn",
      sending: "Sending…",
      sent: `Stored as #${number}. The stream has not brought it yet.`,
      retrying: `${error?.message} It is sent again by itself, and stored once.`,
      refused: `Not sent. ${error?.message}`,
    };
    const hasNews = state === "retrying" || state === "refused";
    element.hidden = (isQuick || isSeen) && !hasNews;
    element.dataset.state = state;
    const discard = el("button", { type: "button", click: () => outbox.discard(id) }, "Discard");
    const takeBack = () => { outbox.discard(id); this.#on.edit(json.body); };
    const edit = el("button", { type: "button", click: takeBack }, "Edit");
    const again = el("button", { type: "button", click: () => this.hurry() }, "Send now");
    const buttons = state === "retrying" ? [again, discard] : state !== "refused" ? []
      : kind === "send" ? [edit, discard] : [discard];
    const about = aboutRequest({ kind, path, json });
    element.replaceChildren(
      el("span", { class: "avatar", "aria-hidden": "true" }, "…"),
      el("div", {},
        about ? el("p", { class: "muted" }, about) : "",
        el("div", { class: "body", dir: "auto" }, excerpt(json?.body ?? "")),
        el("p", { class: state === "refused" ? "fate bad" : "fate" }, states[state])),
      el("div", { class: "row" }, ...buttons));
  }
}

// What a request is about, if not a message of the chat.
function aboutRequest({ kind, path, json }) {
  const reaction = reactionIn({ kind, path });
  const number = reaction?.number ?? /\d+(?=$|\?)/.exec(path)?.[0];
  if (kind === "send") return json.thread ? `In the thread of #${json.thread}` : "";
  const words = {
    edit: "Edit of", delete: "Deletion of", react: `${reaction?.name} to`, unreact: `No more ${reaction?.name} to`,
    pin: "Pin of", unpin: "End of the pin of",
  };
  return `${words[kind]} #${number}`;
}
