// Who has seen the newest message, where the chat shows it: "Seen by Ben", below the list.

const receipts = {
  most: 5,   // names that are told

  get areOn() { return members.receipts === "members"; },

  // Asks for all of it, when the chat has just begun to show it. Else the stream tells.
  read() {
    if (!this.areOn || !open?.stream) return undefined;
    // Who was removed is told nothing, and the chat may have too many members.
    return open.stream.chat.loadReads().catch(() => {});
  },

  update({ stream: { chat }, log }) {
    const { state } = chat;
    const isShown = (message) => log.isAtEnd && message.number <= log.newest && isInMain(message);
    const newest = state.messages.findLast(isShown);
    const others = [...state.reads].filter(([user]) => user !== users.current && user !== newest?.sender);
    const seen = others.filter(([, number]) => number >= newest?.number).map(([user]) => users.nameOf(user));
    const names = seen.slice(0, this.most);
    if (seen.length > names.length) names.push(plural(seen.length - names.length, "other"));
    const text = !this.areOn || names.length === 0 ? ""
      : seen.length > 1 && seen.length === others.length ? "Seen by everyone" : `Seen by ${listFormat.format(names)}`;
    if ($("seen").textContent === text) return;
    $("seen").textContent = text;
    $("seen").hidden = text === "";
    log.grown();
  },
};
