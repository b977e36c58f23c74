// The list of the application's chats, kept up to date with what happens here and elsewhere. A user sees the chats that
// are there for it, the one with the newest message first, with what is unread; the application sees all by number.

// The application

async function openApplication() {
  const { value } = await call("GET", applicationPath(), { as: null, title: "Looked at the application" });
  // What is wrong with that, the next calls tell.
  if (users.current) await users.authorization(place.token, users.current).catch(() => {});
  await users.readNames(place.token);
  $("application-name").textContent = value.name;
  $("token").textContent = value.token;
  showApplicationCounts(value.chats_count, value.messages_count);
  chatList.clear();
  await chatList.more(`${applicationPath()}/chats?order=desc&limit=${chatList.pageSize}`);
  return value;
}

async function createApplication(name) {
  const { value } = await call("POST", "/applications", { json: { name }, title: "Created an application" });
  location.hash = fragment(value.token);
}

function showApplicationCounts(chats, messages) {
  $("application-counts").textContent = `${plural(chats, "chat")} · ${plural(messages, "message")}`;
}

// At once when something changes, but not more often than twice a second.
let countsPause = null;
let areCountsOld = false;
function countAgain() {
  areCountsOld = true;
  if (countsPause || document.hidden || !place.token) return;
  areCountsOld = false;
  countsPause = setTimeout(() => {
    countsPause = null;
    if (areCountsOld) countAgain();
  }, 500);
  // The state of the connection says already why there is no answer.
  readCounts(visit).catch(() => {});
}

async function readCounts(current) {
  const [application, messages, chat] = await Promise.all([
    call("GET", applicationPath(), { as: null }),
    call("GET", `${applicationPath()}/message_count`, { as: null }),
    // For a user who is no member any more it is gone.
    open && call("GET", `${open.path}/message_count`).catch((problem) => {
      if (problem.status !== 404) throw problem;
    }),
    chatList.refresh(() => current === visit),
  ]);
  if (current !== visit) return;
  messagesCount = messages.value.messages_count;
  showApplicationCounts(application.value.chats_count, messagesCount);
  if (chat) showChatCount(chat.value.messages_count);
}

// Other tabs of this browser are told at once of what happened in this one; what happened elsewhere in the application,
// in chats that are not open here, is looked for now and then.
const neighbours = new BroadcastChannel("luciq");
let messagesCount = 0;

function changed() {
  neighbours.postMessage({ token: place.token, chat: Number(place.chat) });
  countAgain();
}

let looks = 0;
async function lookElsewhere() {
  if (document.hidden || !place.token) return;
  looks += 1;
  if (open && looks % 2 === 0) await lookAgain();
  const { value } = await call("GET", `${applicationPath()}/message_count`, { as: null });
  // No count tells of a chat that is new to a user, or of what it has read on another device.
  if (users.current || value.messages_count !== messagesCount) countAgain();
}

neighbours.addEventListener("message", ({ data }) => {
  if (data.token !== place.token) return;
  chatList.forget(data.chat);
  countAgain();
  if (!open) return;
  // The state of the connection says already why there is no answer.
  lookAgain().catch(() => {});
});

// At what no stream tells of the open chat.
async function lookAgain() {
  await Promise.all([members.readOwn(open.path), open.reading?.refresh()]);
}

// The state of the connection says already why there is no answer.
setInterval(() => lookElsewhere().catch(() => {}), 5_000);

// Chats

const chatName = ({ number, name }) => name ?? `Chat ${number}`;

const chatList = {
  pageSize: 50,
  // How many chats of which a user is no member are looked into at once.
  most: 20,
  next: null,
  // By number: number, name, createdAt, count, unread, more, last (its newest message), seen (the count of messages when
  // that was looked for), isMember.
  rows: new Map(),
  items: new Map(),   // their elements

  clear() {
    this.rows.clear();
    this.items.clear();
    $("chats").replaceChildren();
  },

  // Another page of the list by number.
  async more(url = this.next) {
    const { value, links } = await call("GET", url, { title: "Listed the chats" });
    this.next = links.next ?? null;
    $("more-chats").hidden = !this.next;
    for (const row of value) this.note(row);
    await this.readUnread("Looked into the inbox");
    this.draw();
  },

  async refresh(isCurrent) {
    const { value, links } = await call("GET", `${applicationPath()}/chats?order=desc&limit=${this.pageSize}`);
    if (!isCurrent()) return;
    const newest = Math.max(...this.rows.keys(), 0);
    if (value.at(-1)?.number > newest + 1) {
      // So many were made elsewhere that the page does not reach down to the list.
      this.clear();
      this.next = links.next ?? null;
      $("more-chats").hidden = !this.next;
    }
    // Chats go when a user is no member any more.
    const listed = new Set(value.map(({ number }) => number));
    const last = links.next ? value.at(-1).number : 0;
    for (const number of users.current ? [...this.rows.keys()] : []) {
      if (number > last && !listed.has(number)) this.rows.delete(number);
    }
    for (const row of value) this.note(row);
    await this.readUnread();
    if (isCurrent()) this.draw();
  },

  note({ number, name, created_at: createdAt, messages_count: count = 0 }) {
    const row = this.rows.get(number) ?? { number, unread: 0, more: false, last: null, count: 0, seen: 0 };
    // In a cluster the list is behind what was counted; no count falls.
    this.rows.set(number, { ...row, name, createdAt, count: Math.max(count, row.count) });
  },

  // What is unread in a user's chats: of those of which it is a member from its inbox; of open ones one by one, when
  // something has come.
  async readUnread(title) {
    if (!users.current) return;
    const { value, links } = await call("GET", `${applicationPath()}/users/me/chats?order=activity&limit=100`, { title });
    const members = new Set(value.map(({ number }) => number));
    for (const item of value) {
      const { number, last_message: last, unread, more } = item;
      this.note(item);
      Object.assign(this.rows.get(number), { last, unread, more, isMember: true });
    }
    for (const [number, { isMember }] of this.rows) {
      if (isMember && !members.has(number) && !links.next) this.rows.delete(number);
    }
    const others = [...this.rows.values()].filter(({ number, count, seen }) => !members.has(number) && count > seen);
    await Promise.all(others.sort((a, b) => b.number - a.number).slice(0, this.most).map(async (row) => {
      const path = `${applicationPath()}/chats/${row.number}`;
      const [newest, read] = await Promise.all([
        call("GET", `${path}/messages?order=desc&limit=1`), call("GET", `${path}/read`)]);
      const { unread, more } = read.value;
      Object.assign(row, { last: newest.value[0] ?? null, unread, more, seen: row.count });
    }));
  },

  // What was read elsewhere is asked for again.
  forget(number) {
    const row = this.rows.get(number);
    if (row) row.seen = -1;
  },

  // What the open chat knows by itself.
  update(number, changes) {
    const row = this.rows.get(number);
    if (!row || Object.entries(changes).every(([key, value]) => row[key] === value)) return;
    Object.assign(row, changes);
    this.draw();
  },

  get sorted() {
    const at = ({ last, createdAt }) => Date.parse(last?.created_at ?? createdAt);
    return [...this.rows.values()].sort((a, b) => (users.current && at(b) - at(a)) || b.number - a.number);
  },

  draw() {
    const list = $("chats");
    const { sorted } = this;
    for (const number of this.items.keys()) if (!this.rows.has(number)) this.items.delete(number);
    const elements = sorted.map((row) => {
      const { number, count } = row;
      const link = () => el("a", { href: fragment(place.token, number) });
      const item = this.items.get(number) ?? el("li", { "data-chat": number }, link());
      this.items.set(number, item);
      const parts = users.current ? this.preview(row)
        : [el("span", { class: "count", title: "Messages" }, count.toLocaleString())];
      item.firstElementChild.replaceChildren(el("span", { class: "chat-label" }, chatName(row)), ...parts);
      item.classList.toggle("unread", this.unreadIn(row) > 0);
      return item;
    });
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    const isSame = elements.length === list.children.length
      && elements.every((element, index) => element === list.children[index]);
    if (!isSame) {
      list.replaceChildren(...elements);
      focused?.focus({ preventScroll: true });
    }
    markCurrentChat();
    const elsewhere = sorted.reduce((sum, { number, unread }) => sum + (`${number}` === place.chat ? 0 : unread), 0);
    $("unread-total").hidden = elsewhere === 0;
    $("unread-total").replaceChildren(unreadCount(elsewhere, false), el("span", { class: "unseen" }, " unread"));
  },

  // What somebody is looking at is just being read.
  unreadIn({ number, unread }) { return `${number}` === place.chat && open?.log.isEndInView ? 0 : unread; },

  // The newest message, when it came, and how many are unread.
  preview(row) {
    const { last, more } = row;
    const unread = this.unreadIn(row);
    const badge = unread > 0
      ? el("span", { class: "badge" }, unreadCount(unread, more), el("span", { class: "unseen" }, " unread")) : "";
    if (!last) return [el("span", { class: "preview" }, "No messages yet"), badge];
    const { sender, body, deleted_at: deletedAt, created_at: createdAt } = last;
    const text = deletedAt ? "Deleted" : body.slice(0, 80);
    const author = sender == null ? "" : sender === users.current ? "You: "
      : [el("bdi", { "data-user": sender }, users.nameOf(sender)), ": "];
    return [shortTime(createdAt), el("span", { class: "preview" }, ...[author].flat(), el("bdi", {}, text)), badge];
  },
};

// The time of today, or the day.
function shortTime(text) {
  const isToday = dayOf(text) === dayOf(Date.now());
  return el("time", { datetime: text, title: text }, (isToday ? clockFormat : shortDayFormat).format(new Date(text)));
}

function markCurrentChat() {
  for (const item of $("chats").children) {
    const isCurrent = item.dataset.chat === place.chat;
    const link = item.firstElementChild;
    link.tabIndex = isCurrent ? 0 : -1;
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  ensureStop($("chats"), "a");
}

rove($("chats"), "a");
