// One call of the API: a deadline, problems as sentences, Link headers, and a line for curl in the list of requests.

class Problem extends Error {
  // @param details status (0 when no answer came), code, retryAfter in seconds, links as in an answer
  constructor(sentence, details) {
    super(sentence);
    Object.assign(this, { name: "Problem", status: 0, code: "unreachable", retryAfter: 0, links: {} }, details);
  }

  // Whether the same request may get another answer later. A user gets another token.
  get isPassing() {
    const isOfUser = this.status === 401 && users.current !== null;
    return isOfUser || this.status === 0 || this.status === 409 || this.status === 429 || this.status >= 500;
  }
}

async function problemOf(response) {
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  let document = {};
  // What stands between us and the server may answer in a language of its own.
  try { document = await response.json(); } catch { /* The status says enough. */ }
  const sentence = document.detail ?? `The server answered ${response.status} ${response.statusText}`.trim() + ".";
  return new Problem(
    sentence, { status: response.status, code: document.code ?? "", retryAfter, links: linksOf(response) });
}

// Asks the server.
//
// @param options json: the body; key: an Idempotency-Key; signal: ends it early; title: what a person just did, for the
// list of requests; replaces: a word, for what only the newest request of its kind is worth keeping of; as: the id of the
// user who asks, null for the application, and without it whoever the tab is
// @returns value: the answer's JSON; links: its Link header by rel; isReplay
// @throws Problem
async function call(method, path, options = {}) {
  const { json, key, signal, title, as = users.current } = options;
  const application = applicationIn(path);
  const authorization = as && application ? await users.authorization(application, as) : undefined;
  const headers = authorization ? { Authorization: authorization } : {};
  if (json !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  const deadline = AbortSignal.timeout(20_000);
  const began = performance.now();
  const note = (outcome) => {
    const milliseconds = performance.now() - began;
    if (title) requests.add({ ...options, method, path, authorization, milliseconds, ...outcome });
  };
  let response;
  let value;
  try {
    response = await fetch(path, {
      method, headers, body: json === undefined ? undefined : JSON.stringify(json),
      cache: "no-store", credentials: "omit", signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    });
    value = response.ok ? await response.json() : undefined;
  } catch (error) {
    if (signal?.aborted) throw error;
    const sentence = deadline.aborted ? "The server took too long to answer." : "The server cannot be reached.";
    const problem = new Problem(sentence);
    note({ problem });
    throw problem;
  }
  if (response.status === 401 && authorization) {
    users.forget(application, as);
    if (!options.isSecond) return call(method, path, { ...options, as, isSecond: true });
  }
  if (!response.ok) {
    const problem = await problemOf(response);
    note({ status: response.status, problem });
    throw problem;
  }
  note({ status: response.status });
  return {
    value, links: linksOf(response), isReplay: response.headers.get("Idempotent-Replayed") === "true",
  };
}

const applicationIn = (path) => /^\/applications\/([^/]+)/.exec(path)?.[1];

// RFC 8288, as far as this server writes it.
function linksOf(response) {
  const found = (response.headers.get("Link") ?? "").matchAll(/<(\/[^>]*)>; rel="(\w+)"/g);
  return Object.fromEntries(Array.from(found, ([, url, rel]) => [rel, url]));
}

// The request as a line for a shell.
function curlLine({ method, path, json, key, ifMatch, authorization, isStream }) {
  const words = [isStream ? "curl -sN" : "curl -s"];
  if (method !== "GET") words.push(`-X ${method}`);
  words.push(/[?&]/.test(path) ? quote(location.origin + path) : location.origin + path);
  if (authorization) words.push(`-H 'Authorization: ${authorization}'`);
  if (json !== undefined) words.push(`-H 'Content-Type: application/json'`);
  if (key) words.push(`-H 'Idempotency-Key: ${key}'`);
  if (ifMatch) words.push(`-H 'If-Match: ${ifMatch}'`);
  if (json !== undefined) words.push(`-d ${quote(JSON.stringify(json))}`);
  return words.join(" ");
}

// What was just done, newest first.
const requests = {
  limit: 30,

  add(request) {
    const line = curlLine(request);
    // For the eye an option a line, as a shell takes it too; a token and a body of 64 KiB only begin.
    const folded = line.replaceAll(/ (?=-[Hd] )/g, " \\\n  ").replace(/(Bearer .{8})[^']+/, "$1…");
    const shown = folded.length > 700 ? folded.slice(0, 700) + "…" : folded;
    const outcome = request.status ?? (request.isStream ? "stream" : "no answer");
    const time = request.milliseconds === undefined ? "" : `${Math.max(1, Math.round(request.milliseconds))} ms`;
    const item = el("li", { "data-kind": request.replaces },
      el("details", { open: true },
        el("summary", {},
          el("span", { class: "request-title" }, request.title),
          el("span", { class: request.problem ? "status bad" : "status good" }, `${outcome}`),
          el("span", { class: "muted" }, time)),
        el("pre", {}, el("code", {}, shown)),
        el("button", {
          type: "button", class: "copy", "aria-label": `Copy the curl line: ${request.title}`,
          click: (event) => copy(line, event.currentTarget),
        }, "Copy")));
    const list = $("requests-list");
    const newest = list.firstElementChild;
    // What the page does by itself stands below what a person has done.
    if (request.isQuiet && newest) {
      list.querySelector(`[data-kind="${request.replaces}"]:not(:first-child)`)?.remove();
      item.firstElementChild.removeAttribute("open");
      newest.after(item);
      return;
    }
    if (request.replaces && newest?.dataset.kind === request.replaces) newest.remove();
    else newest?.firstElementChild.removeAttribute("open");
    list.prepend(item);
    while (list.children.length > this.limit) list.lastElementChild.remove();
    $("requests-empty").hidden = true;
  },
};
