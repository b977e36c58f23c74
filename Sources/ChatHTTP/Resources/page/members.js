// Who is in a chat, and as what: a dialog that shows it, and changes it as far as the tab's user may.

const members = {
  roles: ["owner", "admin", "member", "reader", "banned"],
  path: null,      // the chat's
  access: "open",
  name: null,
  receipts: "off",
  own: null,       // what the tab's user is here: a role, or "removed"; null for the application, which may all

  get mayChange() { return this.own === null || this.own === "owner" || this.own === "admin"; },

  // Reads what the tab's user is in the open chat.
  async readOwn(path) {
    const me = users.current;
    const [chat, chats] = await Promise.all([
      call("GET", path), me && call("GET", `${applicationPath()}/users/me/chats?limit=1000`)]);
    if (path !== open?.path || me !== users.current) return;
    const { access, chat_number: number, name } = chat.value;
    const row = chats?.value.find((each) => each.number === number);
    const before = this.own;
    Object.assign(this, { path, access, name, receipts: chat.value.receipts });
    this.own = me && (row?.role ?? (access === "open" ? "member" : "removed"));
    $("own-role").textContent = this.own === null ? "" : ` · ${this.own}`;
    $("chat-title").textContent = chatName({ number, name });
    showTitle();
    if (open.stream) receipts.update(open);
    // Others may be done about its messages.
    if (before === this.own) return;
    open.log.refresh();
    open.thread?.refresh();
  },

  // Somebody has changed who is in the chat, or how it is set.
  async changed(path) {
    // What somebody is just about to change is not taken from under their hands.
    const isBusy = document.activeElement?.closest("#members-list, #members input");
    if ($("members").open && !isBusy) await this.refresh();
    else await this.readOwn(path);
    await receipts.read();
  },

  async show() {
    $("members-list").replaceChildren();
    $("members").showModal();
    await this.refresh();
  },

  async refresh() {
    await this.readOwn(open.path);
    $("members-access").textContent = this.access === "open"
      ? "This chat is open: every user of the application reads and writes here. Members may have another role."
      : "This chat is for its members. It is not there for anybody else.";
    $("change-access").textContent = this.access === "open" ? "For members only" : "Open to everyone";
    $("change-receipts").textContent = this.receipts === "members" ? "Do not show who has read" : "Show who has read";
    if (document.activeElement !== $("chat-name")) $("chat-name").value = this.name ?? "";
    for (const id of ["change-access", "change-receipts", "add-member", "rename"]) $(id).hidden = !this.mayChange;
    const known = new Set(users.demo.keys());
    if (!this.mayChange) {
      const isMember = this.own !== "removed";
      $("members-list").replaceChildren(...(isMember ? [this.row({ user: users.current, role: this.own })] : []));
      $("members-note").textContent = isMember
        ? "Owners and admins of the chat see who else is in it." : "You were removed. You still see what was said before.";
      return;
    }
    const { value, links } = await call("GET", `${this.path}/members?limit=200`, { title: "Listed the members" });
    $("members-list").replaceChildren(...value.map((member) => this.row(member)));
    $("members-note").textContent = links.next ? "There are more than these 200."
      : value.length === 0 ? "Nobody was made a member yet." : "";
    for (const { user } of value) known.delete(user);
    $("known-users").replaceChildren(...[...known].map((id) => el("option", { value: id }, users.nameOf(id))));
  },

  row({ user, role }) {
    const isOwn = user === users.current;
    const name = users.nameOf(user);
    // An admin makes, changes and removes no owner.
    const mayOwners = this.own === null || this.own === "owner";
    const isFixed = !this.mayChange || (role === "owner" && !mayOwners);
    const select = el("select", { "aria-label": `Role of ${name}`, disabled: isFixed },
      ...this.roles.filter((each) => each === role || each !== "owner" || mayOwners)
        .map((each) => el("option", { selected: each === role }, each)));
    select.addEventListener("change", () => this.change(`${name} is now ${select.value}.`, () =>
      this.set(user, select.value)));
    const remove = el("button", {
      type: "button", "aria-label": isOwn ? "Leave the chat" : `Remove ${name}`, disabled: isFixed && !isOwn,
      click: () => this.change(isOwn ? "You have left." : `${name} was removed.`, () => this.remove(user)),
    }, isOwn ? "Leave" : "Remove");
    return el("li", { "data-member": user },
      el("span", { class: "member" },
        el("bdi", { "data-user": user, title: user }, name), isOwn ? el("span", { class: "muted" }, " (you)") : ""),
      select, remove);
  },

  set(user, role) {
    return call("PUT", `${this.path}/members/${encodeURIComponent(user)}`, {
      json: { role }, title: `Made ${users.known(user)} ${role}` });
  },

  remove(user) {
    return call("DELETE", `${this.path}/members/${encodeURIComponent(user)}`, {
      title: `Removed ${users.known(user)}` });
  },

  add() {
    const [user, role] = [$("member-user").value.trim(), $("member-role").value];
    return this.change(`${users.known(user)} is now ${role}.`, async () => {
      await this.set(user, role);
      $("member-user").value = "";
      $("member-user").focus();
    });
  },

  changeAccess() {
    const access = this.access === "open" ? "members" : "open";
    return this.change(access === "open" ? "The chat is open." : "The chat is for its members.", () =>
      call("PATCH", this.path, { json: { access }, title: `Made the chat ${access === "open" ? "open" : "one for members"}` }));
  },

  changeReceipts() {
    const setting = this.receipts === "members" ? "off" : "members";
    const text = setting === "off" ? "Nobody sees who has read." : "Members see who has read.";
    const title = "Changed who sees who has read";
    return this.change(text, async () => {
      await call("PATCH", this.path, { json: { receipts: setting }, title });
      await this.readOwn(this.path);
      await receipts.read();
    });
  },

  rename() {
    const name = $("chat-name").value.trim() || null;
    return this.change(name ? `The chat is now ${name}.` : "The chat has no name.", () =>
      call("PATCH", this.path, { json: { name }, title: "Named the chat" }));
  },

  // Changes something, says so, and shows what there is then: after a refusal, what it was.
  async change(sentence, action) {
    const focused = document.activeElement?.closest("[data-member]")?.dataset.member;
    await attempt(async () => { await action(); say(sentence); });
    changed();
    // What went wrong was said already.
    await this.refresh().catch(() => {});
    if (!focused) return;
    const select = $("members-list").querySelector(`[data-member="${CSS.escape(focused)}"] select:enabled`);
    (select ?? $("members-title")).focus();
  },
};
