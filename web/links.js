/** Addresses in a text become links; all other text stays text. */

import { element } from "./dom.js";

// Up to white space, quotes and angle brackets; and to the marks that turn the direction of writing, with which an
// address can be made to look like another.
const ADDRESS = /https?:\/\/[^\s<>"\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gi;
const CLOSING = /[.,;:!?'*_~]+$/;

/**
 * @param {string} text
 * @returns {(string | HTMLAnchorElement)[]} the parts to append, in order
 */
export function withLinks(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = trimmed(match[0]);
    const url = URL.canParse(address) ? new URL(address) : null;
    // "https://bank.example@evil.example" leads to the latter, and is left as text.
    if (url === null || !/^https?:$/.test(url.protocol) || url.username || url.password) continue;
    parts.push(text.slice(end, match.index));
    parts.push(
      element("a", { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow" }, address),
    );
    end = match.index + address.length;
  }
  parts.push(text.slice(end));
  return parts.filter((part) => part !== "");
}

/**
 * The address without the end of its sentence: "(see https://chat.example/a_(b).)" links
 * "https://chat.example/a_(b)".
 */
function trimmed(address) {
  for (;;) {
    const shorter = address.replace(CLOSING, "");
    const opened = shorter.split("(").length;
    const closed = shorter.split(")").length;
    if (!shorter.endsWith(")") || closed <= opened) return shorter;
    address = shorter.slice(0, -1);
  }
}
