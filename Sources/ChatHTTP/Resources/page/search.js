// Search in a chat: what is typed is looked for a moment later, literally, without regard to case and accents.

class Search {
  #path; #on; #query = ""; #abort = new AbortController(); #more = null; #timer = null;

  // @param on link(number): the fragment that leads to a message
  constructor(path, on) {
    this.#path = path;
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
      const page = await this.#read(`${this.#path}/messages/search?q=${encodeURIComponent(text)}&order=desc&limit=50`);
      $("results-list").replaceChildren();
      $("results").hidden = false;
      $("conversation").hidden = true;
      this.#show(page);
    });
  }

  async more() {
    if (!this.#more) return;
    const from = $("results-list").children.length;
    await attempt(async () => this.#show(await this.#read(this.#more)));
    // Where the next ones begin is where a reader goes on.
    $("results-list").children[from]?.querySelector("a").focus();
  }

  #read(url) {
    return call("GET", url, { title: `Searched for “${this.#query}”`, replaces: "search", signal: this.#abort.signal });
  }

  #show({ value, links }) {
    this.#more = links.next ?? null;
    $("results-list").append(...value.map((message) => this.#result(message)));
    $("results-more").hidden = !this.#more;
    const count = $("results-list").children.length;
    const text = count === 0 ? `Nothing has “${this.#query}” in it`
      : `${this.#more ? "The newest " : ""}${plural(count, "message")} with “${this.#query}”`;
    $("results-title").textContent = text;
    say(text);
  }

  #result({ number, body, created_at: createdAt }) {
    const [from, to] = findLoosely(body, this.#query);
    const start = Math.max(0, from - 200);
    const text = el("span", { class: "body", dir: "auto" },
      (start > 0 ? "…" : "") + body.slice(start, from),
      from < to ? el("mark", {}, body.slice(from, to)) : "",
      body.slice(to, to + 400) + (body.length > to + 400 ? "…" : ""));
    return el("li", {},
      el("a", { class: "message hit", href: this.#on.link(number), title: `Show message ${number} in the chat` },
        el("span", { class: "number" }, `${number}`), text, timeElement(createdAt)));
  }

  #hide() {
    this.#abort.abort();
    this.#query = "";
    $("results").hidden = true;
    $("conversation").hidden = false;
  }
}

// Where a text stands in a body without regard to case and accents, nearly as the server compares: for the eye only.
//
// @returns from and to in the body; 0 and 0 where the server saw it and we do not
function findLoosely(body, text) {
  const fold = (part) => part.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  let folded = "";
  const origins = [];  // for each unit of `folded`, where in the body it comes from
  let index = 0;
  for (const character of body) {
    const part = fold(character);
    for (let unit = 0; unit < part.length; unit += 1) origins.push(index);
    folded += part;
    index += character.length;
  }
  origins.push(body.length);
  const wanted = fold(text);
  const at = folded.indexOf(wanted);
  return at < 0 || wanted === "" ? [0, 0] : [origins[at], origins[at + wanted.length]];
}
