// Luciq Chat for browsers and Node 18 or later, without dependencies.
//
// `ChatState` is pure: it takes what the server says, in whichever order it comes and however often, and ends in the
// state that a reload would show. A `LuciqClient` has one connection for all of its chats, which resumes by itself; an
// outbox, whose requests are carried out once however often they are sent; and a `LuciqChat` for each open chat.
//
// What the server promises and asks of clients is in docs/streams.md.

/**
 * Why a request, a subscription or a chat has failed.
 */
export class LuciqError extends Error {
  /**
   * @param {string} sentence for people
   * @param {{status?: number, code?: string, retryAfter?: number, problem?: object}} [details]
   *   `status` is 0 when no answer came; `retryAfter` is in seconds; `problem` is the server's document (RFC 9457)
   */
  constructor(sentence, details = {}) {
    super(sentence);
    Object.assign(this, { name: "LuciqError", status: 0, code: "unreachable", retryAfter: 0, problem: null }, details);
  }

  /** Whether the same request may get another answer later. */
  get isPassing() {
    if (this.code === "unsupported") return false;
    return this.status === 0 || this.status === 429 || this.status >= 500
      || (this.status === 409 && this.code === "idempotency_key_in_flight");
  }
}

// Cursors

/**
 * What a cursor stands for: every message up to `n`, and every change of those up to `r`; null for messages alone.
 *
 * Only `ChatState` reads cursors. To everything else they are opaque.
 *
 * @param {string | null | undefined} text
 * @returns {{epoch: number, n: number, r: number | null} | null}
 */
export function readCursor(text) {
  const [, epoch = 0, n, r = null] = /^(?:e(\d+)\.)?(\d+)(?:\.(\d+)(?:\.\d+)?)?$/.exec(text ?? "") ?? [];
  return n === undefined ? null : { epoch: Number(epoch), n: Number(n), r: r === null ? null : Number(r) };
}

// The state of a chat

const luciqContent = ["body", "metadata", "mentions", "edited_at", "deleted_at", "deleted_by"];

// Names of reactions are compared without U+FE0F, which only chooses between two pictures of one character.
const luciqPlain = (name) => name.replaceAll("\uFE0F", "");

// A message's parts with their revisions, as in `message.changed`. A key that is not there was not told.
function luciqPartsOf(message) {
  const content = { rev: message.rev ?? 0 };
  for (const key of luciqContent) if (key in message) content[key] = message[key];
  const { reactions } = message;
  if (reactions === undefined) return { content };
  const isBare = Array.isArray(reactions);
  const rev = message.reactions_rev ?? (isBare ? 0 : reactions.rev ?? 0);
  return { content, reactions: { rev, summary: isBare ? reactions : reactions.summary } };
}

/**
 * What is known of one chat. No network and no clock: `apply` takes an event, `load` and `merge` take pages of lists.
 *
 * - Messages are kept by number. A part of one (its content, its reactions) is taken only if its revision is not lower
 *   than the one that is held.
 * - The cursor is taken over after an event was applied, and never falls.
 * - Changes of messages that are not held are put aside: a page that was read before them may still be under way.
 */
export class ChatState {
  /** Changes of messages that are not held. */
  static asideLimit = 1000;

  #held = new Map();
  #order = [];       // the numbers that are held, rising
  #ranges = [];      // what is loaded without a gap: { from, to }, rising, disjoint, never adjacent
  #head = 0;         // the live range ends here: everything above it is still to come
  #cursor = null;
  #aside = new Map();
  #asideSince = 0;   // all changes after this revision, of messages that are not held, are in #aside
  #members = new Map();
  #pins = new Map();
  #details = { rev: -1 };
  // Another part of the chat may be there for the user than before.
  #isElsewhere = false;
  // When the newest message was made that was loaded.
  #loadedAt = "";
  #threads = new Map();   // by root, of the replies that are held: { reply_count, last_reply }
  #typing = new Map();
  #reads = new Map();
  #own = new Map();       // what answers have said of the user's own reactions
  #unread = null;
  #changes = ChatState.#noChanges();
  #list = null;

  /** @param {string | null} [me] the user's id: for what counts as unread */
  constructor(me = null) { this.me = me; }

  static #noChanges() {
    return { reset: false, added: new Set(), changed: new Set(), removed: new Set(), other: new Set() };
  }

  /** Where to resume from; null before the first page. @type {string | null} */
  get cursor() { return this.#cursor; }
  /** The number up to which everything was delivered. */
  get head() { return this.#head; }
  /** What is loaded without a gap. @type {{from: number, to: number}[]} */
  get ranges() { return this.#ranges.map((range) => ({ ...range })); }

  /** Whether a page before the newest messages would have more. */
  get hasOlder() { return (this.#live?.from ?? this.#head + 1) > 1; }

  /** The newest messages, up to the head, as far down as they are loaded without a gap. */
  get messages() {
    this.#list ??= this.window(this.#head);
    return this.#list;
  }

  /** The messages around a number that are loaded without a gap. */
  window(number) {
    const range = this.#rangeOf(number);
    return range ? this.#between(range.from, range.to) : [];
  }

  /** @param {number} number */
  message(number) { return this.#held.get(number); }

  /**
   * Whether the user has reacted so. Of a name that more than ten have used, only the first ten users are told to
   * everybody; beyond them it is known for what this client has done itself.
   *
   * @param {number} number
   * @param {string} name
   * @returns {boolean | null} null if it is not known
   */
  hasReacted(number, name) {
    const reaction = this.#held.get(number)?.reactions.find((each) => luciqPlain(each.name) === luciqPlain(name));
    if (!reaction || this.me === null) return false;
    if (reaction.users?.includes(this.me)) return true;
    return reaction.clipped ? this.#own.get(`${number} ${luciqPlain(name)}`) ?? null : false;
  }

  /** Notes what the user has done, as an answer has confirmed it. @param {boolean} isThere */
  reacted(number, name, isThere) {
    this.#own.set(`${number} ${luciqPlain(name)}`, isThere);
    if (this.#own.size > ChatState.asideLimit) this.#own.delete(this.#own.keys().next().value);
    if (this.#held.has(number)) this.#changes.changed.add(number);
  }

  /** What is known of a thread: its replies, by number. @param {number} root */
  thread(root) {
    return this.#order.map((number) => this.#held.get(number)).filter((message) => message.thread === root);
  }

  /** Members by user, as far as they are known. */
  get members() {
    return new Map([...this.#members].filter(([, member]) => member.role != null));
  }

  /** Numbers of pinned messages, rising. */
  get pins() {
    return [...this.#pins.values()].filter((pin) => pin.pinned).map((pin) => pin.number).sort((a, b) => a - b);
  }

  /** The chat's own members: name, metadata and so on, as far as they are known. */
  get details() {
    const { rev, ...rest } = this.#details;
    return rest;
  }

  /** How far the members have read, by user; numbers only rise. */
  get reads() { return new Map(this.#reads); }

  /** Who is writing at this moment. @param {number} now milliseconds, as in `Date.now()` @returns {string[]} */
  typing(now) { return [...this.#typing].filter(([, until]) => until > now).map(([user]) => user); }

  /** When the next of them ends to write; Infinity when nobody is. */
  typingUntil(now) { return Math.min(...[...this.#typing.values()].filter((until) => until > now), Infinity); }

  /**
   * What is unread, once the server has said it; null before.
   *
   * @returns {{count: number, mentions: number, more: boolean, read: number | null} | null}
   */
  get unread() {
    if (!this.#unread) return null;
    const { base, mentions, more, extra, read } = this.#unread;
    const own = [...extra].filter((number) => this.#mentionsMe(this.#held.get(number)));
    return {
      count: Math.max(0, base + extra.size), mentions: Math.max(0, mentions + own.length),
      more: more || extra.size >= 1000, read,
    };
  }

  /** What has changed since the last call. `reset` says that everything may have. */
  takeChanges() {
    const changes = this.#changes;
    this.#changes = ChatState.#noChanges();
    return changes;
  }

  get hasChanges() {
    const { reset, added, changed, removed, other } = this.#changes;
    return reset || added.size + changed.size + removed.size + other.size > 0;
  }

  // Pages

  /**
   * Begins anew, with the newest page.
   *
   * @param {object[]} rows of `GET …/messages?order=desc`, in whichever order
   * @param {string} cursor its `Luciq-Cursor`
   * @param {boolean} reachesStart whether there is nothing before it
   */
  load(rows, cursor, reachesStart) {
    const at = readCursor(cursor);
    if (at?.r == null) throw new LuciqError("The server's cursor does not tell of changes.", { code: "unsupported" });
    this.#held.clear();
    this.#order = [];
    this.#ranges = [];
    this.#aside.clear();
    this.#asideSince = at.r;
    this.#members.clear();
    this.#pins.clear();
    this.#isElsewhere = false;
    this.#loadedAt = rows.reduce((newest, row) => (row.created_at > newest ? row.created_at : newest), "");
    this.#details = { rev: -1 };
    this.#unread = null;
    this.#threads.clear();
    this.#reads.clear();
    this.#own.clear();
    this.#head = at.n;
    this.#cursor = cursor;
    const known = rows.filter((row) => row.number <= at.n);
    for (const row of known) this.#put(row);
    const lowest = known.length > 0 ? Math.min(...known.map((row) => row.number)) : at.n + 1;
    this.#ranges = [{ from: reachesStart ? 1 : lowest, to: at.n }];
    this.#changes = { ...ChatState.#noChanges(), reset: true };
    this.#list = null;
  }

  /**
   * Takes another page of messages, or single ones.
   *
   * @param {object[]} rows
   * @param {string | null} cursor its `Luciq-Cursor`; null for single messages
   * @param {{from: number, to: number} | null} [range] between which numbers there are no others
   * @returns {"current" | "behind" | "epoch"} `behind`: the page is older than what was put aside; apply what
   *   `GET …/changes` has after its cursor. `epoch`: it is of another epoch; load anew.
   */
  merge(rows, cursor, range = null) {
    const [at, held] = [readCursor(cursor), readCursor(this.#cursor)];
    if (at && held && at.epoch !== held.epoch) return "epoch";
    // Above the head a list may have 43 and not yet 42. All of them come by themselves.
    for (const row of rows) if (row.number <= this.#head) this.#put(row);
    if (range) this.#cover(range.from, Math.min(range.to, this.#head));
    this.#list = null;
    return at && at.r < this.#asideSince ? "behind" : "current";
  }

  /**
   * Takes the list of members, or of pins.
   *
   * @param {"members" | "pins"} kind
   * @param {object[]} rows
   * @param {number} rev a revision up to which the rows have all changes
   */
  mergeList(kind, rows, rev) {
    const map = kind === "members" ? this.#members : this.#pins;
    for (const row of rows) {
      const item = kind === "members" ? row : { pinned: true, ...row };
      const key = kind === "members" ? row.user : row.number;
      if ((map.get(key)?.rev ?? -1) <= rev) map.set(key, { ...item, rev });
    }
    this.#changes.other.add(kind);
  }

  /** Takes what `GET …/chats/:n` has said. @param {object} details @param {number} rev as in `mergeList` */
  mergeDetails(details, rev) {
    if (rev < this.#details.rev) return;
    this.#details = { ...this.#details, ...details, rev };
    this.#changes.other.add("details");
  }

  /**
   * Takes what the server has said about what the user has read.
   *
   * @param {{number?: number, unread: number, mentions?: number, more?: boolean, as_of: string}} answer
   */
  mergeRead(answer) {
    const at = readCursor(answer.as_of);
    if (!at) return;
    const extra = new Set();
    // Only creates above the answer's cursor are added.
    for (const number of this.#order) {
      if (number > Math.max(at.n, answer.number ?? 0) && this.#counts(this.#held.get(number))) extra.add(number);
    }
    const { unread: base, mentions = 0, more = false, number: read = null } = answer;
    this.#unread = { base, mentions, more, at, extra, read };
    this.#changes.other.add("unread");
  }

  // Events

  /** Whether the chat must be loaded anew: what is there for the user begins or ends elsewhere now. */
  get mustReload() { return this.#isElsewhere; }

  /**
   * Applies an event of a stream, a socket or `GET …/changes`, and then takes its cursor over.
   *
   * @param {{type: string, cursor?: string, message?: object, change?: object, root?: object}} event
   * @param {number} [now] milliseconds, as in `Date.now()`
   */
  apply(event, now = 0) {
    const { type, message, change } = event;
    const revision = readCursor(event.cursor)?.r ?? 0;
    if (type === "message" && message) {
      this.#receive(message);
      this.#reply(event.root ?? message.root);
    } else if (type === "message.changed" && change) {
      this.#change(change.number, change.parts ?? {});
      this.#reply(event.root ?? change.root);
    } else if (type === "member.changed" && change) {
      if (change.user === this.me && change.role != null) {
        const held = this.#members.get(change.user)?.joined_at;
        // Who joined before what was loaded then has only another role.
        this.#isElsewhere ||= held ? held !== change.joined_at : !(change.joined_at <= this.#loadedAt);
      }
      this.#replace("members", this.#members, change.user, change, revision);
    } else if (type === "pin.changed" && change) {
      this.#replace("pins", this.#pins, change.number, { pinned: change.pinned_at != null, ...change }, revision);
    } else if (type === "chat.changed" && change) {
      const { access } = this.#details;
      if (this.me !== null && access !== undefined && access !== change.access) this.#isElsewhere = true;
      this.mergeDetails(change, change.rev ?? revision);
    } else if (type === "typing") {
      this.#typing.set(event.user, now + (event.expires_in ?? 6) * 1000);
      this.#changes.other.add("typing");
    } else if (type === "reads") {
      // Who there is; numbers that are held may be newer.
      const held = this.#reads;
      this.#reads = new Map(event.reads.map(({ user, number }) => [user, Math.max(number, held.get(user) ?? 0)]));
      this.#changes.other.add("reads");
    } else if (type === "read") {
      if (event.number > (this.#reads.get(event.user) ?? 0)) {
        this.#reads.set(event.user, event.number);
        this.#changes.other.add("reads");
      }
      if (event.user === this.me) this.#readElsewhere(event.number);
    }
    if (event.cursor) this.advance(event.cursor);
  }

  /**
   * Takes a cursor over: of an event, or of the end of a page of changes. Neither part of it ever falls.
   *
   * @param {string} text
   */
  advance(text) {
    const next = readCursor(text);
    if (!next) return;
    if (next.n > this.#head) {
      this.#cover(this.#head + 1, next.n);
      this.#head = next.n;
      this.#list = null;
    }
    const held = readCursor(this.#cursor);
    // One of messages alone says nothing about changes.
    if (next.r === null) return;
    if (!held || (next.epoch === held.epoch && next.n >= held.n && next.r >= held.r)) this.#cursor = text;
  }

  /** Drops the oldest messages beyond a number of them. They can be loaded again. @param {number} most */
  trim(most) {
    const surplus = this.#order.length - most;
    if (surplus <= 0) return;
    const dropped = this.#order.splice(0, surplus);
    for (const number of dropped) {
      const message = this.#held.get(number);
      this.#held.delete(number);
      // What is left of a thread has its root; what is not is loaded again with it.
      if (this.#threads.get(message.thread)?.last_reply <= number) this.#threads.delete(message.thread);
      // A page that was read before its last change may still be under way.
      if (Math.max(message.rev, message.reactions_rev) > this.#asideSince) {
        this.#putAside(number, luciqPartsOf(message));
      }
      this.#changes.removed.add(number);
    }
    const last = dropped.at(-1);
    this.#ranges = this.#ranges.filter((range) => range.to > last || range.to === this.#head)
      .map((range) => ({ from: Math.max(range.from, last + 1), to: range.to }));
    this.#list = null;
  }

  // Inside

  get #live() {
    const last = this.#ranges.at(-1);
    return last?.to === this.#head ? last : undefined;
  }

  #rangeOf(number) {
    return this.#ranges.find((range) => range.from <= number && number <= range.to)
      ?? (number === this.#head ? this.#live : undefined);
  }

  // Where a number is in the order, or would be.
  #place(number) {
    let [low, high] = [0, this.#order.length];
    if (high === 0 || this.#order[high - 1] < number) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#order[middle] < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #between(from, to) {
    return this.#order.slice(this.#place(from), this.#place(to + 1)).map((number) => this.#held.get(number));
  }

  #cover(from, to) {
    if (to < from) return;
    const [apart, joined] = [[], { from, to }];
    for (const range of this.#ranges) {
      if (range.to < from - 1 || range.from > to + 1) {
        apart.push(range);
      } else {
        joined.from = Math.min(joined.from, range.from);
        joined.to = Math.max(joined.to, range.to);
      }
    }
    this.#ranges = [...apart, joined].sort((a, b) => a.from - b.from);
  }

  // One that has come by itself.
  #receive(message) {
    const { number } = message;
    const isNew = number > this.#head;
    if (isNew) this.#cover(this.#head + 1, number);
    if (!isNew && !this.#held.has(number) && !this.#rangeOf(number)) {
      this.#putAside(number, luciqPartsOf(message));
      return;
    }
    if (isNew) this.#head = number;
    const isAdded = !this.#held.has(number);
    this.#put(message);
    if (!isAdded) return;
    if (message.sender != null && this.#typing.delete(message.sender)) this.#changes.other.add("typing");
    const unread = this.#unread;
    const isNewer = unread !== null && number > Math.max(unread.at.n, unread.read ?? 0);
    if (isNewer && this.#counts(message) && unread.extra.size < 1000) {
      unread.extra.add(number);
      this.#changes.other.add("unread");
    }
  }

  #counts({ sender, thread, in_main: inMain, deleted_at: deletedAt }) {
    return !(sender != null && sender === this.me) && (thread == null || inMain === true) && deletedAt == null;
  }

  // Holds a message, with what was put aside for it.
  #put({ root, message_number: answered, ...row }) {
    const number = row.number ?? answered;
    this.#reply(root);
    if (this.#held.has(number)) {
      this.#change(number, luciqPartsOf(row));
      return;
    }
    // An answer with reactions alone.
    if (row.body === undefined) return;
    const { content, reactions } = luciqPartsOf(row);
    const message = {
      ...row, number, metadata: row.metadata ?? null, mentions: row.mentions ?? [], rev: content.rev, edited_at: row.edited_at ?? null,
      deleted_at: row.deleted_at ?? null, deleted_by: row.deleted_by ?? null,
      reactions: reactions?.summary ?? [], reactions_rev: reactions?.rev ?? 0,
    };
    if (message.deleted_at !== null) {
      Object.assign(message, { reactions: [], reactions_rev: 0 });
      this.#dropPin(number, message.rev);
    }
    Object.assign(message, this.#threads.get(number));
    this.#held.set(number, message);
    this.#order.splice(this.#place(number), 0, number);
    this.#changes.added.add(number);
    this.#list = null;
    const aside = this.#aside.get(number);
    if (!aside) return;
    this.#aside.delete(number);
    this.#change(number, aside);
  }

  // The rule: a part only if its revision is not lower than the one held.
  #change(number, parts) {
    const held = this.#held.get(number);
    if (!held) {
      if (number <= this.#head) this.#putAside(number, parts);
      return;
    }
    const next = { ...held };
    const { content, reactions } = parts;
    if (content && content.rev >= held.rev) {
      for (const key of luciqContent) if (key in content) next[key] = content[key];
      next.rev = content.rev;
    }
    if (reactions && reactions.rev >= held.reactions_rev) {
      next.reactions = reactions.summary ?? next.reactions;
      next.reactions_rev = reactions.rev;
    }
    // A deletion takes the reactions and the pin along.
    if (next.deleted_at !== null) {
      Object.assign(next, { reactions: [], reactions_rev: 0 });
      this.#dropPin(number, next.rev);
    }
    this.#held.set(number, next);
    this.#changes.changed.add(number);
    this.#list = null;
    if (next.deleted_at !== null) next.mentions = [];
    if (held.deleted_at === null && next.deleted_at !== null) this.#forgetUnread(held, next.rev);
    else this.#mentionUnread(held, next);
  }

  // Another device of the user has read on: what is above is counted here, if all of it is.
  #readElsewhere(number) {
    const isHere = (this.#live?.from ?? Infinity) <= number + 1;
    if (!this.#unread || number <= (this.#unread.read ?? 0) || !isHere) return;
    this.mergeRead({ number, unread: 0, as_of: `${number}` });
  }

  #mentionsMe(message) { return this.me !== null && message?.mentions?.includes(this.me) === true; }

  // Whether the server has counted a message that has changed since.
  #isCounted(message, revision) {
    const { at, read, more } = this.#unread;
    return message.number <= at.n && read !== null && message.number > read && revision > (at.r ?? Infinity)
      && this.#counts(message) && !more;
  }

  // A deleted message is not unread.
  #forgetUnread(message, revision) {
    const unread = this.#unread;
    if (!unread) return;
    if (this.#isCounted(message, revision)) {
      unread.base -= 1;
      if (this.#mentionsMe(message)) unread.mentions -= 1;
    } else if (!unread.extra.delete(message.number)) {
      return;
    }
    this.#changes.other.add("unread");
  }

  // An edit may mention the user, or no longer.
  #mentionUnread(held, next) {
    const [was, is] = [held, next].map((message) => this.#mentionsMe(message));
    if (!this.#unread || was === is) return;
    if (this.#isCounted(next, next.rev)) this.#unread.mentions += is ? 1 : -1;
    this.#changes.other.add("unread");
  }

  // Nobody tells of the pin of a message that was deleted. It may have come before the message.
  #dropPin(number, rev) {
    if (!this.#pins.get(number)?.pinned) return;
    this.#pins.set(number, { number, pinned: false, rev });
    this.#changes.other.add("pins");
  }

  #putAside(number, parts) {
    const held = this.#aside.get(number) ?? {};
    const next = { ...held };
    for (const [name, part] of Object.entries(parts)) {
      if (part && part.rev >= (held[name]?.rev ?? 0)) next[name] = { ...held[name], ...part };
    }
    this.#aside.delete(number);
    this.#aside.set(number, next);
    if (this.#aside.size <= ChatState.asideLimit) return;
    const [oldest, dropped] = this.#aside.entries().next().value;
    this.#aside.delete(oldest);
    this.#asideSince = Math.max(this.#asideSince, dropped.content?.rev ?? 0, dropped.reactions?.rev ?? 0);
  }

  #replace(kind, map, key, change, revision) {
    const rev = change.rev ?? revision;
    if ((map.get(key)?.rev ?? -1) > rev) return;
    map.set(key, { ...map.get(key), ...change, rev });
    this.#changes.other.add(kind);
  }

  // What a reply says about the message that began its thread, which takes no revision for it.
  //
  // Its numbers only rise, and replies may tell them in another order than that of their own numbers.
  #reply(root) {
    if (!root) return;
    const { number } = root;
    const known = this.#threads.get(number);
    const reply_count = Math.max(known?.reply_count ?? 0, root.reply_count);
    const last_reply = Math.max(known?.last_reply ?? 0, root.last_reply);
    this.#threads.set(number, { reply_count, last_reply });
    const held = this.#held.get(number);
    if (!held || (held.reply_count === reply_count && held.last_reply === last_reply)) return;
    this.#held.set(number, { ...held, reply_count, last_reply });
    this.#changes.changed.add(number);
    this.#list = null;
  }
}

// Requests

// Pauses between attempts: they double up to a bound, and are spread so that clients do not come back together.
class LuciqBackoff {
  #failures = 0;

  constructor({ min = 500, max = 30_000 } = {}, random = Math.random) { Object.assign(this, { min, max, random }); }

  // In milliseconds, and never before the server said, in seconds.
  next(retryAfter = 0) {
    const pause = Math.min(this.max, this.min * 2 ** Math.min(this.#failures, 30)) * (0.5 + this.random() / 2);
    this.#failures += 1;
    return Math.max(pause, retryAfter * 1000 * (1 + this.random() / 5));
  }

  reset() { this.#failures = 0; }
}

// A pause that can be cut short.
class LuciqPause {
  #end = () => {};

  wait(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#end = () => { clearTimeout(timer); resolve(); };
    });
  }

  end() { this.#end(); }
}

// The claims of a user token, for its `sub` and `exp` alone: the server is who verifies it.
function luciqClaims(token) {
  try {
    const text = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
  } catch {
    return {};  // Not a token that we can read; the server will say.
  }
}

const luciqRandomKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

async function luciqProblem(response) {
  let problem = {};
  // What stands between us and the server may answer in a language of its own.
  try { problem = await response.json(); } catch { /* The status says enough. */ }
  return new LuciqError(problem.detail ?? `The server answered ${response.status}.`, {
    status: response.status, code: problem.code ?? "", problem,
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
  });
}

class LuciqRequests {
  #options;
  #token = null;   // { text, ends }, or a promise of that

  constructor(options) { this.#options = options; }

  get path() { return `/applications/${encodeURIComponent(this.#options.application)}`; }
  get hasToken() { return Boolean(this.#options.token); }

  // The user token. The application's callback is asked for one at most once at a time.
  //
  // @param isFresh whether the one that is held will not do
  async token(isFresh = false) {
    const current = this.#token;
    const held = await current;
    if (held && !isFresh && held.ends > Date.now() + 30_000) return held.text;
    if (this.#token === current) this.#token = this.#askForToken();
    return (await this.#token).text;
  }

  // The one that is held will not do any more.
  expireToken() { this.#token = null; }

  #askForToken() {
    const asked = (async () => {
      let [text, timer] = [null, null];
      try {
        text = await Promise.race([this.#options.token(), new Promise((_, reject) => {
          timer = setTimeout(() => reject(new Error("it took too long.")), this.#options.timeout);
        })]);
      } catch (error) {
        this.#token = null;
        throw error instanceof LuciqError ? error : new LuciqError(`No token: ${error.message}`, { code: "no_token" });
      } finally {
        clearTimeout(timer);
      }
      const { exp, sub } = luciqClaims(text);
      this.user = sub ?? null;
      return { text, ends: exp ? exp * 1000 : Infinity };
    })();
    asked.catch(() => {});
    return asked;
  }

  async authorization(isFresh) {
    if (this.#options.key) return `Bearer ${this.#options.key}`;
    return this.hasToken ? `Bearer ${await this.token(isFresh)}` : null;
  }

  // A request, and its answer as a Response. A token that is refused is replaced once.
  async open(method, path, { json, key, ifMatch, accept, signal, shown = {} } = {}) {
    const { fetch, url, headers: more } = this.#options;
    for (let isFresh = false; ; isFresh = true) {
      const headers = { ...more };
      const authorization = await this.authorization(isFresh);
      if (authorization) headers.Authorization = shown.authorization = authorization;
      if (accept) headers.Accept = accept;
      if (json !== undefined) headers["Content-Type"] = "application/json";
      if (key) headers["Idempotency-Key"] = key;
      if (ifMatch) headers["If-Match"] = ifMatch;
      let response;
      try {
        response = await fetch(url + path, {
          method, headers, body: json === undefined ? undefined : JSON.stringify(json), signal,
          cache: "no-store", credentials: "omit",
        });
      } catch {
        throw new LuciqError(signal?.aborted ? "The server took too long to answer." : "The server cannot be reached.");
      }
      if (response.ok) return response;
      const problem = await luciqProblem(response);
      if (response.status !== 401 || !this.hasToken || isFresh) throw problem;
    }
  }

  // The same, with a deadline, and the answer read.
  async call(method, path, options = {}) {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), this.#options.timeout);
    const began = Date.now();
    const shown = {};
    const note = (outcome) => this.#options.onRequest?.({
      ...options, method, path, ...shown, milliseconds: Date.now() - began, ...outcome });
    try {
      const response = await this.open(method, path, { ...options, signal: deadline.signal, shown });
      let value = null;
      try {
        const text = await response.text();
        if (text !== "") value = JSON.parse(text);
      } catch {
        throw new LuciqError("The answer was cut short.");
      }
      note({ status: response.status });
      const links = (response.headers.get("Link") ?? "").matchAll(/<([^>]*)>; rel="(\w+)"/g);
      return {
        value, status: response.status, cursor: response.headers.get("Luciq-Cursor"),
        links: Object.fromEntries(Array.from(links, ([, target, rel]) => [rel, target])),
        isReplay: response.headers.get("Idempotent-Replayed") === "true",
      };
    } catch (problem) {
      note({ status: problem.status, problem });
      throw problem;
    } finally {
      clearTimeout(timer);
    }
  }
}

// Connections

// Problems of a subscription that pass. All others end it.
const luciqPassingCodes = new Set(["quota-exceeded", "overloaded", "timed_out", "unavailable", "internal_error",
  "database_unavailable", "outcome_unknown"]);

/** What a WebSocket's close code asks for. @param {number} code @returns {"again" | "later" | "reload" | "end"} */
export function closeCodeMeans(code) {
  if (code === 4409) return "reload";
  if (code === 1013) return "later";
  const isFinal = [1002, 1003, 1007, 1009].includes(code) || (code >= 4400 && code <= 4499);
  return isFinal ? "end" : "again";
}

// One WebSocket for all chats of a client.
class LuciqSocketLink {
  static #silence = 40_000;  // After this a sign of life is asked for.
  #client; #backoff;
  #pause = new LuciqPause();
  #chats = new Map();        // whether each is subscribed: before, what comes is of an earlier subscription
  #socket = null;
  #isReady = false;
  #isRunning = false;
  #failures = 0;             // connections before the first one that has opened
  #refusals = 0;             // tokens in a row
  #finish = () => {};
  #probe = null;

  constructor(client) {
    this.#client = client;
    this.#backoff = client._backoff();
  }

  add(chat) {
    this.#chats.set(chat, false);
    if (this.#isReady) this.#subscribe(chat);
    else if (!this.#isRunning) this.#run();
  }

  remove(chat) {
    if (!this.#chats.delete(chat)) return;
    if (this.#isReady) this.#say({ type: "unsubscribe", chat: chat.number });
    if (this.#chats.size === 0) this.#finish({ isOurs: true });
  }

  // Whom the client watches has changed.
  watch() { if (this.#isReady) this.#say({ type: "presence", users: this.#client._watched }); }

  // The network is back, or somebody looks.
  wake() {
    this.#pause.end();
    if (this.#isReady) this.#askForLife();
  }

  drop() { this.#finish({ code: 1006 }); }

  close() {
    this.#chats.clear();
    this.#pause.end();
    this.#finish({ isOurs: true });
  }

  get #isOver() { return this.#chats.size === 0; }

  async #run() {
    this.#isRunning = true;
    while (!this.#isOver) {
      const began = Date.now();
      let ending;
      try {
        ending = await this.#connect(this.#client._requests.hasToken ? await this.#client._requests.token() : null);
      } catch (error) {
        ending = { code: 1006, error };
      }
      this.#isReady = false;
      if (this.#isOver) break;
      if (ending.isOurs) continue;
      if (ending.hasOpened) this.#failures = -Infinity;
      else if (!ending.error) this.#failures += 1;
      if (ending.hasOpened && Date.now() - began > 5000) this.#backoff.reset();
      const error = ending.error
        ?? new LuciqError(ending.reason || "The connection was lost.", { code: `${ending.code}` });
      const meaning = this.#meaning(ending);
      for (const chat of [...this.#chats.keys()]) {
        if (meaning === "end") chat._gone(error);
        else if (meaning === "reload") chat._reload();
        else chat._lost(error);
      }
      if (meaning === "end") this.#chats.clear();
      if (this.#isOver) break;
      // A page does not see why a handshake was refused; a stream would say it.
      if (this.#failures >= 3 && await this.#isBlocked()) {
        this.#client._fallBack([...this.#chats.keys()]);
        this.#chats.clear();
        break;
      }
      await this.#pause.wait(this.#backoff.next(ending.error?.retryAfter ?? (meaning === "later" ? 10 : 0)));
    }
    this.#isRunning = false;
  }

  // A token that is refused is replaced once.
  #meaning({ code, hasOpened }) {
    if (hasOpened) this.#refusals = 0;
    const isToken = this.#client._requests.hasToken && (code === 4310 || code === 4401);
    if (!isToken) return closeCodeMeans(code);
    this.#client._requests.expireToken();
    this.#refusals += 1;
    return code === 4401 && this.#refusals > 1 ? "end" : "again";
  }

  // Whether requests get through where WebSockets do not.
  async #isBlocked() {
    if (this.#client._options.transport !== "auto") return false;
    const [chat] = this.#chats.keys();
    try {
      await this.#client.request("GET", `${chat.path}/messages?limit=1`);
      return true;
    } catch (error) {
      return error.status > 0 && !error.isPassing;
    }
  }

  #connect(token) {
    const { WebSocket: Socket, url } = this.#client._options;
    const address = `${url.replace(/^http/, "ws")}${this.#client._requests.path}/socket`;
    return new Promise((resolve) => {
      const socket = new Socket(address, ["luciq.v1"]);
      this.#socket = socket;
      let hasOpened = false;
      let heard = Date.now();
      const hurry = setTimeout(() => this.#finish({ code: 1006 }), this.#client._options.timeout);
      const watch = setInterval(() => {
        if (this.#isReady && Date.now() - heard > LuciqSocketLink.#silence) this.#askForLife();
      }, 5000);
      this.#finish = (ending) => {
        this.#finish = () => {};
        this.#isReady = false;
        clearTimeout(hurry);
        clearInterval(watch);
        clearTimeout(this.#probe);
        this.#probe = null;
        socket.onopen = socket.onmessage = socket.onclose = null;
        // One that is still being opened may throw.
        try { socket.close(); } catch { /* It is closed. */ }
        resolve({ hasOpened, ...ending });
      };
      const begin = () => {
        clearTimeout(hurry);
        hasOpened = this.#isReady = true;
        for (const chat of this.#chats.keys()) this.#subscribe(chat);
        if (this.#client._watched.length > 0) this.watch();
      };
      socket.onerror = () => {};
      socket.onclose = ({ code, reason }) => this.#finish({ code, reason });
      socket.onopen = () => {
        if (token) this.#say({ type: "auth", token });
        else begin();
      };
      socket.onmessage = ({ data }) => {
        heard = Date.now();
        clearTimeout(this.#probe);
        this.#probe = null;
        const frame = JSON.parse(data);
        if (frame.type === "authenticated") {
          this.#client._is(frame.user);
          if (!this.#isReady) begin();
        } else if (frame.type === "token_expiring") {
          this.#renew();
        } else {
          this.#receive(frame);
        }
      };
    });
  }

  #say(frame) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  #subscribe(chat) {
    this.#chats.set(chat, false);
    const wishes = chat._hasReads ? { reads: true } : {};
    this.#say({ type: "subscribe", chat: chat.number, after: chat._after, ...wishes, ref: `subscribe ${chat.number}` });
  }

  async #renew() {
    const socket = this.#socket;
    // Without a newer one the connection ends with the old one, and the next one asks again.
    try {
      const token = await this.#client._requests.token(true);
      if (socket === this.#socket) this.#say({ type: "auth", token });
    } catch { /* As said. */ }
  }

  // A page sees no pings. Any answer is a sign of life, and this has one: that there is no such type.
  #askForLife() {
    if (this.#probe) return;
    this.#say({ type: "ping" });
    this.#probe = setTimeout(() => this.#finish({ code: 1006 }), this.#client._options.patience);
  }

  #receive(frame) {
    if (frame.type === "presence") this.#client._present([frame]);
    const chat = [...this.#chats.keys()].find((chat) => chat.number === frame.chat);
    if (!chat) return;
    if (frame.type === "subscribed") {
      this.#chats.set(chat, true);
      chat._live();
    } else if (frame.type === "error") {
      this.#refused(chat, frame);
    } else if (frame.type !== "unsubscribed" && this.#chats.get(chat)) {
      chat._event(frame);
    }
  }

  async #refused(chat, { code, detail, ref, retry_after: retryAfter = 0 }) {
    if (code === "not_subscribed" || code === "already_subscribed" || code === "unknown_type") return;
    const error = new LuciqError(detail, { code, retryAfter });
    if (code === "invalid" && ref?.startsWith("subscribe") && chat._becomeBare()) {
      this.#subscribe(chat);
    } else if (code === "cursor_epoch") {
      chat._reload();
    } else if (luciqPassingCodes.has(code)) {
      const socket = this.#socket;
      chat._lost(error);
      await new Promise((resolve) => setTimeout(resolve, this.#client._backoff().next(Math.max(1, retryAfter))));
      if (socket === this.#socket && this.#isReady && this.#chats.has(chat)) this.#subscribe(chat);
    } else {
      this.#chats.delete(chat);
      chat._gone(error);
    }
  }
}

// Server-sent events, a stream for each chat. They are read by `fetch`, not by `EventSource`: that shows no
// credentials, does not tell what a refusal was, and gives up for good on any answer but 200.
class LuciqStreamLink {
  static #silence = 40_000;  // The server writes every 15 seconds, if only a comment.
  #client;
  static #askEvery = 30_000;
  #streams = new Map();      // by chat: { connection, pause }
  #asking = null;

  constructor(client) { this.#client = client; }

  add(chat) {
    const stream = { connection: null, pause: new LuciqPause() };
    this.#streams.set(chat, stream);
    this.#run(chat, stream);
  }

  remove(chat) {
    const stream = this.#streams.get(chat);
    this.#streams.delete(chat);
    stream?.connection?.abort();
    stream?.pause.end();
  }

  // Whom the client watches has changed. A stream is a chat's, and presence is not: it is asked for.
  async watch() {
    clearTimeout(this.#asking);
    const users = this.#client._watched;
    if (users.length === 0) return;
    try {
      const names = users.map(encodeURIComponent).join(",");
      const { value } = await this.#client.request("GET", `${this.#client.path}/presence?users=${names}`);
      if (users === this.#client._watched) this.#client._present(value);
    } catch { /* The next time may do. */ }
    clearTimeout(this.#asking);
    if (users === this.#client._watched) this.#asking = setTimeout(() => this.watch(), LuciqStreamLink.#askEvery);
  }

  wake() { for (const stream of this.#streams.values()) stream.pause.end(); }

  drop() { for (const stream of this.#streams.values()) stream.connection?.abort(); }

  close() { for (const chat of [...this.#streams.keys()]) this.remove(chat); }

  async #run(chat, stream) {
    const backoff = this.#client._backoff();
    const isOver = () => this.#streams.get(chat) !== stream;
    while (!isOver()) {
      const began = Date.now();
      let error;
      try {
        error = await this.#read(chat, stream, isOver);
      } catch (thrown) {
        error = thrown instanceof LuciqError ? thrown : new LuciqError("The connection was lost.");
      }
      if (isOver()) return;
      if (Date.now() - began > 5000) backoff.reset();
      const { status, code } = error;
      if (status === 422 && chat._becomeBare()) continue;
      if (code === "cursor_epoch") {
        chat._reload();
        return;
      }
      const isUsersToken = status === 401 && this.#client._requests.hasToken;
      if (!error.isPassing && !isUsersToken) {
        this.#streams.delete(chat);
        chat._gone(error);
        return;
      }
      chat._lost(error);
      await stream.pause.wait(backoff.next(error.retryAfter));
    }
  }

  // Until the stream has ended. @returns why
  async #read(chat, stream, isOver) {
    const connection = stream.connection = new AbortController();
    let timer;
    const waitAtMost = (time) => {
      clearTimeout(timer);
      timer = setTimeout(() => connection.abort(), time);
    };
    waitAtMost(10_000);
    try {
      const reads = chat._hasReads ? "&reads=1" : "";
      const path = `${chat.path}/stream?after=${encodeURIComponent(chat._after)}${reads}`;
      const shown = {};
      const response = await this.#client._requests.open(
        "GET", path, { accept: "text/event-stream", signal: connection.signal, shown });
      this.#client._options.onRequest?.({ method: "GET", path, status: 200, isStream: true, ...shown });
      chat._live();
      const [reader, decoder] = [response.body.getReader(), new TextDecoder()];
      let text = "";
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        waitAtMost(LuciqStreamLink.#silence);
        const blocks = (text + decoder.decode(part.value, { stream: true })).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          if (isOver()) return null;
          const ending = this.#receive(chat, block);
          if (ending) return ending;
        }
      }
      return new LuciqError("The connection was lost.");
    } finally {
      clearTimeout(timer);
      connection.abort();
    }
  }

  #receive(chat, block) {
    const lines = block.split("\n").filter((line) => !line.startsWith(":"));
    const { id, event, data } = Object.fromEntries(lines.map((line) => {
      const name = line.split(":", 1)[0];
      return [name, line.slice(name.length + 1).replace(/^ /, "")];
    }));
    if (!event || data === undefined) return null;
    const value = JSON.parse(data);
    if (event === "close") {
      if (value.code === "token_expired") this.#client._requests.expireToken();
      const isPassing = value.reconnect !== false || value.code.startsWith("token_");
      const status = isPassing ? (value.code.startsWith("token_") ? 401 : 0) : 403;
      return new LuciqError("The server has ended the stream.", { code: value.code, status });
    }
    // Durable events have an id, and one without is half of one; ephemeral ones never have any.
    if (event === "cursor") chat._event({ type: "cursor", cursor: id });
    else if (event === "message" && id) chat._event({ type: "message", cursor: id, message: value });
    else if (event.endsWith(".changed") && id) chat._event({ type: event, cursor: id, change: value });
    else if (["typing", "read", "reads", "presence"].includes(event)) chat._event({ ...value, type: event });
    else if (id) chat._event({ type: event, cursor: id });
    return null;
  }
}

// The outbox

/** Keeps an outbox as long as the page. @returns {LuciqStorage} */
export function memoryStorage() {
  const items = new Map();
  return {
    keys: () => [...items.keys()], get: (name) => items.get(name) ?? null,
    set: (name, text) => { items.set(name, text); }, remove: (name) => { items.delete(name); },
  };
}

/** Keeps an outbox in a browser's `localStorage`, or what works like it. @returns {LuciqStorage} */
export function webStorage(storage = globalThis.localStorage) {
  return {
    keys: () => Array.from({ length: storage.length }, (_, index) => storage.key(index)),
    get: (name) => storage.getItem(name), set: (name, text) => storage.setItem(name, text),
    remove: (name) => storage.removeItem(name),
  };
}

/**
 * Requests on their way, in order for each chat. Each has an `Idempotency-Key` for its whole life, so it is carried out
 * once however often it is sent. What cannot be sent now is sent later; what is refused stays, and says why.
 */
export class LuciqOutbox {
  /** Requests that wait, in all chats together. */
  static limit = 200;
  /** For how long the server knows a key, with a day to spare, in milliseconds. */
  static keyLife = 6 * 86_400_000;
  #client; #prefix;
  #items = [];
  #running = new Set();
  #pauses = new Map();
  #fates = new Map();     // by id: what settles the promise of whoever has asked
  #isClosed = false;
  /** Settled once what was stored earlier is here. @type {Promise<void>} */
  ready;

  constructor(client, scope) {
    this.#client = client;
    this.#prefix = `luciq.outbox.${scope}.`;
    this.ready = this.#restore();
  }

  /** Those of a chat, in order. @param {number} [chat] @returns {LuciqOutboxItem[]} */
  items(chat) {
    return this.#items.filter((item) => chat === undefined || item.chat === chat).map((item) => ({ ...item }));
  }

  /**
   * @param {{chat: number, kind: string, method: string, path: string, json?: object, ifMatch?: string}} request
   * @returns {{id: string, done: Promise<object>}} `done` has the server's answer; its failure is a refusal
   */
  add(request) {
    if (this.#items.filter((item) => item.state !== "sent").length >= LuciqOutbox.limit) {
      throw new LuciqError(`${LuciqOutbox.limit} requests wait to be sent.`, { code: "outbox_full" });
    }
    const [id, at] = [luciqRandomKey(), Math.max(Date.now(), (this.#items.at(-1)?.at ?? 0) + 1)];
    const item = { ...request, id, key: id, at, state: "waiting", number: null, error: null };
    this.#items.push(item);
    const done = new Promise((resolve, reject) => this.#fates.set(item.id, { resolve, reject }));
    done.catch(() => {});  // Nobody has to wait for it.
    this.#keep(item);
    this.#changed(item);
    this.#run(item.chat);
    return { id: item.id, done };
  }

  /** Sends one that was refused again, as a new request. */
  retry(id) {
    const item = this.#items.find((item) => item.id === id && item.state === "refused");
    if (!item) return;
    Object.assign(item, { key: luciqRandomKey(), at: Date.now(), state: "waiting", error: null });
    this.#keep(item);
    this.#changed(item);
    this.#run(item.chat);
  }

  /** Takes one out. If it is being sent at this moment it may be carried out nevertheless. */
  discard(id) {
    const item = this.#items.find((item) => item.id === id);
    if (!item) return;
    this.#remove(item);
    this.#settle(item, "reject", new LuciqError("It was discarded.", { code: "discarded" }));
    this.#pauses.get(item.chat)?.end();
  }

  /** No more waiting: the network is back. */
  wake() { for (const pause of this.#pauses.values()) pause.end(); }

  /** Whether a reload would lose something, if the storage keeps nothing. */
  get isWaiting() { return this.#items.some((item) => item.state !== "sent"); }

  _close() {
    this.#isClosed = true;
    this.wake();
  }

  // Everything up to a number has come by itself. A chat that is not open waits for nothing.
  _delivered(chat, number) {
    for (const item of this.#items.filter((item) => item.chat === chat && item.state === "sent")) {
      if (item.number <= number) this.#remove(item);
    }
  }

  async #restore() {
    const { storage } = this.#client._options;
    const found = [];
    // A storage that refuses keeps nothing.
    const names = await Promise.resolve().then(() => storage.keys()).catch(() => []);
    for (const name of names.filter((name) => name.startsWith(this.#prefix))) {
      // What another version has left cannot be sent.
      try { found.push(JSON.parse(await storage.get(name))); } catch { await storage.remove(name); }
    }
    found.sort((a, b) => a.at - b.at);
    for (const item of found) {
      if (this.#items.some((other) => other.id === item.id)) continue;
      if (item.state !== "refused") item.state = "waiting";
      if (Date.now() - item.at > LuciqOutbox.keyLife) {
        Object.assign(item, { state: "refused", error: {
          message: "It has waited too long, and may have been carried out.", code: "too_old", status: 0 } });
      }
      this.#items.push(item);
    }
    this.#items.sort((a, b) => a.at - b.at);
    for (const chat of new Set(this.#items.map((item) => item.chat))) {
      this.#client._outboxChanged(chat);
      this.#run(chat);
    }
  }

  async #run(chat) {
    if (this.#running.has(chat)) return;
    this.#running.add(chat);
    await this.ready;  // What was stored earlier goes first.
    const backoff = this.#client._backoff();
    const pause = new LuciqPause();
    this.#pauses.set(chat, pause);
    const next = () => this.#items.find((item) => item.chat === chat && ["waiting", "retrying"].includes(item.state));
    try {
      for (let item = next(); item && !this.#isClosed; item = next()) {
        const wait = await this.#send(item, backoff);
        if (wait > 0 && !this.#isClosed) await pause.wait(wait);
      }
    } finally {
      this.#pauses.delete(chat);
      this.#running.delete(chat);
    }
  }

  // @returns how long to wait before the next attempt, in milliseconds
  async #send(item, backoff) {
    item.state = "sending";
    this.#changed(item);
    const { method, path, json, key, ifMatch } = item;
    try {
      const { value } = await this.#client.request(method, path, { json, key, ifMatch });
      backoff.reset();
      this.#forget(item);
      Object.assign(item, { state: "sent", error: null, number: item.kind === "send" ? value.message_number : null });
      const isShown = item.kind === "send" && this.#client._awaits(item.chat, item.number);
      if (!isShown) this.#items = this.#items.filter((other) => other !== item);
      this.#client._answered(item, value);
      this.#settle(item, "resolve", value);
      this.#changed(item);
      return 0;
    } catch (error) {
      if (!(error instanceof LuciqError)) throw error;
      if (!this.#items.includes(item)) return 0;
      const { message, code, status } = error;
      item.error = { message, code, status };
      // A user's next token may do.
      if (error.isPassing || (status === 401 && this.#client._requests.hasToken)) {
        item.state = "retrying";
        this.#changed(item);
        return backoff.next(error.retryAfter);
      }
      item.state = "refused";
      if (error.problem?.current) this.#client._answered({ chat: item.chat }, error.problem.current);
      this.#keep(item);
      this.#settle(item, "reject", error);
      this.#changed(item);
      return 0;
    }
  }

  #settle(item, way, value) {
    this.#fates.get(item.id)?.[way](value);
    this.#fates.delete(item.id);
  }

  #remove(item) {
    this.#items = this.#items.filter((other) => other !== item);
    this.#forget(item);
    this.#changed(item);
  }

  #changed(item) { this.#client._outboxChanged(item.chat); }

  // A storage may be full, or refuse: then it holds as long as the page.
  async #keep(item) {
    const { storage } = this.#client._options;
    try { await storage.set(this.#prefix + item.id, JSON.stringify(item)); } catch { /* As said. */ }
  }

  async #forget(item) {
    try { await this.#client._options.storage.remove(this.#prefix + item.id); } catch { /* It is sent once anyway. */ }
  }
}

// A chat

/** One chat that is open. `LuciqClient.open` makes it. */
export class LuciqChat {
  // The server drops what comes within 3 seconds, and what was sent after them may arrive sooner.
  static #typingPause = 3500;
  #client;
  #listeners = new Set();
  #readers = new Set();
  #changes = null;        // collected for the next round of listeners
  #status = "loading";
  #error = null;
  #isClosed = false;
  #isPaused = false;
  #isBare = false;
  #polling = null; #polls = 0;
  #reloads; #pause = new LuciqPause();
  #readGoal = 0; #isReading = false;
  #marks = 0;             // that were answered; what was asked before the last one says less
  #typedAt = -Infinity; #typeTimer = null;
  #typingTimer = null;
  #firstPage; #most;
  #round = 0;             // of loading; what an older one brings comes too late

  constructor(client, number, { limit = 50, most = 10_000, reads = false }) {
    this.#client = client;
    this._hasReads = reads;
    this.client = client;
    this.number = number;
    this.path = `${client._requests.path}/chats/${number}`;
    /** What is known of it. */
    this.state = new ChatState(client.user);
    this.#firstPage = limit;
    this.#most = most;
    this.#reloads = client._backoff();
    this.#load();
  }

  // What it looks like

  /** @type {"loading" | "connecting" | "live" | "lost" | "paused" | "gone" | "closed"} */
  get status() { return this.#status; }
  /** Why it is lost or gone. @type {LuciqError | null} */
  get error() { return this.#error; }

  /** Everything at this moment. @returns {LuciqSnapshot} */
  get snapshot() {
    const { state } = this;
    return {
      chat: this.number, status: this.#status, error: this.#error, cursor: state.cursor,
      messages: state.messages, hasOlder: state.hasOlder, pending: this.#client.outbox.items(this.number),
      unread: state.unread, typing: state.typing(Date.now()), members: state.members, pins: state.pins,
      details: state.details, reads: state.reads,
    };
  }

  /**
   * Calls a function with each new state, and with what has changed since the last one. What comes at once is told at
   * once; a slow listener holds up nothing, and misses steps rather than the end.
   *
   * @param {(snapshot: LuciqSnapshot, changes: LuciqChanges) => void} listener
   * @returns {() => void} ends it
   */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The states, the newest one first; a slow reader misses steps, never the last one. */
  async *[Symbol.asyncIterator]() {
    const reader = { isBehind: true, wake: () => {} };
    this.#readers.add(reader);
    try {
      while (true) {
        if (!reader.isBehind && !this.#isClosed) await new Promise((resolve) => { reader.wake = resolve; });
        const isLast = this.#isClosed;
        reader.isBehind = false;
        yield this.snapshot;
        if (isLast) return;
      }
    } finally {
      this.#readers.delete(reader);
    }
  }

  /** Settled once there is something to show. @returns {Promise<LuciqChat>} */
  async ready() {
    await this.until((chat) => chat.status !== "loading");
    if (this.state.cursor === null && this.#error) throw this.#error;
    return this;
  }

  /** Waits for a state. @param {(chat: LuciqChat) => boolean} condition */
  async until(condition) {
    for await (const _ of this) if (condition(this)) return;
    throw new LuciqError("The chat was closed.", { code: "closed" });
  }

  /** Whether everything is here that the server had when this was asked; rejects when the chat is lost meanwhile. */
  async caughtUp() {
    const { value, cursor } = await this.#client.request("GET", `${this.path}/messages?order=desc&limit=1`);
    const [goal, newest] = [readCursor(cursor), value[0]?.number ?? 0];
    const isThere = () => this.state.head >= newest && readCursor(this.state.cursor).r >= (goal?.r ?? 0);
    // A stream may have nothing to say of changes that are not there for this user.
    const timer = setTimeout(() => { if (!isThere()) this.#catchUp().catch(() => {}); }, this.#isBare ? 0 : 3000);
    try {
      await this.until(() => isThere() || this.#status !== "live");
    } finally {
      clearTimeout(timer);
    }
    if (!isThere()) throw this.#error ?? new LuciqError("The chat was closed.", { code: "closed" });
  }

  // More of it

  /** Loads the page before the newest messages. @returns {Promise<boolean>} whether there is more */
  async loadOlder(limit = 50) {
    if (!this.state.hasOlder) return false;
    const before = this.state.ranges.at(-1)?.from ?? this.state.head + 1;
    await this.loadPage({ before, limit });
    return this.state.hasOlder;
  }

  /**
   * Loads a page from anywhere.
   *
   * @param {{before?: number, after?: number, around?: number, limit?: number}} place one of the first three
   * @returns {Promise<object[]>} the messages that are loaded around it without a gap
   */
  async loadPage({ before, after, around, limit = 50 }) {
    const query = around !== undefined ? `around=${around}`
      : before !== undefined ? `before=${before}&order=desc` : `after=${after}`;
    const round = this.#round;
    const { value, links, cursor } = await this.#client.request("GET", `${this.path}/messages?${query}&limit=${limit}`);
    const numbers = value.map((row) => row.number);
    const [lowest, highest] = [Math.min(...numbers), Math.max(...numbers)];
    const end = links.next ? highest : readCursor(cursor)?.n ?? highest;
    const range = before !== undefined ? { from: links.next ? lowest : 1, to: before - 1 }
      : { from: around === undefined ? after + 1 : links.prev ? lowest : 1, to: end };
    await this.#merge(value, cursor, range, round);
    return this.state.window(around ?? (before !== undefined ? before - 1 : after + 1));
  }

  /**
   * Loads replies of a thread: those after a number, or the last ones before one.
   *
   * @param {number} root
   * @param {{after?: number, before?: number, limit?: number}} [page]
   * @returns {Promise<object[]>} what is known of it
   */
  async loadThread(root, { after = 0, before, limit = 100 } = {}) {
    const round = this.#round;
    const place = before === undefined ? `after=${after}` : `before=${before}&order=desc`;
    const { value, cursor } = await this.#client.request(
      "GET", `${this.path}/messages?thread=${root}&${place}&limit=${limit}`);
    await this.#merge(value, cursor, null, round);
    return this.state.thread(root);
  }

  /** Loads the chat's name and so on. */
  async loadDetails() {
    const rev = this.#revision;
    const { value } = await this.#client.request("GET", this.path);
    this.state.mergeDetails(value, rev);
    this.#tell();
    return this.state.details;
  }

  /** Loads all members. */
  async loadMembers() {
    const rev = this.#revision;
    let next = `${this.path}/members?limit=1000`;
    while (next) {
      const { value, links, cursor } = await this.#client.request("GET", next);
      this.state.mergeList("members", value, Math.min(rev, readCursor(cursor)?.r ?? rev));
      next = links.next;
    }
    this.#tell();
    return this.state.members;
  }

  /** Loads what is pinned. */
  async loadPins() {
    const rev = this.#revision;
    const { value, cursor } = await this.#client.request("GET", `${this.path}/pins`);
    this.state.mergeList("pins", value, readCursor(cursor)?.r ?? rev);
    this.#tell();
    return this.state.pins;
  }

  get #revision() { return readCursor(this.state.cursor)?.r ?? 0; }

  async #merge(rows, cursor, range, round) {
    if (round !== this.#round) return;
    const outcome = this.state.merge(rows, cursor, range);
    if (outcome === "epoch") this._reload();
    if (outcome === "behind") await this.#catchUp(cursor);
    this.#tell();
  }

  // What it can be told. Each of these goes through the outbox.

  /**
   * @param {string} body
   * @param {{thread?: number, inMain?: boolean, replyTo?: number, metadata?: object, mentions?: string[],
   *   sender?: string}} [more] `inMain` shows a reply in a thread in the main line too
   */
  send(body, { thread, inMain, replyTo, metadata, mentions, sender } = {}) {
    clearTimeout(this.#typeTimer);
    const named = sender ?? (this.#client._requests.hasToken ? undefined : this.#client.user ?? undefined);
    const json = { body, thread, in_main: inMain, reply_to: replyTo, metadata, mentions, sender: named };
    return this.#ask("send", "POST", "/messages", { json });
  }

  /**
   * @param {{body?: string, metadata?: object | null, mentions?: string[]}} changes
   * @param {{ifUnchanged?: boolean}} [options] `ifUnchanged` refuses it (412) if the message is not the one held here
   */
  edit(number, changes, { ifUnchanged = false } = {}) {
    const ifMatch = this.#tag(number, ifUnchanged);
    return this.#ask("edit", "PATCH", `/messages/${number}`, { json: changes, ifMatch });
  }

  delete(number, { ifUnchanged = false } = {}) {
    return this.#ask("delete", "DELETE", `/messages/${number}`, { ifMatch: this.#tag(number, ifUnchanged) });
  }

  react(number, name) { return this.#ask("react", "PUT", this.#reaction(number, name)); }
  unreact(number, name) { return this.#ask("unreact", "DELETE", this.#reaction(number, name)); }
  pin(number) { return this.#ask("pin", "PUT", `/pins/${number}${this.#asUser}`); }
  unpin(number) { return this.#ask("unpin", "DELETE", `/pins/${number}${this.#asUser}`); }

  #reaction(number, name) { return `/messages/${number}/reactions/${encodeURIComponent(name)}${this.#asUser}`; }

  // Keys and the token in the path act for a user.
  get #asUser() {
    const { user, _requests: requests } = this.#client;
    return user && !requests.hasToken ? `?user=${encodeURIComponent(user)}` : "";
  }

  #tag(number, isWanted) {
    const message = isWanted ? this.state.message(number) : undefined;
    return message ? `"${number}.${message.rev}"` : undefined;
  }

  #ask(kind, method, path, rest = {}) {
    return this.#client.outbox.add({ chat: this.number, kind, method, path: this.path + path, ...rest });
  }

  /**
   * Marks everything up to a number as read. Only the highest number counts, and a lower one changes nothing.
   *
   * @param {number} [number] the newest message
   */
  async markRead(number = this.state.head) {
    if (number <= (this.state.unread?.read ?? 0)) return;
    this.#readGoal = Math.max(this.#readGoal, number);
    if (this.#isReading) return;
    this.#isReading = true;
    const backoff = this.#client._backoff();
    try {
      for (let told = 0; told < this.#readGoal && !this.#isClosed;) {
        const goal = this.#readGoal;
        try {
          const { value } = await this.#client.request(
            "PUT", `${this.path}/read${this.#asUser}`, { json: { number: goal } });
          told = goal;
          this.#marks += 1;
          this.state.mergeRead(value);
          this.#tell();
        } catch (error) {
          if (!error.isPassing) throw error;
          await this.#pause.wait(backoff.next(error.retryAfter));
        }
      }
    } finally {
      this.#isReading = false;
      this.#readGoal = 0;
    }
  }

  /** Asks what is unread, without marking anything. */
  async loadUnread() {
    const marks = this.#marks;
    const { value } = await this.#client.request("GET", `${this.path}/read${this.#asUser}`);
    if (marks === this.#marks) this.state.mergeRead(value);
    this.#tell();
    return this.state.unread;
  }

  /** Marks what is above a number as unread; refused (409) if another device has read on meanwhile. */
  async markUnread(number) {
    const { read } = this.state.unread ?? await this.loadUnread();
    const json = { number, lower: true, if: read };
    const { value } = await this.#client.request("PUT", `${this.path}/read${this.#asUser}`, { json });
    this.#marks += 1;
    this.state.mergeRead(value);
    this.#tell();
  }

  /** Loads how far others have read, where the chat shows it. */
  async loadReads() {
    const { value } = await this.#client.request("GET", `${this.path}/reads`);
    this.state.apply({ type: "reads", reads: value });
    this.#tell();
    return this.state.reads;
  }

  /**
   * Says that the user is writing; may be called at each key, and is said once in 3.5 seconds, until a message is sent.
   * Nothing tells whether it was heard.
   */
  type() {
    clearTimeout(this.#typeTimer);
    if (this.#status !== "live") return;
    const pause = this.#typedAt + LuciqChat.#typingPause - Date.now();
    if (pause > 0) {
      this.#typeTimer = setTimeout(() => this.type(), pause);
      return;
    }
    this.#typedAt = Date.now();
    this.#client.request("POST", `${this.path}/typing${this.#asUser}`).catch(() => {});
  }

  /** Hears of nothing until `resume`, which brings everything. The outbox goes on. */
  pause() {
    if (this.#isPaused || this.#isClosed) return;
    this.#isPaused = true;
    clearTimeout(this.#polling);
    this.#client._link.remove(this);
    if (this.state.cursor !== null && this.#status !== "gone") this.#is("paused", null);
  }

  /** Goes on after `pause`, or tries a chat that is gone again. */
  resume() {
    this.#isPaused = false;
    if (this.#isClosed || (this.#status !== "paused" && this.#status !== "gone")) return;
    const wasThere = this.#status === "paused";
    // One that was gone may be there from elsewhere on.
    if (this.state.cursor !== null && wasThere) this.#connect();
    else this.#load();
  }

  /** Ends it, and its place in the connection. The outbox goes on. */
  close() {
    if (this.#isClosed) return;
    this.#round += 1;
    this.#client._closed(this);
    this.#isClosed = true;
    this.#pause.end();
    clearTimeout(this.#polling);
    clearTimeout(this.#typingTimer);
    clearTimeout(this.#typeTimer);
    this.#is("closed", null);
  }

  // Loading

  async #load() {
    const round = ++this.#round;
    this.#is("loading", null);
    const backoff = this.#client._backoff();
    while (round === this.#round) {
      try {
        const { value, cursor, links } = await this.#client.request(
          "GET", `${this.path}/messages?order=desc&limit=${this.#firstPage}`);
        if (round !== this.#round) return;
        this.state.me = this.#client.user;
        this.state.load(value, cursor, !links.next);
        this.#connect();
        return;
      } catch (error) {
        if (round !== this.#round) return;
        if (!error.isPassing && !(error.status === 401 && this.#client._requests.hasToken)) {
          this._gone(error);
          return;
        }
        this.#error = error;
        this.#tell();
        await this.#pause.wait(backoff.next(error.retryAfter));
      }
    }
  }

  #connect() {
    this.#is(this.#isPaused ? "paused" : "connecting", null);
    if (!this.#isPaused) this.#client._link.add(this);
  }

  // The cursor is of another epoch, or what is there for the user is not what was: nothing of what is held can be believed.
  async _reload() {
    if (this.#isClosed) return;
    const round = ++this.#round;
    this.#client._link.remove(this);
    this.#is("loading", null);
    await this.#pause.wait(this.#reloads.next());
    if (round === this.#round) await this.#load();
  }

  // Applies what `GET …/changes` has after a cursor; without one, after the chat's own.
  async #catchUp(from = null) {
    const round = this.#round;
    let after = from ?? this.state.cursor;
    for (let isMore = true; isMore;) {
      const { value } = await this.#client.request("GET", `${this.path}/changes?after=${after}&limit=200`);
      if (round !== this.#round) return;
      for (const event of value.events) {
        if (from === null) this.state.apply(event);
        // Of an older cursor only what changed is wanted: the chat's own is further on.
        else this.state.apply({ ...event, cursor: undefined });
        if (this.state.mustReload) return this._reload();
      }
      if (from === null) this.state.advance(value.cursor);
      after = value.cursor;
      isMore = value.more;
    }
    this.#tell();
  }

  // What a connection says

  get _after() { return this.#isBare ? `${this.state.head}` : this.state.cursor; }

  // A server whose streams have messages alone: its changes are asked for.
  _becomeBare() {
    if (this.#isBare) return false;
    this.#isBare = true;
    return true;
  }

  _live() {
    if (this.#isClosed) return;
    this.#is("live", null);
    clearTimeout(this.#polling);
    if (this.#isBare) this.#poll();
  }

  async #poll() {
    const round = this.#polls += 1;
    try {
      await this.#catchUp();
    } catch (error) {
      if (error.code === "cursor_epoch") this._reload();
      // Else the next time may do; what the connection itself has to say, it says.
    }
    if (round !== this.#polls) return;
    if (this.#status === "live" && this.#isBare) {
      this.#polling = setTimeout(() => this.#poll(), this.#client._options.pollEvery);
    }
  }

  _event(event) {
    this.state.apply(event, Date.now());
    if (this.state.mustReload) {
      this._reload();
      return;
    }
    if (this.state.cursor) this.#client.outbox._delivered(this.number, this.state.head);
    this.#tell();
  }

  _lost(error) {
    this.#isBare = false;
    clearTimeout(this.#polling);
    this.#is("lost", error);
  }

  _gone(error) {
    this.#isBare = false;
    clearTimeout(this.#polling);
    this.#is("gone", error);
  }

  // The outbox has got an answer that shows a message.
  _answered(message, { kind, path }) {
    if (this.state.cursor === null || !message) return;
    this.state.merge([{ ...message, number: message.message_number }], null);
    if (kind === "react" || kind === "unreact") {
      const [, name] = /\/reactions\/([^?]+)/.exec(path);
      this.state.reacted(message.message_number, decodeURIComponent(name), kind === "react");
    }
    this.#tell();
  }

  #is(status, error) {
    if (this.#isClosed && status !== "closed") return;
    this.#status = status;
    this.#error = error;
    this.#tell();
  }

  // Tells listeners soon, once for all that comes at once.
  _tell() { this.#tell(); }

  #tell() {
    if (this.#changes) return;
    this.#changes = true;
    queueMicrotask(() => {
      this.#changes = null;
      this.state.trim(this.#most);
      const changes = this.state.takeChanges();
      const { snapshot } = this;
      for (const reader of this.#readers) {
        reader.isBehind = true;
        reader.wake();
      }
      for (const listener of [...this.#listeners]) {
        // A listener that throws is its owner's to hear of, and nobody else's loss.
        try { listener(snapshot, changes); } catch (error) { queueMicrotask(() => { throw error; }); }
      }
      this.#watchTyping();
    });
  }

  #watchTyping() {
    clearTimeout(this.#typingTimer);
    const until = this.state.typingUntil(Date.now());
    if (until === Infinity || this.#isClosed) return;
    this.#typingTimer = setTimeout(() => this.#tell(), until - Date.now() + 1);
  }
}

// The client

/** An application's chats, for one user, or for the application itself. */
export class LuciqClient {
  static #nobody = { users: [], states: new Map(), listener: () => {} };
  #chats = new Map();
  #watch = LuciqClient.#nobody;
  #listener = () => this.wake();

  /** @param {LuciqOptions} options */
  constructor(options) {
    const here = globalThis.location?.origin;
    this._options = {
      url: here && here !== "null" ? here : undefined, transport: "auto", storage: memoryStorage(), timeout: 20_000,
      patience: 10_000, pollEvery: 5000, random: Math.random, backoff: {}, headers: {}, onRequest: null,
      WebSocket: globalThis.WebSocket, fetch: (...request) => globalThis.fetch(...request), ...options,
    };
    if (!this._options.application) throw new TypeError("LuciqClient needs an application: its id or its token.");
    if (!this._options.url) throw new TypeError("LuciqClient needs the server's url.");
    this._options.url = this._options.url.replace(/\/+$/, "");
    this._requests = new LuciqRequests(this._options);
    this._requests.user = this._options.user ?? null;
    /** Requests on their way. */
    this.outbox = new LuciqOutbox(this, `${this._options.application}.${this._options.user ?? ""}`);
    const { transport, WebSocket: socket, key } = this._options;
    // A page's WebSocket cannot show a key.
    const usesSocket = transport === "websocket" || (transport === "auto" && socket && !key);
    this._link = usesSocket ? new LuciqSocketLink(this) : new LuciqStreamLink(this);
    globalThis.addEventListener?.("online", this.#listener);
    globalThis.document?.addEventListener("visibilitychange", this.#listener);
  }

  /** The user's id: as given, or as the token says; null for the application. @type {string | null} */
  get user() { return this._requests.user; }

  /**
   * Opens a chat, or finds the one that is open.
   *
   * @param {number} number
   * @param {{limit?: number, most?: number, reads?: boolean}} [options] messages of the first page, and those that are
   *   kept at most; whether to be told how far others have read
   * @returns {LuciqChat}
   */
  open(number, options = {}) {
    let chat = this.#chats.get(number);
    if (!chat) {
      chat = new LuciqChat(this, number, options);
      this.#chats.set(number, chat);
    }
    return chat;
  }

  /**
   * A request of the API. A user token that has expired is replaced; nothing else is tried again.
   *
   * @param {string} method
   * @param {string} path from the server's root, such as `${client.path}/chats`
   * @param {{json?: object, key?: string, ifMatch?: string}} [options] `key` is an `Idempotency-Key`
   * @returns {Promise<{value: any, status: number, cursor: string | null, links: object, isReplay: boolean}>}
   */
  request(method, path, options) { return this._requests.call(method, path, options); }

  /** The application's path: `/applications/…`. */
  get path() { return this._requests.path; }

  /** Makes a chat. @returns {Promise<number>} its number */
  async createChat(settings = {}, key = luciqRandomKey()) {
    return (await this.request("POST", `${this.path}/chats`, { json: settings, key })).value.chat_number;
  }

  /**
   * A page of the user's chats, the one with the newest message first, with what is unread in each.
   *
   * @param {string | null} [next] of the page before
   * @returns {Promise<{chats: object[], next: string | null}>}
   */
  async inbox(next = null) {
    const { value, links } = await this.request("GET", next ?? `${this.path}/users/me/chats?order=activity`);
    return { chats: value, next: links.next ?? null };
  }

  /**
   * Tells which users are online, as far as it is known, and whenever that changes; over a WebSocket while a chat is open,
   * else by asking every 30 seconds. The application must show it.
   *
   * @param {string[]} users at most 100, instead of those before
   * @param {(states: Map<string, "online" | "offline">) => void} listener
   * @returns {() => void} ends it
   */
  watchPresence(users, listener) {
    const watch = { users: [...new Set(users)], states: new Map(), listener };
    const is = (next) => {
      this.#watch = next;
      this._link.watch();
    };
    is(watch);
    return () => { if (this.#watch === watch) is(LuciqClient.#nobody); };
  }

  /** No more waiting: the network is back, or somebody looks. */
  wake() {
    this._link.wake();
    this.outbox.wake();
  }

  /** Loses the connection, as a network does. It comes back by itself. */
  drop() { this._link.drop(); }

  /** Closes all chats and stops sending. What waits is sent by the next client with the same storage. */
  close() {
    for (const chat of [...this.#chats.values()]) chat.close();
    this.#watch = LuciqClient.#nobody;
    this._link.watch();
    this._link.close();
    this.outbox._close();
    globalThis.removeEventListener?.("online", this.#listener);
    globalThis.document?.removeEventListener("visibilitychange", this.#listener);
  }

  // For the other parts

  _backoff() { return new LuciqBackoff(this._options.backoff, this._options.random); }

  _is(user) {
    this._requests.user = user;
    for (const chat of this.#chats.values()) chat.state.me = user;
  }

  _closed(chat) {
    this.#chats.delete(chat.number);
    this._link.remove(chat);
    this.outbox._delivered(chat.number, Infinity);
  }

  // Whether what was sent is still to come to an open chat.
  _awaits(number, message) {
    const chat = this.#chats.get(number);
    return chat !== undefined && chat.status !== "gone" && message > chat.state.head;
  }

  _answered(item, value) { if (value?.message_number) this.#chats.get(item.chat)?._answered(value, item); }

  _outboxChanged(number) { this.#chats.get(number)?._tell(); }

  // Whose presence is wanted.
  get _watched() { return this.#watch.users; }

  _present(found) {
    const { users, states, listener } = this.#watch;
    const news = found.filter(({ user, state }) => users.includes(user) && states.get(user) !== state);
    for (const { user, state } of news) states.set(user, state);
    if (news.length > 0) listener(new Map(states));
  }

  // A WebSocket does not get through: streams do.
  _fallBack(chats) {
    this._link = new LuciqStreamLink(this);
    for (const chat of chats) this._link.add(chat);
    this._link.watch();
  }
}
