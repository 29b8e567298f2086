/**
 * Unsent: the draft of a person, and the messages that the server has not acknowledged. They outlive a reload, a lost
 * connection and an ended sign-in; in `lasting` storage a closed tab as well. Signing out removes them.
 *
 * Each message has a key of its own, so that two tabs never overwrite each other's. The draft is one for all tabs.
 */

import { keep, keysOf, lasting, ownKeys } from "./storage.js";

export class Unsent {
  #storage;
  #draftKey;
  #prefix;
  #failed = new Set(); // keys that the storage did not take
  #newest = 0;
  #listening = new AbortController();

  /**
   * @param {Storage} storage where the sign-in is kept as well
   * @param {string} personId
   */
  constructor(storage, personId) {
    this.#storage = storage;
    this.#draftKey = `${ownKeys(personId)}draft`;
    this.#prefix = `${ownKeys(personId)}unsent.`;
  }

  get draft() {
    return this.#storage.getItem(this.#draftKey) ?? "";
  }

  set draft(text) {
    if (text === "") this.#remove(this.#draftKey);
    else this.#keep(this.#draftKey, text);
  }

  /** @returns {object[]} oldest first */
  get messages() {
    return keysOf(this.#storage, this.#prefix)
      .map((key) => JSON.parse(this.#storage.getItem(key)))
      .sort((one, other) => one.written_at - other.written_at);
  }

  /** Whether leaving the page would lose something. */
  get isAtRisk() {
    const endsWithTab = this.#storage !== lasting || this.#storage.isMemory;
    return this.#failed.size > 0 || (endsWithTab && !this.isEmpty);
  }

  get isEmpty() {
    return this.draft.trim() === "" && keysOf(this.#storage, this.#prefix).length === 0 && this.#failed.size === 0;
  }

  /** @param {{id: string}} message `written_at`, which orders the messages, is added to it */
  add(message) {
    message.written_at = this.#newest = Math.max(this.#newest + 1, Date.now());
    this.#keep(this.#prefix + message.id, JSON.stringify(message));
  }

  remove(id) {
    this.#remove(this.#prefix + id);
  }

  /**
   * Tell what another tab does.
   * @param {{onDraft: (text: string) => void, onRemoved: (id: string) => void}} listener
   */
  listen({ onDraft, onRemoved }) {
    const told = ({ storageArea, key, newValue }) => {
      if (storageArea !== this.#storage) return;
      if (key === this.#draftKey) onDraft(newValue ?? "");
      else if (key?.startsWith(this.#prefix) && newValue === null) onRemoved(key.slice(this.#prefix.length));
    };
    addEventListener("storage", told, { signal: this.#listening.signal });
  }

  close() {
    this.#listening.abort();
  }

  #keep(key, value) {
    if (keep(this.#storage, key, value)) this.#failed.delete(key);
    else this.#failed.add(key);
  }

  #remove(key) {
    this.#failed.delete(key);
    this.#storage.removeItem(key);
  }
}
