// The page as a whole: what the address says is what is shown.
//
// The fragment is #TOKEN, #TOKEN/CHAT or #TOKEN/CHAT/MESSAGE. It never reaches a server or its log, a second tab can be
// opened by a link, and the browser's own Back works.

const place = { token: null, chat: null };
// The chat that is open: { path, log, stream, search, outbox }.
let open = null;
// Messages on their way in any chat, by its path: they go on when another chat is looked at.
const outboxes = new Map();
// What was written in a chat and not sent, by its path.
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
  const chat = !$("chat").hidden && `Chat ${place.chat}`;
  const parts = [chat, place.token && $("application-name").textContent, "Luciq Chat"];
  document.title = (unseen > 0 ? `(${unseen}) ` : "") + parts.filter(Boolean).join(" · ");
}

// Applications

async function openApplication() {
  const { value } = await call("GET", applicationPath(), { title: "Looked at the application" });
  $("application-name").textContent = value.name;
  $("token").textContent = value.token;
  showApplicationCounts(value.chats_count, value.messages_count);
  $("chats").replaceChildren();
  await readChats(`${applicationPath()}/chats?order=desc&limit=50`);
  return value;
}

async function createApplication(name) {
  const { value } = await call("POST", "/applications", { json: { name }, title: "Created an application" });
  location.hash = fragment(value.token);
}

function showApplicationCounts(chats, messages) {
  $("application-counts").textContent = `${plural(chats, "chat")} · ${plural(messages, "message")}`;
}

// Exact counts, at once when something changes, but not more often than twice a second.
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
  const [application, messages, chat, chats] = await Promise.all([
    call("GET", applicationPath()), call("GET", `${applicationPath()}/message_count`),
    open && call("GET", `${open.path}/message_count`), call("GET", `${applicationPath()}/chats?order=desc&limit=50`),
  ]);
  if (current !== visit) return;
  messagesCount = messages.value.messages_count;
  showApplicationCounts(application.value.chats_count, messagesCount);
  if (chats.value.at(-1)?.number > newestChat() + 1) {
    // So many were made elsewhere that the page does not reach down to the list.
    $("chats").replaceChildren();
    showMoreChats(chats.links);
  }
  for (const { number, messages_count: count } of chats.value.reverse()) showCount(number, count);
  if (chat) showChatCount(chat.value.messages_count);
}

const newestChat = () => Number($("chats").firstElementChild?.dataset.chat ?? 0);

// Of a chat in the list; one that was made elsewhere meanwhile comes into it.
function showCount(number, count) {
  const item = $("chats").querySelector(`[data-chat="${number}"] .count`);
  // In a cluster the list is behind what was counted; no count falls.
  if (item) {
    item.dataset.count = Math.max(count, Number(item.dataset.count));
    item.textContent = Number(item.dataset.count).toLocaleString();
  } else if (number > newestChat()) {
    $("chats").prepend(chatItem(number, count));
    markCurrentChat();
  }
}

// Other tabs of this browser are told at once of what happened in this one; what happened elsewhere in the application,
// in chats that are not open here, is looked for now and then.
const neighbours = new BroadcastChannel("luciq");
let messagesCount = 0;

function changed() {
  neighbours.postMessage(place.token);
  countAgain();
}

async function lookElsewhere() {
  if (document.hidden || !place.token) return;
  const { value } = await call("GET", `${applicationPath()}/message_count`);
  if (value.messages_count !== messagesCount) countAgain();
}

neighbours.addEventListener("message", ({ data }) => { if (data === place.token) countAgain(); });
// The state of the connection says already why there is no answer.
setInterval(() => lookElsewhere().catch(() => {}), 10_000);

// Chats

let moreChats = null;
function showMoreChats(links) {
  moreChats = links.next ?? null;
  $("more-chats").hidden = !moreChats;
}

async function readChats(url) {
  const { value, links } = await call("GET", url, { title: "Listed the chats" });
  showMoreChats(links);
  $("chats").append(...value.map(({ number, messages_count: count }) => chatItem(number, count)));
  markCurrentChat();
}

function chatItem(number, count) {
  return el("li", { "data-chat": number },
    el("a", { href: fragment(place.token, number) },
      el("span", {}, `Chat ${number}`), el("span", { class: "count", title: "Messages", "data-count": count }, count.toLocaleString())));
}

function markCurrentChat() {
  for (const item of $("chats").children) {
    item.firstElementChild.toggleAttribute("aria-current", item.dataset.chat === place.chat);
    if (item.dataset.chat === place.chat) item.firstElementChild.setAttribute("aria-current", "page");
  }
}

// Kept until a chat was made by it, so that a second try makes no second chat.
let chatKey = null;
async function createChat() {
  const token = place.token;
  chatKey ??= randomKey();
  const { value } = await call("POST", `${applicationPath()}/chats`, { key: chatKey, title: "Created a chat" });
  chatKey = null;
  if (token !== place.token) return;
  const isListed = $("chats").querySelector(`[data-chat="${value.chat_number}"]`);
  if (!isListed) $("chats").prepend(chatItem(value.chat_number, 0));
  changed();
  location.hash = fragment(token, value.chat_number);
}

function showChatCount(count) {
  $("chat-count").textContent = plural(count, "message");
  showCount(Number(place.chat), count);
}

async function openChat(number, current) {
  const path = `${applicationPath()}/chats/${place.chat}`;
  const on = { link: (message, chat = place.chat) => fragment(place.token, chat, message) };
  const mine = new Set();
  $("chat-title").textContent = `Chat ${place.chat}`;
  $("chat-count").textContent = "";
  $("search").value = "";
  $("search-all").setAttribute("aria-pressed", "false");
  $("body").value = drafts.get(path) ?? "";
  $("second-tab").href = fragment(place.token, place.chat);
  showState("connecting");
  showPage("chat");
  const log = new MessageLog(path, mine, on);
  const outbox = outboxes.get(path) ?? new Outbox(path);
  outboxes.set(path, outbox);
  outbox.forgetSent();
  outbox.on = {
    stored(message) { mine.add(message); log.markMine(message); changed(); },
    edit(body) { $("body").value = body; $("body").focus(); },
  };
  $("outbox").replaceChildren(outbox.element);
  open = { path, log, outbox, search: new Search(path, applicationPath(), on), stream: null, remark: null };
  try {
    const { value } = await call("GET", `${path}/message_count`, { title: "Counted the messages" });
    if (current !== visit) return;
    showChatCount(value.messages_count);
    await log.start(number);
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
  listen(path, current);
  if (!number) $("body").focus();
}

function listen(path, current) {
  const { log, outbox } = open;
  open.stream = new LiveStream(path, {
    opened(url) {
      const title = url.includes("?after=") ? "Resumed the live stream" : "Opened the live stream";
      if (current === visit) requests.add({ method: "GET", path: url, title, isStream: true });
    },
    begin(number) {
      if (current !== visit) return;
      outbox.begin(number);
      attempt(() => log.begin(number));
    },
    message(message) {
      if (current !== visit) return;
      log.receive(message);
      outbox.delivered(message);
      changed();
      if (document.hidden) { unseen += 1; showTitle(); }
    },
    state(name, details) { if (current === visit) streamChanged(name, details); },
  });
}

function leaveChat() {
  if (!open) return;
  open.stream?.close();
  open.log.close();
  open.search.close();
  drafts.set(open.path, $("body").value);
  if (!open.outbox.isWaiting) outboxes.delete(open.path);
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
  $("drop").textContent = name === "dropped" || name === "lost" ? "Reconnect" : "Disconnect";
  $("drop").disabled = name === "gone";
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
    open.outbox.hurry();
    countAgain();
  } else if (name === "live") {
    open.outbox.hurry();
  } else if (name === "gone") {
    complain(new Problem(reason));
  }
}

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
submitted($("send"), async () => {
  const body = $("body").value;
  $("body").focus();
  if (body.trim() === "") return;
  open.outbox.add(body);
  $("body").value = "";
  closeSearch();
  await open.log.showNewest();
});
submitted($("search-form"), () => open.search.start($("search").value));
$("search").addEventListener("input", () => open.search.typed($("search").value));
$("body").addEventListener("keydown", (event) => {
  // While a character is being composed, Enter belongs to that.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  $("send").requestSubmit();
});

clicked("new-chat", createChat);
clicked("first-chat", createChat);
clicked("more-chats", () => readChats(moreChats));
clicked("older", () => open.log.loadOlder());
clicked("newer", () => open.log.loadNewer());
clicked("jump", async () => { await open.log.showNewest(); $("log").focus(); });
clicked("search-all", () => open.search.toggle());
clicked("results-more", () => open.search.more());
clicked("close-search", () => { closeSearch(); $("body").focus(); });
clicked("copy-token", (button) => copy(place.token, button));
clicked("alert-close", calmDown);
clicked("skip", () => $("body").focus());
clicked("drop", () => {
  if (["dropped", "lost"].includes($("state").dataset.state)) {
    showState("lost");
    open.stream?.reconnect();
  } else {
    open.stream?.drop();
  }
});

$("log").addEventListener("scroll", () => open?.log.scrolled(), { passive: true });
new ResizeObserver(() => open?.log.resized()).observe($("log"));

// A link to where we are already changes no address; it is followed all the same.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link && !link.target && link.hash === location.hash && link.hash) route();
});

addEventListener("hashchange", route);
addEventListener("beforeunload", (event) => {
  for (const outbox of outboxes.values()) if (outbox.isWaiting) event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unseen = 0;
  showTitle();
  countAgain();
});

route();
