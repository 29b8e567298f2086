/** Timeline: the messages, oldest first, each once; under the day, and grouped by author. */

import { element } from "./dom.js";
import { dayLine, messageItem, showState } from "./message.js";
import { dayKey } from "./time.js";

const GROUP_MS = 5 * 60_000;
const MOST_SHOWN = 6000; // older ones are dropped while the user reads the newest, and load again on scrolling up

/** @typedef {{id: string, content: string, author_id: string, author_name: string, sent_at: string, edited_at?: string,
 * offset: string}} Message */

export class Timeline {
  #list;
  #scroller;
  #ownId;
  #names;
  #actions;
  #rows = []; // {message, moment, item}, as in the list; notes are only in the list
  #ids = new Set();
  #line = element("li", { class: "unread" }, "New messages");

  /**
   * @param {HTMLElement} list
   * @param {import("./scroller.js").Scroller} scroller
   * @param {string} ownId
   * @param {import("./person.js").Names} names
   * @param {{change: (message: Message) => void, moderate: (message: Message) => void}} actions ask the user what to
   *   do with an own message, and with that of another user
   */
  constructor(list, scroller, ownId, names, actions) {
    this.#list = list;
    this.#scroller = scroller;
    this.#ownId = ownId;
    this.#names = names;
    this.#actions = actions;
    list.replaceChildren();
  }

  get isEmpty() {
    return this.#rows.length === 0;
  }

  /** The offset of the oldest message that is shown. */
  get firstOffset() {
    return this.#rows[0]?.message.offset ?? null;
  }

  get lastOffset() {
    return this.#rows.at(-1)?.message.offset ?? null;
  }

  /** Whether both offsets are of one log, and `offset` is the later one. Null is not comparable. */
  isAfter(offset, other) {
    return offset !== null && other !== null && epochOf(offset) === epochOf(other) && offset > other;
  }

  /** Whether the message of this offset has its place before the newest that is shown. */
  isPast(offset) {
    return offset === this.lastOffset || this.isAfter(this.lastOffset, offset);
  }

  /** The line above the messages that the user has not read, or null. */
  get line() {
    return this.#line.isConnected ? this.#line : null;
  }

  /** Put the line above the message. */
  mark(id) {
    const item = this.#rows.find(({ message }) => message.id === id)?.item;
    item?.before(this.#line);
    item?.classList.remove("follows"); // a line parts it from its group
    this.#scroller.grew();
  }

  unmark() {
    this.#line.remove();
  }

  /**
   * Add at the end.
   * @param {Message[]} messages
   * @returns {Message[]} the messages that are new
   */
  append(messages) {
    const rows = this.#made(messages);
    const before = this.#rows.length;
    this.#rows.push(...rows);
    for (let at = before; at < this.#rows.length; at++) this.#settle(at);
    this.#list.append(...rows.map((row) => row.item));
    if (rows.length) this.#scroller.grew();
    if (this.#scroller.follows) this.#letGo();
    return rows.map((row) => row.message);
  }

  /**
   * Add before the first; the messages in sight stay where they are.
   * @param {Message[]} messages oldest first
   */
  prepend(messages) {
    const rows = this.#made(messages);
    const anchor = this.#rows[0]?.item ?? null;
    this.#scroller.keeping(anchor?.querySelector(".bubble") ?? null, () => {
      this.#rows.unshift(...rows);
      for (let at = 0; at <= rows.length && at < this.#rows.length; at++) this.#settle(at);
      this.#list.prepend(...rows.map((row) => row.item));
    });
  }

  clear() {
    this.#rows = [];
    this.#ids.clear();
    this.#list.replaceChildren();
  }

  /** Show the message of this id, if it is here, as it is now. */
  edit(id, changed) {
    const at = this.#rows.findIndex(({ message }) => message.id === id);
    if (at < 0) return;
    const { message, item } = this.#rows[at];
    const row = (this.#rows[at] = this.#row({ ...message, ...changed }));
    item.replaceWith(row.item);
    this.#settle(at);
    this.#scroller.grew();
  }

  remove(id) {
    this.#ids.add(id); // an answer with older messages may be under way, and have it
    const at = this.#rows.findIndex(({ message }) => message.id === id);
    if (at < 0) return;
    const [{ item }] = this.#rows.splice(at, 1);
    item.remove();
    if (at < this.#rows.length) this.#settle(at);
    this.#scroller.grew();
  }

  /** Ask the user how to change the newest own message, if there is one. */
  changeNewestOwn() {
    const own = this.#rows.findLast(({ message }) => message.author_id === this.#ownId);
    if (own) this.#actions.change(own.message);
  }

  /** Add a line between the messages before and after, if there is none at the end. */
  note(text) {
    if (this.#list.lastElementChild?.className === "note") return;
    this.#list.append(element("li", { class: "note" }, text));
    this.#scroller.grew();
  }

  #made(messages) {
    const rows = [];
    for (const message of messages) {
      if (this.#ids.has(message.id)) continue;
      this.#ids.add(message.id);
      rows.push(this.#row(message));
    }
    return rows;
  }

  #row(message) {
    const moment = new Date(message.sent_at);
    const isOwn = message.author_id === this.#ownId;
    const meta = message.edited_at ? [element("span", {}, "edited")] : [];
    if (isOwn) meta.push(showState(element("span", { class: "state" }), "sent", "Sent"), this.#changeButton(message));
    else meta.push(this.#moderateButton(message));
    return { message, moment, item: messageItem(this.#names, message, isOwn, moment, ...meta) };
  }

  /** Not among the stops of the Tab key, since there are many: in the empty draft, Arrow Up is the way by keyboard. */
  #changeButton(message) {
    const onclick = () => this.#actions.change(message);
    const label = "Edit or delete";
    const attributes = { type: "button", class: "change", tabindex: "-1", title: label, "aria-label": label, onclick };
    return element("button", attributes, "…");
  }

  /** Only moderators see it. */
  #moderateButton(message) {
    const onclick = () => this.#actions.moderate(message);
    const attributes = { type: "button", class: "change moderate", title: "Moderate", "aria-label": "Moderate", onclick };
    return element("button", attributes, "…");
  }

  /** Mark whether the row opens a day, and whether it continues the group above it. */
  #settle(at) {
    const { message, moment, item } = this.#rows[at];
    const above = this.#rows[at - 1];
    const opensDay = above === undefined || dayKey(above.moment) !== dayKey(moment);
    const follows = !opensDay && above.message.author_id === message.author_id && moment - above.moment < GROUP_MS;
    item.classList.toggle("follows", follows);
    item.querySelector(".day")?.remove();
    if (opensDay) item.prepend(dayLine(moment));
  }

  #letGo() {
    const excess = this.#rows.length - MOST_SHOWN;
    if (excess <= 0) return;
    for (const { message, item } of this.#rows.splice(0, excess)) {
      this.#ids.delete(message.id);
      item.remove();
    }
    this.#settle(0);
  }
}

/** The log that an offset belongs to (docs/recovery.md); offsets of one log are in the order of their texts. */
const epochOf = (offset) => offset.split("-", 1)[0];
