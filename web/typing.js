/** The line that names the users who are typing. */

import { element } from "./dom.js";

const TYPING_MS = 3500; // the server tells at most once a second while a user types

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
