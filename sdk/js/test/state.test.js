import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ChatState, closeCodeMeans, LuciqError, readCursor } from "../luciq-chat.js";

const row = (number, more = {}) => ({ number, body: `m${number}`, created_at: `at ${number}`, sender: null, ...more });
const created = (number, cursor, more) => ({ type: "message", chat: 1, cursor, message: row(number, more) });
const changed = (number, cursor, parts) => ({ type: "message.changed", chat: 1, cursor, change: { number, parts } });
const bodies = (state) => state.messages.map(({ body }) => body);

function loaded(rows = [row(1), row(2), row(3)], cursor = "3.5", reachesStart = true) {
  const state = new ChatState("u1");
  state.load(rows, cursor, reachesStart);
  return state;
}

describe("A cursor", () => {
  it("has an epoch, a number and a revision, or a number alone", () => {
    assert.deepEqual(readCursor("43.17"), { epoch: 0, n: 43, r: 17 });
    assert.deepEqual(readCursor("e2.43.17"), { epoch: 2, n: 43, r: 17 });
    assert.deepEqual(readCursor("43.17.11"), { epoch: 0, n: 43, r: 17 });
    assert.deepEqual(readCursor("43"), { epoch: 0, n: 43, r: null });
    for (const text of ["", "x", "4.", "e.1.2", null, undefined, "1.2.3.4"]) assert.equal(readCursor(text), null);
  });

  it("is taken over after an event, and never falls", () => {
    const state = loaded();
    state.apply(created(4, "4.5"));
    assert.equal(state.cursor, "4.5");
    state.apply(changed(2, "4.6", { content: { rev: 6, body: "new" } }));
    assert.equal(state.cursor, "4.6");
    state.apply(created(4, "4.5"));
    state.apply(changed(1, "3.9", { content: { rev: 9, body: "later" } }));
    assert.equal(state.cursor, "4.6");
    state.apply({ type: "something.new", chat: 1, cursor: "4.10" });
    assert.equal(state.cursor, "4.10");
  });

  it("of messages alone moves the head and says nothing of changes", () => {
    const state = loaded();
    state.apply(created(4, "4"));
    assert.equal(state.cursor, "3.5");
    assert.equal(state.head, 4);
    assert.deepEqual(bodies(state), ["m1", "m2", "m3", "m4"]);
  });

  it("without revisions is of a server that is too old", () => {
    assert.throws(() => loaded([], "3"), (error) => error instanceof LuciqError && error.code === "unsupported");
  });
});

describe("A change", () => {
  it("is applied part by part, by its revision", () => {
    const state = loaded();
    state.apply(changed(2, "3.8", { reactions: { rev: 8, summary: [{ name: "+1", count: 1 }] } }));
    state.apply(changed(2, "3.7", { content: { rev: 7, body: "seven" } }));
    assert.equal(state.message(2).body, "seven");
    assert.equal(state.message(2).reactions[0].name, "+1");
    state.apply(changed(2, "3.6", { content: { rev: 6, body: "six" }, reactions: { rev: 6, summary: [] } }));
    assert.equal(state.message(2).body, "seven");
    assert.equal(state.message(2).reactions.length, 1);
  });

  it("of the revision that is held is applied again", () => {
    const state = loaded();
    state.apply(changed(2, "3.7", { content: { rev: 7, body: "seven" } }));
    state.apply(changed(2, "3.7", { content: { rev: 7, metadata: { a: 1 } } }));
    assert.deepEqual([state.message(2).body, state.message(2).metadata], ["seven", { a: 1 }]);
  });

  it("leaves what it does not tell", () => {
    const state = loaded([row(1, { metadata: { a: 1 }, rev: 3, edited_at: "then" })], "1.3");
    state.apply(changed(1, "1.4", { content: { rev: 4, body: "new" } }));
    assert.deepEqual([state.message(1).metadata, state.message(1).edited_at], [{ a: 1 }, "then"]);
    state.apply(changed(1, "1.5", { content: { rev: 5, metadata: null } }));
    assert.deepEqual([state.message(1).metadata, state.message(1).body], [null, "new"]);
  });

  it("that a page has already is not undone by the page's older neighbours", () => {
    const state = loaded();
    state.apply(changed(2, "3.9", { content: { rev: 9, body: "nine" } }));
    assert.equal(state.merge([row(2, { rev: 7, body: "seven" })], "3.7"), "current");
    assert.equal(state.message(2).body, "nine");
  });

  it("of a message that is not held waits for a page that was read before it", () => {
    const state = loaded([row(3)], "3.5", false);
    state.apply(changed(1, "3.6", { content: { rev: 6, body: "six" } }));
    assert.equal(state.message(1), undefined);
    state.merge([row(1), row(2)], "3.5", { from: 1, to: 2 });
    assert.deepEqual(bodies(state), ["six", "m2", "m3"]);
  });

  it("that was put aside and dropped makes the page one from before", () => {
    const limit = ChatState.asideLimit;
    ChatState.asideLimit = 2;
    try {
      const state = loaded([row(9)], "9.5", false);
      for (const number of [1, 2, 3]) {
        state.apply(changed(number, `9.${5 + number}`, { content: { rev: 5 + number, body: "x" } }));
      }
      assert.equal(state.merge([row(1)], "9.5", { from: 1, to: 1 }), "behind");
      assert.equal(state.merge([row(1)], "9.6", { from: 1, to: 1 }), "current");
    } finally {
      ChatState.asideLimit = limit;
    }
  });

  it("makes another object, and leaves the others", () => {
    const state = loaded();
    const before = state.messages;
    state.apply(changed(2, "3.6", { content: { rev: 6, body: "six" } }));
    assert.equal(before[1].body, "m2");
    assert.equal(state.messages[0], before[0]);
    assert.notEqual(state.messages[1], before[1]);
    assert.deepEqual([...state.takeChanges().changed], [2]);
    assert.equal(state.hasChanges, false);
  });
});

describe("A deletion", () => {
  it("leaves the number, without a body, reactions and pin", () => {
    const state = loaded([row(1, { reactions: [{ name: "+1", count: 1 }], reactions_rev: 2 })], "1.3");
    state.apply({ type: "pin.changed", cursor: "1.3", change: { number: 1, rev: 3, pinned_at: "now" } });
    assert.deepEqual(state.pins, [1]);
    state.apply(changed(1, "1.4", { content: { rev: 4, body: "", deleted_at: "now", deleted_by: "u2" } }));
    const { body, reactions, deleted_by: by } = state.message(1);
    assert.deepEqual([body, reactions, by, state.pins], ["", [], "u2", []]);
    state.apply(changed(1, "1.5", { reactions: { rev: 2, summary: [{ name: "late", count: 1 }] } }));
    assert.deepEqual(state.message(1).reactions, []);
  });

  it("that comes after the message's pin takes it along", () => {
    const state = loaded();
    state.apply({ type: "pin.changed", cursor: "3.6", change: { rev: 6, number: 4, pinned: true, pinned_at: "now" } });
    assert.deepEqual(state.pins, [4]);
    state.apply(created(4, "4.7", { body: "", rev: 7, deleted_at: "now", deleted_by: null }));
    assert.deepEqual(state.pins, []);
  });
});

describe("Pages", () => {
  it("are joined where they touch, and the newest messages are those up to the head", () => {
    const state = loaded([row(9), row(10)], "10.0", false);
    assert.equal(state.hasOlder, true);
    state.merge([row(3), row(4)], "10.0", { from: 3, to: 4 });
    assert.deepEqual(state.ranges, [{ from: 3, to: 4 }, { from: 9, to: 10 }]);
    assert.deepEqual(bodies(state), ["m9", "m10"]);
    assert.deepEqual(state.window(3).map(({ number }) => number), [3, 4]);
    state.merge([row(5), row(8)], "10.0", { from: 5, to: 8 });
    assert.deepEqual(state.ranges, [{ from: 3, to: 10 }]);
    state.merge([row(1)], "10.0", { from: 1, to: 2 });
    assert.equal(state.hasOlder, false);
    assert.deepEqual(state.messages.map(({ number }) => number), [1, 3, 4, 5, 8, 9, 10]);
  });

  it("give nothing above the head: a lower number may still come", () => {
    const state = loaded([row(1), row(3)], "1.0");
    assert.deepEqual([bodies(state), state.message(3)], [["m1"], undefined]);
    state.merge([row(3)], "1.0", { from: 2, to: 3 });
    assert.deepEqual([bodies(state), state.message(3)], [["m1"], undefined]);
    state.apply(created(2, "2.0"));
    state.apply(created(3, "3.0"));
    assert.deepEqual(bodies(state), ["m1", "m2", "m3"]);
  });

  it("of another epoch are refused", () => {
    assert.equal(loaded().merge([row(1)], "e2.3.5"), "epoch");
  });

  it("of an empty chat begin with nothing", () => {
    const state = loaded([], "0.0");
    assert.deepEqual([state.messages, state.hasOlder, state.head], [[], false, 0]);
    state.apply(created(1, "1.0"));
    assert.deepEqual(bodies(state), ["m1"]);
  });

  it("that are too many are dropped from below, and can be loaded again", () => {
    const state = loaded();
    state.trim(2);
    assert.deepEqual([bodies(state), state.hasOlder], [["m2", "m3"], true]);
    state.apply(changed(1, "3.6", { content: { rev: 6, body: "six" } }));
    state.merge([row(1)], "3.5", { from: 1, to: 1 });
    assert.deepEqual([bodies(state), state.hasOlder], [["six", "m2", "m3"], false]);
    state.trim(0);
    assert.deepEqual([bodies(state), state.hasOlder], [[], true]);
    state.apply(created(4, "4.6"));
    assert.deepEqual(bodies(state), ["m4"]);
  });
});

describe("Members, pins and the chat itself", () => {
  it("that show the user another part of the chat ask for a reload", () => {
    const place = (cursor, user, role, joined_at) =>
      ({ type: "member.changed", cursor, change: { rev: Number(cursor.slice(2)), user, role, joined_at } });
    const state = loaded();
    state.apply(place("3.6", "u2", "member", "now"));
    state.apply(place("3.7", "u1", null));
    assert.equal(state.mustReload, false);
    state.apply(place("3.8", "u1", "member", "then"));
    assert.equal(state.mustReload, true);
    state.load([row(1)], "3.8", true);
    assert.equal(state.mustReload, false);
    state.apply(place("3.8", "u1", "admin", "at 0"));
    assert.equal(state.mustReload, false);
    state.mergeList("members", [{ user: "u1", role: "member", joined_at: "then" }], 8);
    state.apply(place("3.9", "u1", "admin", "then"));
    assert.equal(state.mustReload, false);
    state.mergeDetails({ name: "a", access: "members" }, 9);
    state.apply({ type: "chat.changed", cursor: "3.10", change: { rev: 10, name: "b", access: "members" } });
    assert.equal(state.mustReload, false);
    state.apply({ type: "chat.changed", cursor: "3.11", change: { rev: 11, name: "b", access: "open" } });
    assert.equal(state.mustReload, true);
  });

  it("follow their revisions, and lists do not undo them", () => {
    const state = loaded();
    state.apply({ type: "member.changed", cursor: "3.7", change: { user: "u2", role: "admin", rev: 7 } });
    state.apply({ type: "member.changed", cursor: "3.8", change: { user: "u3", role: null, rev: 8 } });
    state.mergeList(
      "members", [{ user: "u2", role: "member" }, { user: "u3", role: "member" }, { user: "u4", role: "reader" }], 6);
    state.apply({ type: "pin.changed", cursor: "3.8", change: { number: 3, pinned_by: null, pinned_at: "now" } });
    state.apply({ type: "pin.changed", cursor: "3.8", change: { number: 2, pinned_by: null, pinned_at: "now" } });
    state.apply({ type: "pin.changed", cursor: "3.9", change: { number: 2 } });
    assert.deepEqual(state.pins, [3]);
    assert.deepEqual([...state.members].map(([user, { role }]) => [user, role]), [["u2", "admin"], ["u4", "reader"]]);
    state.apply({ type: "member.changed", cursor: "3.6", change: { user: "u2", role: "banned" } });
    assert.equal(state.members.get("u2").role, "admin");
  });

  it("keep of the chat what was not told", () => {
    const state = loaded();
    state.mergeDetails({ name: "Team", access: "open" }, 5);
    state.apply({ type: "chat.changed", cursor: "3.6", change: { rev: 6, name: "Crew" } });
    state.mergeDetails({ name: "Team" }, 5);
    assert.deepEqual(state.details, { name: "Crew", access: "open" });
  });

  it("know how many replies a thread has", () => {
    const state = loaded();
    const reply = (number, count, last) => created(number, `${number}.5`, {
      thread: 1, root: { number: 1, reply_count: count, last_reply: last } });
    const known = () => [state.message(1).reply_count, state.message(1).last_reply];
    state.apply(reply(4, 1, 4));
    assert.deepEqual(known(), [1, 4]);
    // The reply with the lower number was stored later.
    state.apply(reply(5, 3, 6));
    state.apply(reply(6, 2, 6));
    state.apply(reply(4, 1, 4));
    assert.deepEqual(known(), [3, 6]);
    assert.deepEqual(state.thread(1).map(({ number }) => number), [4, 5, 6]);
    assert.equal(state.message(4).root, undefined);
    const change = { number: 4, parts: { content: { rev: 6, body: "" } }, root: { number: 1, reply_count: 4, last_reply: 9 } };
    state.apply({ type: "message.changed", chat: 1, cursor: "6.6", change });
    assert.deepEqual(known(), [4, 9]);
  });

  it("know it also when the replies come before the message that they answer", () => {
    const root = { number: 1, reply_count: 3, last_reply: 9 };
    const state = loaded([row(9, { thread: 1, root }), row(8)], "9.0", false);
    state.merge([row(1)], "9.0", { from: 1, to: 7 });
    assert.deepEqual([state.message(1).reply_count, state.message(1).last_reply], [3, 9]);
    assert.equal(state.message(9).root, undefined);
    // And still when the older ones are no longer held.
    const more = loaded([row(8, { thread: 1, root: { ...root, last_reply: 9 } }), row(9, { thread: 1, root })], "9.0", false);
    more.trim(1);
    more.merge([row(1)], "9.0", { from: 1, to: 7 });
    assert.deepEqual([more.message(1).reply_count, more.message(1).last_reply], [3, 9]);
  });

  it("take reactions from an answer that has nothing else", () => {
    const state = loaded([row(3)], "3.5", false);
    const reactions = { rev: 6, summary: [{ name: "+1", count: 1, users: ["u1"], clipped: false }] };
    state.merge([{ number: 3, message_number: 3, reactions }, { number: 1, reactions }], null);
    assert.deepEqual([state.message(3).reactions[0].name, state.message(3).body], ["+1", "m3"]);
    assert.equal(state.message(1), undefined);
  });
});

describe("A user's own reaction", () => {
  const summary = (users, clipped = false) => [{ name: "❤️", count: users.length, users, clipped }];
  const others = Array.from({ length: 10 }, (_, index) => `other${index}`);

  it("is among the first ten users, whichever way the name is written", () => {
    const state = loaded();
    state.apply(changed(2, "3.6", { reactions: { rev: 6, summary: summary(["u2", "u1"]) } }));
    assert.deepEqual([state.hasReacted(2, "❤"), state.hasReacted(2, "👍"), state.hasReacted(9, "❤")], [true, false, false]);
    state.apply(changed(2, "3.7", { reactions: { rev: 7, summary: summary(["u2"]) } }));
    assert.equal(state.hasReacted(2, "❤️"), false);
  });

  it("is not known beyond them, before an answer has said it", () => {
    const state = loaded();
    state.apply(changed(2, "3.6", { reactions: { rev: 6, summary: summary(others, true) } }));
    assert.equal(state.hasReacted(2, "❤️"), null);
    state.takeChanges();
    state.reacted(2, "❤", true);
    assert.deepEqual([state.hasReacted(2, "❤️"), [...state.takeChanges().changed]], [true, [2]]);
    state.reacted(2, "❤️", false);
    assert.equal(state.hasReacted(2, "❤"), false);
    state.load([row(2, { reactions: { rev: 6, summary: summary(others, true) } })], "3.6", false);
    assert.equal(state.hasReacted(2, "❤️"), null);
  });

  it("that was noted is forgotten when there are too many", () => {
    const limit = ChatState.asideLimit;
    ChatState.asideLimit = 2;
    try {
      const rows = [1, 2, 3].map((number) => row(number, { reactions: { rev: 1, summary: summary(others, true) } }));
      const state = loaded(rows, "3.5");
      for (const { number } of rows) state.reacted(number, "❤", true);
      assert.deepEqual(rows.map(({ number }) => state.hasReacted(number, "❤")), [null, true, true]);
    } finally {
      ChatState.asideLimit = limit;
    }
  });

  it("is nobody's for the application", () => {
    const state = new ChatState();
    state.load([row(1, { reactions: { rev: 1, summary: summary(others, true) } })], "1.1", true);
    assert.equal(state.hasReacted(1, "❤"), false);
  });
});

describe("What is unread", () => {
  it("is what the server has counted, and creates above it", () => {
    const state = loaded();
    assert.equal(state.unread, null);
    state.mergeRead({ number: 1, unread: 2, as_of: "3.5" });
    assert.deepEqual(state.unread, { count: 2, mentions: 0, more: false, read: 1 });
    state.apply(created(3, "3.5"));
    state.apply(created(4, "4.5", { sender: "u2" }));
    state.apply(created(5, "5.5", { sender: "u1" }));
    state.apply(created(6, "6.5", { sender: "u2", thread: 1 }));
    state.apply(created(4, "4.5", { sender: "u2" }));
    state.apply(created(7, "7.5", { sender: "u2", thread: 1, in_main: true }));
    assert.equal(state.unread.count, 4);
  });

  it("is less once some of it is deleted, counted by the server or here", () => {
    const state = loaded();
    state.mergeRead({ number: 1, unread: 2, as_of: "3.5" });
    state.apply(created(4, "4.5", { sender: "u2" }));
    const deletion = (number, rev) => changed(number, `4.${rev}`, { content: { rev, body: "", deleted_at: "now" } });
    state.apply(deletion(4, 6));
    assert.equal(state.unread.count, 2);
    state.apply(deletion(3, 7));
    state.apply(deletion(3, 7));
    assert.equal(state.unread.count, 1);
    state.apply(deletion(1, 8));
    assert.equal(state.unread.count, 1);
  });

  it("counts what names the user, as it is now", () => {
    const state = loaded([row(1), row(2, { mentions: ["u1"] }), row(3)]);
    state.mergeRead({ number: 1, unread: 2, mentions: 1, as_of: "3.5" });
    const said = (count, mentions) => assert.deepEqual([state.unread.count, state.unread.mentions], [count, mentions]);
    said(2, 1);
    state.apply(created(4, "4.5", { sender: "u2", mentions: ["u3", "u1"] }));
    state.apply(created(5, "5.5", { sender: "u1", mentions: ["u1"] }));
    said(3, 2);
    const edit = (number, rev, more) => changed(number, `5.${rev}`, { content: { rev, body: "x", ...more } });
    state.apply(edit(4, 6, { mentions: [] }));
    state.apply(edit(3, 7, { mentions: ["u1"] }));
    state.apply(edit(3, 7, { mentions: ["u1"] }));
    state.apply(edit(1, 8, { mentions: ["u1"] }));
    said(3, 2);
    state.apply(edit(3, 9));
    state.apply(edit(2, 10, { deleted_at: "now" }));
    said(2, 1);
    assert.deepEqual([1, 2, 3, 4].map((number) => state.message(number).mentions), [["u1"], [], ["u1"], []]);
  });

  it("falls when another device reads on", () => {
    const state = loaded();
    state.mergeRead({ number: 1, unread: 2, as_of: "3.5" });
    state.apply(created(4, "4.5", { sender: "u2" }));
    state.apply({ type: "read", chat: 1, user: "u1", number: 3 });
    assert.deepEqual(state.unread, { count: 1, mentions: 0, more: false, read: 3 });
    state.apply({ type: "read", chat: 1, user: "u1", number: 2 });
    state.apply({ type: "read", chat: 1, user: "u2", number: 2 });
    assert.deepEqual([...state.reads], [["u1", 3], ["u2", 2]]);
    assert.equal(state.unread.count, 1);
    // Who there is; the own number there is what others see, and the user may have marked messages unread since.
    state.mergeRead({ number: 1, unread: 3, as_of: "4.0" });
    const reads = [["u1", 4], ["u2", 1], ["u3", 0]].map(([user, number]) => ({ user, number }));
    state.apply({ type: "reads", chat: 1, reads });
    assert.deepEqual([...state.reads], [["u1", 4], ["u2", 2], ["u3", 0]]);
    assert.equal(state.unread.read, 1);
    state.apply({ type: "reads", chat: 1, reads: reads.slice(1) });
    assert.deepEqual([...state.reads], [["u2", 2], ["u3", 0]]);
  });
});

describe("Who is writing", () => {
  it("ends by itself, or by a message", () => {
    const state = loaded();
    state.apply({ type: "typing", chat: 1, user: "u2", expires_in: 6 }, 1000);
    state.apply({ type: "typing", chat: 1, user: "u3", expires_in: 6 }, 2000);
    assert.deepEqual([state.typing(6999), state.typingUntil(6999)], [["u2", "u3"], 7000]);
    assert.deepEqual(state.typing(7000), ["u3"]);
    state.apply(created(4, "4.5", { sender: "u3" }), 3000);
    assert.deepEqual([state.typing(3000), state.cursor], [["u2"], "4.5"]);
    assert.equal(state.typingUntil(9000), Infinity);
  });
});

describe("A close code", () => {
  it("says whether to come back", () => {
    for (const code of [1000, 1001, 1006, 1008, 4000, 4001, 4310, 4399]) assert.equal(closeCodeMeans(code), "again");
    for (const code of [1002, 1003, 1007, 1009, 4400, 4401, 4404, 4499]) assert.equal(closeCodeMeans(code), "end");
    assert.equal(closeCodeMeans(4409), "reload");
    assert.equal(closeCodeMeans(1013), "later");
  });
});
