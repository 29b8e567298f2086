/** How a person is shown: initials on a colour, and a name that is not taken for another person's. */

import { clip } from "./clip.js";
import { element } from "./dom.js";

/** A circle with the initials, in the same colour for one person everywhere. Its letters are neither read nor copied. */
export function avatar(id, name) {
  const circle = element("span", { class: "avatar", "aria-hidden": "true", "data-initials": initials(name) });
  clip(name, circle);
  const sum = hash(id);
  circle.style.setProperty("--hue", sum % 360);
  circle.style.setProperty("--tone", (sum >>> 16) % 2);
  return circle;
}

/** Names: the people that the page has shown; two of one name get a tag, here and where they stand already. */
export class Names {
  #people = new Map(); // by name, as readers take it for the same: the ids
  #own;

  /** @param {{id: string, name: string}} me also called by the first word of the name */
  constructor(me) {
    this.#own = [keyOf(me.name), keyOf(me.name.trim().split(/\s+/)[0])];
    this.add(me.id, me.name);
  }

  has(name) {
    return this.#people.has(keyOf(name)) || this.isOwn(name);
  }

  isOwn(name) {
    return this.#own.includes(keyOf(name));
  }

  /** @returns {Set<string>} the ids of all people of this name */
  add(id, name) {
    const key = keyOf(name);
    const ids = this.#people.get(key) ?? new Set();
    const isNew = !ids.has(id);
    this.#people.set(key, ids.add(id));
    if (isNew && ids.size === 2) for (const one of ids) this.#reveal(one);
    return ids;
  }

  /** @returns {Node[]} the name, isolated from the direction of the text around it, and the tag */
  show(id, name) {
    const ids = this.add(id, name);
    const shown = element("span", { class: "tag", "data-person": id });
    if (ids.size > 1) reveal(shown);
    return [element("bdi", {}, name), shown];
  }

  #reveal(id) {
    for (const tag of document.querySelectorAll(`.tag[data-person="${CSS.escape(id)}"]`)) reveal(tag);
  }
}

function reveal(tag) {
  tag.textContent = tagOf(tag.dataset.person);
  tag.title = "Another person has the same name";
}

/** The name without the differences that a reader does not see. */
const keyOf = (name) => name.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim();

/** Four letters or digits, with a space to keep them off the name. */
const tagOf = (id) => ` #${id.replace(/[^\p{L}\p{N}]/gu, "").slice(-4)}`;

const LETTERS = new Intl.Segmenter();

function firstLetter(word) {
  const [first] = LETTERS.segment(word);
  return first?.segment ?? "";
}

/** The first letter of the first word, and of the last. */
function initials(name) {
  const words = name.trim().split(/\s+/);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
  return letters.map(firstLetter).join("").toUpperCase();
}

function hash(text) {
  let sum = 0;
  for (const char of text) sum = Math.imul(sum ^ char.codePointAt(0), 0x01000193) >>> 0; // FNV-1a
  return (sum ^ (sum >>> 15)) >>> 0;
}
