// The list of the application's chats, and its counts: kept up to date with what happens here and elsewhere.

// The application

async function openApplication() {
  const { value } = await call("GET", applicationPath(), { as: null, title: "Looked at the application" });
  // What is wrong with that, the next calls tell.
  if (users.current) await users.authorization(place.token, users.current).catch(() => {});
  await users.readNames(place.token);
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
    call("GET", applicationPath(), { as: null }),
    call("GET", `${applicationPath()}/message_count`, { as: null }),
    // For a user who is no member any more it is gone.
    open && call("GET", `${open.path}/message_count`).catch((problem) => {
      if (problem.status !== 404) throw problem;
    }),
    call("GET", `${applicationPath()}/chats?order=desc&limit=50`),
  ]);
  if (current !== visit) return;
  messagesCount = messages.value.messages_count;
  showApplicationCounts(application.value.chats_count, messagesCount);
  if (chats.value.at(-1)?.number > newestChat() + 1) {
    // So many were made elsewhere that the page does not reach down to the list.
    $("chats").replaceChildren();
    showMoreChats(chats.links);
  }
  // Chats go when a user is no member any more.
  const listed = new Set(chats.value.map(({ number }) => `${number}`));
  const last = chats.links.next ? chats.value.at(-1).number : 0;
  for (const item of users.current ? [...$("chats").children] : []) {
    if (Number(item.dataset.chat) > last && !listed.has(item.dataset.chat)) item.remove();
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
  if (open) await members.readOwn(open.path);
  const { value } = await call("GET", `${applicationPath()}/message_count`, { as: null });
  // No count tells of a chat that is new to a user.
  if (users.current || value.messages_count !== messagesCount) countAgain();
}

neighbours.addEventListener("message", ({ data }) => {
  if (data === place.token) countAgain();
  // The state of the connection says already why there is no answer.
  if (data === place.token && open) members.readOwn(open.path).catch(() => {});
});
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
