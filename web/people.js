/** The panel of users online: their number, their names, and a search among them. */

import { element } from "./dom.js";
import { avatar } from "./person.js";

const PAGE = 100; // people that are added to the list when the user comes to its end
const BY_NAME = new Intl.Collator();

export class People {
  #parts;
  #ownId;
  #names;
  #fetch;
  #people = new Map(); // by id: {id, name, key, item}
  #shown = PAGE;
  #frame = 0;
  #timer = 0;
  #listening = new AbortController();
  #more = element("li", { class: "more" });
  #moreInSight = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && this.#showMore());

  /**
   * @param {object} parts
   * @param {HTMLElement} parts.panel
   * @param {HTMLElement} parts.toggle
   * @param {HTMLInputElement} parts.search
   * @param {HTMLElement} parts.count
   * @param {HTMLElement} parts.list
   * @param {string} ownId
   * @param {import("./person.js").Names} names
   * @param {() => Promise<{users: {id: string, name: string}[]}>} fetch
   */
  constructor(parts, ownId, names, fetch) {
    this.#parts = parts;
    this.#ownId = ownId;
    this.#names = names;
    this.#fetch = fetch;
    parts.search.value = "";
    parts.search.addEventListener("input", () => this.#search(), { signal: this.#listening.signal });
  }

  /** Ask for the whole list. A server without presence answers 404: then there is no panel. */
  async load() {
    clearTimeout(this.#timer);
    try {
      const { users } = await this.#fetch();
      const before = this.#people;
      this.#people = new Map();
      for (const user of users) this.#add(user, before.get(user.id));
      this.#change();
    } catch (refusal) {
      if (refusal.status === 404) this.#hide();
    }
  }

  /** Ask a little later; the delay is random, so that pages do not ask at once. */
  loadSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.load(), 1000 + Math.random() * 4000);
  }

  /** @param {{online: number, came: object[], left: object[], more: number}} change */
  apply({ online, came, left, more }) {
    for (const { id } of left) this.#people.delete(id);
    for (const user of came) this.#add(user, this.#people.get(user.id));
    this.#change();
    // The server leaves out a change when this connection lags.
    if (more > 0 || online !== this.#people.size) this.loadSoon();
  }

  close() {
    this.#listening.abort();
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#moreInSight.disconnect();
    this.#hide();
  }

  #add({ id, name }, known) {
    this.#names.add(id, name);
    this.#people.set(id, known?.name === name ? known : { id, name, key: name.toLowerCase(), item: null });
  }

  #hide() {
    this.#parts.panel.hidden = this.#parts.toggle.hidden = true;
  }

  #search() {
    this.#shown = PAGE;
    this.#change();
  }

  #showMore() {
    this.#shown += PAGE;
    this.#change();
  }

  /** Show the list in the next frame, however many changes there are until then. */
  #change() {
    if (this.#listening.signal.aborted) return;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#show();
    });
  }

  #show() {
    const { panel, toggle, search, count, list } = this.#parts;
    const wanted = search.value.trim().toLowerCase();
    const all = [...this.#people.values()];
    const found = wanted === "" ? all : all.filter(({ key }) => key.includes(wanted));
    found.sort((a, b) => (b.id === this.#ownId) - (a.id === this.#ownId) || BY_NAME.compare(a.name, b.name));
    const items = found.slice(0, this.#shown).map((person) => (person.item ??= this.#itemOf(person)));
    this.#more.textContent = found.length === 0 ? "Nobody of that name" : `and ${found.length - items.length} more`;
    if (items.length < found.length || found.length === 0) items.push(this.#more);
    list.replaceChildren(...items);
    this.#moreInSight.unobserve(this.#more); // so that it tells again if it is still in sight
    if (items.length > this.#shown) this.#moreInSight.observe(this.#more);
    count.textContent = wanted === "" ? all.length : `${found.length} of ${all.length}`;
    toggle.textContent = `${all.length} online`;
    panel.hidden = toggle.hidden = false;
  }

  #itemOf({ id, name }) {
    const own = id === this.#ownId ? [" (you)"] : [];
    return element("li", {}, avatar(id, name), element("span", {}, ...this.#names.show(id, name), ...own));
  }
}
