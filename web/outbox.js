/** Outbox: the user's own messages until the server sends them back: being sent, or refused and why. */

import { element } from "./dom.js";
import { messageItem } from "./message.js";
import { clock } from "./time.js";

const LOST = "It was not sent: the server did not answer.";

export class Outbox {
  #list;
  #me;
  #send;
  #onEdit;
  #onChange;
  #entries = new Map(); // by id: {message, item, state, isAcknowledged}

  /**
   * @param {HTMLElement} list
   * @param {import("./session.js").Person} me
   * @param {(message: object) => Promise<{ok: boolean, error?: object}>} send
   * @param {(text: string) => void} onEdit puts the text back into the composer
   * @param {(problem: string | null) => void} onChange
   */
  constructor(list, me, send, onEdit, onChange) {
    this.#list = list;
    this.#me = me;
    this.#send = send;
    this.#onEdit = onEdit;
    this.#onChange = onChange;
    list.replaceChildren();
  }

  /** Forget all messages; acks that come later are ignored. */
  close() {
    this.#entries.clear();
    this.#list.replaceChildren();
  }

  /** Send a text, under an id of its own: tried again, it is the same message, and arrives once. */
  say(content) {
    const now = new Date();
    const message = {
      id: crypto.randomUUID?.() ?? uuid(),
      content,
      author_id: this.#me.id,
      author_name: this.#me.name,
      timestamp: clock(now),
    };
    const state = element("span", { class: "state" });
    const item = messageItem(message, true, now, state);
    const entry = { message, item, state, isAcknowledged: false };
    this.#entries.set(message.id, entry);
    this.#list.append(item);
    this.#try(entry);
  }

  /** Remove messages that arrived: they are in the timeline now. */
  arrived(messages) {
    for (const { id } of messages) this.#remove(id);
  }

  /** Remove and return the messages that the server acknowledged and did not send back. */
  takeAcknowledged() {
    const entries = [...this.#entries.values()].filter((entry) => entry.isAcknowledged);
    for (const { message } of entries) this.#remove(message.id);
    return entries.map((entry) => ({ ...entry.message, ...entry.isAcknowledged }));
  }

  async #try(entry) {
    this.#show(entry, "sending", "Sending…");
    let ack;
    try {
      ack = await this.#send(entry.message);
    } catch {
      return this.#fail(entry, LOST, 0);
    }
    if (!ack.ok) return this.#fail(entry, ack.error.message, ack.error.retry_after_seconds);
    entry.isAcknowledged = { sent_at: ack.sent_at, offset: ack.offset };
    this.#show(entry, "sent", "Sent");
  }

  /** Without `waitSeconds` the same message would be refused again, and the user has to edit it. */
  #fail(entry, reason, waitSeconds) {
    const { id, content } = entry.message;
    if (!this.#entries.has(id)) return;
    const edit = () => {
      this.#remove(id);
      this.#onEdit(content);
    };
    const button = (text, onclick) => element("button", { type: "button", class: "plain", onclick }, text);
    const again = waitSeconds === undefined ? button("Edit", edit) : button("Try again", () => this.#try(entry));
    const drop = button("Remove", () => this.#remove(id));
    const problem = element("p", { class: "problem" }, element("span", {}, reason), again, drop);
    this.#show(entry, "failed", "Not sent", problem);
    this.#onChange(waitSeconds ? `${reason} Wait ${waitSeconds} seconds.` : reason);
    if (waitSeconds) countDown(waitSeconds, again);
  }

  #show(entry, state, text, problem = null) {
    if (!this.#entries.has(entry.message.id)) return;
    entry.item.dataset.state = state;
    entry.state.textContent = text;
    entry.item.querySelector(".problem")?.remove();
    if (problem) entry.item.querySelector(".bubble").append(problem);
    if (state !== "failed") this.#onChange(null);
  }

  #remove(id) {
    this.#entries.get(id)?.item.remove();
    this.#entries.delete(id);
  }
}

/** Disable the button for `seconds`, until the server accepts the message, and show the time that is left. */
function countDown(seconds, button) {
  const until = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    button.disabled = left > 0;
    button.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
    if (left > 0 && button.isConnected) setTimeout(tick, 250);
  };
  tick();
  setTimeout(tick, 250);
}

/** For pages that are not of a secure origin, which have no `crypto.randomUUID` (RFC 9562, 5.4). */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
