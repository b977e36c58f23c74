// A chat as the server keeps it, and connections to it as the network treats them: for tests of `ChatState` alone.

// Random numbers from a seed (mulberry32).
export function randomFrom(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    below: (bound) => Math.floor(next() * bound),
    pick: (list) => list[Math.floor(next() * list.length)],
    chance: (part) => next() < part,
  };
}

/** The server's side: messages by number, some of which are committed later than higher ones. */
export class ModelChat {
  epoch = 0;
  revision = 0;
  given = 0;                 // the highest number
  messages = new Map();
  late = new Set();          // numbers that are given and not committed yet
  changed = new Map();       // number → revision of its last change
  thread = { number: 1, reply_count: 0, last_reply: 0 };
  connections = new Set();

  // Everything up to it is committed, or never will be.
  get settled() { return this.late.size === 0 ? this.given : Math.min(...this.late) - 1; }
  get cursor() { return `${this.epoch ? `e${this.epoch}.` : ""}${this.settled}.${this.revision}`; }

  create(body, { isLate = false } = {}) {
    const number = ++this.given;
    if (isLate) this.late.add(number);
    else this.#store(number, body);
    this.#flush();
    return number;
  }

  // A number that was given comes after all, or never.
  settle(number, body) {
    this.late.delete(number);
    if (body !== null) this.#store(number, body);
    this.#flush();
  }

  #store(number, body) {
    const message = { number, body, created_at: `at ${number}`, sender: number % 3 ? "u1" : null };
    this.messages.set(number, message);
    if (number % 4 !== 0) return;
    const { reply_count: count, last_reply: last } = this.thread;
    this.thread = { number: 1, reply_count: count + 1, last_reply: Math.max(last, number) };
    // As of its commit, or of a later read.
    Object.assign(message, { thread: 1, root: number % 8 === 0 ? this.thread : null });
  }

  // A message as of now.
  #told(message) {
    const told = structuredClone(message);
    if (told.thread) told.root ??= { ...this.thread };
    return told;
  }

  #touch(message) {
    this.revision += 1;
    this.changed.set(message.number, this.revision);
    return this.revision;
  }

  edit(number, body) {
    const message = this.messages.get(number);
    if (!message || message.deleted_at != null) return;
    const rev = this.#touch(message);
    Object.assign(message, { body, metadata: null, rev, edited_at: `edited ${rev}` });
    this.#flush();
  }

  delete(number) {
    const message = this.messages.get(number);
    if (!message || message.deleted_at != null) return;
    const rev = this.#touch(message);
    Object.assign(message, {
      body: "", metadata: null, rev, edited_at: message.edited_at ?? null, deleted_at: `deleted ${rev}`,
      deleted_by: "u1" });
    delete message.reactions;
    delete message.reactions_rev;
    this.#flush();
  }

  react(number, name) {
    const message = this.messages.get(number);
    if (!message || message.deleted_at != null) return;
    const rev = this.#touch(message);
    message.reactions = [...(message.reactions ?? []), { name, count: 1, users: ["u1"], clipped: false }];
    message.reactions_rev = rev;
    this.#flush();
  }

  // A list as of now.
  page({ before = Infinity, after = 0, limit = 10, isRising = false }) {
    const rows = [...this.messages.values()].filter(({ number }) => number > after && number < before)
      .sort((a, b) => (isRising ? a.number - b.number : b.number - a.number));
    const told = rows.slice(0, limit).map((message) => this.#told({ ...message, root: null }));
    for (const row of told) if (row.root === null) delete row.root;
    return { rows: told, cursor: this.cursor, hasMore: rows.length > limit };
  }

  // What `message.changed` says to a reader that has everything up to a revision.
  changeOf(number, since) {
    const message = this.messages.get(number);
    const parts = {};
    if ((message.rev ?? 0) > since) {
      const { rev, body, metadata, edited_at: editedAt, deleted_at: deletedAt = null, deleted_by: by = null } = message;
      parts.content = { rev, body, metadata, edited_at: editedAt, deleted_at: deletedAt, deleted_by: by };
    }
    if ((message.reactions_rev ?? 0) > since) {
      parts.reactions = { rev: message.reactions_rev, summary: structuredClone(message.reactions) };
    }
    return { number, parts, ...(message.thread && { root: { ...this.thread } }) };
  }

  // What a reader at a cursor gets, as in CONVERSATION.md: changes by revision, then messages by number.
  eventsAfter({ n, r }) {
    const [head, end] = [this.revision, this.settled];
    const prefix = this.epoch ? `e${this.epoch}.` : "";
    const events = [];
    const changed = [...this.changed].filter(([number, revision]) => revision > r && number <= n)
      .sort((a, b) => a[1] - b[1]);
    for (const [number, revision] of changed) {
      events.push({ type: "message.changed", cursor: `${prefix}${n}.${revision}`, change: this.changeOf(number, r) });
    }
    for (let number = n + 1; number <= end; number += 1) {
      if (!this.messages.has(number)) continue;
      const message = this.#told(this.messages.get(number));
      events.push({ type: "message", cursor: `${prefix}${number}.${head}`, message });
    }
    return { events, at: { n: Math.max(n, end), r: head } };
  }

  #flush() { for (const connection of this.connections) connection.take(); }
}

/** A subscription: what was sent and has not arrived is lost with it. */
export class ModelConnection {
  frames = [];

  constructor(chat, cursor, random) {
    Object.assign(this, { chat, random });
    const [, n, r] = /^(?:e\d+\.)?(\d+)\.(\d+)$/.exec(cursor);
    this.at = { n: Number(n), r: Number(r) };
    chat.connections.add(this);
    this.take();
  }

  take() {
    const { events, at } = this.chat.eventsAfter(this.at);
    this.frames.push(...events);
    this.at = at;
  }

  drop() {
    this.chat.connections.delete(this);
    this.frames = [];
  }
}
