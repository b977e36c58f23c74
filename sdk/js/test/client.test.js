import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { LuciqClient, LuciqError, memoryStorage, webStorage } from "../luciq-chat.js";
import { binary, reloaded, shown, TestServer, waitFor } from "./server.js";
import { TestWebSocket } from "./websocket.js";

const quick = { min: 20, max: 200 };

describe("A client of a real server", { skip: !binary && "LUCIQ names no executable", timeout: 300_000 }, () => {
  let server;
  let site;
  const clients = [];

  before(async () => {
    server = await TestServer.start();
    site = await server.application();
  });
  afterEach(() => { for (const client of clients.splice(0)) client.close(); });
  after(() => server?.close());

  function client(options = {}) {
    const made = new LuciqClient({
      url: server.url, application: site.id, token: async () => site.token("u1"), WebSocket: TestWebSocket,
      backoff: quick, pollEvery: 50, patience: 500, ...options });
    clients.push(made);
    return made;
  }

  const agrees = (chat) => waitFor("the state of a reload", async () =>
    JSON.stringify(shown(chat)) === JSON.stringify(await reloaded(server, site, chat.number)));

  for (const transport of ["websocket", "sse"]) {
    describe(`by ${transport}`, () => {
      it("shows what is there, what comes, and what changes", async () => {
        const number = await server.chat(site, 3);
        const chat = client({ transport }).open(number);
        await chat.ready();
        assert.deepEqual(chat.state.messages.map(({ body }) => body), ["message 1", "message 2", "message 3"]);
        await chat.until(({ status }) => status === "live");
        const messages = `${site.path}/chats/${number}/messages`;
        await server.call("POST", messages, { body: "four", sender: "u2" });
        await server.call("PATCH", `${messages}/2`, { body: "two, edited" });
        await server.call("DELETE", `${messages}/1`);
        await chat.until(({ state }) => state.messages.length === 4 && state.message(1).deleted_at !== null);
        await agrees(chat);
        assert.equal(chat.state.message(4).sender, "u2");
        assert.equal(chat.state.message(1).body, "");
      });

      it("resumes after a lost connection and a killed server, whatever has changed meanwhile", async () => {
        const number = await server.chat(site, 3);
        const one = client({ transport });
        const chat = one.open(number);
        await chat.until(({ status }) => status === "live");
        const messages = `${site.path}/chats/${number}/messages`;
        for (let round = 1; round <= 3; round += 1) {
          if (round === 1) one.drop();
          else await server.restart(round === 2 ? "SIGKILL" : "SIGTERM");
          await server.call("POST", messages, { body: `round ${round}` });
          await server.call("PATCH", `${messages}/${round}`, { body: `edited in round ${round}` });
          await server.call("POST", messages, { body: "of a moment" });
          await server.call("DELETE", `${messages}/${3 + 2 * round}`);
          await chat.until(({ status, state }) => status === "live" && state.head === 3 + 2 * round);
          await agrees(chat);
        }
      });

      it("is told how far others have read, when it asks", async () => {
        const number = await server.chat(site, 3);
        const path = `${site.path}/chats/${number}`;
        await server.call("PATCH", path, { receipts: "members" });
        for (const user of ["u1", "u2"]) await server.call("PUT", `${path}/members/${user}`, { role: "member" });
        const one = client({ transport });
        const chat = one.open(number, { reads: true });
        await chat.until(({ state }) => state.reads.size === 2);
        await server.call("PUT", `${path}/read?user=u2`, { number: 2 });
        await chat.until(({ state }) => state.reads.get("u2") === 2);
        one.drop();
        await server.call("PUT", `${path}/read?user=u2`, { number: 3 });
        await chat.until(({ state }) => state.reads.get("u2") === 3);
        assert.deepEqual([...chat.snapshot.reads], [["u1", 0], ["u2", 3]]);
      });

      it("is told who is online", async () => {
        await server.call("PATCH", site.path, { presence: "users" });
        const number = await server.chat(site, 1);
        const user = `u-${transport}`;
        const other = client({ transport, token: async () => site.token(user) });
        const one = client({ transport });
        const told = [];
        await one.open(number).until(({ status }) => status === "live");
        const end = one.watchPresence([user, "nobody"], (states) => told.push(Object.fromEntries(states)));
        await waitFor("how they are", () => told.at(-1)?.nobody === "offline" && told.at(-1)[user] === "offline");
        await other.open(number).until(({ status }) => status === "live");
        if (transport === "sse") {
          const isOnline = async () => (await server.call("GET", `${site.path}/presence?users=${user}`))[0].state === "online";
          await waitFor("it to be online", isOnline);
          one.watchPresence([user], (states) => told.push(Object.fromEntries(states)));
        }
        await waitFor("a change", () => told.at(-1)[user] === "online");
        end();
      });

      it("loads older pages when asked, and they change too", async () => {
        const number = await server.chat(site, 7);
        const chat = client({ transport }).open(number, { limit: 2 });
        await chat.ready();
        assert.deepEqual([chat.state.messages.length, chat.state.hasOlder], [2, true]);
        assert.equal(await chat.loadOlder(3), true);
        assert.equal(await chat.loadOlder(3), false);
        assert.equal(chat.state.messages.length, 7);
        await server.call("PATCH", `${site.path}/chats/${number}/messages/1`, { body: "first" });
        await agrees(chat);
      });

      it("hears of nothing while it is paused, and of everything then", async () => {
        const number = await server.chat(site, 1);
        const chat = client({ transport }).open(number);
        await chat.until(({ status }) => status === "live");
        chat.pause();
        assert.equal(chat.status, "paused");
        await chat.send("stored, and not heard of").done;
        await server.call("DELETE", `${site.path}/chats/${number}/messages/1`);
        assert.deepEqual(chat.snapshot.pending.map(({ state, number }) => [state, number]), [["sent", 2]]);
        assert.equal(chat.state.head, 1);
        chat.resume();
        await chat.until(({ status }) => status === "live");
        await chat.caughtUp();
        assert.deepEqual(chat.state.messages.map(({ body }) => body), ["", "stored, and not heard of"]);
        assert.deepEqual(chat.snapshot.pending, []);
      });

      it("gives up where there is nothing, and says why", async () => {
        const chat = client({ transport }).open(999_999);
        await assert.rejects(chat.ready(), (error) => error instanceof LuciqError && error.code === "not_found");
        assert.equal(chat.status, "gone");
      });

      it("notices that it is no member any more", async () => {
        const { chat_number: number } = await server.call("POST", `${site.path}/chats`, { access: "members" });
        await server.call("PUT", `${site.path}/chats/${number}/members/u1`, { role: "member" });
        const chat = client({ transport }).open(number);
        await chat.until(({ status }) => status === "live");
        await server.call("DELETE", `${site.path}/chats/${number}/members/u1`);
        await chat.until(({ status }) => status === "gone");
        assert.equal(chat.error.code, "not_found");
      });
    });
  }

  it("has one socket for many chats", async () => {
    const numbers = [await server.chat(site), await server.chat(site), await server.chat(site)];
    const opened = TestWebSocket.opened;
    const one = client({ transport: "websocket" });
    const chats = numbers.map((number) => one.open(number));
    await Promise.all(chats.map((chat) => chat.until(({ status }) => status === "live")));
    await Promise.all(chats.map((chat) => chat.send(`to ${chat.number}`).done));
    await Promise.all(chats.map((chat) => chat.until(({ state }) => state.messages.length === 1)));
    assert.deepEqual(chats.map((chat) => chat.state.message(1).body), numbers.map((number) => `to ${number}`));
    assert.equal(TestWebSocket.opened - opened, 1);
    chats[0].close();
    await server.call("POST", `${site.path}/chats/${numbers[0]}/messages`, { body: "unheard" });
    const again = one.open(numbers[0]);
    await again.until(({ state }) => state.messages.length === 2);
    assert.notEqual(again, chats[0]);
  });

  it("shows a newer token before the old one ends, and keeps its connection", async () => {
    const lifetimes = [600, 31];
    const one = client({ transport: "websocket", token: async () => site.token("u1", lifetimes.pop() ?? 600) });
    const chat = one.open(await server.chat(site));
    await chat.until(({ status }) => status === "live");
    const [socket] = TestWebSocket.open;
    await waitFor("the newer token", () => socket.sent.filter((text) => text.includes('"auth"')).length === 2);
    await chat.send("still here").done;
    await chat.until(({ state }) => state.messages.length === 1);
    assert.deepEqual([chat.status, [...TestWebSocket.open]], ["live", [socket]]);
  });

  it("replaces a token that is refused, once", async () => {
    const tokens = [site.token("u1").slice(0, -4) + "AAAA", site.token("u1")];
    const token = async () => tokens.length > 1 ? tokens.shift() : tokens[0];
    const chat = client({ token }).open(await server.chat(site, 1));
    await chat.ready();
    assert.equal(chat.state.messages.length, 1);
  });

  it("waits for the server that is not there yet, and for a token", async () => {
    const number = await server.chat(site, 1);
    await server.kill();
    let refusals = 2;
    const chat = client({ token: async () => {
      if (refusals-- > 0) throw new Error("The backend is away");
      return site.token("u1");
    } }).open(number);
    await waitFor("a refusal", () => chat.error !== null);
    assert.equal(chat.status, "loading");
    await server.start();
    await chat.until(({ status }) => status === "live");
    assert.equal(chat.state.messages.length, 1);
  });

  it("uses streams where WebSockets do not get through", async () => {
    class Blocked {
      constructor() { setTimeout(() => this.onclose?.({ code: 1006, reason: "" }), 1); }
      close() {}
    }
    const number = await server.chat(site, 1);
    const chat = client({ transport: "auto", WebSocket: Blocked }).open(number);
    await chat.until(({ status }) => status === "live");
    await server.call("POST", `${site.path}/chats/${number}/messages`, { body: "by a stream" });
    await chat.until(({ state }) => state.messages.length === 2);
  });

  it("asks a connection that has gone silent for a sign of life", async () => {
    const number = await server.chat(site, 1);
    const one = client({ transport: "websocket" });
    const chat = one.open(number);
    await chat.until(({ status }) => status === "live");
    const socket = [...TestWebSocket.open].at(-1);
    one.wake();
    await chat.send("and it answers").done;
    socket.isDeaf = true;
    one.wake();
    await waitFor("another connection", () => TestWebSocket.open.size > 0 && ![...TestWebSocket.open].includes(socket));
    await server.call("POST", `${site.path}/chats/${number}/messages`, { body: "over another one" });
    await chat.until(({ state }) => state.messages.length === 3);
  });

  it("loads anew where the cursor has never been", async () => {
    const number = await server.chat(site, 3);
    let isForged = true;
    // As after a restore of an older backup: the first list comes from a future that is gone.
    const chat = client({ transport: "sse", fetch: async (url, options) => {
      const answer = await fetch(url, options);
      if (!isForged || !`${url}`.includes("order=desc")) return answer;
      isForged = false;
      const headers = new Headers(answer.headers);
      headers.set("Luciq-Cursor", "9.9");
      const row = { number: 9, body: "of a future", created_at: "", sender: null };
      return new Response(JSON.stringify([row]), { status: 200, headers });
    } }).open(number);
    const seen = [];
    chat.subscribe(({ messages }, { reset }) => { if (reset) seen.push(messages.length); });
    await chat.until(({ status, state }) => status === "live" && state.messages.length === 3);
    assert.deepEqual(seen, [1, 3]);
    await agrees(chat);
  });

  it("by a key names a sender, and by the token in the path needs no other credentials", async () => {
    const number = await server.chat(site);
    const { key } = await server.call("POST", `${site.path}/keys`, { name: "sdk", scopes: ["read", "write"] });
    const chat = client({ token: undefined, key, user: "u7" }).open(number);
    await chat.until(({ status }) => status === "live");
    await chat.send("as u7").done;
    await chat.until(({ state }) => state.messages.length === 1);
    assert.equal(chat.state.message(1).sender, "u7");
    const { token } = await server.call("POST", "/applications", { name: "open" });
    await server.call("PATCH", `/applications/${token}`, { path_token: "credential" });
    const open = client({ application: token, token: undefined });
    const other = open.open(await open.createChat());
    await other.until(({ status }) => status === "live");
    await other.send("by the path").done;
    await other.until(({ state }) => state.messages.length === 1);
  });

  it("counts what is unread as the server does, and threads by their replies", async () => {
    const number = await server.chat(site);
    for (const user of ["ann", "ben"]) {
      await server.call("PUT", `${site.path}/chats/${number}/members/${user}`, { role: "member" });
    }
    const [ann, ben] = ["ann", "ben"].map((user) => client({ token: async () => site.token(user) }).open(number));
    await Promise.all([ann, ben].map((chat) => chat.until(({ status }) => status === "live")));
    await ann.send("one").done;
    await ann.send("two").done;
    await ben.until(({ state }) => state.head === 2);
    const counts = async (count, read) => {
      const { count: here } = ben.state.unread;
      const { unread: there, number: stored } = await server.call(
        "GET", `${ben.path}/read`, undefined, site.token("ben"));
      assert.deepEqual([here, there, ben.state.unread.read, stored], [count, count, read, read]);
    };
    await ben.loadUnread();
    await counts(2, 0);
    await ben.markRead(1);
    await counts(1, 1);
    await ann.send("three", { mentions: ["ben", "ann"] }).done;
    await ann.send("in a thread", { thread: 1 }).done;
    await ben.send("own").done;
    await ben.until(({ state }) => state.head === 5);
    assert.equal(ben.state.message(1).reply_count, 1);
    await counts(2, 1);
    const named = async (count) => {
      const { mentions } = await server.call("GET", `${ben.path}/read`, undefined, site.token("ben"));
      assert.deepEqual([ben.state.unread.mentions, mentions], [count, count]);
    };
    await named(1);
    await ann.edit(3, { mentions: [] }).done;
    await ben.until(({ state }) => state.message(3).mentions.length === 0);
    await named(0);
    await ann.edit(3, { mentions: ["ben"] }).done;
    await ben.until(({ state }) => state.message(3).mentions.length === 1);
    await named(1);
    await ann.delete(2).done;
    await ben.until(({ state }) => state.message(2).deleted_at !== null);
    await counts(1, 1);
    await ben.markRead();
    await counts(0, 5);
    await ben.markUnread(2);
    await counts(1, 2);
    await assert.rejects(ann.markUnread(-1), (error) => error.status === 422);
    const { chats, next } = await ben.client.inbox();
    const inbox = chats.filter((chat) => chat.number === number).map(({ unread, read }) => [unread, read]);
    assert.deepEqual([inbox, next], [[[1, 2]], null]);
    assert.deepEqual((await ben.loadThread(1)).map(({ body }) => body), ["in a thread"]);
    // After an absence, as if it had never left.
    ben.pause();
    for (const body of ["more", "gone"]) await ann.send(body, { thread: 1 }).done;
    await ann.delete(7).done;
    ben.resume();
    for (const chat of [ann, ben]) {
      await chat.until(({ state }) => state.message(7)?.deleted_at != null);
      assert.deepEqual([chat.state.message(1).reply_count, chat.state.message(1).last_reply], [3, 7]);
    }
  });

  it("does not take what was unread before a mark for what is unread after it", async () => {
    const number = await server.chat(site, 2);
    let [came, goOn] = [null, null];
    const [hasCome, mayGoOn] = [new Promise((resolve) => { came = resolve; }), new Promise((resolve) => { goOn = resolve; })];
    const fetch = async (url, options) => {
      const response = await globalThis.fetch(url, options);
      if (options.method === "GET" && url.endsWith("/read")) {
        came();
        await mayGoOn;
      }
      return response;
    };
    const chat = client({ token: async () => site.token("dan"), fetch }).open(number);
    await chat.until(({ status }) => status === "live");
    const asked = chat.loadUnread();
    await hasCome;
    await chat.markRead();
    goOn();
    await asked;
    assert.deepEqual([chat.state.unread.count, chat.state.unread.read], [0, 2]);
  });

  it("reads a thread from its end, and knows its own reaction among many", async () => {
    const number = await server.chat(site, 1);
    const [ann, ben] = ["ann", "ben"].map((user) => client({ token: async () => site.token(user) }).open(number, { limit: 1 }));
    await Promise.all([ann, ben].map((chat) => chat.until(({ status }) => status === "live")));
    for (const [body, inMain] of [["first"], ["second", true], ["third"]]) await ann.send(body, { thread: 1, inMain }).done;
    const late = client({ token: async () => site.token("cat") }).open(number, { limit: 1 });
    await late.ready();
    const replies = (rows) => rows.map(({ body, in_main: inMain = false }) => [body, inMain]);
    assert.deepEqual(replies(await late.loadThread(1, { before: 4, limit: 1 })), [["second", true], ["third", false]]);
    assert.deepEqual(
      replies(await late.loadThread(1, { before: 3, limit: 1 })), [["first", false], ["second", true], ["third", false]]);

    for (let other = 0; other < 10; other += 1) {
      const path = `${ann.path}/messages/1/reactions/${encodeURIComponent("❤️")}`;
      await server.call("PUT", path, undefined, site.token(`other${other}`));
    }
    await ann.react(1, "❤").done;
    await ben.until(({ state }) => state.message(1).reactions[0]?.count === 11);
    assert.deepEqual([ann, ben].map((chat) => chat.state.hasReacted(1, "❤️")), [true, null]);
    await ann.unreact(1, "❤️").done;
    assert.deepEqual([ann.state.message(1).reactions[0].count, ann.state.hasReacted(1, "❤")], [10, false]);
  });

  it("yields states, and the last one when it is closed", async () => {
    const chat = client().open(await server.chat(site, 1));
    await chat.ready();
    const lengths = [];
    const reading = (async () => {
      for await (const { messages, status } of chat) {
        lengths.push(messages.length);
        if (status === "closed") return status;
      }
      return "ended";
    })();
    await chat.send("two").done;
    await chat.until(({ state }) => state.messages.length === 2);
    chat.close();
    assert.equal(await reading, "closed");
    assert.equal(lengths.at(-1), 2);
  });

  describe("with an outbox", () => {
    it("sends once, in order, through a server that is killed again and again", async () => {
      const number = await server.chat(site);
      const chat = client().open(number);
      await chat.until(({ status }) => status === "live");
      const texts = Array.from({ length: 60 }, (_, index) => `text ${index}`);
      const sent = Promise.all(texts.map((text) => chat.send(text).done));
      const kills = (async () => {
        for (let round = 0; round < 3; round += 1) {
          const head = chat.state.head;
          await waitFor("some to be stored", () => chat.state.head > head || chat.state.head === 60);
          await server.restart();
        }
      })();
      const numbers = (await sent).map((answer) => answer.message_number);
      await kills;
      assert.deepEqual(numbers, texts.map((_, index) => index + 1));
      await chat.until(({ state }) => state.messages.length === 60);
      assert.deepEqual(chat.state.messages.map(({ body }) => body), texts);
      await agrees(chat);
      assert.deepEqual(chat.snapshot.pending, []);
    });

    it("sends with the same key when an answer was lost, and stores it once", async () => {
      const number = await server.chat(site);
      const keys = [];
      const chat = client({ fetch: async (url, options) => {
        const answer = await fetch(url, options);
        if (options.method !== "POST") return answer;
        keys.push(options.headers["Idempotency-Key"]);
        if (keys.length < 3) throw new TypeError("The answer was lost");
        return answer;
      } }).open(number);
      await chat.ready();
      assert.equal((await chat.send("once").done).message_number, 1);
      assert.deepEqual(keys, [keys[0], keys[0], keys[0]]);
      assert.equal((await reloaded(server, site, number)).length, 1);
    });

    it("waits as long as the server says, and goes on after 503 and 429", async () => {
      const number = await server.chat(site);
      const refusals = [[503, "1"], [429, "0"], [409, "0"]];
      const times = [];
      const chat = client({ fetch: async (url, options) => {
        if (options.method !== "POST") return fetch(url, options);
        times.push(Date.now());
        const [status, after] = refusals.shift() ?? [];
        if (!status) return fetch(url, options);
        const code = { 503: "overloaded", 429: "quota-exceeded", 409: "idempotency_key_in_flight" }[status];
        return new Response(JSON.stringify({ detail: "Later", code }), { status, headers: { "Retry-After": after } });
      } }).open(number);
      await chat.ready();
      await chat.send("patient").done;
      assert.equal(times.length, 4);
      assert.ok(times[1] - times[0] >= 1000, `${times[1] - times[0]} ms`);
    });

    it("shows what is refused and why, and the next one goes on", async () => {
      const number = await server.chat(site);
      const chat = client().open(number);
      await chat.until(({ status }) => status === "live");
      const blank = chat.send("   ");
      const good = chat.send("good");
      await assert.rejects(blank.done, (error) => error.status === 422 && error.message.includes("blank"));
      await good.done;
      const refused = chat.snapshot.pending.filter(({ state }) => state === "refused");
      assert.deepEqual(refused.map(({ id, error }) => [id, error.status]), [[blank.id, 422]]);
      chat.snapshot.pending.forEach(({ id }) => chat.client.outbox.discard(id));
      assert.deepEqual(chat.snapshot.pending, []);
    });

    it("survives a reload of the page, in the order in which it was written", async () => {
      const number = await server.chat(site);
      const kept = new Map();
      const storage = webStorage({
        get length() { return kept.size; }, key: (index) => [...kept.keys()][index],
        getItem: (name) => kept.get(name) ?? null, setItem: (name, text) => { kept.set(name, text); },
        removeItem: (name) => { kept.delete(name); } });
      const offline = client({ storage, fetch: async () => { throw new TypeError("offline"); } });
      const texts = ["one", "two", "three"];
      for (const text of texts) {
        offline.outbox.add({
          chat: number, kind: "send", method: "POST", path: `${site.path}/chats/${number}/messages`,
          json: { body: text } });
      }
      await waitFor("a try", () => offline.outbox.items(number)[0].state === "retrying");
      assert.equal(offline.outbox.isWaiting, true);
      offline.close();
      assert.equal(kept.size, 3);
      const online = client({ storage });
      await waitFor("an empty outbox", () => kept.size === 0);
      const chat = await online.open(number).ready();
      await chat.until(({ state }) => state.messages.length === 3);
      assert.deepEqual(chat.state.messages.map(({ body }) => body), texts);
    });

    it("does not send again what a server may have forgotten", async () => {
      const storage = memoryStorage();
      const number = await server.chat(site);
      storage.set(`luciq.outbox.${site.id}..x`, JSON.stringify({
        id: "x", key: "x", at: Date.now() - 7 * 86_400_000, chat: number, kind: "send", method: "POST",
        path: `${site.path}/chats/${number}/messages`, json: { body: "old" }, state: "retrying", number: null,
        error: null }));
      const one = client({ storage });
      await one.outbox.ready;
      const [item] = one.outbox.items(number);
      assert.deepEqual([item.state, item.error.code], ["refused", "too_old"]);
      one.outbox.retry("x");
      await waitFor("it to be sent", async () => (await reloaded(server, site, number)).length === 1);
    });

    it("edits and deletes, and says no to an edit of what has changed", async () => {
      const number = await server.chat(site);
      const chat = client().open(number);
      await chat.until(({ status }) => status === "live");
      await chat.send("draft").done;
      await chat.until(({ state }) => state.messages.length === 1);
      await chat.edit(1, { body: "better", metadata: { mood: "calm" } }, { ifUnchanged: true }).done;
      assert.deepEqual([chat.state.message(1).body, chat.state.message(1).metadata], ["better", { mood: "calm" }]);
      const other = client().open(number);
      await other.ready();
      other.close();  // It hears of nothing any more.
      await server.call("PATCH", `${site.path}/chats/${number}/messages/1`, { body: "by another" });
      await assert.rejects(
        other.edit(1, { body: "mine" }, { ifUnchanged: true }).done,
        (error) => error.status === 412 && error.problem.current.body === "by another");
      await assert.rejects(other.delete(1, { ifUnchanged: true }).done, (error) => error.status === 412);
      await chat.until(({ state }) => state.message(1).body === "by another");
      await chat.delete(1, { ifUnchanged: true }).done;
      assert.equal(chat.state.message(1).body, "");
      await assert.rejects(chat.edit(1, { body: "too late" }).done, (error) => error.code === "message_deleted");
      await agrees(chat);
    });

    it("is bounded", async () => {
      const one = client({ fetch: async () => { throw new TypeError("offline"); } });
      const add = () => one.outbox.add({ chat: 1, kind: "send", method: "POST", path: "/", json: {} });
      for (let count = 0; count < 200; count += 1) add();
      assert.throws(add, (error) => error.code === "outbox_full");
    });
  });
});
