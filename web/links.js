/** Addresses in a text become links; all other text stays text. */

import { element } from "./dom.js";

// Up to white space, quotes and angle brackets; and to the marks that turn the direction of writing, with which an
// address can be made to look like another.
const ADDRESS =
  /(?:https?:\/\/|(?<![\p{L}\p{N}_@./:-])(?:www\.|mailto:))[^\s<>"\u200e\u200f\u202a-\u202e\u2066-\u2069]+/giu;
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
    const href = targetOf(address);
    if (href === null) continue;
    parts.push(text.slice(end, match.index));
    parts.push(element("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, address));
    end = match.index + address.length;
  }
  parts.push(text.slice(end));
  return parts.filter((part) => part !== "");
}

/** @returns {string | null} where the address leads to; null if it is left as text */
function targetOf(address) {
  const whole = /^www\./i.test(address) ? `https://${address}` : address;
  if (!URL.canParse(whole)) return null;
  const url = new URL(whole);
  if (url.protocol === "mailto:") return /^[^@?\s]+@[^@?\s]+$/.test(url.pathname) ? url.href : null;
  if (whole !== address && !/^www\.[^.]+\.[^.]/i.test(url.hostname)) return null;
  // "https://bank.example@evil.example" leads to the latter.
  return /^https?:$/.test(url.protocol) && !url.username && !url.password ? url.href : null;
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
