// A chat's live stream: server-sent events, resumed from the last cursor whenever the connection is lost.
//
// The browser's own reconnecting is not used: it gives up for good on any answer but 200, and differs between browsers.
// A new EventSource with `?after=` the last cursor does the same, at moments of our choice.

class LiveStream {
  #path; #cursor; #on; #source; #timer;
  #failures = 0;
  #lostAt = null;
  #caughtUp = 0;
  #goal = null;
  #isClosed = false;

  // @param path the chat's
  // @param cursor what was seen last, as text; "0" for nothing
  // @param on message(message), state(name, details)
  //
  // States: connecting; live; lost, with the sentence that says why; resuming; resumed, with how many messages were
  // caught up; dropped, because a person asked for it; gone, when there is no such chat any more.
  constructor(path, cursor, on) {
    this.#path = path;
    this.#cursor = cursor;
    this.#on = on;
    addEventListener("online", this);
    document.addEventListener("visibilitychange", this);
    this.#on.state("connecting");
    this.#connect();
  }

  get url() { return `${this.#path}/stream?after=${encodeURIComponent(this.#cursor)}`; }

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
    this.#source?.close();
    this.#source = null;
  }

  #connect() {
    const source = new EventSource(this.url);
    this.#source = source;
    let isOpen = false;
    // A server that accepts and says nothing is as good as away.
    const deadline = setTimeout(() => { if (!isOpen) fail("The server does not answer."); }, 10_000);
    const fail = (reason) => {
      clearTimeout(deadline);
      if (source === this.#source) this.#lose(isOpen, reason);
    };
    source.onopen = () => {
      isOpen = true;
      clearTimeout(deadline);
      if (source === this.#source) this.#opened(source);
    };
    source.onmessage = (event) => {
      this.#failures = 0;
      this.#cursor = event.lastEventId;
      const message = JSON.parse(event.data);
      this.#caughtUp += 1;
      this.#on.message(message);
      this.#checkGoal(message.number);
    };
    source.addEventListener("close", (event) => {
      const { code, reconnect } = JSON.parse(event.data);
      if (reconnect === false) {
        this.close();
        this.#on.state("gone", { reason: "The server closed the stream for good." });
      } else {
        fail(code === "slow_consumer" ? "This tab was too slow for the stream." : "The server is restarting.");
      }
    });
    source.onerror = () => fail(isOpen ? "The connection was lost." : "The server cannot be reached.");
  }

  async #opened(source) {
    if (this.#lostAt === null) {
      this.#on.state("live");
      return;
    }
    // Caught up is when what is newest now has arrived.
    this.#on.state("resuming");
    try {
      const { value } = await call("GET", `${this.#path}/messages?limit=1&order=desc`);
      if (source !== this.#source) return;
      this.#goal = value[0]?.number ?? 0;
      this.#checkGoal(Number(this.#cursor));
    } catch {
      if (source === this.#source) this.#lose(false, "The connection was lost.");
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

  async #lose(wasOpen, reason) {
    this.#disconnect();
    this.#markLost();
    this.#on.state("lost", { reason });
    const pause = Math.min(10_000, 500 * 2 ** this.#failures) * (0.75 + Math.random() / 2);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.reconnect(), pause);
    // An EventSource does not say what it was answered, and some answers are final.
    if (wasOpen) return;
    try {
      await call("GET", this.#path);
    } catch (problem) {
      if (this.#isClosed || !this.#timer) return;
      if (problem.status === 404) {
        this.close();
        this.#on.state("gone", { reason: "This server has no such chat." });
      } else if (problem.status > 0) {
        this.#on.state("lost", { reason: problem.message });
      }
    }
  }
}
