// Who the page is in this tab: one of a few users, whose tokens the server gives out where it runs on this machine for
// whoever is at it; elsewhere the application itself, by its token.
//
// An application's own server knows its users' names, and its devices act for one user each. The page is both: what is
// about the application it asks by the application's token, all else by that of its user.

const users = {
  // Those whom it can be: names by id.
  demo: new Map((document.documentElement.dataset.demoUsers ?? "").split(" ").filter(Boolean)
    .map((pair) => pair.split("="))),
  // The id of the one that it is; null for the application.
  current: null,
  // Names by id, of the application that is open; null while one is asked for.
  names: new Map(),
  // Tokens by application and user: { token, expires }, or a promise of that.
  tokens: new Map(),
  // What `nextToken` gave last, by application and user.
  given: new Map(),

  // The tab's own choice, which another tab does not share. A link may make it.
  choose() {
    const asked = new URLSearchParams(location.search).get("as") ?? tabMemory.read("user") ?? "";
    this.be(asked === "application" || this.demo.has(asked) ? asked : this.demo.keys().next().value ?? "");
  },

  be(id) {
    this.current = this.demo.has(id) ? id : null;
    if (this.demo.size > 0) tabMemory.write("user", id);
  },

  // The one whom a second tab begins as.
  get other() {
    const ids = [...this.demo.keys()];
    return ids[(ids.indexOf(this.current) + 1) % ids.length];
  },

  // What a call shows in Authorization.
  async authorization(application, id) {
    const place = `${application} ${id}`;
    let known = await this.tokens.get(place);
    // It is shown a while before its end, for what lasts.
    if (!known || known.expires < Date.now() + 30_000) {
      // Those who ask meanwhile get the same.
      const asked = this.ask(application, id);
      this.tokens.set(place, asked);
      try {
        known = await asked;
      } catch (problem) {
        this.tokens.delete(place);
        throw problem;
      }
    }
    return `Bearer ${known.token}`;
  },

  // For what keeps a token until it will not do any more: another one each time.
  async nextToken(application, id) {
    const place = `${application} ${id}`;
    let known = await this.authorization(application, id);
    if (known === this.given.get(place)) {
      this.forget(application, id);
      known = await this.authorization(application, id);
    }
    this.given.set(place, known);
    return known.replace("Bearer ", "");
  },

  async ask(application, id) {
    const name = this.demo.get(id);
    try {
      const { value } = await call("POST", `/applications/${application}/demo-tokens`, {
        as: null, json: { user: id }, title: `Became ${name}`, replaces: "user" });
      return { token: value.token, expires: Date.parse(value.expires_at) };
    } catch (problem) {
      if (problem.status === 404) {
        // Behind a proxy it gives out none: then the page is the application.
        this.demo.clear();
        this.current = null;
        showUsers();
      }
      throw problem;
    }
  },

  // A token was refused: the next call gets another one.
  forget(application, id) { this.tokens.delete(`${application} ${id}`); },

  // The names of an application's users, as far as a page of the list has them.
  async readNames(application) {
    this.names = new Map(this.demo);
    const { value } = await call("GET", `/applications/${application}/users?limit=200`, { as: null });
    for (const { id, name } of value) this.names.set(id, name ?? id);
  },

  known(id) { return this.names.get(id) ?? id; },

  // The same. A name that is not known is asked for, and shown when it comes, in elements with `data-user`.
  nameOf(id) {
    if (!this.names.has(id)) this.find(id);
    return this.known(id);
  },

  async find(id) {
    const { names } = this;
    names.set(id, null);
    try {
      const { value } = await call("GET", `${applicationPath()}/users/${encodeURIComponent(id)}`, { as: null });
      names.set(id, value.name ?? id);
    } catch {
      // Its id is shown.
      return;
    }
    if (names !== this.names) return;
    for (const element of document.querySelectorAll(`[data-user="${CSS.escape(id)}"]`)) {
      element.textContent = this.nameOf(id);
    }
    for (const element of document.querySelectorAll(`[data-initial="${CSS.escape(id)}"]`)) {
      element.textContent = initialOf(this.nameOf(id));
    }
  },

  // Who has said a message. Null is the application.
  author(id) {
    if (id == null) return this.demo.size > 0 ? el("span", { class: "author none" }, "The application") : "";
    return el("bdi", { class: "author", "data-user": id, title: id }, this.nameOf(id));
  },
};
