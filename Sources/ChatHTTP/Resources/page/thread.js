// A thread beside the chat: the message that begins it, its replies, and a field to answer.

class ThreadPanel {
  static pageSize = 50;
  #chat; #on;
  #rows = new Map();    // by number
  #from = Infinity;     // the replies from here on are shown, without a gap
  #isClosed = false;

  // @param chat the library's
  // @param on link(number): the fragment that leads to a message
  constructor(chat, root, on) {
    this.#chat = chat;
    this.#on = { prefix: "t", isThread: true, ...on };
    this.root = root;
    $("thread-list").replaceChildren();
    $("thread-older").hidden = true;
    $("thread-count").textContent = "";
  }

  // @param number a reply to point at
  async start(number) {
    const { state } = this.#chat;
    if (!state.message(this.root)) await this.#chat.loadPage({ around: this.root, limit: 1 });
    if (this.#isClosed) return;
    if (!state.message(this.root)) throw new Problem(`There is no message ${this.root} in this chat.`);
    this.#add(state.message(this.root));
    await this.older();
    while (number && number < this.#from && this.#hasOlder) await this.older();
    const row = this.#rows.get(number);
    if (!row) return;
    row.classList.add("pointed");
    row.scrollIntoView({ block: "center" });
    row.focus({ preventScroll: true });
  }

  // The page before what is shown.
  async older() {
    const before = Math.min(this.#from, this.#chat.state.head + 1);
    const { pageSize } = ThreadPanel;
    const known = await this.#chat.loadThread(this.root, { before, limit: pageSize });
    if (this.#isClosed) return;
    const page = known.filter((message) => message.number < before).slice(-pageSize);
    this.#from = page.length < pageSize ? this.root + 1 : page[0].number;
    const list = $("thread-list");
    const { scrollHeight, scrollTop } = list;
    for (const message of known) if (message.number >= this.#from) this.#add(message);
    // What is being read stays where it is; the first page is shown from its end.
    list.scrollTop = before > this.#chat.state.head ? list.scrollHeight : scrollTop + list.scrollHeight - scrollHeight;
    this.#show();
  }

  get #hasOlder() { return this.#from > this.root + 1; }

  // One that is new or has changed.
  update(message) {
    if (message.number !== this.root && (message.thread !== this.root || message.number < this.#from)) return;
    const list = $("thread-list");
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
    this.#add(message);
    if (isAtEnd) list.scrollTop = list.scrollHeight;
    this.#show();
  }

  // What a person may do has changed.
  refresh() { for (const number of this.#rows.keys()) this.#add(this.#chat.state.message(number)); }

  #add(message) {
    const { number } = message;
    if (this.#rows.has(number)) {
      showMessage(this.#rows.get(number), message, this.#on);
      return;
    }
    const row = rowOf(message, this.#on);
    const next = Math.min(...[...this.#rows.keys()].filter((other) => other > number));
    $("thread-list").insertBefore(row, this.#rows.get(next) ?? null);
    this.#rows.set(number, row);
    ensureStop($("thread-list"), ".message");
  }

  #show() {
    $("thread-older").hidden = !this.#hasOlder;
    const { reply_count: count = 0 } = this.#chat.state.message(this.root) ?? {};
    $("thread-count").textContent = count > 0 ? replyCount(count) : "No replies yet";
  }

  close() { this.#isClosed = true; }
}

// Opens the thread that a message begins.
//
// @param number a reply to point at
function openThread(root, number) {
  endThread();
  open.thread = new ThreadPanel(open.stream.chat, root, open.on);
  document.body.dataset.thread = root;
  $("thread").hidden = false;
  $("thread-in-main").checked = false;
  if (!number) $("thread-body").focus();
  return attempt(() => open.thread.start(number));
}

// Closes it. @returns whether there was one
function endThread() {
  if (!open?.thread) return false;
  const { root } = open.thread;
  open.thread.close();
  open.thread = null;
  delete document.body.dataset.thread;
  const hadFocus = $("thread").contains(document.activeElement);
  $("thread").hidden = true;
  $("thread-body").value = "";
  if (hadFocus) ($(`m${root}`) ?? $("body")).focus();
  return true;
}

composer($("thread-send"), $("thread-body"), {
  send(body) {
    open.outbox.add(body, { thread: open.thread.root, inMain: $("thread-in-main").checked || undefined });
    $("thread-body").value = "";
    $("thread-list").scrollTop = $("thread-list").scrollHeight;
  },
  edit: () => editLast($("thread-list")),
  escape: endThread,
});
