/** "@Name" of a person that the page knows is highlighted. */

import { element } from "./dom.js";

const MOST_CHARS = 64; // of a name (chatio/accounts/users.py)
const IN_WORD = /[\p{L}\p{N}\p{M}_]/u;

/**
 * @param {string} text
 * @param {import("./person.js").Names} names
 * @returns {(string | Node)[]} the parts to append, in order
 */
export function withMentions(text, names) {
  const parts = [];
  let end = 0;
  for (let at = text.indexOf("@"); at !== -1; at = text.indexOf("@", Math.max(end, at + 1))) {
    const name = nameAt(text, at, names);
    if (name === null) continue;
    parts.push(text.slice(end, at));
    parts.push(element("mark", { class: names.isOwn(name) ? "mention own-name" : "mention" }, `@${name}`));
    end = at + 1 + name.length;
  }
  parts.push(text.slice(end));
  return parts.filter((part) => part !== "");
}

/** Whether the person who reads is mentioned. */
export const mentionsReader = (nodes) => nodes.some((node) => node.className === "mention own-name");

/** The longest known name after the "@", or null; the "@" of "ann@chat.example" begins none. */
function nameAt(text, at, names) {
  if (at > 0 && IN_WORD.test(text[at - 1])) return null;
  const rest = text.slice(at + 1, at + 1 + MOST_CHARS);
  for (let length = rest.length; length > 0; length--) {
    const endsWord = !IN_WORD.test(text[at + 1 + length] ?? " ");
    const name = rest.slice(0, length);
    if (endsWord && name === name.trim() && names.has(name)) return name;
  }
  return null;
}
