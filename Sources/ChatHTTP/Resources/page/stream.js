// A chat's live stream: server-sent events, resumed from the last cursor whenever the connection is lost.
//
// They are read by fetch, not by EventSource: that does not tell a page the id that a stream begins with, nor what a
// refusal was, notices no connection that has died silently, and gives up for good on any answer but 200.

// One event, as this server writes it: its fields by name.
function fieldsOf(block) {
  const lines = block.split("\n").filter((line) => !line.startsWith(":"));
  return Object.fromEntries(lines.map((line) => [line.split(":", 1)[0], line.slice(line.indexOf(":") + 2)]));
}

// The number in a cursor, which is text for all else: `43`, `43.17`, `e2.43.17`.
const numberIn = (cursor) => Number(/^(?:e\d+\.)?(\d+)/.exec(cursor)[1]);

class LiveStream {
  static #endings = {
    slow_consumer: "This tab was too slow for the stream.", going_away: "The server is restarting.",
    token_expired: "The token has expired.", token_revoked: "The token was revoked.",
    not_found: "The members of this chat have changed.",
  };
  // The server writes every 15 seconds, if only a comment.
  static silence = 40_000;
  #path; #on; #connection; #timer;
  #as = users.current;
  #cursor = null;     // what was seen last; null until the server has said where it begins
  #failures = 0;
  #lostAt = null;
  #caughtUp = 0;
  #goal = null;
  #isClosed = false;

  // @param path the chat's
  // @param on opened(url, authorization), whenever the server has taken the connection; begin(number), once: everything
  // up to it is stored, everything above it comes; message(message); state(name, details)
  //
  // States: connecting; live; lost, with the sentence that says why; resuming; resumed, with how many messages were
  // caught up; dropped, because a person asked for it; gone, when there is no such chat any more.
  constructor(path, on) {
    this.#path = path;
    this.#on = on;
    addEventListener("online", this);
    document.addEventListener("visibilitychange", this);
    this.#on.state("connecting");
    this.#connect();
  }

  get url() {
    return `${this.#path}/stream` + (this.#cursor === null ? "" : `?after=${encodeURIComponent(this.#cursor)}`);
  }

  close() {
    this.#isClosed = true;
    this.#disconnect();
    removeEventListener("online", this);
    document.removeEventListener("visibilitychange", this);
  }

  // Loses the connection on purpose, until `reconnect`.
  drop() {
    this.#disconnect();
    this.#markLost();
    this.#on.state("dropped");
  }

  reconnect() {
    if (this.#isClosed) return;
    this.#disconnect();
    this.#connect();
  }

  // The network is back, or somebody looks: no more waiting.
  handleEvent() {
    if (this.#timer && !document.hidden) this.reconnect();
  }

  #disconnect() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#connection?.abort();
    this.#connection = null;
  }

  async #connect() {
    const connection = new AbortController();
    this.#connection = connection;
    let [problem, deadline] = [null, null];
    const waitAtMost = (pause, sentence) => {
      clearTimeout(deadline);
      deadline = setTimeout(() => { problem = new Problem(sentence); connection.abort(); }, pause);
    };
    waitAtMost(10_000, "The server does not answer.");
    let isOpen = false;
    const url = this.url;
    try {
      const headers = { Accept: "text/event-stream" };
      if (this.#as) headers.Authorization = await users.authorization(applicationIn(url), this.#as);
      const response = await fetch(url, {
        headers, cache: "no-store", credentials: "omit", signal: connection.signal });
      if (!response.ok) throw await problemOf(response);
      this.#on.opened(url, headers.Authorization);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        waitAtMost(LiveStream.silence, "The server has gone silent.");
        const blocks = (text + part.value).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          if (connection !== this.#connection) return;
          this.#receive(fieldsOf(block), connection, isOpen);
          isOpen = true;
        }
      }
    } catch (error) {
      problem ??= error;
    } finally {
      clearTimeout(deadline);
    }
    if (connection !== this.#connection) return;
    const sentence = isOpen ? "The connection was lost." : "The server cannot be reached.";
    this.#lose(problem instanceof Problem ? problem : new Problem(sentence));
  }

  #receive({ id, event, data }, connection, isOpen) {
    if (event === "close") {
      const { code, reconnect } = JSON.parse(data);
      const sentence = LiveStream.#endings[code] ?? "The server closed the stream.";
      // With another token it goes on, and in an open chat for whoever is no member any more.
      if (reconnect === false && !this.#as) this.#end(sentence);
      else this.#lose(new Problem(sentence, { status: code.startsWith("token_") ? 401 : 0 }));
      return;
    }
    if (id) {
      const isFirst = this.#cursor === null;
      this.#cursor = id;
      if (isFirst) this.#on.begin(numberIn(id));
    }
    if (event === "message") {
      this.#failures = 0;
      const message = JSON.parse(data);
      this.#caughtUp += 1;
      this.#on.message(message);
      this.#checkGoal(message.number);
    }
    if (!isOpen) this.#opened(connection);
  }

  async #opened(connection) {
    if (this.#lostAt === null) {
      this.#on.state("live");
      return;
    }
    // Caught up is when what is newest now has arrived.
    this.#on.state("resuming");
    try {
      const { value } = await call("GET", `${this.#path}/messages?limit=1&order=desc`, { as: this.#as });
      if (connection !== this.#connection) return;
      this.#goal = value[0]?.number ?? 0;
      this.#checkGoal(numberIn(this.#cursor));
    } catch {
      if (connection === this.#connection) this.#lose(new Problem("The connection was lost."));
    }
  }

  #checkGoal(number) {
    if (this.#goal === null || number < this.#goal) return;
    this.#goal = null;
    this.#failures = 0;
    this.#on.state("resumed", { count: this.#caughtUp, lostAt: this.#lostAt });
    this.#lostAt = null;
  }

  #markLost() {
    this.#goal = null;
    if (this.#lostAt) return;
    this.#lostAt = new Date();
    this.#caughtUp = 0;
  }

  #lose(problem) {
    if (problem.status === 404) {
      this.#end(this.#as ? `${users.nameOf(this.#as)} is not in this chat, or it is gone.` : "This server has no such chat.");
      return;
    }
    if (problem.status === 401 && this.#as) users.forget(applicationIn(this.#path), this.#as);
    this.#disconnect();
    this.#markLost();
    this.#on.state("lost", { reason: problem.message });
    const pause = Math.min(10_000, 500 * 2 ** this.#failures) * (0.75 + Math.random() / 2);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.reconnect(), Math.max(pause, problem.retryAfter * 1000));
  }

  #end(reason) {
    this.close();
    this.#on.state("gone", { reason });
  }
}
