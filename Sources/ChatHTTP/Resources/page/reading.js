// How far the tab's user has read the open chat: the line before what is new, the way to it, and the mark that says that
// it was read. Whoever sees the end of the chat has read it. Marks only rise, so no other tab is dragged back.

class Reading {
  #chat; #log; #changed;
  #read = 0;         // up to here everything was read, or is being marked so
  #refused = 0;      // a mark up to here was refused
  #isUnread = false;
  #count = 0;        // what was new when it began to be, and came since
  #hasMore = false;
  #wasSeen = true;   // whether somebody has seen where it begins
  #hasBegun = false; // whether what was unread at first is shown

  // @param chat the library's
  // @param changed called when the chat was marked
  constructor(chat, log, changed) {
    this.#chat = chat;
    this.#log = log;
    this.#changed = changed;
  }

  // The application reads nothing.
  get #isOn() { return users.current !== null; }

  async start() {
    if (!this.#isOn) return;
    try {
      await this.#chat.loadUnread();
    } catch {
      // Nobody is there who could have read it. The state of the connection says the rest.
      return;
    }
    this.update();
    this.look();
  }

  // What is known of the chat has changed.
  update() {
    const { unread } = this.#chat.state;
    if (!unread || !this.#isOn) return;
    const { count, more } = unread;
    // Another tab or device was faster.
    this.#read = Math.max(this.#read, unread.read ?? 0);
    if (count === 0) this.#isUnread = false;
    else if (!this.#isUnread && this.#read < this.#chat.state.head && !this.#isLooking) this.#begin();
    if (this.#isUnread && count > this.#count) [this.#count, this.#hasMore] = [count, more];
    this.#show();
  }

  // Asks again: another device may have read on.
  refresh() { return this.#isOn ? this.#chat.loadUnread() : undefined; }

  // Whoever looks at the end when a message comes sees it; at first, what came before is new all the same.
  get #isLooking() { return this.#hasBegun && this.#log.isEndInView; }

  #begin() {
    const { count, more } = this.#chat.state.unread;
    [this.#isUnread, this.#count, this.#hasMore, this.#wasSeen] = [true, count, more, false];
    this.#log.unreadAfter = this.#read;
  }

  // Others may be on the screen.
  look() {
    if (!this.#isOn || !this.#chat.state.unread) return;
    this.#hasBegun = true;
    if (this.#log.unreadPlace === "here" && !document.hidden) this.#wasSeen = true;
    this.#show();
    const { newest, isEndInView } = this.#log;
    if (newest > Math.max(this.#read, this.#refused) && isEndInView) this.#mark(newest);
  }

  async #mark(number) {
    const before = this.#read;
    this.#read = number;
    try {
      await this.#chat.markRead(number);
      this.#changed();
    } catch {
      // A removed user marks nothing. It is tried again with the next message.
      this.#read = before;
      this.#refused = number;
    }
  }

  // One's own message ends what is new.
  sent() {
    this.#log.unreadAfter = null;
    this.#wasSeen = true;
    this.#show();
  }

  async showFirst() {
    this.#wasSeen = true;
    await this.#log.showUnread();
    this.#show();
  }

  #show() {
    const button = $("first-unread");
    button.hidden = this.#wasSeen || this.#log.unreadPlace !== "above";
    if (!button.hidden) button.textContent = `↑ ${unreadCount(this.#count, this.#hasMore)} new`;
  }
}

const unreadCount = (count, hasMore) => count.toLocaleString() + (hasMore ? "+" : "");
