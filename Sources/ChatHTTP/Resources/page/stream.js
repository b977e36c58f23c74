// A chat as the library keeps it (luciq-chat.js), in the page's words: for each user a client, for the chat that is open
// its live stream.
//
// Streams, not a WebSocket: each of them is a request, which the page shows as a line for curl.

const clients = {
  // By application and user. One that has something to send goes on when other chats are looked at.
  all: new Map(),

  of(application, user) {
    const name = `${application} ${user}`;
    if (!this.all.has(name)) {
      const client = new LuciqClient({
        application, transport: "sse", backoff: { max: 10_000 }, onRequest: (request) => this.note(request),
        token: user ? () => users.nextToken(application, user) : undefined,
      });
      this.all.set(name, client);
    }
    return this.all.get(name);
  },

  get areWaiting() { return [...this.all.values()].some((client) => client.outbox.isWaiting); },

  // Keys that were sent, and paths of streams that were opened: the next time it is again.
  seen: new Set(),

  // For the list of requests.
  note(request) {
    const { method, path, key, isStream } = request;
    const [, place = ""] = /\/chats\/\d+(.*)$/.exec(path) ?? [];
    const mark = key ?? (isStream ? path.split("?", 1)[0] : null);
    const isSecond = mark !== null && this.seen.has(mark);
    if (mark !== null) this.seen.add(mark);
    const number = /^\/messages\/(\d+)/.exec(place)?.[1];
    const about = (name) => Number(new URLSearchParams(place.split("?", 2)[1]).get(name)) || null;
    const isQuiet = place === "/read" || place === "/typing";
    let [title, replaces] = [null, undefined];
    if (isStream) title = isSecond ? "Resumed the live stream" : "Opened the live stream";
    else if (method === "POST" && place === "/messages") title = isSecond ? "Sent a message again" : "Sent a message";
    else if (method === "PATCH" && number) title = `Edited message ${number}`;
    else if (number && place.includes("/reactions/")) {
      title = method === "PUT" ? `Reacted to message ${number}` : `Took back a reaction to message ${number}`;
    } else if (method === "DELETE" && number) title = `Deleted message ${number}`;
    else if (place.startsWith("/pins/")) title = `${method === "PUT" ? "Pinned" : "Unpinned"} message ${/\d+/.exec(place)}`;
    else if (method === "PUT" && place === "/read") [title, replaces] = ["Marked the chat as read", "read"];
    else if (place === "/typing") [title, replaces] = ["Said that you are writing", "typing"];
    else if (about("thread")) {
      if (about("limit") === ThreadPanel.pageSize) title = `Read the thread of message ${about("thread")}`;
    } else if (about("around")) [title, replaces] = [`Read the messages around #${about("around")}`, "around"];
    else if (about("before")) [title, replaces] = ["Read older messages", "older"];
    else if (about("limit") === MessageLog.pageSize && about("after")) [title, replaces] = ["Read newer messages", "newer"];
    else if (about("limit") === MessageLog.pageSize) title = "Read the newest messages";
    if (title) requests.add({ ...request, title, isQuiet, replaces: key && isSecond ? key : replaces });
  },
};

class LiveStream {
  static #endings = {
    slow_consumer: "This tab was too slow for the stream.", going_away: "The server is restarting.",
    token_expired: "The token has expired.", token_revoked: "The token was revoked.",
    not_found: "The members of this chat have changed.",
  };
  #on; #stop; #timer;
  #as = users.current;
  #name = null;       // the state that was told last
  #head = 0;          // up to here it was told of messages
  #lostAt = null;
  #caughtUp = 0;
  #isClosed = false;

  // @param on message(message), for each new one; changed(message); reset(), when all of them may be others;
  // pending(items), what is on its way; typing(users); told(other), after all of these, with the names of what
  // else has changed; state(name, details)
  //
  // States: connecting; live; lost, with the sentence that says why; resuming; resumed, with how many messages were
  // caught up; dropped, because a person asked for it; gone, when there is no such chat any more.
  constructor(application, number, on) {
    this.#on = on;
    this.chat = clients.of(application, this.#as).open(number, { limit: MessageLog.pageSize, reads: true });
    this.#stop = this.chat.subscribe((snapshot, changes) => this.#tell(snapshot, changes));
    this.#state("connecting");
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#stop();
    this.chat.close();
  }

  // Loses the connection on purpose, until `reconnect`.
  drop() { this.chat.pause(); }

  reconnect() {
    this.chat.resume();
    this.chat.client.wake();
  }

  #state(name, details) {
    this.#name = name;
    this.#on.state(name, details);
  }

  #tell({ status, error, pending, typing }, { reset, added, changed, other }) {
    const { state } = this.chat;
    if (reset) {
      if (this.#head > 0) this.#on.reset();
    } else {
      const fresh = [...added].filter((number) => number > this.#head).sort((a, b) => a - b);
      for (const number of fresh) this.#on.message(state.message(number));
      this.#caughtUp += fresh.length;
      for (const number of changed) if (!fresh.includes(number)) this.#on.changed(state.message(number));
    }
    this.#head = state.head;
    this.#on.pending(pending);
    this.#on.typing(typing);
    this.#on.told(other);
    if (status === "live") this.#live();
    else if (status === "paused") this.#lose("dropped");
    else if (status === "gone") this.#gone(error);
    else if (error) this.#lose("lost", LiveStream.#endings[error.code] ?? error.message.replace("No token: ", ""));
  }

  #lose(name, reason) {
    if (this.#lostAt === null) this.#caughtUp = 0;
    this.#lostAt ??= new Date();
    if (this.#name !== name) this.#state(name, { reason });
  }

  async #live() {
    if (["live", "resuming", "resumed"].includes(this.#name)) return;
    if (this.#lostAt === null) {
      this.#state("live");
      return;
    }
    // Caught up is when what is newest now has arrived.
    this.#state("resuming");
    while (this.#name === "resuming" && !this.#isClosed) {
      try {
        await this.chat.caughtUp();
        if (this.#name !== "resuming" || this.#isClosed) return;
        const [lostAt, count] = [this.#lostAt, this.#caughtUp];
        this.#lostAt = null;
        this.#state("resumed", { count, lostAt });
      } catch {
        // Lost again, which is said by itself; or refused, and asked again.
        await wait(1000);
      }
    }
  }

  #gone(error) {
    // The chat never was here: who opens it is told.
    if (this.chat.state.cursor === null || this.#name === "gone") return;
    // In an open chat it goes on for whoever is no member any more.
    if (this.#as && error.code === "not_found" && error.status !== 404) {
      this.#lose("lost", LiveStream.#endings.not_found);
      this.#timer = setTimeout(() => this.chat.resume(), 100);
      return;
    }
    const isMissing = error.status === 404 || error.code === "not_found";
    const reason = !isMissing ? error.message
      : this.#as ? `${users.nameOf(this.#as)} is not in this chat, or it is gone.` : "This server has no such chat.";
    this.#state("gone", { reason });
  }
}
