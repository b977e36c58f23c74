// What every part of the page uses: elements, times, the clipboard, what is said to people.

const $ = (id) => document.getElementById(id);

// An element. A child that is a string becomes text, never markup; the policy that comes with the page forbids more.
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const plural = (count, noun) => `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const secondsFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dayFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });
const listFormat = new Intl.ListFormat();
const shortDayFormat = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const dayOf = (text) => dayFormat.format(new Date(text));
const timeElement = (text) =>
  el("time", { datetime: text, title: text }, clockFormat.format(new Date(text)));

// A text as one word of a shell.
const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

const wait = (milliseconds) => new Promise((resume) => setTimeout(resume, milliseconds));

// 128 random bits. (`crypto.randomUUID` is not there on plain HTTP to another machine.)
const randomKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// While a dialog is open, nothing else is read out.
const inDialog = (selector) => document.querySelector(`dialog[open] ${selector}`);

// For screen readers, politely.
function say(text) {
  (inDialog(".said") ?? $("said")).textContent = text;
}

// One sentence about what went wrong, until it is dismissed or something works.
function complain(problem) {
  const place = inDialog(".problem") ?? $("alert-text");
  place.textContent = problem.message;
  if (place === $("alert-text")) $("alert").hidden = false;
}

function calmDown() {
  $("alert").hidden = true;
  for (const place of [$("alert-text"), inDialog(".problem")]) if (place) place.textContent = "";
}

// Runs what a person asked for.
async function attempt(action) {
  try {
    const result = await action();
    calmDown();
    return result;
  } catch (problem) {
    if (problem.name !== "AbortError") complain(problem);
    return undefined;
  }
}

async function copy(text, button) {
  let isCopied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Plain HTTP to another machine has no clipboard of this kind; the old one is asked.
    const area = el("textarea", { readonly: true, class: "unseen" });
    area.value = text;
    (button.closest("dialog, section, aside") ?? document.body).append(area);
    area.select();
    isCopied = document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const label = button.textContent;
  if (label === "Copied" || label === "Not copied") return;
  button.textContent = isCopied ? "Copied" : "Not copied";
  say(button.textContent);
  setTimeout(() => (button.textContent = label), 1500);
}

// A browser may refuse to keep anything.
const memory = (kept) => ({
  read(name) {
    try { return kept().getItem(`luciq.${name}`); } catch { return null; }
  },
  write(name, value) {
    try { kept().setItem(`luciq.${name}`, value); } catch { /* It holds for this visit. */ }
  },
});

// What is kept between visits: how the page looks and behaves, never a token.
const preferences = memory(() => localStorage);
// What is kept as long as the tab, for it alone.
const tabMemory = memory(() => sessionStorage);
