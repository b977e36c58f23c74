// Search in a chat, or in all of the application: what is typed is looked for a moment later, literally, without regard
// to case and accents.

class Search {
  #path; #application; #on; #query = ""; #abort = new AbortController(); #more = null; #timer = null;
  #isEverywhere = false;

  // @param path the chat's
  // @param application its application's path
  // @param on link(number, chat): the fragment that leads to a message
  constructor(path, application, on) {
    this.#path = path;
    this.#application = application;
    this.#on = on;
  }

  typed(text) {
    clearTimeout(this.#timer);
    if (text.trim() === "") this.#hide();
    else this.#timer = setTimeout(() => this.start(text), 250);
  }

  close() {
    clearTimeout(this.#timer);
    this.#hide();
  }

  async start(text) {
    clearTimeout(this.#timer);
    if (text.trim() === "" || (text === this.#query && !$("results").hidden)) return;
    this.#query = text;
    this.#abort.abort();
    this.#abort = new AbortController();
    await attempt(async () => {
      const query = `/messages/search?q=${encodeURIComponent(text)}&limit=50`;
      let page;
      try {
        const url = this.#isEverywhere ? this.#application + query : `${this.#path}${query}&order=desc`;
        page = await this.#read(url, () => this.#open());
      } catch (problem) {
        // What was found before is not what was asked for now.
        if (problem.name !== "AbortError") this.#hide();
        throw problem;
      }
      this.#open();
      this.#show(page);
    });
  }

  // Looks in all chats for the same, or in this one again.
  async toggle() {
    this.#isEverywhere = !this.#isEverywhere;
    $("search-all").setAttribute("aria-pressed", `${this.#isEverywhere}`);
    const text = this.#query;
    this.#query = "";
    await this.start(text);
  }

  async more() {
    if (!this.#more) return;
    const from = $("results-list").children.length;
    await attempt(async () => this.#show(await this.#read(this.#more)));
    // Where the next ones begin is where a reader goes on.
    $("results-list").children[from]?.querySelector("a").focus();
  }

  // A search whose time is up says where to go on: it is followed until something is found, or all was looked through.
  //
  // @param begin called when that begins
  async #read(url, begin = () => {}) {
    const { signal } = this.#abort;
    for (let rounds = 1; ; rounds += 1) {
      try {
        return await call("GET", url, { title: `Searched for “${this.#query}”`, replaces: "search", signal });
      } catch (problem) {
        if (problem.code !== "search_timeout" || !problem.links.next) throw problem;
        if (rounds === 1) begin();
        $("results-title").textContent = `Still looking for “${this.#query}”…`;
        if (rounds === 1) say($("results-title").textContent);
        await wait(problem.retryAfter * 1000);
        signal.throwIfAborted();
        url = problem.links.next;
      }
    }
  }

  #open() {
    $("results-list").replaceChildren();
    $("results-more").hidden = true;
    $("results").hidden = false;
    $("conversation").hidden = true;
  }

  #show({ value, links }) {
    this.#more = links.next ?? null;
    $("results-list").append(...value.map((message) => this.#result(message)));
    $("results-more").hidden = !this.#more;
    const count = $("results-list").children.length;
    const where = this.#isEverywhere ? " in all chats" : "";
    const text = count === 0 ? `Nothing${where} has “${this.#query}” in it`
      : `${this.#more ? "The newest " : ""}${plural(count, "message")}${where} with “${this.#query}”`;
    $("results-title").textContent = text;
    say(text);
  }

  #result({ chat_number: chat, number, sender, body, created_at: createdAt, highlights }) {
    const place = chat ? `chat ${chat}` : "the chat";
    return el("li", {},
      el("a", { class: "message hit", href: this.#on.link(number, chat), title: `Show message ${number} in ${place}` },
        el("span", { class: "number" }, `${number}`),
        el("span", {}, users.author(sender), el("span", { class: "body", dir: "auto" }, ...marked(body, highlights))),
        el("span", {}, chat ? el("span", { class: "number" }, `Chat ${chat} `) : "", timeElement(createdAt))));
  }

  #hide() {
    this.#abort.abort();
    this.#query = "";
    $("results").hidden = true;
    $("conversation").hidden = false;
  }
}

// A body around its first hit, with the hits marked.
//
// @param highlights ranges of its characters, which are code points
function marked(body, highlights) {
  const characters = [...body];
  const start = Math.max(0, (highlights[0]?.[0] ?? 0) - 200);
  const end = Math.min(characters.length, (highlights[0]?.[1] ?? 0) + 400);
  const text = (from, to) => characters.slice(from, to).join("");
  const parts = [start > 0 ? "…" : ""];
  let at = start;
  for (const [from, to] of highlights.filter(([from]) => from < end)) {
    parts.push(text(at, from), el("mark", {}, text(from, to)));
    at = to;
  }
  return [...parts, text(at, end), characters.length > Math.max(at, end) ? "…" : ""];
}
