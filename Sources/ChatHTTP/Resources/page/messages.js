// The messages of a chat: a window of at most `cap` rows onto a log of any length. Pages are read at both of its ends,
// by the Link headers; what falls out at the other end is read again when somebody goes there. While the window is at
// the log's end, what the stream brings is appended.

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

class MessageLog {
  static pageSize = 50;
  static cap = 300;
  #path; #on; #scroller; #list;
  #items = [];        // { number, day, element }, in order, without a gap
  #isAtEnd = true;    // whether the newest message that is known is in the window
  #newest = 0;        // its number, or a void one after it; once the stream has begun, where that is
  #unseen = 0;
  #older = null;      // the Link to the page before the window
  #pending = [];      // from the stream, until the next flush
  #skipped = 0;       // how many more came before them than a window holds
  #timer = null;
  #isLoading = false;
  #follows = true;    // whether the end of the log was on the screen when it last moved
  #size = "";         // the room that it has, as of the last `resized`
  #mine;
  #watcher;

  // @param path the chat's
  // @param mine the numbers that were sent from this tab
  // @param on link(number): the fragment that leads to a message
  constructor(path, mine, on) {
    this.#path = path;
    this.#mine = mine;
    this.#on = on;
    this.#scroller = $("log");
    this.#list = $("messages");
    this.#list.replaceChildren();
    this.#watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) attempt(() => (entry.target === $("older") ? this.loadOlder() : this.loadNewer()));
      }
    }, { root: this.#scroller, rootMargin: "200px" });
  }

  get newest() { return this.#newest; }

  close() {
    clearTimeout(this.#timer);
    this.#watcher.disconnect();
  }

  // Reads the last page, or that around a number.
  async start(number) {
    const limit = MessageLog.pageSize;
    const last = await call(
      "GET", `${this.#path}/messages?limit=${limit}&order=desc`, { title: "Read the newest messages" });
    this.#newest = Math.max(this.#newest, last.value[0]?.number ?? 0);
    if (number && number < (last.value.at(-1)?.number ?? 0)) {
      await this.#showAround(number);
    } else {
      this.#replace(last.value.reverse(), last.links.next, this.#newest);
      this.#scrollToEnd();
      if (number && last.value.length > 0) this.#point(number);
    }
    this.#watcher.observe($("older"));
    this.#watcher.observe($("newer"));
  }

  // The stream begins after a number. Up to it everything is stored; what is above it the stream brings, in order. A list
  // may show some of that already, while a lower number is still on its way: so nothing above the stream is taken from a
  // list, and what was is read again.
  async begin(number) {
    const isShown = this.#newest === number && this.#items.every(
      ({ number }, index) => index === 0 || number === this.#items[index - 1].number + 1);
    this.#newest = number;
    if (isShown || !(this.#isAtEnd || this.#items.at(-1)?.number > number)) return;
    await this.#readNewest();
    this.#scrollToEnd();
  }

  // Shows the end of the log, which may have to be read.
  async showNewest() {
    if (!this.#isAtEnd) await this.#readNewest();
    this.#scrollToEnd();
  }

  async #readNewest() {
    const newest = this.#newest;
    const { value, links } = await call("GET", this.#pageBefore(newest + 1));
    this.#replace(value.reverse(), links.next, newest);
  }

  // Shows a message among its neighbours.
  async show(number) {
    const [first, last] = [this.#items[0]?.number ?? Infinity, this.#items.at(-1)?.number ?? 0];
    if (number < first || number > last) await this.#showAround(number);
    else this.#point(number);
  }

  async #showAround(number) {
    const { value, links } = await call(
      "GET", `${this.#path}/messages?around=${number}&limit=${MessageLog.pageSize}`,
      { title: `Read the messages around #${number}`, replaces: "around" });
    // The page before an ascending one is the descending one before its first message.
    const known = value.filter((message) => message.number <= this.#newest);
    this.#replace(
      known, links.prev && this.#pageBefore(value[0]?.number ?? number),
      known.length < value.length ? this.#newest : known.at(-1)?.number ?? 0);
    this.#point(number);
  }

  async loadOlder() {
    if (!this.#older) return;
    await this.#loading(async () => {
      const items = this.#items;
      const { value, links } = await call("GET", this.#older, { title: "Read older messages", replaces: "older" });
      // Somebody has gone to another place meanwhile.
      if (items !== this.#items) return;
      this.#older = links.next ?? null;
      const { scrollHeight, scrollTop } = this.#scroller;
      const fresh = value.reverse().map((message) => this.#item(message));
      this.#list.prepend(...fresh.map((item) => item.element));
      this.#items.unshift(...fresh);
      this.#markDays(0, fresh.length + 1);
      // What is being read stays where it is.
      this.#scroller.scrollTop = scrollTop + this.#scroller.scrollHeight - scrollHeight;
      if (this.#items.length > MessageLog.cap) {
        this.#items.length = MessageLog.cap;
        while (this.#list.lastElementChild !== this.#items.at(-1).element) this.#list.lastElementChild.remove();
        this.#isAtEnd = false;
      }
      say(`${plural(fresh.length, "older message")} above.`);
    });
  }

  async loadNewer() {
    if (this.#isAtEnd) return;
    await this.#loading(async () => {
      const items = this.#items;
      const { value } = await call(
        "GET", `${this.#path}/messages?after=${this.#items.at(-1)?.number ?? 0}&limit=${MessageLog.pageSize}`,
        { title: "Read newer messages", replaces: "newer" });
      if (items !== this.#items) return;
      const known = value.filter((message) => message.number <= this.#newest);
      this.#append(known);
      // While the page was under way the stream may have brought more than it has.
      this.#isAtEnd = value.length === 0 || value.at(-1).number >= this.#newest;
    });
  }

  // One from the stream.
  receive(message) {
    this.#pending.push(message);
    // More than a window's worth would not be shown anyway.
    if (this.#pending.length > MessageLog.cap) {
      this.#pending.shift();
      this.#skipped += 1;
    }
    this.#timer ??= setTimeout(() => this.#flush(), 30);
  }

  // A line between messages, about the connection.
  remark(text) {
    const element = el("li", { class: "remark away" }, text);
    if (!this.#isAtEnd) return element;
    const isFollowing = this.#isFollowing;
    this.#list.append(element);
    if (isFollowing) this.#scrollToEnd();
    return element;
  }

  // Whoever scrolls to the end has seen everything.
  scrolled() {
    const { clientWidth, clientHeight } = this.#scroller;
    // Other lines and another height move the rows too; `resized` comes next, and knows where we were.
    if (this.#size && this.#size !== `${clientWidth} ${clientHeight}`) return;
    this.#follows = this.#isAtEnd && this.#isFollowing;
    if (this.#follows) this.#unseen = 0;
    this.#showState();
  }

  // The room for it has another size: a keyboard on the screen, a longer draft.
  resized() {
    const { clientWidth, clientHeight } = this.#scroller;
    this.#size = `${clientWidth} ${clientHeight}`;
    if (this.#follows) this.#scrollToEnd();
  }

  get #isFollowing() {
    return this.#scroller.scrollHeight - this.#scroller.scrollTop - this.#scroller.clientHeight < 60;
  }

  #flush() {
    this.#timer = null;
    const fresh = this.#pending.filter((message) => message.number > this.#newest);
    const skipped = this.#skipped;
    this.#pending = [];
    this.#skipped = 0;
    if (fresh.length === 0) return;
    const isFollowing = this.#isAtEnd && this.#isFollowing;
    const isFull = this.#items.length + fresh.length > MessageLog.cap;
    this.#unseen += fresh.length + skipped;
    this.#newest = fresh.at(-1).number;
    // Nothing is taken away from above what somebody reads.
    if (!isFollowing && isFull) this.#isAtEnd = false;
    if (this.#isAtEnd) {
      if (skipped > 0) this.#replace(fresh, this.#pageBefore(fresh[0].number), this.#newest);
      else this.#append(fresh);
      if (isFollowing) this.#scrollToEnd();
    }
    this.#announce(fresh);
    this.scrolled();
  }

  #announce(fresh) {
    if (fresh.length > 3) say(`${plural(fresh.length, "new message")}.`);
    else say(fresh.map(({ number, sender, body }) => {
      const author = sender == null ? "" : ` from ${users.nameOf(sender)}`;
      return `Message ${number}${author}: ${body.slice(0, 200)}`;
    }).join(". "));
  }

  #append(messages) {
    const known = this.#items.at(-1)?.number ?? 0;
    const items = messages.filter((message) => message.number > known).map((message) => this.#item(message));
    const from = this.#items.length;
    this.#list.append(...items.map((item) => item.element));
    this.#items.push(...items);
    this.#markDays(from, this.#items.length);
    const surplus = this.#items.length - MessageLog.cap;
    if (surplus > 0) {
      const { scrollHeight, scrollTop } = this.#scroller;
      this.#items.splice(0, surplus);
      while (this.#list.firstElementChild !== this.#items[0].element) this.#list.firstElementChild.remove();
      this.#older = this.#pageBefore(this.#items[0].number);
      this.#markDays(0, 1);
      this.#scroller.scrollTop = scrollTop + this.#scroller.scrollHeight - scrollHeight;
    }
    this.#showState();
  }

  // @param upTo the number up to which they are all there are
  #replace(messages, older, upTo) {
    this.#items = messages.map((message) => this.#item(message));
    this.#older = older ?? null;
    this.#list.replaceChildren(...this.#items.map((item) => item.element));
    this.#markDays(0, this.#items.length);
    this.#isAtEnd = upTo >= this.#newest;
    this.#showState();
  }

  #pageBefore(number) {
    return `${this.#path}/messages?before=${number}&limit=${MessageLog.pageSize}&order=desc`;
  }

  async #loading(load) {
    if (this.#isLoading) return;
    this.#isLoading = true;
    this.#scroller.setAttribute("aria-busy", "true");
    try { await load(); } finally {
      this.#isLoading = false;
      this.#scroller.removeAttribute("aria-busy");
      this.#showState();
    }
    // A page may be shorter than the screen: then the end that was watched for has never left it, and says nothing.
    for (const end of [$("older"), $("newer")]) {
      this.#watcher.unobserve(end);
      this.#watcher.observe(end);
    }
  }

  #item({ number, sender, body, created_at: createdAt }) {
    const element = el("li", { class: "message", id: `m${number}`, "data-number": number },
      el("a", { class: "number", href: this.#on.link(number), "aria-label": `Message ${number}` }, `${number}`),
      el("div", {}, users.author(sender), el("div", { class: "body", dir: "auto" }, excerpt(body))),
      timeElement(createdAt));
    if (this.#mine.has(number)) setMine(element);
    return { number, day: dayOf(createdAt), element };
  }

  // Sent from this tab, as it turns out.
  markMine(number) {
    const item = this.#items.find((item) => item.number === number);
    if (item) setMine(item.element);
  }

  // Each day's first message in the window says the day.
  #markDays(from, to) {
    for (let index = from; index < Math.min(to, this.#items.length); index += 1) {
      const { day, element } = this.#items[index];
      const before = element.previousElementSibling;
      if (before?.classList.contains("day")) before.remove();
      if (this.#items[index - 1]?.day !== day) element.before(el("li", { class: "remark day" }, day));
    }
  }

  #point(number) {
    const element = this.#items.find((item) => item.number === number)?.element;
    if (!element) throw new Problem(`There is no message ${number} in this chat.`);
    element.scrollIntoView({ block: "center" });
    // A list that comes back from `hidden` goes to its end in the next frame, if it was there before.
    this.#follows = this.#isAtEnd && this.#isFollowing;
    for (const other of this.#list.querySelectorAll(".pointed")) other.classList.remove("pointed");
    element.classList.add("pointed");
    element.querySelector("a").focus({ preventScroll: true });
  }

  #scrollToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.scrolled();
  }

  #showState() {
    $("older").hidden = !this.#older;
    $("newer").hidden = this.#isAtEnd;
    $("beginning").hidden = Boolean(this.#older) || this.#items.length === 0;
    $("empty").hidden = this.#items.length > 0;
    const isAway = !this.#isAtEnd || !this.#isFollowing;
    $("jump").hidden = !isAway;
    $("jump").textContent = this.#unseen > 0 ? `↓ ${this.#unseen.toLocaleString()} new` : "↓ Newest";
  }
}
