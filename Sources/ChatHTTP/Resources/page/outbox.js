// Messages on their way. Each has an Idempotency-Key for its whole life: however often it is sent again, it is stored
// once. One is sent at a time, so that they arrive in the order in which they were written.

class Outbox {
  static limit = 50;
  #path;
  // Whoever writes it, also if the tab is somebody else by then.
  #as = users.current;
  // stored(number), for each message that was stored; edit(body), for one that a person wants to change.
  on = {};
  #items = [];
  #newest = 0;
  #isRunning = false;
  #wake = () => {};

  constructor(path) {
    this.#path = path;
    this.element = el("ol", { class: "outbox", "aria-label": "Messages on their way" });
  }

  // Whether closing the page would lose something.
  get isWaiting() { return this.#items.some((item) => item.state !== "sent"); }

  // @throws Problem when too many wait
  add(body) {
    if (this.#items.length >= Outbox.limit) {
      throw new Problem(`${Outbox.limit} messages wait to be sent; please wait for the connection.`);
    }
    const item = { body, key: randomKey(), state: "waiting", reason: "", number: null, isQuick: true, isSeen: false };
    item.element = el("li", { class: "message" });
    this.#items.push(item);
    this.element.append(item.element);
    // Most are there in a few milliseconds, and need no word.
    setTimeout(() => { item.isQuick = false; this.#show(item); }, 200);
    this.#show(item);
    this.#run();
  }

  // A retry that waits is made now.
  hurry() { this.#wake(); }

  // The stream has brought a message: if it is one of these, the list has it now.
  delivered({ number, body }) {
    this.#newest = number;
    const item = this.#items.find((item) => item.number === number);
    if (item) {
      this.#remove(item);
      return;
    }
    // The stream may be faster than the answer.
    const first = this.#items.find((item) => item.state === "sending");
    if (first?.body !== body) return;
    first.isSeen = true;
    this.#show(first);
  }

  // The stream begins after a number: up to it the list has everything.
  begin(number) {
    this.#newest = number;
    for (const item of this.#items.filter((item) => item.number && item.number <= number)) this.#remove(item);
  }

  // Forgets what is stored: a list that is loaded anew has it.
  forgetSent() {
    for (const item of this.#items.filter((item) => item.state === "sent")) this.#remove(item);
  }

  async #run() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    let item;
    while ((item = this.#items.find((item) => item.state === "waiting"))) await this.#send(item);
    this.#isRunning = false;
  }

  async #send(item) {
    for (let failures = 0; this.#items.includes(item); failures += 1) {
      item.state = "sending";
      this.#show(item);
      try {
        const { value, isReplay } = await call("POST", `${this.#path}/messages`, {
          as: this.#as, json: { body: item.body }, key: item.key, title: failures ? "Sent a message again" : "Sent a message",
          replaces: failures ? item.key : undefined,
        });
        item.state = "sent";
        item.number = value.message_number;
        item.reason = isReplay ? " (the retry found it there)" : "";
        item.isSeen = false;
        this.on.stored(item.number);
        if (item.number <= this.#newest) this.#remove(item);
        else this.#show(item);
        return;
      } catch (problem) {
        item.reason = problem.message;
        if (!problem.isPassing) {
          item.state = "refused";
          this.#show(item);
          say(`Not sent: ${problem.message}`);
          return;
        }
        item.state = "retrying";
        this.#show(item);
        const pause = Math.max(problem.retryAfter * 1000, Math.min(10_000, 500 * 2 ** failures));
        await Promise.race([wait(pause), new Promise((resume) => (this.#wake = resume))]);
      }
    }
  }

  #remove(item) {
    item.element.remove();
    this.#items = this.#items.filter((other) => other !== item);
  }

  #show(item) {
    const states = {
      waiting: "Waiting for its turn",
      sending: "Sending…",
      sent: `Stored as #${item.number}${item.reason}. The stream has not brought it yet.`,
      retrying: `${item.reason} It is sent again by itself, and stored once.`,
      refused: `Not sent. ${item.reason}`,
    };
    const hasNews = item.state === "retrying" || item.state === "refused";
    item.element.hidden = (item.isQuick || item.isSeen) && !hasNews;
    item.element.dataset.state = item.state;
    const discard = el("button", { type: "button", click: () => this.#remove(item) }, "Discard");
    const takeBack = () => { this.#remove(item); this.on.edit(item.body); };
    const edit = el("button", { type: "button", click: takeBack }, "Edit");
    const again = el("button", { type: "button", click: () => this.hurry() }, "Send now");
    const buttons = { retrying: [again, discard], refused: [edit, discard] }[item.state] ?? [];
    item.element.replaceChildren(
      el("span", { class: "number" }, "·"),
      el("div", {},
        el("div", { class: "body", dir: "auto" }, excerpt(item.body)),
        el("p", { class: item.state === "refused" ? "fate bad" : "fate" }, states[item.state])),
      el("div", { class: "row" }, ...buttons));
  }
}
