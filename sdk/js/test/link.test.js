// What a connection makes of frames and close codes, by a stand-in for the server: no real one says them on demand.

import assert from "node:assert/strict";
import { afterEach, it } from "node:test";
import { LuciqClient } from "../luciq-chat.js";
import { waitFor } from "./server.js";

class Stand {
  sockets = [];
  lists = 0;
  cursor = "1.0";

  constructor() {
    const stand = this;
    this.WebSocket = class {
      readyState = 1;
      said = [];
      constructor() {
        stand.sockets.push(this);
        queueMicrotask(() => this.onopen?.({}));
      }
      send(text) { this.said.push(JSON.parse(text)); }
      close() { this.readyState = 3; }
      hears(frame) { this.onmessage?.({ data: JSON.stringify(frame) }); }
      ends(code) { this.readyState = 3; this.onclose?.({ code, reason: "" }); }
    };
  }

  fetch = async () => {
    this.lists += 1;
    const row = { number: 1, body: `list ${this.lists}`, created_at: "", sender: null };
    return new Response(JSON.stringify([row]), { headers: { "Luciq-Cursor": this.cursor } });
  };

  get socket() { return this.sockets.at(-1); }
}

let client;
afterEach(() => client?.close());

function open(options = {}) {
  const stand = new Stand();
  client = new LuciqClient({
    url: "http://stand.in", application: "app_1", transport: "websocket", WebSocket: stand.WebSocket, fetch: stand.fetch,
    backoff: { min: 5, max: 10 }, ...options });
  return { stand, chat: client.open(7) };
}

async function subscribed(stand, count = 1) {
  await waitFor("a subscription", () =>
    stand.sockets.flatMap(({ said }) => said).filter(({ type }) => type === "subscribe").length >= count);
  stand.socket.hears({ type: "subscribed", chat: 7, cursor: "1.0" });
}

const message = (number, cursor) => ({
  type: "message", chat: 7, cursor, message: { number, body: "x", created_at: "", sender: null } });

it("takes nothing of an earlier subscription", async () => {
  const { stand, chat } = open();
  client.open(8);  // Keeps the connection.
  await subscribed(stand, 2);
  await chat.until(({ status }) => status === "live");
  chat.close();
  const again = client.open(7);
  await waitFor("the other subscription", () => stand.socket.said.length === 4);
  assert.deepEqual(stand.socket.said.slice(2).map(({ type, chat: number }) => [type, number]),
    [["unsubscribe", 7], ["subscribe", 7]]);
  stand.socket.hears(message(9, "9.0"));
  stand.socket.hears({ type: "unsubscribed", chat: 7 });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(again.state.head, 1);
  await subscribed(stand, 3);
  stand.socket.hears(message(2, "2.0"));
  await again.until(({ state }) => state.head === 2);
  assert.equal(stand.sockets.length, 1);
});

it("subscribes again where it was, after a code that says so", async () => {
  const { stand, chat } = open();
  for (const [count, code] of [1001, 1006, 1008, 1013, 4001].entries()) {
    await subscribed(stand, count + 1);
    stand.socket.hears(message(2 + count, `${2 + count}.0`));
    await chat.until(({ status, state }) => status === "live" && state.head === 2 + count);
    if (code === 1013) break;  // It waits for ten seconds.
    stand.socket.ends(code);
    await chat.until(({ status }) => status !== "live");
  }
  const cursors = stand.sockets.flatMap(({ said }) => said).map(({ after }) => after);
  assert.deepEqual(cursors, ["1.0", "2.0", "3.0", "4.0"]);
  assert.equal(stand.lists, 1);
});

for (const code of [1002, 1009, 4403, 4404, 4499]) {
  it(`ends after ${code}`, async () => {
    const { stand, chat } = open();
    await subscribed(stand);
    stand.socket.ends(code);
    await chat.until(({ status }) => status === "gone");
    assert.equal(chat.error.code, `${code}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(stand.sockets.length, 1);
    chat.resume();
    await subscribed(stand, 2);
    await chat.until(({ status }) => status === "live");
  });
}

it("loads anew after 4409, or an error that says the same", async () => {
  const { stand, chat } = open();
  await subscribed(stand);
  stand.socket.ends(4409);
  await subscribed(stand, 2);
  assert.equal(chat.state.message(1).body, "list 2");
  stand.socket.hears({ type: "error", ref: "subscribe 7", chat: 7, code: "cursor_epoch", detail: "Load it anew." });
  await subscribed(stand, 3);
  assert.equal(chat.state.message(1).body, "list 3");
  await chat.until(({ status }) => status === "live");
});

it("shows another token after 4401 and 4310, and ends when that is refused too", async () => {
  let asked = 0;
  const { stand, chat } = open({ token: async () => `token ${asked += 1}` });
  const greeted = (count) => waitFor("a token", () =>
    stand.sockets.flatMap(({ said }) => said).filter(({ type }) => type === "auth").length >= count);
  await greeted(1);
  stand.socket.ends(4401);
  await greeted(2);
  stand.socket.hears({ type: "authenticated", user: "u1", expires_in: 600 });
  await subscribed(stand);
  assert.equal(client.user, "u1");
  stand.socket.ends(4310);
  await greeted(3);
  assert.equal(stand.socket.said[0].token, "token 3");
  stand.socket.ends(4401);
  await chat.until(({ status }) => status === "gone");
});

it("renews the token on the connection that says it expires", async () => {
  let asked = 0;
  const { stand } = open({ token: async () => `token ${asked += 1}` });
  await waitFor("a token", () => stand.socket?.said.length === 1);
  stand.socket.hears({ type: "authenticated", user: "u1", expires_in: 31 });
  await subscribed(stand);
  stand.socket.hears({ type: "token_expiring", expires_in: 30 });
  await waitFor("the newer token", () => stand.socket.said.length === 3);
  assert.deepEqual(stand.socket.said[2], { type: "auth", token: "token 2" });
  stand.socket.hears({ type: "authenticated", user: "u1", expires_in: 600 });
  assert.equal(stand.sockets.length, 1);
  assert.equal(stand.socket.said.length, 3);
});

it("subscribes again later past a limit, and ends with a refusal", async () => {
  const { stand, chat } = open();
  await subscribed(stand);
  await chat.until(({ status }) => status === "live");
  const error = { type: "error", ref: "subscribe 7", chat: 7, detail: "Not now." };
  stand.socket.hears({ ...error, code: "quota-exceeded", retry_after: 1 });
  await chat.until(({ status }) => status === "lost");
  await subscribed(stand, 2);
  await chat.until(({ status }) => status === "live");
  stand.socket.hears({ ...error, code: "not_found" });
  await chat.until(({ status }) => status === "gone");
  assert.equal(chat.error.code, "not_found");
});

it("asks for changes where streams have messages alone, and for streams with changes each time it connects", async () => {
  const { stand, chat } = open({ pollEvery: 5 });
  const invalid = { type: "error", ref: "subscribe 7", chat: 7, code: "invalid", detail: "After is not a cursor." };
  await waitFor("a subscription", () => stand.socket?.said.length === 1);
  stand.socket.hears(invalid);
  await waitFor("another one", () => stand.socket.said.length === 2);
  assert.deepEqual(stand.socket.said.map(({ after }) => after), ["1.0", "1"]);
  stand.socket.hears({ type: "subscribed", chat: 7, cursor: "1" });
  stand.socket.hears(message(2, "2"));
  await chat.until(({ state }) => state.head === 2);
  assert.equal(chat.state.cursor, "1.0");
  stand.socket.ends(1001);
  await waitFor("another connection", () => stand.sockets.length === 2 && stand.socket.said.length === 1);
  assert.equal(stand.socket.said[0].after, "1.0");
});
