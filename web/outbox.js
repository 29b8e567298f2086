/**
 * Outbox: the user's own messages until the server sends them back. They are sent in the order in which they were
 * written, one after the other, and again until the server answers: always under the same id, so they arrive once.
 */

import { element } from "./dom.js";
import { messageItem, showState } from "./message.js";
import { clock, untilWhen } from "./time.js";

const OFFLINE = "It is sent by itself when the connection is back.";
const UNANSWERED = "The server does not answer. The page tries again by itself.";

export class Outbox {
  #list;
  #me;
  #names;
  #unsent;
  #outside;
  #entries = new Map(); // by id: {message, item, state, ack, isRefused}
  #isConnected = false;
  #isSending = false;
  #pause = 0; // the timer until the server takes messages again

  /**
   * @param {HTMLElement} list
   * @param {import("./session.js").Person} me
   * @param {import("./person.js").Names} names
   * @param {import("./unsent.js").Unsent} unsent
   * @param {object} outside
   * @param {(message: object) => Promise<object | null>} outside.send resolves to the ack, or null without an answer
   * @param {() => void} outside.hurry makes a new connection at once
   * @param {(text: string) => void} outside.edit puts a text back into the composer
   * @param {(offset: string) => boolean} outside.isShown whether the message of this offset has its place further up
   * @param {(problem: string | null) => void} outside.changed
   */
  constructor(list, me, names, unsent, outside) {
    this.#list = list;
    this.#me = me;
    this.#names = names;
    this.#unsent = unsent;
    this.#outside = outside;
    list.replaceChildren();
    for (const message of unsent.messages) this.#enter(message);
  }

  /** Forget all messages here; they stay in `unsent`. */
  close() {
    clearTimeout(this.#pause);
    this.#entries.clear();
    this.#list.replaceChildren();
  }

  say(content) {
    const message = {
      id: crypto.randomUUID?.() ?? uuid(),
      content,
      author_id: this.#me.id,
      author_name: this.#me.name,
      timestamp: clock(new Date()),
    };
    this.#unsent.add(message);
    this.#enter(message);
    if (this.#isConnected) this.#drain();
    else this.#wait(this.#entries.get(message.id), OFFLINE);
  }

  /** Send all that waits, also the messages of a tab that was closed. */
  connected() {
    this.#isConnected = true;
    for (const message of this.#unsent.messages) if (!this.#entries.has(message.id)) this.#enter(message);
    for (const entry of this.#waiting) this.#show(entry, "sending", "Sending…");
    this.#drain();
  }

  lost() {
    this.#isConnected = false;
    this.#resume();
    for (const entry of this.#waiting) this.#wait(entry, OFFLINE);
  }

  /** Remove messages that arrived, or have their place further up: of an earlier visit, whose ack was lost. */
  arrived(messages) {
    for (const { id } of messages) if (this.#entries.has(id)) this.#remove(id);
    for (const { message, ack } of this.#entries.values())
      if (ack && this.#outside.isShown(ack.offset)) this.#remove(message.id);
  }

  /** Another tab of this person has sent or removed the message. */
  removedElsewhere(id) {
    if (!this.#entries.get(id)?.ack) this.#remove(id);
  }

  /** Remove and return the messages that the server acknowledged and did not send back. */
  takeAcknowledged() {
    const entries = [...this.#entries.values()].filter((entry) => entry.ack);
    for (const { message } of entries) this.#remove(message.id);
    return entries.map(({ message, ack }) => ({ ...message, sent_at: ack.sent_at, offset: ack.offset }));
  }

  get #waiting() {
    return [...this.#entries.values()].filter((entry) => !entry.ack && !entry.isRefused);
  }

  #enter(message) {
    const state = element("span", { class: "state" });
    const item = messageItem(this.#names, message, true, new Date(message.written_at), state);
    const entry = { message, item, state, ack: null, isRefused: false };
    this.#entries.set(message.id, entry);
    this.#list.append(item);
    this.#show(entry, "sending", "Sending…");
  }

  async #drain() {
    if (this.#isSending) return;
    this.#isSending = true;
    while (this.#isConnected && !this.#pause && this.#waiting.length > 0) await this.#send(this.#waiting[0]);
    this.#isSending = false;
  }

  async #send(entry) {
    const { message } = entry;
    const ack = await this.#outside.send(message);
    if (!this.#entries.has(message.id)) return;
    if (ack === null) {
      if (this.#isConnected) this.#wait(entry, UNANSWERED);
    } else if (ack.ok) {
      entry.ack = ack;
      this.#unsent.remove(message.id);
      this.#show(entry, "sent", "Sent");
      this.arrived([]);
    } else if (ack.error.retry_after_seconds) {
      this.#postpone(entry, ack.error.message, ack.error.retry_after_seconds);
    } else {
      entry.isRefused = true;
      const { message: reason, until } = ack.error;
      const problem = until ? `${reason} (${untilWhen(until)})` : reason;
      this.#show(entry, "failed", "Not sent", this.#problem(entry, problem));
      this.#outside.changed(`Not sent. ${problem}`);
    }
  }

  /** The server takes no message for `seconds`: show how long, and go on then. */
  #postpone(entry, reason, seconds) {
    const until = Date.now() + seconds * 1000;
    const tick = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      if (left > 0) {
        this.#wait(entry, `${reason} The page tries again in ${left} s.`);
        this.#pause = setTimeout(tick, 250);
      } else {
        this.#resume();
        this.#show(entry, "sending", "Sending…");
        this.#drain();
      }
    };
    tick();
    this.#outside.changed(`Not sent yet. ${reason} The page tries again in ${seconds} seconds.`);
  }

  #resume() {
    clearTimeout(this.#pause);
    this.#pause = 0;
  }

  #wait(entry, reason) {
    const shown = entry.item.querySelector(".problem span");
    if (shown) shown.textContent = reason; // and its buttons keep the focus
    else this.#show(entry, "waiting", "Not sent yet", this.#problem(entry, reason));
  }

  #problem(entry, reason) {
    const { id, content } = entry.message;
    const button = (text, onclick) => element("button", { type: "button", class: "plain", onclick }, text);
    const edit = () => {
      this.#remove(id);
      this.#outside.edit(content);
    };
    const again = entry.isRefused ? [] : [button("Try again", () => this.#outside.hurry())];
    const buttons = [...again, button("Edit", edit), button("Remove", () => this.#remove(id))];
    return element("p", { class: "problem" }, element("span", {}, reason), ...buttons);
  }

  #show(entry, state, text, problem = null) {
    entry.item.dataset.state = state;
    showState(entry.state, state, text);
    entry.item.querySelector(".problem")?.remove();
    if (problem) entry.item.querySelector(".bubble").append(problem);
    this.#outside.changed(null);
  }

  #remove(id) {
    this.#unsent.remove(id);
    this.#entries.get(id)?.item.remove();
    this.#entries.delete(id);
  }
}

/** For pages that are not of a secure origin, which have no `crypto.randomUUID` (RFC 9562, 5.4). */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
