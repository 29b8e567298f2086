/** The users that are online, and the users that are typing. */

import { element } from "./dom.js";
import { avatar } from "./person.js";

const MOST_NAMED = 200;
const TYPING_MS = 3500; // the server tells at most once a second while a user types

export class People {
  #parts;
  #ownId;
  #showName;
  #fetch;
  #names = new Map();
  #timer = 0;
  #isClosed = false;

  /**
   * @param {{panel: HTMLElement, toggle: HTMLElement}} parts
   * @param {string} ownId
   * @param {import("./person.js").Names} names
   * @param {() => Promise<{users: {id: string, name: string}[]}>} fetch
   */
  constructor(parts, ownId, names, fetch) {
    this.#parts = parts;
    this.#ownId = ownId;
    this.#showName = (id, name) => names.show(id, name);
    this.#fetch = fetch;
  }

  /** Ask for the whole list. A server without presence answers 404: then there is no panel. */
  async load() {
    clearTimeout(this.#timer);
    try {
      const { users } = await this.#fetch();
      this.#names = new Map(users.map(({ id, name }) => [id, name]));
      this.#show();
    } catch (refusal) {
      if (refusal.status === 404) this.#hide();
    }
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#hide();
  }

  #hide() {
    this.#parts.panel.hidden = this.#parts.toggle.hidden = true;
  }

  /** @param {{online: number, came: object[], left: object[], more: number}} change */
  apply({ online, came, left, more }) {
    for (const { id } of left) this.#names.delete(id);
    for (const { id, name } of came) this.#names.set(id, name);
    this.#show();
    // The server leaves out a change when this connection lags. The delay is random, so that pages do not ask at once.
    if (more > 0 || online !== this.#names.size) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.load(), 1000 + Math.random() * 4000);
    }
  }

  #show() {
    if (this.#isClosed) return;
    const { panel, toggle } = this.#parts;
    const isOwn = ([id]) => id === this.#ownId;
    const people = [...this.#names].sort((a, b) => isOwn(b) - isOwn(a) || a[1].localeCompare(b[1]));
    const items = people.slice(0, MOST_NAMED).map(([id, name]) =>
      element("li", {}, avatar(id, name), element("span", {}, ...this.#showName(id, name), id === this.#ownId ? " (you)" : "")),
    );
    const unnamed = people.length - items.length;
    if (unnamed > 0) items.push(element("li", {}, `and ${unnamed} more`));
    panel.querySelector("ul").replaceChildren(...items);
    toggle.textContent = `${people.length} online`;
    panel.hidden = toggle.hidden = false;
  }
}

export class Typing {
  #line;
  #ownId;
  #people = new Map(); // by id: {name, timer}

  constructor(line, ownId) {
    this.#line = line;
    this.#ownId = ownId;
    this.#show();
  }

  /** @param {{id: string, name: string}} user */
  came({ id, name }) {
    if (id === this.#ownId) return; // in another tab
    this.stopped([id]);
    this.#people.set(id, { name, timer: setTimeout(() => this.stopped([id]), TYPING_MS) });
    this.#show();
  }

  /** @param {string[]} ids */
  stopped(ids) {
    for (const id of ids) {
      clearTimeout(this.#people.get(id)?.timer);
      this.#people.delete(id);
    }
    this.#show();
  }

  close() {
    this.stopped([...this.#people.keys()]);
  }

  #show() {
    // In <bdi>: no character of a name can turn the sentence.
    const [first, second, third] = [...this.#people.values()].map(({ name }) => element("bdi", {}, name));
    if (!first) this.#line.replaceChildren();
    else if (!second) this.#line.replaceChildren(first, " is typing…");
    else if (!third) this.#line.replaceChildren(first, " and ", second, " are typing…");
    else this.#line.replaceChildren("Several people are typing…");
  }
}
