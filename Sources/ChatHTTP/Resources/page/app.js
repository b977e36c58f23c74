// The page as a whole: what the address says is what is shown.
//
// The fragment is #TOKEN, #TOKEN/CHAT or #TOKEN/CHAT/MESSAGE. It never reaches a server or its log, a second tab can be
// opened by a link, and the browser's own Back works.

const place = { token: null, chat: null };
// The chat that is open: { path, key, on, log, stream, search, outbox, reading, thread, replyTo }.
let open = null;
// What was written in a chat and not sent, by its key: its path, and who writes.
const drafts = new Map();
// Counts up with each change of place; what was asked for an older one comes too late.
let visit = 0;

const fragment = (...parts) => "#" + parts.join("/");
const applicationPath = () => `/applications/${place.token}`;

async function route() {
  const [, token = null, chat = null, number = null] =
    location.hash.match(/^#([0-9a-f]{32})(?:\/(\d{1,16}))?(?:\/(\d{1,16}))?$/) ?? [];
  if (location.hash.length > 1 && !token) complain(new Problem("This address is not that of a chat."));
  closeDrawers();
  if (open && token === place.token && chat === place.chat) {
    closeSearch();
    if (number) await attempt(() => open.log.show(Number(number)));
    return;
  }
  leaveChat();
  const isNewApplication = token !== place.token;
  Object.assign(place, { token, chat });
  const current = ++visit;
  $("sidebar").hidden = $("show-sidebar").hidden = !token;
  if (!token) {
    showPage("welcome");
    return;
  }
  if (isNewApplication) {
    showPage(null);
    const application = await attempt(openApplication);
    if (current !== visit) return;
    if (!application) {
      place.token = null;
      $("sidebar").hidden = $("show-sidebar").hidden = true;
      showPage("welcome");
      return;
    }
  }
  markCurrentChat();
  if (chat) {
    await openChat(Number(number) || null, current);
    return;
  }
  const newest = $("chats").querySelector("a");
  if (newest) location.replace(newest.href);
  else showPick(`${$("application-name").textContent} is ready`, "A chat is next. It gets number 1.");
}

function showPage(id) {
  for (const page of ["welcome", "pick", "chat"]) $(page).hidden = page !== id;
  $("skip").hidden = id !== "chat";
  showTitle();
}

function showPick(title, text) {
  $("pick-title").textContent = title;
  $("pick-text").textContent = text;
  showPage("pick");
  $("first-chat").focus();
}

// Messages that came while nobody looked stand before the title.
let unseen = 0;
function showTitle() {
  const chat = !$("chat").hidden && $("chat-title").textContent;
  const parts = [chat, place.token && $("application-name").textContent, "Luciq Chat"];
  document.title = (unseen > 0 ? `(${unseen}) ` : "") + parts.filter(Boolean).join(" · ");
}

// Chats

// Kept until a chat was made by it, so that a second try makes no second chat.
let chatKey = null;
async function createChat() {
  const token = place.token;
  chatKey ??= randomKey();
  // A user's chat would be for its members alone.
  const json = users.current ? { access: "open" } : undefined;
  const { value } = await call("POST", `${applicationPath()}/chats`, { json, key: chatKey, title: "Created a chat" });
  chatKey = null;
  if (token !== place.token) return;
  chatList.note({ number: value.chat_number, name: null, created_at: new Date().toISOString(), messages_count: 0 });
  chatList.draw();
  changed();
  location.hash = fragment(token, value.chat_number);
}

function showChatCount(count) {
  $("chat-count").textContent = plural(count, "message");
}

async function openChat(number, current) {
  const path = `${applicationPath()}/chats/${place.chat}`;
  const key = `${path} ${users.current}`;
  const on = { link: (message, chat = place.chat) => fragment(place.token, chat, message) };
  $("chat-title").textContent = chatName(chatList.rows.get(Number(place.chat)) ?? { number: place.chat });
  $("chat-count").textContent = "";
  $("search").value = "";
  $("search-all").setAttribute("aria-pressed", "false");
  $("body").value = drafts.get(key) ?? "";
  showSecondTab();
  showState("connecting");
  showPage("chat");
  const log = new MessageLog({ ...on, moved: () => open?.log === log && open.reading?.look() });
  open = {
    path, key, on, log, outbox: null, search: new Search(path, applicationPath(), on), stream: null, reading: null,
    thread: null, replyTo: null, pins: [], remark: null,
  };
  $("outbox").replaceChildren();
  try {
    const { value } = await call("GET", `${path}/message_count`, { title: "Counted the messages" });
    if (current !== visit) return;
    showChatCount(value.messages_count);
    listen(current);
    open.outbox = new Outbox(open.stream.chat, {
      stored: changed,
      reacting(message) {
        const about = open.stream.chat.state.message(message);
        if (about) { log.update(about); open.thread?.update(about); }
      },
      edit(body) { $("body").value = body; $("body").focus(); },
    });
    $("outbox").replaceChildren(open.outbox.element);
    open.reading = new Reading(open.stream.chat, log, changed);
    await Promise.all([log.start(open.stream.chat, number), members.readOwn(path)]);
  } catch (problem) {
    if (current !== visit) return;
    if (log.newest === 0) {
      leaveChat();
      if (problem.status === 404) showPick("There is no such chat", "Choose another one, or make a new one.");
      else showPick("The chat cannot be read now", problem.message);
      say($("pick-title").textContent);
      return;
    }
    // A message that is not there leaves the chat as it is.
    complain(problem);
  }
  if (current !== visit) return;
  if (!number) $("body").focus();
  // Whoever was removed sees no pins.
  await Promise.all([open.reading.start(), open.stream.chat.loadPins().catch(() => {})]);
}

function listen(current) {
  const { log } = open;
  open.stream = new LiveStream(place.token, Number(place.chat), {
    message(message) {
      log.receive(message);
      open.thread?.update(message);
      open.outbox.delivered(message);
      changed();
      if (document.hidden) { unseen += 1; showTitle(); }
    },
    changed(message) {
      log.update(message);
      open.thread?.update(message);
      if (message.number === log.newest) changed();
    },
    reset() { attempt(() => log.reload()); },
    pending(items) { open.outbox?.show(items); },
    told(other) { told(open, other); },
    typing(ids) { showTyping(ids); },
    state(name, details) { if (current === visit) streamChanged(name, details); },
  });
}

// The open chat's state has changed in whichever way.
function told({ stream: { chat }, path, reading, log, thread, pins: before }, other) {
  reading?.update();
  // The state of the connection says already why there is no answer.
  if (other.has("details") || other.has("members")) members.changed(path).catch(() => {});
  const { pins: now, unread } = chat.state;
  const isOther = (number) => before.includes(number) !== now.includes(number);
  for (const number of [...before, ...now].filter(isOther)) {
    const message = chat.state.message(number);
    if (message) for (const list of [log, thread]) list?.update(message);
  }
  open.pins = now;
  pins.update(chat);
  receipts.update(open);
  if (unread && users.current) chatList.update(chat.number, { unread: unread.count, more: unread.more });
}

function showTyping(ids) {
  const names = ids.filter((id) => id !== users.current).slice(0, 3).map((id) => users.nameOf(id));
  $("typing").textContent = names.length === 0 ? "" : `${names.join(", ")} ${names.length === 1 ? "is" : "are"} writing…`;
}

function leaveChat() {
  if (!open) return;
  endThread();
  endReply();
  open.stream?.close();
  open.log.close();
  open.search.close();
  drafts.set(open.key, $("body").value);
  showTyping([]);
  open = null;
}

// The connection's state, in words

let resumedTimer = null;
function showState(name, reason = "") {
  const words = {
    connecting: "Connecting…", live: "Live", lost: "Reconnecting…", resuming: "Catching up…", resumed: "Resumed",
    dropped: "Disconnected", gone: "Closed",
  };
  clearTimeout(resumedTimer);
  $("state").dataset.state = name;
  $("state").title = reason;
  $("state-text").textContent = words[name];
  $("drop").textContent = ["dropped", "lost", "gone"].includes(name) ? "Reconnect" : "Disconnect";
}

function streamChanged(name, { reason, count, lostAt } = {}) {
  showState(name, reason);
  const time = (date) => secondsFormat.format(date);
  if (name === "lost" || name === "dropped") {
    open.lostAt ??= new Date();
    const text = name === "dropped" ? "Disconnected by you" : reason.replace(/\.$/, "");
    open.remark ??= open.log.remark("");
    open.remark.textContent = `${text} · since ${time(open.lostAt)}`;
  } else if (name === "resumed") {
    resumedTimer = setTimeout(() => showState("live"), 5000);
    if (open.remark) {
      const news = count === 0 ? "nothing new meanwhile" : `${plural(count, "message")} caught up`;
      open.remark.textContent = `Away ${time(lostAt)} to ${time(new Date())} · ${news}`;
    }
    open.remark = open.lostAt = null;
    open.outbox?.hurry();
    countAgain();
  } else if (name === "live") {
    open.outbox?.hurry();
  } else if (name === "gone") {
    complain(new Problem(reason));
    $("own-role").textContent = "";
    countAgain();
    members.readOwn(open.path).catch(() => {});
  }
}

// Who the tab is

function showSecondTab() {
  const { other } = users;
  // The other one has a choice of its own: by what the link says, or by none.
  $("second-tab").href = (other ? `/?as=${other}` : "") + fragment(place.token, place.chat);
  $("second-tab").setAttribute("aria-label", other ? `Second tab, as ${users.nameOf(other)}` : "Second tab");
}

function showUsers() {
  const option = (id, name) => el("option", { value: id, selected: users.current === (users.demo.has(id) ? id : null) }, name);
  $("who").replaceChildren(
    ...[...users.demo].map(([id, name]) => option(id, name)), option("application", "The application"));
  $("who-label").hidden = users.demo.size === 0;
  $("member-role").replaceChildren(
    ...members.roles.map((role) => el("option", { selected: role === "member" }, role)));
}

$("who").addEventListener("change", () => {
  users.be($("who").value);
  chatKey = null;
  // What a link has said does not hold any more.
  history.replaceState(null, "", location.pathname + location.hash);
  leaveChat();
  place.token = null;
  route();
});

// Search

function openSearch() {
  $("search").focus();
  $("search").select();
}

function closeSearch() {
  open?.search.close();
  $("search").value = "";
}

// What people do

function submitted(form, action) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button:not([type=button])");
    if (button) button.disabled = true;
    await attempt(action);
    if (button) button.disabled = false;
  });
}

const clicked = (id, action) => $(id).addEventListener("click", () => attempt(async () => action($(id))));

submitted($("create-application"), () => createApplication($("name").value));
submitted($("open-application"), () => {
  const token = $("open-token").value.trim();
  if (!/^[0-9a-f]{32}$/.test(token)) throw new Problem("A token is 32 characters, each 0 to 9 or a to f.");
  $("open-token").value = "";
  location.hash = fragment(token);
});
composer($("send"), $("body"), {
  async send(body) {
    open.outbox.add(body, { replyTo: open.replyTo ?? undefined });
    endReply();
    $("body").value = "";
    closeSearch();
    open.reading.sent();
    await open.log.showNewest();
  },
  edit: () => editLast($("messages")),
  escape: endReply,
});
submitted($("search-form"), () => open.search.start($("search").value));
$("search").addEventListener("input", () => open.search.typed($("search").value));

clicked("new-chat", createChat);
clicked("first-chat", createChat);
clicked("more-chats", () => chatList.more());
clicked("older", () => open.log.loadOlder());
clicked("newer", () => open.log.loadNewer());
clicked("first-unread", () => open.reading.showFirst());
clicked("show-pins", () => pins.show());
clicked("reply-close", () => { endReply(); $("body").focus(); });
clicked("thread-close", endThread);
clicked("thread-older", () => open.thread.older());
clicked("jump", async () => { await open.log.showNewest(); $("log").focus(); });
clicked("search-all", () => open.search.toggle());
clicked("results-more", () => open.search.more());
clicked("close-search", () => { closeSearch(); $("body").focus(); });
clicked("show-members", () => members.show());
clicked("change-access", () => members.changeAccess());
clicked("change-receipts", () => members.changeReceipts());
submitted($("add-member"), () => members.add());
submitted($("rename"), () => members.rename());
clicked("copy-token", (button) => copy(place.token, button));
clicked("alert-close", calmDown);
clicked("skip", () => $("body").focus());
clicked("drop", () => {
  if ($("state").dataset.state === "gone") {
    leaveChat();
    return route();
  }
  if (["dropped", "lost"].includes($("state").dataset.state)) {
    showState("lost");
    open.stream?.reconnect();
  } else {
    open.stream?.drop();
  }
});

rove($("messages"), ".message", { ...messageKeys, Escape: () => $("body").focus() });
rove($("thread-list"), ".message", { ...messageKeys, Escape: () => $("thread-body").focus() });
$("log").addEventListener("scroll", () => open?.log.scrolled(), { passive: true });
new ResizeObserver(() => open?.log.resized()).observe($("log"));

// A link to where we are already changes no address; it is followed all the same.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link && !link.target && link.hash === location.hash && link.hash) route();
});

addEventListener("hashchange", route);
addEventListener("beforeunload", (event) => {
  if (clients.areWaiting) event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unseen = 0;
  showTitle();
  open?.reading?.look();
  countAgain();
});

users.choose();
showUsers();
route();
