// The rule for clients, and its proof: whatever is lost, repeated or late, a client ends in the state of a reload.

import assert from "node:assert/strict";
import { it } from "node:test";
import { ChatState } from "../luciq-chat.js";
import { ModelChat, ModelConnection, randomFrom } from "./model.js";

// What a reload shows, without a window.
function reload(chat) {
  const state = new ChatState();
  const { rows, cursor } = chat.page({ limit: Infinity });
  state.load(rows, cursor, true);
  return state;
}

class Client {
  state = new ChatState();
  pages = [];          // answers on their way
  seen = [];           // events that may come again
  connection = null;

  constructor(chat, random) {
    Object.assign(this, { chat, random });
    this.load();
  }

  load() {
    const { rows, cursor, hasMore } = this.chat.page({ limit: 5 });
    this.state.load(rows, cursor, !hasMore);
    this.pages = [];
    this.seen = [];
    this.connect();
  }

  connect() {
    this.connection?.drop();
    this.connection = new ModelConnection(this.chat, this.state.cursor, this.random);
  }

  // A page is read now, and arrives later.
  ask() {
    const { random, state } = this;
    const isOlder = random.chance(0.6);
    const before = isOlder ? state.ranges.at(-1).from : 1 + random.below(state.head + 1);
    const { rows, cursor, hasMore } = this.chat.page({ before, limit: 1 + random.below(5) });
    const from = hasMore ? Math.min(...rows.map((row) => row.number)) : 1;
    this.pages.push({ rows, cursor, range: { from, to: before - 1 } });
  }

  step() {
    const { random, state, connection } = this;
    const choice = random.below(20);
    if (choice < 11 && connection.frames.length > 0) {
      const event = connection.frames.shift();
      this.seen.push(event);
      state.apply(event);
    } else if (choice < 13 && this.pages.length > 0) {
      this.arrive(random.below(this.pages.length));
    } else if (choice < 15) {
      this.ask();
    } else if (choice < 16 && this.seen.length > 0) {
      state.apply(random.pick(this.seen));
    } else if (choice < 17) {
      this.connect();
    } else if (choice < 18 && random.chance(0.3)) {
      state.trim(3 + random.below(20));
    }
  }

  arrive(index) {
    const [{ rows, cursor, range }] = this.pages.splice(index, 1);
    if (this.state.merge(rows, cursor, range) !== "behind") return;
    // As `GET …/changes` answers, without moving the chat's own cursor.
    const [n, r] = cursor.split(".").map(Number);
    for (const { cursor: _, ...event } of this.chat.eventsAfter({ n, r }).events) this.state.apply(event);
  }

  finish() {
    while (this.pages.length > 0) this.arrive(0);
    this.connect();
    for (const event of this.connection.frames) this.state.apply(event);
    this.state.advance(this.chat.cursor);
  }
}

function operate(chat, random) {
  const number = 1 + random.below(chat.given || 1);
  const choice = random.below(12);
  if (choice < 4) chat.create(`body ${chat.given + 1}`, { isLate: random.chance(0.2) });
  else if (choice < 7) chat.edit(number, `edit ${chat.revision + 1}`);
  else if (choice < 9) chat.react(number, `r${chat.revision + 1}`);
  else if (choice < 10 && random.chance(0.4)) chat.delete(number);
  else if (chat.late.size > 0) {
    const late = random.pick([...chat.late]);
    chat.settle(late, random.chance(0.7) ? `late ${late}` : null);
  }
}

function run(seed) {
  const random = randomFrom(seed);
  const chat = new ModelChat();
  for (let count = random.below(30); count > 0; count -= 1) operate(chat, random);
  const client = new Client(chat, random);
  for (let count = 400; count > 0; count -= 1) {
    if (random.chance(0.3)) operate(chat, random);
    client.step();
  }
  for (const late of [...chat.late]) chat.settle(late, `late ${late}`);
  client.finish();
  const [state, fresh] = [client.state, reload(chat)];
  assert.equal(state.cursor, fresh.cursor, `seed ${seed}: the cursor`);
  // What a thread has is known to whoever holds its last reply.
  const isThreadKnown = state.message(chat.thread.last_reply) !== undefined;
  const shown = isThreadKnown ? (messages) => messages
    : (messages) => messages.map(({ reply_count: _, last_reply: __, ...rest }) => rest);
  for (const { from, to } of state.ranges) {
    const expected = fresh.messages.filter(({ number }) => number >= from && number <= to);
    assert.deepEqual(shown(state.window(to)), shown(expected), `seed ${seed}: ${from} to ${to}`);
  }
  assert.equal(state.ranges.at(-1).to, fresh.head, `seed ${seed}: the head`);
}

it("ends in the state of a reload, whatever is lost, repeated or late", () => {
  const one = process.env.SEED;
  const seeds = one ? [Number(one)] : Array.from({ length: 2000 }, (_, index) => index + 1);
  for (const seed of seeds) run(seed);
});

it("does so when what was put aside is dropped", () => {
  const limit = ChatState.asideLimit;
  ChatState.asideLimit = 2;
  try {
    for (let seed = 1; seed <= 500; seed += 1) run(seed);
  } finally {
    ChatState.asideLimit = limit;
  }
});
