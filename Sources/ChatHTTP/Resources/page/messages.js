// The messages of a chat: a window of at most `cap` rows onto a log of any length. Both of its ends are extended when
// somebody goes there, by what the library has or reads. While the window is at the log's end, what the stream brings is
// appended.

class MessageLog {
  static pageSize = 50;
  static cap = 300;
  #on; #scroller; #list;
  #chat = null;       // the library's
  #items = [];        // { number, at, day, sender, replyTo, isShown, element }, in order, without a gap
  #isAtEnd = true;    // whether the newest message that is known is in the window
  #newest = 0;        // its number, or a void one after it
  #unseen = 0;
  #pending = [];      // from the stream, until the next flush
  #skipped = 0;       // how many more came before them than a window holds
  #timer = null;
  #isLoading = false;
  #follows = true;    // whether the end of the log was on the screen when it last moved
  #size = "";         // the room that it has, as of the last `resized`
  #watcher;
  #unreadAfter = null;   // what comes after it is new: a line says so
  #line = el("li", { class: "remark new", id: "new-messages" }, "New messages");

  // @param on link(number): the fragment that leads to a message; moved(), when others may be on the screen
  constructor(on) {
    this.#on = { prefix: "m", isThread: false, ...on };
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
  // Whether the newest message is among its rows.
  get isAtEnd() { return this.#isAtEnd; }

  close() {
    clearTimeout(this.#timer);
    this.#watcher.disconnect();
  }

  // Shows the last page, or that around a number.
  async start(chat, number) {
    this.#chat = chat;
    await chat.ready();
    const { messages } = chat.state;
    this.#newest = Math.max(this.#newest, chat.state.head);
    if (number && number < (messages[0]?.number ?? 0)) {
      await this.#showAround(number);
    } else {
      this.#showEnd();
      if (number && messages.length > 0) this.#point(number);
    }
    this.#watcher.observe($("older"));
    this.#watcher.observe($("newer"));
  }

  // All of them may be others, as after a restore of the store.
  reload() {
    this.#pending = [];
    this.#newest = this.#chat.state.head;
    this.#showEnd();
  }

  // Shows the end of the log.
  showNewest() {
    if (this.#isAtEnd) this.#scrollToEnd();
    else this.#showEnd();
  }

  #showEnd() {
    this.#replace(this.#chat.state.messages.filter(({ number }) => number <= this.#newest).slice(-MessageLog.pageSize));
    this.#scrollToEnd();
  }

  // Shows a message among its neighbours.
  async show(number) {
    const [first, last] = [this.#items[0]?.number ?? Infinity, this.#items.at(-1)?.number ?? 0];
    if (number < first || number > last) await this.#showAround(number);
    else this.#point(number);
  }

  async #showAround(number) {
    await this.#loadAround(number);
    this.#point(number);
  }

  async #loadAround(number) {
    const half = MessageLog.pageSize / 2;
    const all = await this.#chat.loadPage({ around: number, limit: MessageLog.pageSize });
    const at = all.findIndex((message) => message.number >= number);
    this.#replace(all.slice(Math.max(0, at - half + 1), at + half + 1).filter((message) => message.number <= this.#newest));
  }

  async loadOlder() {
    if (!this.#hasOlder) return;
    await this.#loading(async () => {
      const items = this.#items;
      const first = items[0].number;
      const above = (messages) => messages.filter((message) => message.number < first).slice(-MessageLog.pageSize);
      let rows = above(this.#chat.state.window(first));
      if (rows.length === 0) rows = above(await this.#chat.loadPage({ before: first, limit: MessageLog.pageSize }));
      // Somebody has gone to another place meanwhile.
      if (items !== this.#items) return;
      const { scrollHeight, scrollTop } = this.#scroller;
      const fresh = rows.map((message) => this.#item(message));
      this.#list.prepend(...fresh.map((item) => item.element));
      this.#items.unshift(...fresh);
      this.#mark(0, fresh.length);
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
      const last = items.at(-1)?.number ?? 0;
      const below = (messages) => messages.filter(({ number }) => number > last && number <= this.#newest);
      let rows = below(this.#chat.state.window(last));
      if (rows.length === 0) rows = below(await this.#chat.loadPage({ after: last, limit: MessageLog.pageSize }));
      if (items !== this.#items) return;
      this.#append(rows.slice(0, MessageLog.pageSize));
      this.#isAtEnd = this.#reachesEnd;
    });
  }

  // Whether there is something before the window.
  get #hasOlder() {
    const first = this.#items[0]?.number;
    if (first === undefined) return false;
    const { ranges } = this.#chat.state;
    const range = ranges.find(({ from, to }) => from <= first && first <= to);
    return (range?.from ?? first) > 1 || this.#chat.state.window(first)[0]?.number < first;
  }

  // Whether the newest message that is known is the window's last one.
  get #reachesEnd() {
    const newest = this.#chat.state.messages.findLast(({ number }) => number <= this.#newest)?.number ?? 0;
    return (this.#items.at(-1)?.number ?? 0) >= newest;
  }

  // One has changed.
  update(message) {
    const waiting = this.#pending.findIndex(({ number }) => number === message.number);
    if (waiting >= 0) this.#pending[waiting] = message;
    for (const item of this.#items) {
      if (item.number === message.number) showMessage(item.element, message, this.#on);
      // What it answers has changed.
      else if (item.replyTo === message.number) showMessage(item.element, this.#chat.state.message(item.number), this.#on);
    }
    if (this.#follows) this.#scrollToEnd();
  }

  // What a person may do has changed.
  refresh() { for (const { number } of this.#items) this.update(this.#chat.state.message(number)); }

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
    this.#on.moved();
  }

  // The room for it has another size: a keyboard on the screen, a longer draft.
  resized() {
    const { clientWidth, clientHeight } = this.#scroller;
    this.#size = `${clientWidth} ${clientHeight}`;
    if (this.#follows) this.#scrollToEnd();
    this.#on.moved();
  }

  // Something was added below the messages.
  grown() { if (this.#follows && this.#isFollowing) this.#scrollToEnd(); }

  // Whether somebody can see the end of the log: it is on the screen, and nothing lies over it.
  get isEndInView() {
    const { left, bottom, height } = this.#scroller.getBoundingClientRect();
    const isOnTop = height > 0 && this.#scroller.contains(document.elementFromPoint(left + 12, bottom - 3));
    return !document.hidden && this.#isAtEnd && this.#isFollowing && isOnTop;
  }

  // What is new begins after a number; null takes the line away.
  set unreadAfter(number) {
    // Whoever has just scrolled away is not taken back.
    const isFollowing = this.#follows && this.#isFollowing;
    this.#unreadAfter = number;
    this.#placeLine();
    if (isFollowing) this.#scrollToEnd();
  }

  // Where that is on the screen: "above", "here" or "below"; null where nothing is new.
  get unreadPlace() {
    if (this.#unreadAfter === null) return null;
    if (!this.#line.isConnected) return "above";
    const [line, list] = [this.#line, this.#scroller].map((element) => element.getBoundingClientRect());
    return line.top < list.top ? "above" : line.top < list.bottom ? "here" : "below";
  }

  // Shows the first new message, below the line.
  async showUnread() {
    if (!this.#line.isConnected) await this.#loadAround(this.#unreadAfter + 1);
    const first = this.#items.find((item) => this.#isNew(item)) ?? this.#items.findLast(({ isShown }) => isShown);
    if (!first) return;
    (this.#line.isConnected ? this.#line : first.element).scrollIntoView({ block: "start" });
    this.#follows = this.#isAtEnd && this.#isFollowing;
    first.element.focus({ preventScroll: true });
    this.scrolled();
  }

  #isNew({ number, sender, isShown }) {
    return isShown && number > this.#unreadAfter && !isOwnMessage({ sender });
  }

  // Before the first new message, if nothing that is new may be above the window.
  #placeLine() {
    this.#line.remove();
    if (this.#unreadAfter === null || this.#items.length === 0) return;
    if (this.#items[0].number > this.#unreadAfter + 1 && this.#hasOlder) return;
    const first = this.#items.find((item) => this.#isNew(item))?.element;
    first?.before(this.#line);
    first?.classList.remove("follows");
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
    this.#unseen += fresh.filter(isInMain).length + skipped;
    this.#newest = fresh.at(-1).number;
    // Nothing is taken away from above what somebody reads.
    if (!isFollowing && isFull) this.#isAtEnd = false;
    if (this.#isAtEnd) {
      if (skipped > 0) this.#replace(fresh);
      else this.#append(fresh);
      if (isFollowing) this.#scrollToEnd();
    }
    this.#announce(fresh);
    this.scrolled();
  }

  // For screen readers: neither one's own, nor what stands in threads, nor each of many.
  #announce(fresh) {
    const others = fresh.filter((message) => isInMain(message) && !isOwnMessage(message));
    if (others.length > 3) say(`${plural(others.length, "new message")}.`);
    else if (others.length > 0) say(others.map(({ number, sender, body }) => {
      const author = sender == null ? `Message ${number}` : users.nameOf(sender);
      return `${author}: ${body.slice(0, 200)}`;
    }).join(". "));
  }

  #append(messages) {
    const known = this.#items.at(-1)?.number ?? 0;
    const items = messages.filter((message) => message.number > known).map((message) => this.#item(message));
    const from = this.#items.length;
    this.#list.append(...items.map((item) => item.element));
    this.#items.push(...items);
    this.#mark(from, this.#items.length);
    const surplus = this.#items.length - MessageLog.cap;
    if (surplus > 0) {
      const { scrollHeight, scrollTop } = this.#scroller;
      this.#items.splice(0, surplus);
      while (this.#list.firstElementChild !== this.#items[0].element) this.#list.firstElementChild.remove();
      this.#mark(0, 1);
      this.#scroller.scrollTop = scrollTop + this.#scroller.scrollHeight - scrollHeight;
    }
    this.#showState();
  }

  #replace(messages) {
    this.#items = messages.map((message) => this.#item(message));
    this.#list.replaceChildren(...this.#items.map((item) => item.element));
    this.#mark(0, this.#items.length);
    this.#isAtEnd = this.#reachesEnd;
    this.#showState();
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

  #item(message) {
    const { number, created_at: createdAt, sender, reply_to: replyTo } = message;
    const element = rowOf(message, this.#on);
    const isShown = isInMain(message);
    element.hidden = !isShown;
    return { number, at: Date.parse(createdAt), day: dayOf(createdAt), sender, replyTo, isShown, element };
  }

  // Each day's first message in the window says the day. What follows a message of the same person within five minutes
  // does not repeat the name. The one after them is looked at too: it may follow another one now.
  #mark(from, to) {
    this.#line.remove();
    let last = this.#items.slice(0, from).findLast(({ isShown }) => isShown);
    for (let index = from; index < this.#items.length; index += 1) {
      const item = this.#items[index];
      if (!item.isShown) continue;
      const { day, at, sender, replyTo, element } = item;
      const before = element.previousElementSibling;
      if (before?.classList.contains("day")) before.remove();
      if (last?.day !== day) element.before(el("li", { class: "remark day" }, day));
      const follows = last?.day === day && last.sender === sender && at - last.at < 300_000 && replyTo == null;
      element.classList.toggle("follows", follows && !element.previousElementSibling?.classList.contains("remark"));
      if (index >= to) break;
      last = item;
    }
    this.#placeLine();
    ensureStop(this.#list, ".message");
  }

  #point(number) {
    const item = this.#items.find((item) => item.number === number);
    if (!item) throw new Problem(`There is no message ${number} in this chat.`);
    const { element } = item;
    if (!item.isShown) {
      openThread(this.#chat.state.message(number).thread, number);
      return;
    }
    element.scrollIntoView({ block: "center" });
    // A list that comes back from `hidden` goes to its end in the next frame, if it was there before.
    this.#follows = this.#isAtEnd && this.#isFollowing;
    for (const other of this.#list.querySelectorAll(".pointed")) other.classList.remove("pointed");
    element.classList.add("pointed");
    element.focus({ preventScroll: true });
  }

  #scrollToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.scrolled();
  }

  #showState() {
    const hasOlder = this.#chat !== null && this.#hasOlder;
    $("older").hidden = !hasOlder;
    $("newer").hidden = this.#isAtEnd;
    $("beginning").hidden = hasOlder || this.#items.length === 0;
    $("empty").hidden = this.#items.length > 0;
    const isAway = !this.#isAtEnd || !this.#isFollowing;
    $("jump").hidden = !isAway;
    $("jump").textContent = this.#unseen > 0 ? `↓ ${this.#unseen.toLocaleString()} new` : "↓ Newest";
  }
}
