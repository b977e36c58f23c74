// What is pinned in the open chat: how many messages, and a dialog that lists them.

const pins = {
  shown: "",

  // How many there are. Rows say of themselves whether they are pinned.
  update(chat) {
    const { pins: numbers } = chat.state;
    $("show-pins").hidden = numbers.length === 0;
    $("pin-count").textContent = `${numbers.length}`;
    $("show-pins").setAttribute("aria-label", plural(numbers.length, "pinned message"));
    if ($("pins").open) this.fill();
  },

  async show() {
    $("pins").showModal();
    this.fill();
    const { chat } = open.stream;
    // One by one, of those that were never on the screen: there are at most 100.
    for (const number of chat.state.pins.filter((number) => !chat.state.message(number))) {
      await chat.loadPage({ around: number, limit: 1 });
      if (chat !== open?.stream?.chat || !$("pins").open) return;
    }
    this.fill();
  },

  fill() {
    const { chat } = open.stream;
    $("pins-list").replaceChildren(...chat.state.pins.toReversed().map((number) => {
      const message = chat.state.message(number);
      const unpin = () => attempt(() => { chat.unpin(number); });
      return el("li", {},
        el("a", {
          class: "quote", href: open.on.link(number), "aria-label": `Show message ${number}`,
          click: () => $("pins").close(),
        }, ...(message ? quoted(message) : [`#${number}`])),
        el("button", { type: "button", "aria-label": `Unpin message ${number}`, click: unpin }, "Unpin"));
    }));
    if (chat.state.pins.length === 0) $("pins").close();
  },
};
